"""The figures of the recipe `itu-two-layer`. Each function returns a new matplotlib Figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.courses.drawing import COLOURS, LINES, finish, new_figure

__all__ = ["accuracies", "grid", "losses", "sweep", "weights"]


def losses(runs: Mapping[str, Sequence[float]]) -> Any:
    """The loss of each step, a line for each gradient."""
    figure = new_figure(5.5, 4)
    ax = figure.add_subplot()
    for number, (name, values) in enumerate(runs.items()):
        ax.plot(values, color=COLOURS[number], linestyle=LINES[number], label=f"{name} gradient")
    ax.set_ylabel("loss")
    finish(ax, x="step")
    return figure


def sweep(runs: Sequence[Mapping[str, Any]], name: str) -> Any:
    """The accuracy on batches and on the validation set over the steps, a line for each value of one setting."""
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, part, title in ((left, "train", "last batch of an epoch"), (right, "val", "validation set")):
        for number, run in enumerate(runs):
            note = "" if run["finished"] else " (diverged)"
            ax.plot(
                run["steps"],
                [100 * value for value in run[part]],
                color=COLOURS[number],
                linestyle=LINES[number % len(LINES)],
                marker="o" if len(run["steps"]) == 1 else None,
                label=f"{run['value']:g}{note}",
            )
        ax.set_title(title)
    left.set_ylabel("accuracy (%)")
    finish(left, right, x="step", legend=False)
    right.legend(title=name)
    return figure


def grid(rows: Sequence[Mapping[str, Any]], lists: Mapping[str, Sequence[Any]]) -> Any:
    """A map of the best accuracy of each learning rate and size, with the numbers written into it."""
    best = np.array(
        [
            [max(row["value"] for row in rows if row["lr"] == lr and row["hidden"] == hidden) for lr in lists["lr"]]
            for hidden in lists["hidden"]
        ]
    )
    shown = 100 * np.where(np.isfinite(best), best, np.nan)
    figure = new_figure(1.6 + 0.9 * len(lists["lr"]), 1.4 + 0.55 * len(lists["hidden"]))
    ax = figure.add_subplot()
    image = ax.imshow(shown, cmap="cividis", aspect="auto")
    middle = (np.nanmin(shown) + np.nanmax(shown)) / 2
    for (y, x), value in np.ndenumerate(shown):
        text = f"{value:.1f}" if np.isfinite(value) else "diverged"
        ax.text(x, y, text, ha="center", va="center", color="white" if value < middle else "black", fontsize=9)
    ax.set_xticks(range(len(lists["lr"])), [f"{lr:g}" for lr in lists["lr"]])
    ax.set_yticks(range(len(lists["hidden"])), [str(hidden) for hidden in lists["hidden"]])
    ax.set_xlabel("learning rate")
    ax.set_ylabel("hidden units")
    figure.colorbar(image, ax=ax, label="accuracy (%)")
    return figure


def accuracies(epochs: Sequence[Mapping[str, float]]) -> Any:
    """The accuracy on batches and on the validation set over the steps of one training."""
    figure = new_figure(5.5, 4)
    ax = figure.add_subplot()
    steps = [row["step"] for row in epochs]
    for number, (column, name) in enumerate(
        (("batch_accuracy", "last batch of an epoch"), ("val_accuracy", "validation"))
    ):
        values = [100 * row[column] for row in epochs]
        marker = "o" if len(values) == 1 else None
        ax.plot(steps, values, color=COLOURS[number], linestyle=LINES[number], marker=marker, label=name)
    ax.set_ylabel("accuracy (%)")
    finish(ax, x="step")
    return figure


def weights(w1: NDArray, count: int = 36) -> Any:
    """The weights of each hidden unit as an image; of more than `count` units those with the largest weights.

    Shape:
        - w1: (3 * 32 * 32, hidden), pixels in the order of channel, row, column
    """
    norms = np.linalg.norm(w1, axis=0)
    largest = np.sort(np.argsort(-norms, kind="stable")[:count])
    columns = int(np.ceil(np.sqrt(len(largest))))
    figure = new_figure(6, 6)
    for place, unit in enumerate(largest, start=1):
        image = w1[:, unit].reshape(3, 32, 32).transpose(1, 2, 0)
        low, high = image.min(), image.max()
        ax = figure.add_subplot(columns, columns, place)
        ax.imshow((image - low) / max(high - low, np.finfo(image.dtype).tiny))  # each image has its own range
        ax.set_axis_off()
    return figure
