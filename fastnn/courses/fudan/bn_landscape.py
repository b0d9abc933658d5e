"""Fudan, project 2, second part: the loss landscape, that is the band of the losses over the learning rates."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import data, insight
from fastnn.courses.context import Context
from fastnn.courses.drawing import new_figure
from fastnn.courses.fudan.bn_published import BAND_MEASURES, NORMED, PLAIN, PUBLISHED_BAND, PUBLISHED_LOG
from fastnn.courses.fudan.bn_training import Result
from fastnn.data._npz import read_npz

__all__ = ["report_landscape", "report_published_band"]

# An epoch of the published log, in which the ratios of the band's edges that are judged are 0.70 and 0.91 by then.
JUDGED_STEPS = 390


def _bands(losses: dict[str, Any]) -> dict[str, tuple[NDArray, NDArray]]:
    return {name: insight.lr_band(curves) for name, curves in losses.items()}


def _draw_bands(bands: dict[str, tuple[NDArray, NDArray]], title: str) -> Any:
    figure = new_figure(7, 4.5)
    ax = figure.add_subplot()
    insight.plot_lr_band(bands, ax, every=max(1, len(next(iter(bands.values()))[0]) // 200))
    ax.set_title(title)
    return figure


def _measure(band: tuple[NDArray, NDArray]) -> tuple[float, ...]:
    """The `BAND_MEASURES`: the mean width over all steps and over each quarter of them, and the means of the edges."""
    low, high = band
    parts = [high - low, *np.array_split(high - low, 4), low, high]
    return tuple(float(part.mean()) if part.size else float("nan") for part in parts)


def report_landscape(context: Context, runs: dict[str, dict[float, Result]], is_vgg_a: bool) -> None:
    """Of `runs`, by network and learning rate; those of VGG-A that are long enough are judged by the published ones."""
    report, rates = context.report, list(runs[PLAIN])
    report.task(
        "Loss landscape",
        asked="Draw, for both networks in one figure, the area between the smallest and the largest training loss of "
        "each step over several learning rates.",
        done="The area between the edges of four trainings each, learning rates "
        + ", ".join(f"{rate:g}" for rate in rates)
        + ".",
    )
    bands = _bands({name: {rate: r["losses"] for rate, r in results.items()} for name, results in runs.items()})
    report.figure(
        "loss_landscape",
        _draw_bands(bands, "Training loss over four learning rates"),
        "The band of the losses of each step over the four learning rates. A narrow band means that the loss hardly "
        "depends on the length of the step.",
    )
    report.table(
        "Mean width of the band (maximum - minimum), over all steps and over each quarter of them, and means of its "
        "edges. The published log has 20 epochs on all images.",
        ["network", *BAND_MEASURES],
        [[name, *(f"{value:.3f}" for value in _measure(band))] for name, band in bands.items()]
        + [[f"{name}, published", *(f"{value:.3f}" for value in PUBLISHED_BAND[name])] for name in bands],
    )
    report.text(
        "Batch norm does not make the band narrower everywhere: in the published log it is wider in the first quarter, "
        "while the losses fall fast, and clearly narrower later. What is checked below is what holds of the published "
        "log over all of its steps: lower losses, and a large learning rate that does less harm."
    )
    if not (is_vgg_a and len(runs[PLAIN][rates[0]]["losses"]) >= JUDGED_STEPS):
        report.text(
            f"The published facts are of VGG-A and {JUDGED_STEPS} steps or more; this run is not judged by them."
        )
        return
    for what in ("lower edge", "upper edge"):
        index = BAND_MEASURES.index(what)
        published = PUBLISHED_BAND[NORMED][index] / PUBLISHED_BAND[PLAIN][index]
        report.check(
            f"mean of the band's {what}, with batch norm / without",
            1.0,
            _measure(bands[NORMED])[index] / _measure(bands[PLAIN])[index],
            at_most=True,
            full_only=True,
            note=f"published, 20 epochs: {published:.2f}",
        )
    best = {name: float(runs[name][max(rates)]["val_accuracy"].max()) for name in runs}
    report.check(
        "best validation accuracy at learning rate 2e-3, with batch norm - without (points)",
        0.0,
        best[NORMED] - best[PLAIN],
        at_least=True,
        full_only=True,
        note="published, 20 epochs: 8.83",
    )


def report_published_band(context: Context) -> None:
    """The same band from a public log of the course's own setting, which also checks `lr_band`."""
    report = context.report
    report.task(
        "The published band",
        done="The log of a public repository that ran the course's setting (all images, 20 epochs), drawn by the same "
        "functions.",
    )
    try:
        path = context.find(PUBLISHED_LOG)
    except data.DataNotFoundError:
        report.text(f"The log `{PUBLISHED_LOG}` is not among the data of this machine, so that this part is left out.")
        return
    log = read_npz(path, ("std_step_losses", "bn_step_losses"))
    losses = {PLAIN: log["std_step_losses"], NORMED: log["bn_step_losses"]}
    if any(curves.ndim != 2 or not curves.size for curves in losses.values()):
        raise data.DataError("the losses are not of several learning rates and steps", path)
    bands = _bands({name: list(curves) for name, curves in losses.items()})
    report.figure("loss_landscape_published", _draw_bands(bands, "Published log, 20 epochs"), "The published band.")
    for name, expected in PUBLISHED_BAND.items():
        for what, number, ours in zip(BAND_MEASURES, expected, _measure(bands[name]), strict=True):
            # The numbers are rounded to three digits, and the log is in single precision.
            report.check(f"published band of {name}: mean {what}", number, ours, tolerance=6e-4)
