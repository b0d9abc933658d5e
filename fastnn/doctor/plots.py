"""Pictures of what the doctor measured."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _arguments
from fastnn._figures import new_axes
from fastnn.doctor.findings import Record

if TYPE_CHECKING:
    from fastnn.doctor.range_test import LRRangeTest

__all__ = ["plot_range_test", "plot_record"]

# Of the palette of Okabe and Ito, which colour-blind people can tell apart too.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
_USUAL_RATIO = 1e-3
_MOST_NAMES = 40


def plot_range_test(test: "LRRangeTest", ax: Any = None) -> Any:
    """The losses of a range test over its learning rates; see `LRRangeTest.plot`."""
    if _arguments.axes("plot_range_test", ax) is None:
        ax = new_axes((6, 4))
    losses, smoothed = np.ma.masked_invalid(test.losses), np.ma.masked_invalid(test.smoothed)
    ax.plot(test.lrs, losses, color=_GREY, linewidth=0.8, label="loss of each step")
    ax.plot(test.lrs, smoothed, color=_BLUE, linewidth=1.6, label="smoothed")
    suggestion = test.suggestion
    if suggestion is not None:
        height = float(np.interp(np.log(suggestion), np.log(test.lrs), smoothed.filled(np.nan)))
        ax.axvline(suggestion, color=_ORANGE, linewidth=1, linestyle="--")
        ax.plot([suggestion], [height], "o", color=_ORANGE, label=f"suggestion, lr = {suggestion:.2g}")
    ax.set_xscale("log")
    values = losses.compressed()
    if len(values):
        # What follows the divergence would flatten the part that matters.
        low, first = float(values.min()), float(np.median(values[:5]))
        high = max(first, float(np.ma.median(losses))) + 0.75 * max(first - low, 0.1 * abs(first))
        room = 0.05 * (high - low)
        ax.set_ylim(low - room, high + room)
    ax.set_xlabel("learning rate")
    ax.set_ylabel("loss")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def plot_record(record: Record) -> Any:
    """Four pictures of a record; see `Diagnosis.plot`."""
    from matplotlib.figure import Figure

    norms, ratios = record.median(record.gradient_norms), record.median(record.update_ratios)
    rows = min(_MOST_NAMES, max(len(norms), len(ratios), len(record.dead_units), 4))
    figure = Figure(figsize=(12, 2 + 0.22 * rows + 3.2), dpi=100, layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(3.2, 1 + 0.22 * rows))
    loss: Any = figure.add_subplot(grid[0, :])
    values = np.ma.masked_invalid(record.loss_array())
    if values.count():
        loss.plot(np.arange(1, len(values) + 1), values, color=_BLUE, linewidth=1.3)
    loss.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    loss.set_xlabel("step")
    loss.set_ylabel("loss")
    loss.set_title("loss of the steps", fontsize=10)
    loss.grid(alpha=0.3)
    _bars(figure.add_subplot(grid[1, 0]), norms, "gradient norm", _BLUE, True)
    ratio = figure.add_subplot(grid[1, 1])
    _bars(ratio, ratios, "update / weight", _GREEN, True)
    if any(value > 0 for value in ratios.values()):
        ratio.axvline(_USUAL_RATIO, color=_GREY, linestyle="--", linewidth=1)
    dead = figure.add_subplot(grid[1, 2])
    _bars(dead, record.dead_units, "share of dead units", _ORANGE, False)
    dead.set_xlim(0, 1)
    return figure


def _bars(ax: Any, values: dict[str, float], title: str, colour: str, log: bool) -> None:
    """One bar for each layer, the first at the top."""
    shown = list(values.items())[:_MOST_NAMES]
    ax.set_title(title if len(shown) == len(values) else f"{title} (first {len(shown)} of {len(values)})", fontsize=10)
    ax.grid(alpha=0.3, axis="x")
    if not shown:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "nothing measured", ha="center", va="center", transform=ax.transAxes, color=_GREY)
        return
    places = np.arange(len(shown))
    lengths = [value if np.isfinite(value) and (value > 0 or not log) else np.nan for _, value in shown]
    if log and np.isfinite(lengths).any():
        ax.set_xscale("log")
        finite = [value for value in lengths if np.isfinite(value)]
        ax.set_xlim(min(finite) / 3, max(finite) * 3)
        ax.hlines(places, min(finite) / 3, lengths, color=colour, linewidth=1, alpha=0.5)
        ax.plot(lengths, places, "o", color=colour, markersize=4)
    else:
        ax.barh(places, lengths, color=colour, height=0.7)
    ax.set_yticks(places, [path or "(network)" for path, _ in shown], fontsize=8)
    ax.set_ylim(len(shown) - 0.5, -0.5)
