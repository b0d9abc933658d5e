"""Scripts written for PyTorch, run as they are by `fastnn run`: what they print is what PyTorch prints.

`tests/scripts/printed/` holds what PyTorch 2.13 prints. Losses, norms of gradients, learning rates, accuracies and so
on must agree to four digits, all other text exactly. Weights and images come from NumPy's generator
(`fixed_numbers.py`), since random numbers of the two differ.
"""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "fixed_numbers")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")


def _run(command, name, folder):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "default"}
    ended = subprocess.run(
        [*command, str(FOLDER / f"{name}.py")], capture_output=True, text=True, timeout=300, cwd=folder, env=environment
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def _assert_prints(found, name):
    wanted = (FOLDER / "printed" / f"{name}.txt").read_text()
    assert NUMBER.sub("#", found) == NUMBER.sub("#", wanted)
    for line, wanted_line in zip(found.splitlines(), wanted.splitlines(), strict=True):
        for number, wanted_number in zip(NUMBER.findall(line), NUMBER.findall(wanted_line), strict=True):
            assert math.isclose(float(number), float(wanted_number), rel_tol=1e-4, abs_tol=2e-5), (line, wanted_line)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_print_what_they_print_under_pytorch(name, tmp_path):
    ended = _run([sys.executable, "-m", "fastnn", "run"], name, tmp_path)
    _assert_prints(ended.stdout, name)
    assert "not on PyTorch" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.torch
@pytest.mark.parametrize("name", SCRIPTS)
def test_pytorch_prints_what_is_kept_here(name, tmp_path):
    _assert_prints(_run([sys.executable], name, tmp_path).stdout, name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_check_finds_nothing_lacking_in_scripts_that_run(name):
    ended = subprocess.run(
        [sys.executable, "-m", "fastnn", "check", str(FOLDER / f"{name}.py")],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
