"""Training steps side by side with PyTorch: `fastnn bench`, which has the options, and insists on PyTorch.

Needs `pip install torch==2.13.0`, and a C++ compiler for torch.compile.
"""

import importlib.util
import sys

from fastnn.cli import main

if __name__ == "__main__":
    if importlib.util.find_spec("torch") is None:
        sys.exit("PyTorch is needed: pip install torch==2.13.0, or run make bench-torch")
    sys.exit(main(["bench", *sys.argv[1:]]))
