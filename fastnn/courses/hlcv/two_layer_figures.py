"""The figures of the recipe `hlcv-two-layer`. Each function returns a new matplotlib Figure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.courses.drawing import BLUE, ORANGE, finish, new_figure

__all__ = ["curves", "weight_pictures"]


def curves(stage: dict[str, Any]) -> Any:
    """Loss of every step, and accuracy of batch and validation images once in an epoch."""
    losses = np.asarray(stage["losses"])
    width = max(1, len(losses) // 50)
    mean = np.convolve(losses, np.full(width, 1 / width), "valid")
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2)
    left.plot(losses, color=BLUE, alpha=0.3, linewidth=0.7, label="each step")
    left.plot(np.arange(len(mean)) + width - 1, mean, color=ORANGE, label=f"mean of {width} steps")
    left.set_ylabel("loss, penalty included")
    steps = np.asarray(stage["epoch_step"])
    right.plot(steps, 100 * np.asarray(stage["epoch_batch_accuracy"]), color=BLUE, marker=".", label="training batch")
    right.plot(
        steps, 100 * np.asarray(stage["epoch_val_accuracy"]), color=ORANGE, marker="s", markersize=4, linestyle="--",
        label="validation",
    )  # fmt: skip
    right.set_ylabel("accuracy (%)")
    finish(left, right, x="step")
    return figure


def weight_pictures(w1: NDArray, n_shown: int = 60) -> Any:
    """What each hidden unit looks for: its weights as an image, each stretched to the full range of colours."""
    w1 = np.asarray(w1, np.float64)[:, :n_shown]
    n_columns = 10
    n_rows = -(-w1.shape[1] // n_columns)
    low, high = w1.min(axis=0), w1.max(axis=0)
    stretched = (w1 - low) / np.maximum(high - low, 1e-12)
    canvas = np.ones((n_rows * n_columns, 34, 34, 3))  # a white line of one pixel around each
    canvas[: w1.shape[1], 1:33, 1:33] = stretched.T.reshape(-1, 32, 32, 3)
    picture = canvas.reshape(n_rows, n_columns, 34, 34, 3).transpose(0, 2, 1, 3, 4)
    picture = picture.reshape(n_rows * 34, n_columns * 34, 3)
    figure = new_figure(n_columns * 0.7, n_rows * 0.7)
    ax = figure.add_subplot()
    ax.imshow(picture, interpolation="nearest")
    ax.set_axis_off()
    return figure
