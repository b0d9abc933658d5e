"""Fudan, project 2, second part: how well the gradient predicts itself, and how smooth it is."""

import numpy as np
from numpy.typing import NDArray

from fastnn import insight
from fastnn.courses.context import Context
from fastnn.courses.fudan.bn_published import PUBLISHED_CHANGE
from fastnn.courses.fudan.bn_training import BATCH_SIZE, STEP_SIZES, Result

__all__ = ["report_smoothness"]


def report_smoothness(context: Context, runs: dict[str, dict[float, Result]], main_rate: float) -> None:
    """Of `runs`, by network and learning rate; the figures show those at `main_rate`."""
    report = context.report
    results = {name: of_rate[main_rate] for name, of_rate in runs.items()}
    sizes = ", ".join(f"{size:g}" for size in STEP_SIZES)
    report.task(
        "Gradient predictiveness",
        asked="Show how well the gradient predicts itself: the distance between the gradient at a point and further "
        "along it, for both networks in one figure.",
        done=f"At fixed parameters theta, on the same {BATCH_SIZE} training images for all networks, the gradient g of "
        f"all parameters and that at theta - eta g, for eta = {sizes}; learning rate {main_rate:g}.",
    )
    report.figure(
        "gradient_predictiveness",
        insight.plot_gradient_predictiveness(
            {name: (result["probe_steps"], result["distances"]) for name, result in results.items()}
        ).figure,
        "Change of the gradient along itself; the area spans the step sizes, the line is the largest change.",
    )
    _table_of_probes(context, runs, "distances", "Change of the gradient, over all probes and step sizes")
    report.task(
        "Effective beta-smoothness",
        asked="Show the maximum difference in gradient over the distance moved, for both networks in one figure.",
        done="The same probes: the change of the gradient divided by eta ||g||, and of that the maximum over the step "
        "sizes. It bounds the Lipschitz constant of the gradient from below.",
    )
    report.figure(
        "beta_smoothness",
        insight.plot_beta_smoothness(
            {name: (result["probe_steps"], result["smoothness"]) for name, result in results.items()}
        ).figure,
        "The largest change of the gradient over the distance moved.",
    )
    _table_of_probes(context, runs, "smoothness", "Change of the gradient over the distance, over all probes")
    _table_of_probes(context, runs, "loss_ranges", "Range of the loss along the gradient, over all probes")
    report.text(
        "These numbers are not judged: published runs differ in which network is smoother on average, and agree in the "
        "worst case only."
    )
    report.table(
        "Change of the gradient of the last layer's weight from one step to the next, ||g_t - g_(t-1)||. In the "
        "published log it is not smaller with batch norm; it mixes the change of the parameters with that of the "
        "images, which is why the probes above keep both fixed.",
        ["network", "learning rate", "median", "95th percentile", "published median", "published 95th percentile"],
        [
            [name, f"{rate:g}", *_quantiles(result["changes"]), *(f"{v:.3f}" for v in PUBLISHED_CHANGE[name][rate])]
            for name, of_rate in runs.items()
            for rate, result in sorted(of_rate.items())
        ],
    )


def _quantiles(values: NDArray) -> list[str]:
    return [f"{np.quantile(values, q):.3f}" for q in (0.5, 0.95)] if values.size else ["", ""]


def _table_of_probes(context: Context, runs: dict[str, dict[float, Result]], what: str, caption: str) -> None:
    rows = []
    for name, of_rate in runs.items():
        for rate, result in sorted(of_rate.items()):
            values = result[what]
            rows.append([name, f"{rate:g}", f"{np.mean(values):.4g}", f"{np.max(values):.4g}"])
            context.report.metric(f"largest {what} of {name} at {rate:g}", float(np.max(values)))
    context.report.table(f"{caption}.", ["network", "learning rate", "mean", "largest"], rows)
