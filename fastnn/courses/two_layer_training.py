"""The training loop of the two courses that build a two-layer network."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from fastnn import optim
from fastnn.courses.pixel_rows import Rows
from fastnn.courses.two_layer_network import TwoLayerNet

__all__ = ["TrainingLog", "train"]


@dataclass
class TrainingLog:
    """The result of `train`.

    Attributes:
        losses: the loss of each step's batch before its update, penalty included.
        epochs: a dict for each epoch begun: "step", "batch_accuracy" (of the last batch, after its update),
            "val_accuracy", "lr" (of that update).
    """

    losses: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)


def train(
    net: TwoLayerNet,
    x: Rows,
    y: NDArray,
    *,
    draw: Callable[[int, int], NDArray] | None,
    n_steps: int,
    lr: float,
    reg: float,
    decay: float = 0.95,
    batch_size: int = 200,
    validation: tuple[Rows, NDArray] | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> TrainingLog:
    """The courses' training loop: gradient descent on random batches, with a smaller learning rate in each epoch.

    An epoch has max(N // batch_size, 1) steps. The learning rate is multiplied by `decay` **after** step 0 and after
    each step whose number is a multiple of an epoch's steps. Only the first step has the full learning rate. With fewer
    samples than batch_size, the learning rate falls at every step.

    Args:
        net: the network, which is trained in place.
        x, y: samples and labels.
        draw: draw(N, batch_size) returns the indices of a batch, with replacement as the courses sample:
            `np.random.RandomState(seed).choice`. None uses all samples in every step.
        n_steps: the number of steps.
        lr: the learning rate of the first step.
        reg: the factor of the penalty.
        decay: the factor of the learning rate in each epoch. Default 0.95, as in the courses.
        batch_size: the number of samples in a batch. Default 200, as in the courses.
        validation: samples and labels whose accuracy is measured once in an epoch.
        progress: a function that wraps the range of steps, to show a bar.
    Returns:
        The log. A training whose loss becomes NaN ends with that step.
    """
    parameters = net.parameters()
    groups: list[dict[str, Any]] = [
        {"params": [parameters["W1"], parameters["W2"]], "weight_decay": net.penalty_factor * reg},
        {"params": [parameters["b1"], parameters["b2"]]},
    ]
    optimizer = optim.SGD(groups, lr=lr)
    epoch = max(len(x) // batch_size, 1)
    log = TrainingLog()
    for step in progress(range(n_steps)):
        batch: Any = slice(None) if draw is None else draw(len(x), batch_size)
        x_batch, y_batch = x[batch], y[batch]
        log.losses.append(net.loss(x_batch, y_batch, reg))
        net.backward()
        optimizer.step()
        if not math.isfinite(log.losses[-1]):
            break
        if step % epoch == 0:
            row = {"step": step, "lr": lr, "batch_accuracy": net.accuracy(x_batch, y_batch)}
            if validation is not None:
                row["val_accuracy"] = net.accuracy(*validation)
            log.epochs.append(row)
            lr *= decay
            for group in optimizer.param_groups:
                group["lr"] = lr
    return log
