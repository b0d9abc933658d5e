"""The page for whoever comes from PyTorch: its scripts run and print what it says, and its names are there."""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn
from fastnn.compat.check import findings

PAGE = (Path(__file__).parent.parent / "docs" / "from_pytorch.md").read_text(encoding="utf-8")
SCRIPT, WEIGHTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(SESSION,) = re.findall(r"```pycon\n(.*?)```", PAGE, re.DOTALL)
# The script as one that was written for PyTorch.
FOR_PYTORCH = SCRIPT.replace("import fastnn.compat.torch.nn", "import torch.nn").replace(
    "import fastnn.compat.torch as torch", "import torch").replace("fastnn.compat.torch", "torch")  # fmt: skip


def process(*command, folder):
    environment = {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=60, cwd=folder, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def said_to_print(script):
    """What the comments behind its print calls say."""
    lines = [line for line in script.splitlines() if line.startswith("print(")]
    assert lines
    assert all("  # " in line for line in lines)
    return [line.rpartition("  # ")[2] for line in lines]


def test_script_prints_what_the_page_says(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    done = process("train.py", folder=tmp_path)
    assert done.stdout.splitlines() == said_to_print(SCRIPT)
    assert done.stderr == ""


def test_script_for_pytorch_runs_by_the_command_and_lacks_nothing(tmp_path):
    assert "fastnn" not in FOR_PYTORCH
    (tmp_path / "train.py").write_text(FOR_PYTORCH)
    assert findings([str(tmp_path / "train.py")])[1] == []
    done = process("-m", "fastnn", "run", "train.py", folder=tmp_path)
    assert done.stdout.splitlines() == said_to_print(FOR_PYTORCH)
    assert re.fullmatch(r"fastnn run: train\.py ran on fastnn .* s, not on PyTorch\n", done.stderr)


@pytest.mark.torch
def test_script_for_pytorch_prints_the_same_by_pytorch(tmp_path):
    (tmp_path / "train.py").write_text(FOR_PYTORCH)
    assert process("train.py", folder=tmp_path).stdout.splitlines() == said_to_print(FOR_PYTORCH)


def test_weights_are_moved_as_the_page_says(tmp_path):
    process("-c", WEIGHTS, folder=tmp_path)
    assert (tmp_path / "resnet20.pth").stat().st_size > 1_000_000


def test_what_is_not_there_says_what_the_page_says():
    parser = doctest.DocTestParser()
    test = parser.get_doctest(SESSION, {}, "from_pytorch.md", "docs/from_pytorch.md", 0)
    assert len(test.examples) == 2
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert runner.run(test) == doctest.TestResults(0, 2)


def names_of_libraries():
    """`torch.save`, `torch.cuda.is_available()` and the like, as the page has them in its text."""
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    quoted = [re.split(r"[(, ]", part)[0] for part in re.findall(r"`([^`]+)`", text)]
    return sorted({part for part in quoted if re.fullmatch(r"torch(vision)?(\.[A-Za-z_]\w*)+", part)})


def test_page_names_what_is_checked_here():
    assert {"torch.save", "torch.linalg", "torch.autograd.grad", "torchvision.datasets"} <= set(names_of_libraries())


@pytest.mark.parametrize("name", names_of_libraries())
def test_name_in_the_text_is_there(name):
    root, *parts = name.split(".")
    value = importlib.import_module(f"fastnn.compat.{root}")
    for part in parts:
        value = getattr(value, part)
