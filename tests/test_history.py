"""What a training leaves and says: history, curves, progress."""

import csv
import io
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from small_training import Batches, make_trainer, network

from fastnn import training


def test_fit_leaves_history_curves_and_checkpoints(tmp_path):
    history = training.fit(network(), Batches(), 2, val_loader=Batches(2), out=tmp_path / "a/b", progress=False)
    files = {path.name for path in (tmp_path / "a/b").iterdir()}
    assert files == {
        "history.csv", "history.json", "curves.png", "metrics.json",
        "best.safetensors", "last.safetensors", "weights.safetensors",
    }  # fmt: skip
    with open(tmp_path / "a/b/history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    for column in ("train_loss", "train_accuracy", "train_top5", "val_loss", "val_accuracy", "val_top5"):
        assert [float(row[column]) for row in rows] == history[column]
    assert json.loads((tmp_path / "a/b/history.json").read_text()) == {"epochs": history.rows, "steps": history.steps}
    assert [record["step"] for record in history.steps] == list(range(1, 13))
    assert (tmp_path / "a/b/curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_progress_prints_a_line_per_epoch(capsys):
    training.fit(network(), Batches(), 2, val_loader=Batches(2))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for words in ("epoch 2/2", "loss", "accuracy", "validation", "images/s"):
        assert words in lines[1]


def test_progress_bar_shows_loss_accuracy_rate_and_time_left():
    stream = io.StringIO()
    stream.isatty = lambda: True
    trainer = make_trainer(callbacks=[training.Progress(stream)])
    trainer.fit(Batches(), 2, Batches(2))
    text = stream.getvalue()
    for words in ("epoch 1/2", "loss ", "accuracy ", "img/s", "<"):
        assert words in text


def test_plots_use_no_global_state():
    code = (
        "import sys, tempfile; from fastnn import training; h = training.History([{'epoch': 1, 'train_loss': 1.0}]);"
        "training.save_curves(h, tempfile.mkdtemp() + '/a.png', 'title'); training.plot_history(h);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=60)


def test_history_json_has_no_nan_and_unknown_columns_are_told(tmp_path):
    history = training.History([{"epoch": 1, "train_loss": float("nan")}, {"epoch": 2, "extra": 1}])
    history.add_step(1, 0.5, 8, float("inf"), 0.25)
    history.to_json(tmp_path / "h.json")
    written = json.loads((tmp_path / "h.json").read_text())
    assert written["epochs"][0]["train_loss"] is None
    assert written["steps"][0] == {"step": 1, "epoch": 0.5, "images": 8, "train_loss": None, "train_accuracy": 0.25}
    assert history["extra"] == [None, 1]
    with pytest.raises(KeyError, match="epoch, train_loss, extra"):
        history["val_loss"]


@pytest.mark.parametrize("n", [1, 199, 200, 201, 1000])
def test_history_joins_steps_so_that_there_are_never_many(n, rng):
    history = training.History()
    images, losses, accuracies = rng.integers(1, 9, n), rng.uniform(0, 3, n), rng.uniform(0, 1, n)
    for step in range(n):
        history.add_step(step + 1, (step + 1) / 10, int(images[step]), float(losses[step]), float(accuracies[step]))
    assert len(history.steps) < 200
    assert n < 100 or len(history.steps) >= 100
    bounds = [0, *(record["step"] for record in history.steps)]
    assert len(set(np.diff(bounds))) == 1, "every record is of equally many steps"
    for record, (begin, end) in zip(history.steps, itertools.pairwise(bounds), strict=True):
        assert record["epoch"] == end / 10
        assert record["images"] == images[begin:end].sum()
        weights = images[begin:end]
        assert record["train_loss"] == pytest.approx(np.average(losses[begin:end], weights=weights))
        assert record["train_accuracy"] == pytest.approx(np.average(accuracies[begin:end], weights=weights))


def test_history_steps_agree_with_the_epochs():
    history = training.fit(network(), Batches(), 2, progress=False)
    for index, row in enumerate(history.rows):
        own = history.steps[6 * index : 6 * index + 6]
        assert np.mean([record["train_loss"] for record in own]) == pytest.approx(row["train_loss"])
        assert np.mean([record["train_accuracy"] for record in own]) == pytest.approx(row["train_accuracy"])
        assert own[-1]["epoch"] == row["epoch"]


def test_plots_show_training_over_steps_and_validation_where_it_was_measured():
    history = training.fit(network(), Batches(), 2.5, val_loader=Batches(2), progress=False)
    train, val = training.plot_history(history, "loss", names={"val": "test"}).get_lines()
    np.testing.assert_allclose(train.get_xdata(), np.arange(1, 16) / 6)
    np.testing.assert_array_equal(train.get_ydata(), [record["train_loss"] for record in history.steps])
    np.testing.assert_allclose(val.get_xdata(), [1, 2, 2.5])
    np.testing.assert_array_equal(val.get_ydata(), history["val_loss"])
    assert (train.get_label(), val.get_label()) == ("training", "test")
    assert val.get_marker() == "o"
    ticks = val.axes.get_xticks()
    np.testing.assert_array_equal(ticks, ticks.round())
    train, val = training.plot_history(history, "top5").get_lines()  # of epochs only
    np.testing.assert_allclose(train.get_xdata(), [1, 2, 2.5])


def test_history_goes_on_in_the_middle_of_a_record():
    """249 steps: 124 records of two, and one step that waits for its second."""
    whole, first, second = training.History(), training.History(), training.History()
    for step in range(1, 300):
        whole.add_step(step, step / 100, 8, step * 0.5, step * 0.001)
    for step in range(1, 250):
        first.add_step(step, step / 100, 8, step * 0.5, step * 0.001)
    state = json.loads(json.dumps(first.state_dict()))
    assert (len(state["steps"]), state["per_record"], len(state["open"])) == (124, 2, 1)
    second.load_state_dict(state)
    for step in range(250, 300):
        second.add_step(step, step / 100, 8, step * 0.5, step * 0.001)
    assert second.state_dict() == whole.state_dict()


def test_progress_bar_counts_all_images_from_where_a_training_goes_on(tmp_path):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    seen = []

    class Look(training.Callback):
        def on_step_end(self, trainer):
            bar = trainer.callbacks[0]._bar
            seen.append((bar.initial, bar.n, bar.total))

    trainer = make_trainer(callbacks=[training.Progress(Terminal()), Look()])
    trainer.fit(Batches(3), 1, Batches(1))
    trainer.fit(Batches(3), 2, Batches(1))
    assert seen == [(0, 16, 48), (0, 32, 48), (0, 48, 48), (48, 64, 96), (48, 80, 96), (48, 96, 96)]


def test_save_curves_draws_the_loss_and_each_metric_but_top5(tmp_path, monkeypatch):
    drawn = []
    draw = training.plot_history

    def spy(history, metric, *rest):
        drawn.append(metric)
        return draw(history, metric, *rest)

    monkeypatch.setattr("fastnn.training.plots.plot_history", spy)
    row = {
        "epoch": 1,
        "train_loss": 1.0,
        "train_accuracy": 0.5,
        "train_top5": 1.0,
        "val_mae": 2.0,
        "train_seconds": 1.0,
    }
    rows = [row]
    training.save_curves(training.History(rows), tmp_path / "c.png", "title")
    assert drawn == ["loss", "accuracy", "mae"]
    training.save_curves(training.History(), tmp_path / "empty.png")
    assert drawn[3:] == ["loss"]
