"""The script in the README is the example file, and it runs."""

import re
import runpy
from pathlib import Path

import fastnn
from fastnn import data

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "train_cifar10.py"


def test_readme_shows_the_example():
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert EXAMPLE.read_text().endswith(f'"""\n\n{script}')


def test_readme_script_runs_and_learns(monkeypatch, capsys):
    """With the built-in pictures in the place of CIFAR-10, and few of them."""

    class Small(data.Shapes32):
        mean, std = (0.45,) * 3, (0.2,) * 3

        def __init__(self, train=True, download=False):
            super().__init__(n=2000 if train else 500, train=train)

    monkeypatch.setattr(data, "CIFAR10", Small)
    fastnn.manual_seed(0)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"epoch \d: loss ([\d.]+)", printed)]
    assert len(losses) == 5
    assert losses[-1] < losses[0] < 3
    assert re.search(r"test accuracy: [\d.]+%", printed)
