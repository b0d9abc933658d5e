"""Plots of loss landscapes, bands of losses, and smoothness along gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _arguments, _check
from fastnn._figures import new_axes
from fastnn.insight.landscape import LossLandscape

__all__ = ["plot_beta_smoothness", "plot_gradient_predictiveness", "plot_loss_landscape", "plot_lr_band"]

# Of the palette of Okabe and Ito, which colour-blind people can tell apart too; the line style differs as well.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("-", "--", "-.", ":")

Series = Mapping[str, tuple[ArrayLike, ArrayLike]]


def _axes(operation: str, ax: Any) -> Any:
    """`ax`, or those of a new figure, which no window shows."""
    return new_axes((6, 4)) if _arguments.axes(operation, ax) is None else ax


def _style(index: int) -> dict[str, Any]:
    return {"color": _COLOURS[index % len(_COLOURS)], "linestyle": _DASHES[index % len(_DASHES)], "linewidth": 1.3}


def _finish(ax: Any, xlabel: str, ylabel: str) -> Any:
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.grid(alpha=0.3)
    if ax.get_legend_handles_labels()[0]:
        ax.legend()
    return ax


def plot_loss_landscape(landscape: LossLandscape, ax: Any = None, label: str | None = None, levels: int = 16) -> Any:
    """Plot the losses along a line, or the contours of the losses in a plane, where a cross marks theta.

    Args:
        landscape: the result of `loss_landscape`.
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
        label: the name of a line in the legend. Several lines may share axes.
        levels: the approximate number of contours. They are spaced logarithmically if the loss varies more than
            tenfold.
    Returns:
        The matplotlib axes; `ax.figure.savefig(...)` writes a file.
    Raises:
        TypeError: landscape is not a `LossLandscape`.
    Example:
        >>> from fastnn import insight
        >>> line = insight.LossLandscape(np.linspace(-1, 1, 3), None, np.array([2.0, 1.0, 3.0]))
        >>> insight.plot_loss_landscape(line).get_xlabel()
        'step alpha along a random direction'
    """
    if not isinstance(landscape, LossLandscape):
        raise TypeError(f"plot_loss_landscape: landscape must be a LossLandscape. Received: {_check.shown(landscape)}")
    if label is not None:
        _arguments.text("plot_loss_landscape", "label", label)
    levels = _check.integer("plot_loss_landscape", "levels", levels, 2, 1000)
    ax = _axes("plot_loss_landscape", ax)
    losses = np.ma.masked_invalid(landscape.losses)
    if landscape.betas is None:
        ax.plot(landscape.alphas, losses, label=label, **_style(len(ax.lines)))
        return _finish(ax, "step alpha along a random direction", "loss")
    low, high = (float(losses.min()), float(losses.max())) if losses.count() else (0.0, 1.0)
    if low > 0 and high > 10 * low:
        edges = np.geomspace(low, high, levels)
    else:
        edges = np.linspace(low, high if high > low else low + 1e-6 * max(1.0, abs(low)), levels)
    areas = ax.contourf(landscape.alphas, landscape.betas, losses.T, levels=edges, cmap="viridis", extend="both")
    if high > low:
        ax.contour(landscape.alphas, landscape.betas, losses.T, levels=edges, colors="white", linewidths=0.4)
    ax.plot(0, 0, "x", color="white", markersize=7)
    ax.figure.colorbar(areas, ax=ax, label="loss", format="%.3g")
    ax.set_xlabel("step alpha along the first direction")
    ax.set_ylabel("step beta along the second direction")
    ax.set_aspect("equal")
    return ax


def plot_lr_band(
    bands: Mapping[str, tuple[ArrayLike, ArrayLike]], ax: Any = None, every: int = 1, log: bool = False
) -> Any:
    """Fill the area between the smallest and the largest loss of each step, for one or several networks.

    Args:
        bands: {name in the legend: (minimum, maximum)}, as returned by `lr_band`.
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
        every: the number of steps that are averaged into one point, so that long, noisy trainings are readable. Default
            1.
        log: use a logarithmic axis for the losses. Default False.
    Returns:
        The matplotlib axes; `ax.figure.savefig(...)` writes a file.
    Raises:
        ValueError: `every` is not positive, or is larger than the number of steps.
    Example:
        >>> from fastnn import insight
        >>> band = insight.lr_band({1e-3: [2.3, 1.9, 1.5], 1e-4: [2.3, 2.2, 2.0]})
        >>> len(insight.plot_lr_band({"VGG-A": band}).collections)
        1
    """
    every = _check.integer("plot_lr_band", "every", every, 1)
    log = _check.boolean("plot_lr_band", "log", log)
    pairs = _pairs("plot_lr_band", "bands", bands)
    ax = _axes("plot_lr_band", ax)
    for index, (name, (minimum, maximum)) in enumerate(pairs.items()):
        low, high = (_averaged(curve, every) for curve in (minimum, maximum))
        if len(low) != len(high):
            raise ValueError(
                f"plot_lr_band: bands: {name!r} has {len(minimum)} smallest and {len(maximum)} largest losses"
            )
        steps = (np.arange(len(low)) + 0.5) * every + 0.5  # the first step is 1; a point lies amid those it averages
        style = _style(index)
        ax.fill_between(steps, low, high, color=style["color"], alpha=0.35, linewidth=0, label=name)
        for curve in (low, high):
            ax.plot(steps, curve, **{**style, "linewidth": 0.8})
    if log:
        ax.set_yscale("log")
    return _finish(ax, "step", "training loss" if every == 1 else f"training loss, mean of {every} steps")


def _pairs(operation: str, argument: str, series: Any) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """{name: (numbers, numbers)}, checked."""
    result = {}
    for name, pair in _check.mapping(operation, argument, series).items():
        if not isinstance(pair, Sequence | np.ndarray) or isinstance(pair, str | bytes) or len(pair) != 2:
            raise TypeError(
                f"{operation}: {argument} must hold two arrays for each name. Received: {_check.shown(pair)}"
            )
        first, second = (_check.numbers(operation, argument, part) for part in pair)
        if first.ndim != 1 or not second.ndim:
            raise _check.fail(operation, f"{argument} must hold arrays (steps,)", first=first, second=second)
        result[str(name)] = first, second
    return result


def _averaged(values: NDArray[np.float64], every: int) -> NDArray[np.float64]:
    if every > len(values):
        raise ValueError(f"plot_lr_band: every={every} is more than the {len(values)} steps there are")
    blocks = values[: len(values) // every * every].reshape(-1, every).mean(axis=1)
    blocks[~np.isfinite(blocks)] = np.nan  # what has no upper bound cannot be drawn
    return blocks


def plot_gradient_predictiveness(series: Series, ax: Any = None) -> Any:
    """Plot how much the gradient changes along itself during training, for one or several networks.

    The area spans all step sizes; the line is the maximum over them.

    Args:
        series: {name in the legend: (steps, distances)}. steps are T numbers of training steps. distances have shape
            (T,) or (T, step sizes), with the results of `gradient_predictiveness` at each of these steps.
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
    Returns:
        The matplotlib axes; `ax.figure.savefig(...)` writes a file.
    Raises:
        ValueError: the number of values is not that of the steps.
    Example:
        >>> from fastnn import insight
        >>> insight.plot_gradient_predictiveness({"VGG-A": ([1, 20], [[0.1, 0.4], [0.2, 0.9]])}).get_xlabel()
        'step'
    """
    return _plot_series(
        "plot_gradient_predictiveness",
        series,
        ax,
        "change of the gradient, $\\|\\nabla L(\\theta - \\eta g) - g\\|$",
        area=True,
    )


def plot_beta_smoothness(series: Series, ax: Any = None) -> Any:
    """Plot the effective beta-smoothness during training: the largest change of the gradient divided by the distance.

    Args:
        series: {name in the legend: (steps, values)}. steps are T numbers of training steps. values have shape (T,); or
            (T, step sizes), of which the maximum is plotted.
        ax: the matplotlib axes to draw on. None (default) makes a new figure, which is not shown in a window.
    Returns:
        The matplotlib axes; `ax.figure.savefig(...)` writes a file.
    Raises:
        ValueError: the number of values is not that of the steps.
    Example:
        >>> from fastnn import insight
        >>> ax = insight.plot_beta_smoothness({"VGG-A": ([1, 20], [[0.1, 0.4], [0.2, 0.9]])})
        >>> ax.lines[0].get_ydata().tolist()
        [0.4, 0.9]
    """
    ylabel = "effective $\\beta$, max of $\\|\\nabla L(\\theta - \\eta g) - g\\| / (\\eta \\|g\\|)$"
    return _plot_series("plot_beta_smoothness", series, ax, ylabel, area=False)


def _plot_series(operation: str, series: Series, ax: Any, ylabel: str, area: bool) -> Any:
    pairs = _pairs(operation, "series", series)
    for name, (steps, values) in pairs.items():
        if len(values) != len(steps) or not values.size:
            raise ValueError(f"{operation}: series: {name!r} has {len(steps)} steps and values of shape {values.shape}")
    ax = _axes(operation, ax)
    for index, (name, (steps, values)) in enumerate(pairs.items()):
        table = values.reshape(len(steps), -1).copy()
        table[~np.isfinite(table)] = np.nan
        style = _style(index)
        if area and table.shape[1] > 1:
            ax.fill_between(steps, table.min(axis=1), table.max(axis=1), color=style["color"], alpha=0.25, linewidth=0)
        ax.plot(steps, table.max(axis=1), marker="o", markersize=3, label=name, **style)
    _finish(ax, "step", ylabel)
    if series:  # above the curves, which jump about too much to leave room for it
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(ax.lines), frameon=False, borderaxespad=0.2)
    return ax
