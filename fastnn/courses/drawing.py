"""What the figures of all courses share: colours, empty figures and the finish of axes."""

from typing import Any

from fastnn.training.plots import count_epochs

__all__ = ["BLUE", "COLOURS", "GREEN", "LINES", "MARKERS", "ORANGE", "finish", "new_figure"]

# Okabe and Ito's colours, which people with any colour vision can tell apart; lines and markers for print in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BLUE, ORANGE, GREEN = COLOURS[:3]
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure of this size in inches."""
    from matplotlib.figure import Figure  # not pyplot: it has a global state and would choose a backend

    return Figure(figsize=(width, height), layout="constrained")


def finish(*axes: Any, x: str = "epoch", which: str = "major", legend: bool = True) -> None:
    """Label the x axis, and draw the grid and the legend. Epochs get whole numbers."""
    for ax in axes:
        if x == "epoch":
            count_epochs(ax)
        else:
            ax.set_xlabel(x)
        ax.grid(alpha=0.3, which=which)
        if legend:
            ax.legend()
