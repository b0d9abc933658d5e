"""The figures of the recipe `hlcv-mlp`. Each function returns a new matplotlib Figure."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn.courses.drawing import BLUE, COLOURS, LINES, MARKERS, ORANGE, finish, new_figure

__all__ = ["best_curves", "depths", "signal"]


def _styles(count: int) -> list[dict[str, Any]]:
    """Of so many lines that are compared."""
    parts = zip(COLOURS[:count], LINES, MARKERS, strict=False)
    return [{"color": colour, "linestyle": line, "marker": marker} for colour, line, marker in parts]


def depths(accuracies: Mapping[str, Mapping[int, Any]]) -> Any:
    """One panel for each kind of initial values, one line for each depth: accuracy by epoch."""
    figure = new_figure(12, 4)
    axes = figure.subplots(1, len(accuracies), sharey=True)
    for ax, (variant, by_depth) in zip(axes, accuracies.items(), strict=True):
        for style, (depth, accuracy) in zip(_styles(len(by_depth)), by_depth.items(), strict=True):
            ax.plot(np.arange(1, len(accuracy) + 1), 100 * accuracy, markersize=4, label=f"{depth} layers", **style)
        ax.set_title(variant)
    finish(*axes)
    axes[0].set_ylabel("validation accuracy (%)")
    return figure


def signal(layers: Mapping[str, list[dict[str, float]]]) -> Any:
    """Signal and gradient of each layer, on logarithmic axes, one line for each kind of initial values."""
    figure = new_figure(10, 4)
    labels = {"signal": "standard deviation of outputs", "gradient": "root mean square of the weights' gradient"}
    for ax, (name, label) in zip(figure.subplots(1, 2), labels.items(), strict=True):
        for style, (variant, rows) in zip(_styles(len(layers)), layers.items(), strict=True):
            numbers = range(1, len(rows) + 1)
            ax.plot(numbers, [row[name] for row in rows], label=variant, **style)
        ax.set_yscale("log")
        ax.set_xticks(numbers)
        ax.set_ylabel(label)
        finish(ax, x="linear layer")
    return figure


def best_curves(stage: Mapping[str, Any]) -> Any:
    """Loss and accuracy by epoch."""
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(stage["loss"]) + 1)
    style: dict[str, Any] = {"color": BLUE, "marker": "o", "markersize": 4, "label": "training"}
    left.plot(epochs, stage["loss"], **style)
    left.set_ylabel("loss")
    right.plot(epochs, 100 * stage["train_accuracy"], **style)
    right.plot(
        epochs, 100 * stage["val_accuracy"], color=ORANGE, linestyle="--", marker="s", markersize=4, label="validation"
    )
    right.set_ylabel("accuracy (%)")
    finish(left, right)
    return figure
