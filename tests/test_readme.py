"""The script in the README and the example with the loop written out run and learn, also on the real data."""

import os
import re
import runpy
from pathlib import Path

import pytest

import fastnn
from fastnn import data

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "train_cifar10.py"
(SCRIPT,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

needs_data = pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="FASTNN_DATA is not set")


class Small(data.Shapes32):
    """The built-in pictures in the place of CIFAR-10, and few of them."""

    mean, std = (0.45,) * 3, (0.2,) * 3

    def __init__(self, train=True, download=False):
        super().__init__(n=2000 if train else 500, train=train)


def accuracy_in(printed):
    (accuracy,) = re.findall(r"test accuracy: ([\d.]+)%", printed)
    return float(accuracy)


def test_readme_script_runs_and_learns(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(data, "CIFAR10", Small)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(SCRIPT, names)
    losses = names["history"]["train_loss"]
    assert len(losses) == 5
    assert losses[-1] < losses[0] - 0.3
    assert (tmp_path / "runs/first/weights.safetensors").is_file()
    assert accuracy_in(capsys.readouterr().out) > 0


def test_example_with_its_loop_runs_and_learns(monkeypatch, capsys):
    monkeypatch.setattr(data, "CIFAR10", Small)
    fastnn.manual_seed(0)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"epoch \d: loss ([\d.]+)", printed)]
    assert len(losses) == 5
    assert losses[-1] < losses[0] < 3
    assert accuracy_in(printed) > 0


@needs_data
@pytest.mark.slow
def test_readme_script_passes_70_percent_on_cifar10(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    exec(SCRIPT, {})
    assert accuracy_in(capsys.readouterr().out) > 70


@needs_data
@pytest.mark.slow
def test_example_with_its_loop_passes_60_percent_on_cifar10(capsys):
    fastnn.manual_seed(0)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert accuracy_in(capsys.readouterr().out) > 60
