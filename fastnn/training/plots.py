"""Curves of loss and accuracy."""

import os
from typing import Any

from fastnn.training.checkpoint import atomic_write
from fastnn.training.history import History

__all__ = ["plot_history", "save_curves"]

# Of the palette of Okabe and Ito, which colour-blind people can tell apart too; the line style differs as well.
_STYLES = {
    "train": {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    "val": {"color": "#D55E00", "linestyle": "--", "marker": "s"},
}
_NAMES = {"train": "training", "val": "validation"}


def plot_history(history: History, metric: str = "loss", ax: Any = None, names: dict[str, str] | None = None) -> Any:
    """Draw `train_<metric>` and `val_<metric>` over the epochs.

    Args:
        history: of a training.
        metric: 'loss', 'accuracy' or 'top5'.
        ax: matplotlib axes to draw on; None for those of a new figure, which no window shows.
        names: what to call 'train' and 'val' in the legend.
    Returns:
        The axes; `ax.figure.savefig(...)` writes them to a file.
    """
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(5, 4), layout="constrained").add_subplot()
    for part, style in _STYLES.items():
        points = [(row["epoch"], row[f"{part}_{metric}"]) for row in history.rows if f"{part}_{metric}" in row]
        if points:
            label = {**_NAMES, **(names or {})}[part]
            ax.plot(*zip(*points, strict=True), label=label, markersize=3.5, linewidth=1.5, **style)
    ax.set_xlabel("epoch")
    ax.set_ylabel(metric)
    ax.grid(alpha=0.3)
    if ax.get_legend_handles_labels()[0]:
        ax.legend()
    return ax


def save_curves(
    history: History, path: str | os.PathLike[str], title: str = "", names: dict[str, str] | None = None
) -> None:
    """Write the curves of loss and accuracy, side by side, as a PNG file. Needs no display and opens no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Figure rather than pyplot: pyplot has a global state and would choose a backend.
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    for metric, ax in zip(("loss", "accuracy"), figure.subplots(1, 2), strict=True):
        plot_history(history, metric, ax, names)
    if title:
        figure.suptitle(title)
    with atomic_write(path) as file:
        FigureCanvasAgg(figure).print_png(file)
