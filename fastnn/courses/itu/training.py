"""ITU, assignment III: one training of the float32 network, and what it costs."""

import math
from functools import partial
from typing import Any

import numpy as np

from fastnn.courses.context import Context
from fastnn.courses.itu.toy import WEIGHT_STD
from fastnn.courses.pixel_rows import Splits
from fastnn.courses.two_layer_network import TwoLayerNet
from fastnn.courses.two_layer_training import TrainingLog, train

__all__ = ["train_point", "work_of"]


def work_of(hidden: int, batch_size: int) -> float:
    """Floating-point operations of a training step, in units of 10^9."""
    return 6e-9 * batch_size * (3072 + 10) * hidden


def train_point(
    splits: Splits, settings: dict[str, Any], n_steps: int, batch_size: int, context: Context, label: str
) -> tuple[TwoLayerNet, TrainingLog, bool]:
    """Train from seeded random weights in float32. A run whose loss is no longer a number is stopped there.

    Returns:
        The network, its log with the accuracy on the validation set, and whether it got to the end.
    """
    rng = np.random.default_rng(context.seed)
    hyper = dict(settings)  # learning rate, penalty, and a decay if it is not the course's
    hidden = hyper.pop("hidden")
    net = TwoLayerNet.random(3072, hidden, 10, WEIGHT_STD, lambda *shape: rng.standard_normal(shape), dtype=np.float32)
    work = work_of(hidden, batch_size)
    with np.errstate(over="ignore", invalid="ignore"):  # what diverges is seen by its loss
        log = train(
            net, *splits.train, draw=lambda n, size: rng.integers(0, n, size), n_steps=n_steps, **hyper,
            batch_size=batch_size, validation=splits.val,
            progress=partial(context.progress, label=label, work=work),
        )  # fmt: skip
    finished = math.isfinite(log.losses[-1])
    if not finished:
        context.skip((n_steps - len(log.losses) + 1) * work)  # with the step that did not end
    return net, log, finished
