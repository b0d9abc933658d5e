"""The scripts in the README are the example file, and they run, learn, and pass 60 % on the real data."""

import os
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import data

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "train_cifar10.py"
SCRIPT, FIT, NET = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

needs_data = pytest.mark.skipif("FASTNN_DATA" not in os.environ, reason="FASTNN_DATA is not set")


class Small(data.Shapes32):
    """The built-in pictures in the place of CIFAR-10, and few of them."""

    mean, std = (0.45,) * 3, (0.2,) * 3

    def __init__(self, train=True, download=False):
        super().__init__(n=2000 if train else 500, train=train)


def run_fit(folder):
    """The README's second script, with what the first one defines before its loop."""
    setup, _, _ = SCRIPT.partition("criterion = ")
    names = {}
    os.chdir(folder)
    exec(setup + FIT, names)
    return names["history"]


def test_readme_shows_the_example():
    assert EXAMPLE.read_text().endswith(f'"""\n\n{SCRIPT}')


def test_readme_network_of_ones_own_has_the_same_gradients_by_arrays_and_by_tensors():
    arrays, tensors = NET.split("loss = criterion(model(fastnn.tensor(x))")
    names = {}
    exec(arrays, names)
    by_arrays = [parameter.grad for parameter in names["model"].parameters()]
    assert names["dx"].shape == (8, 3, 32, 32)
    names["model"].zero_grad()
    exec("loss = criterion(model(fastnn.tensor(x))" + tensors, names)
    for parameter, grad in zip(names["model"].parameters(), by_arrays, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)


def test_readme_script_runs_and_learns(monkeypatch, capsys):
    monkeypatch.setattr(data, "CIFAR10", Small)
    fastnn.manual_seed(0)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"epoch \d: loss ([\d.]+)", printed)]
    assert len(losses) == 5
    assert losses[-1] < losses[0] < 3
    assert re.search(r"test accuracy: [\d.]+%", printed)


def test_readme_fit_runs_and_learns(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(data, "CIFAR10", Small)
    monkeypatch.chdir(tmp_path)
    fastnn.manual_seed(0)
    history = run_fit(tmp_path)
    assert history["train_loss"][-1] < history["train_loss"][0] < 3
    assert (tmp_path / "runs/first/weights.safetensors").is_file()
    assert "val_accuracy" in capsys.readouterr().out


@needs_data
@pytest.mark.slow
def test_readme_script_passes_60_percent_on_cifar10(capsys):
    fastnn.manual_seed(0)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    (accuracy,) = re.findall(r"test accuracy: ([\d.]+)%", capsys.readouterr().out)
    assert float(accuracy) > 60


@needs_data
@pytest.mark.slow
def test_readme_fit_passes_60_percent_on_cifar10(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    fastnn.manual_seed(0)
    assert run_fit(tmp_path)["val_accuracy"][-1] > 0.6
