"""Figures of the courses after a single epoch: whole epochs on the axes, and points that can be seen."""

import numpy as np
import pytest

from fastnn.courses.fudan import bn as fudan_bn
from fastnn.courses.fudan import cnn_figures as fudan_figures
from fastnn.courses.hlcv import mlp_figures
from fastnn.courses.itu import figures as itu_figures
from fastnn.courses.pku import cnn_figures as pku_figures


def of_one_epoch():
    """By name, a figure of trainings that lasted one epoch."""
    one = {"train_loss": [2.0], "val_loss": [2.1], "train_accuracy": [0.2], "val_accuracy": [0.1]}
    best = {name: np.array(values) for name, values in {**one, "loss": [2.0]}.items()}
    depths = {variant: dict.fromkeys((2, 3, 4, 5), best["val_accuracy"]) for variant in ("a", "b", "c")}
    vgg = {name: {"losses": np.array([2.0]), "val_accuracy": np.array([10.0])} for name in ("a", "b")}
    run = {"log": np.array([[0.9, 2.0, 0.2, 0.6]]), "epochs": np.array([[1.0, 2.0, 0.2, 0.6, 2.1, 0.1, 0.5]])}
    return {
        "fudan-cnn, study": fudan_figures.compare({"a": one, "b": one}),
        "fudan-cnn, final": fudan_figures.curves(one),
        "fudan-bn": fudan_bn._draw_curves(vgg),
        "hlcv-mlp, depths": mlp_figures.depths(depths),
        "hlcv-mlp, best": mlp_figures.best_curves(best),
        "pku-cnn": pku_figures.plot_runs({"1e-3": run, "1e-4": run}, "learning rate"),
        "itu-two-layer": itu_figures.accuracies([{"step": 0, "batch_accuracy": 0.2, "val_accuracy": 0.1}]),
    }


@pytest.mark.parametrize("name", of_one_epoch())
def test_courses_figure_of_one_epoch_marks_whole_epochs_and_shows_points(name):
    figure = of_one_epoch()[name]
    figure.canvas.draw()
    lines = [line for ax in figure.axes for line in ax.lines]
    assert lines
    assert all(line.get_marker() not in ("None", None, "") for line in lines)
    of_epochs = [ax for ax in figure.axes if ax.get_xlabel() == "epoch"]
    assert len(of_epochs) > 0 or name == "itu-two-layer"
    for ax in of_epochs:
        ticks = ax.get_xticks()
        np.testing.assert_array_equal(ticks, np.round(ticks))
        low, high = ax.get_xlim()
        assert any(low <= tick <= high for tick in ticks)
