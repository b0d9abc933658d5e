"""Training steps side by side with PyTorch: `fastnn bench`, which has the options, and insists on PyTorch.

Needs `pip install torch==2.13.0`, and a C++ compiler for torch.compile.
"""

import sys

from common import require_torch

from fastnn.cli import main

if __name__ == "__main__":
    require_torch("bench-torch")
    sys.exit(main(["bench", *sys.argv[1:]]))
