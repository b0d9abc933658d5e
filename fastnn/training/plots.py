"""Curves of loss and accuracy."""

import os
from collections.abc import Mapping
from typing import Any

from fastnn import _arguments, _check
from fastnn._figures import new_axes
from fastnn.training._arguments import described, path_of
from fastnn.training.checkpoint import atomic_write
from fastnn.training.history import History

__all__ = ["count_epochs", "plot_history", "save_curves"]

# Of the palette of Okabe and Ito, which colour-blind people can tell apart too; the line style differs as well.
_STYLES = {
    "train": {"color": "#0072B2", "linestyle": "-", "linewidth": 1.2},
    "val": {"color": "#D55E00", "linestyle": "--", "linewidth": 1.2, "marker": "o", "markersize": 4.5},
}
_NAMES = {"train": "training", "val": "validation"}


def plot_history(history: History, metric: str = "loss", ax: Any = None, names: Mapping[str, str] | None = None) -> Any:
    """Draw `train_<metric>` over the steps, if there are records of them, and `val_<metric>` of each epoch.

    Args:
        history: of a training.
        metric: 'loss', 'accuracy', 'top5' or the name of a metric of the trainer.
        ax: matplotlib axes to draw on; None for those of a new figure, which no window shows.
        names: what to call 'train' and 'val' in the legend.
    Returns:
        The axes; `ax.figure.savefig(...)` writes them to a file.
    Raises:
        ValueError: the history has no such metric; the message says which it has.
    """
    _check_history("plot_history", history)
    _arguments.text("plot_history", "metric", metric)
    _arguments.axes("plot_history", ax)
    names = _check.mapping("plot_history", "names", {} if names is None else names)
    there = _metrics_of(history)
    if metric not in there and (history.rows or history.steps):
        raise ValueError(f"plot_history: the history has no metric {metric!r}; it has {', '.join(there) or 'none'}")
    ax = new_axes((5, 4)) if ax is None else ax
    for part, style in _STYLES.items():
        points = _points(history, f"{part}_{metric}")
        if points:
            label = {**_NAMES, **names}[part]
            marker = {"marker": "o"} if len(points) == 1 else {}  # a line through one point shows nothing
            ax.plot(*zip(*points, strict=True), label=label, **{**style, **marker})
    ax.set_xlim(left=0)
    count_epochs(ax)
    ax.set_ylabel(metric)
    ax.grid(alpha=0.3)
    if ax.get_legend_handles_labels()[0]:
        ax.legend()
    return ax


def _check_history(owner: str, history: Any) -> None:
    if not isinstance(history, History):
        raise TypeError(f"{owner}: history must be a training.History. Received: {described(history)}")


def _metrics_of(history: History) -> list[str]:
    """What was measured of the training or the validation."""
    columns = [*history.columns, *(history.steps[0] if history.steps else ())]
    parts = [column.partition("_") for column in columns]
    return list(dict.fromkeys(name for part, _, name in parts if part in _STYLES and name != "seconds"))


def count_epochs(ax: Any) -> None:
    """Let the horizontal axis count epochs: only whole ones are marked, also if there is but one.

    Args:
        ax: matplotlib axes.
    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = Figure().add_subplot()
        >>> _ = ax.plot([1], [0.5], "o")
        >>> count_epochs(ax)
        >>> ax.get_xlabel(), all(tick == int(tick) for tick in ax.get_xticks())
        ('epoch', True)
    """
    # A locator wants two marks, and would rather mark fractions than one whole number.
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.set_xlabel("epoch")


def _points(history: History, column: str) -> list[tuple[float, float]]:
    """(epochs done, value): of the step records if they have this column, else of the rows."""
    if history.steps and column in history.steps[0]:
        return [(record["epoch"], record[column]) for record in history.steps]
    # The last epoch may be a part of one: its row counts it, its step tells where it ended.
    epochs_per_step = history.steps[-1]["epoch"] / history.steps[-1]["step"] if history.steps else None
    return [
        (row["step"] * epochs_per_step if epochs_per_step and "step" in row else row["epoch"], row[column])
        for row in history.rows
        if column in row
    ]


def save_curves(
    history: History, path: str | os.PathLike[str], title: str = "", names: Mapping[str, str] | None = None
) -> None:
    """Write the curves of the loss and of all metrics, side by side, as a PNG file, without a display or a window."""
    _check_history("save_curves", history)
    path = path_of("save_curves", "path", path)
    _arguments.text("save_curves", "title", title)
    _check.mapping("save_curves", "names", {} if names is None else names)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Figure rather than pyplot: pyplot has a global state and would choose a backend.
    # Top-5 says little beside accuracy; metrics of one's own are what the training is about.
    metrics = [name for name in _metrics_of(history) if name != "top5"] or ["loss"]
    figure = Figure(figsize=(5 * max(len(metrics), 2), 4), dpi=120, layout="constrained")
    for metric, ax in zip(metrics, figure.subplots(1, len(metrics), squeeze=False)[0], strict=True):
        plot_history(history, metric, ax, names)
    if title:
        figure.suptitle(title)
    with atomic_write(path) as file:
        FigureCanvasAgg(figure).print_png(file)
