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
    """What `train` saw.

    Attributes:
        losses: of the batch of each step, before its update, penalty included.
        epochs: a row for each epoch begun: step, batch_accuracy (of the last batch, after its update), val_accuracy,
            lr (of that update).
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
    """The courses' loop: gradient descent on random batches, and at the beginning of each epoch a smaller step.

    An epoch has max(N // batch_size, 1) steps. The learning rate is multiplied by `decay` **after** step 0 and after
    each step whose number is a multiple of an epoch's steps: the first step alone has the learning rate that was asked
    for, and with fewer samples than batch_size the learning rate falls at every step.

    Args:
        net: is trained in place.
        x, y: samples and labels.
        draw: draw(N, batch_size) gives the indices of a batch, with replacement as the courses sample:
            `np.random.RandomState(seed).choice`. None takes all samples in every step.
        n_steps, lr, reg, decay, batch_size: as above; the last two are the courses' own.
        validation: samples and labels whose accuracy is measured once in an epoch.
        progress: wraps the range of steps, to show a bar.
    Returns:
        The log. A training whose loss is no longer a number ends with that step.
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
