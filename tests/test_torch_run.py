"""`fastnn run` beside an installed PyTorch: the script gets the layer, and libraries the real one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

pytestmark = pytest.mark.torch

COMMAND = """
import sys
from fastnn.compat import layers
layers.LAYERS.update(torch="standin_torch", torchvision="standin_torchvision")
from fastnn import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("order", [("a_library", "torch"), ("torch", "a_library")])
def test_torch_of_libraries_is_the_real_one(order, tmp_path):
    (tmp_path / "libraries").mkdir()
    (tmp_path / "libraries" / "a_library.py").write_text(
        "import importlib.util, sys, torch\n"
        "from torch.nn import functional as F\n"
        "def sees(): return torch is sys.modules['torch'], F.relu(torch.tensor([-1.0, 2.0])).tolist()\n"
        "def spec(): return importlib.util.find_spec('torch').origin == torch.__file__\n"
    )
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "script.py").write_text(
        f"import {order[0]}\nimport {order[1]}\n"
        "import sys\n"
        "from torch import nn\n"
        "print(torch.__version__, nn.__name__, sys.modules['torch'] is torch, a_library.torch is torch)\n"
        "print(a_library.torch.__name__, a_library.sees(), a_library.spec())\n"
        "print(isinstance(nn.Linear(1, 2), a_library.torch.nn.Module))\n"
    )
    found = [Path(fastnn.__file__).parents[1], Path(__file__).parent, tmp_path / "libraries"]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "run", "--quiet", "project/script.py"],
        capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, found))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "stand-in standin_torch.nn True False", "torch (True, [0.0, 2.0]) True", "False",
    ]  # fmt: skip
