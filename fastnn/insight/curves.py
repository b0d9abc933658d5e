"""Plots of curves and bars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import _arguments, _check
from fastnn._figures import new_axes
from fastnn.training.history import History
from fastnn.training.plots import count_epochs

__all__ = ["PALETTE", "plot_bars", "plot_curves"]

# Of Okabe and Ito: colour-blind people can tell them apart, too. Lines differ in their style as well.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))


def plot_curves(
    curves: Mapping[str, Any],
    ax: Any = None,
    *,
    metric: str | None = None,
    xlabel: str = "epoch",
    ylabel: str | None = None,
    logarithmic: bool = False,
    title: str = "",
) -> Any:
    """Plot several curves with a legend, such as the losses of several trainings.

    Args:
        curves: the curves by their names in the legend. A curve is a sequence of numbers (the first one belongs to
            epoch 1), a pair (xs, ys) of sequences, or a `History` or list of dicts whose column `metric` is plotted
            over "epoch".
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
        metric: the column of histories to plot, for example 'val_accuracy'.
        xlabel: the label of the horizontal axis. Default 'epoch'.
        ylabel: the label of the vertical axis. Default: `metric`, else 'value'.
        logarithmic: use a logarithmic vertical axis. Default False.
        title: the title of the plot. Default: none.
    Returns:
        The matplotlib axes.
    Raises:
        ValueError: a history is given without a metric, or xs and ys differ in length.
    Example:
        >>> from fastnn import insight
        >>> ax = insight.plot_curves({"SGD": [2.3, 1.9, 1.7], "Adam": [2.1, 1.6, 1.5]}, ylabel="loss")
        >>> [line.get_label() for line in ax.lines]
        ['SGD', 'Adam']
    """
    for key, words in (("metric", metric), ("xlabel", xlabel), ("ylabel", ylabel), ("title", title)):
        if words is not None or key in ("xlabel", "title"):
            _arguments.text("plot_curves", key, words)
    logarithmic = _check.boolean("plot_curves", "logarithmic", logarithmic)
    curves = _check.mapping("plot_curves", "curves", curves)
    points = {name: _points(name, curve, metric) for name, curve in curves.items()}
    ax = new_axes((5.5, 4), 120) if _arguments.axes("plot_curves", ax) is None else ax
    for i, (name, (xs, ys)) in enumerate(points.items()):
        ax.plot(
            xs,
            ys,
            label=name,
            color=PALETTE[i % len(PALETTE)],
            linestyle=_LINES[i % len(_LINES)],
            linewidth=1.4,
            marker="o" if len(xs) == 1 else None,  # a line through one point shows nothing
        )
    if logarithmic:
        ax.set_yscale("log")
    ax.set_xlabel(xlabel)
    if xlabel == "epoch":
        count_epochs(ax)
    ax.set_ylabel((metric or "value") if ylabel is None else ylabel)
    ax.set_title(title)
    ax.grid(alpha=0.3)
    if points:
        ax.legend()
    return ax


def _points(name: str, curve: Any, metric: str | None) -> tuple[Any, Any]:
    rows = curve.rows if isinstance(curve, History) else curve
    if isinstance(rows, list) and rows and all(isinstance(row, Mapping) for row in rows):
        if metric is None:
            raise ValueError(f"plot_curves: {name!r} is a history: say which metric to draw")
        found = [(row.get("epoch", i), row[metric]) for i, row in enumerate(rows, 1) if metric in row]
        if not found:
            raise ValueError(f"plot_curves: the history {name!r} has no column {metric!r}")
        return [x for x, _ in found], [y for _, y in found]
    xs: Any
    if isinstance(curve, tuple) and len(curve) == 2 and all(isinstance(part, Sequence | np.ndarray) for part in curve):
        xs, ys = (
            _check.numbers("plot_curves", f"{part} of curves[{name!r}]", curve[i]) for i, part in enumerate(("x", "y"))
        )
    else:
        ys = _check.numbers("plot_curves", f"curves[{name!r}]", rows)
        xs = range(1, len(ys) + 1) if ys.ndim else ()
    if np.ndim(xs) != 1 or np.ndim(ys) != 1:
        raise ValueError(f"plot_curves: curves[{name!r}] must be a sequence of numbers. Received: shape {np.shape(ys)}")
    if len(xs) != len(ys):
        raise ValueError(f"plot_curves: {name!r} has {len(xs)} xs and {len(ys)} ys")
    return xs, ys


def _numbers_by_name(argument: str, values: Any) -> dict[str, float]:
    given = _check.mapping("plot_bars", argument, values)
    return {str(name): _check.number("plot_bars", argument, value, finite=True) for name, value in given.items()}


def plot_bars(
    values: Mapping[str, float],
    ax: Any = None,
    *,
    xlabel: str = "",
    errors: Mapping[str, float] | None = None,
    reference: float | None = None,
    reference_name: str = "reference",
    number: str = "{:.1f}",
    title: str = "",
) -> Any:
    """Plot a horizontal bar with its value for each name, the first on top.

    Args:
        values: the length of each bar, by name.
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
        xlabel: the label of the horizontal axis: the quantity and its unit.
        errors: the length of an error bar to either side, by name. Default: none.
        reference: a value to compare with, drawn as a vertical line. Default: none.
        reference_name: the name of that line in the legend.
        number: the format of the values beside the bars. Default '{:.1f}'.
        title: the title of the plot. Default: none.
    Returns:
        The matplotlib axes.
    Raises:
        ValueError: an error has no bar of its name.
    Example:
        >>> from fastnn import insight
        >>> ax = insight.plot_bars({"SGD": 81.2, "Adam": 79.9}, xlabel="accuracy (%)", reference=80)
        >>> [text.get_text() for text in ax.texts]
        ['81.2', '79.9']
    """
    for key, words in (("xlabel", xlabel), ("reference_name", reference_name), ("number", number), ("title", title)):
        _arguments.text("plot_bars", key, words)
    values = _numbers_by_name("values", values)
    errors = None if errors is None else _numbers_by_name("errors", errors)
    if reference is not None:
        reference = _check.number("plot_bars", "reference", reference, finite=True)
    try:
        number.format(1.0)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(
            f"plot_bars: number must be a format such as '{{:.1f}}' ({error}). Received: {number!r}"
        ) from None
    unknown = set(errors or ()) - set(values)
    if unknown:
        raise ValueError(f"plot_bars: there is no bar for the errors of {', '.join(sorted(unknown))}")
    axes = _arguments.axes("plot_bars", ax)
    ax = new_axes((5.5, max(1.8, 0.36 * len(values) + 1.1)), 120) if axes is None else axes
    places = range(len(values))
    lengths = list(values.values())
    spread = [float((errors or {}).get(name, 0.0)) for name in values]
    ax.barh(places, lengths, height=0.7, color=PALETTE[0])
    if errors:
        ax.errorbar(lengths, places, xerr=spread, fmt="none", ecolor="black", elinewidth=1.2, capsize=3)
    for place, length, half in zip(places, lengths, spread, strict=True):
        negative = length < 0
        ax.annotate(
            number.format(length), (length - half if negative else length + half, place),
            xytext=(-4 if negative else 4, 0), textcoords="offset points",
            ha="right" if negative else "left", va="center", fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8},  # a line may pass behind it
        )  # fmt: skip
    if reference is not None:
        ax.axvline(reference, color=PALETTE[1], linestyle="--", linewidth=1.4, label=reference_name)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    ax.margins(x=0.15)  # room for the numbers
    ax.set_yticks(places, list(values))
    ax.invert_yaxis()
    ax.set_xlabel(xlabel)
    ax.set_title(title, pad=24 if reference is not None and title else 6)
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
    return ax
