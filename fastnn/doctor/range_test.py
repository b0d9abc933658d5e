"""The learning rate range test."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _arguments, _check, nn, optim
from fastnn.doctor._kept import kept
from fastnn.doctor.trial import forever
from fastnn.training._arguments import check_criterion, check_loader, check_trains_model
from fastnn.training._passes import run_batch

__all__ = ["LRRangeTest", "default_optimizer", "lr_range_test"]

# Of the loss before, in the moving average: that of about the last five steps.
SMOOTHING = 0.8
# Beyond four times the smallest loss, the training diverges.
DIVERGED = 4.0
# The first steps tell of the batches rather than of the learning rate.
SKIPPED_FIRST = 5
# The moving average of numbers that scatter independently has a third of their standard deviation; the smallest of 100
# of them lies 2 of these below the mean. The median difference from step to step is about one of the former: this is
# twice as far.
SCATTER = 1.25
# An order of magnitude before the smallest loss.
MARGIN = 10.0


class LRRangeTest:
    """The losses of a range test.

    Attributes:
        lrs: (K,), the learning rate of each step: that of the group with the largest one.
        losses: (K,), the loss of each step's batch.
        diverged: whether the test stopped before its last step, because the loss had become too large.

    Example:
        >>> from fastnn.doctor import LRRangeTest
        >>> lrs = np.geomspace(1e-4, 10, 60)
        >>> losses = 1 + 1 / (1 + (lrs / 1e-2) ** 2) + np.maximum(0, lrs - 1)
        >>> 3e-3 < LRRangeTest(lrs, losses, diverged=False).suggestion < 1e-1
        True
    """

    def __init__(self, lrs: Any, losses: Any, diverged: bool) -> None:
        self.lrs: NDArray[np.float64] = np.asarray(lrs, np.float64)
        self.losses: NDArray[np.float64] = np.asarray(losses, np.float64)
        self.diverged = diverged

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """(K,), the moving average of the losses that are finite, corrected for its beginning at 0."""
        return _smoothed(self.losses)

    @property
    def suggestion(self) -> float | None:
        """A tenth of the learning rate at which the smoothed loss is smallest.

        There it falls steeply still; at its smallest value, it is about to rise. None if it falls nowhere by more than
        the losses scatter from step to step.
        """
        smoothed = self.smoothed
        if len(smoothed) <= SKIPPED_FIRST or not np.isfinite(smoothed[SKIPPED_FIRST:]).any():
            return None
        end = SKIPPED_FIRST + int(np.nanargmin(smoothed[SKIPPED_FIRST:]))
        first = float(np.mean(self.losses[: max(SKIPPED_FIRST, len(self.losses) // 4)]))
        scatter = float(np.median(np.abs(np.diff(self.losses[: end + 1]))))
        if first - float(smoothed[end]) <= SCATTER * scatter:
            return None
        return float(self.lrs[end]) / MARGIN

    def __repr__(self) -> str:
        found = "none" if self.suggestion is None else f"{self.suggestion:.3g}"
        end = ", diverged" if self.diverged else ""
        low, high = (self.lrs[0], self.lrs[-1]) if len(self.lrs) else (math.nan, math.nan)
        return f"LRRangeTest({len(self.lrs)} steps, lr {low:.3g}..{high:.3g}{end}, suggestion={found})"

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the learning rate, smoothed too, with the suggestion.

        Args:
            ax: matplotlib axes to draw on; None for those of a new figure, which no window shows.
        Returns:
            The axes; `ax.figure.savefig(...)` writes them to a file.
        """
        from fastnn.doctor.plots import plot_range_test

        return plot_range_test(self, ax)


def _smoothed(losses: NDArray) -> NDArray:
    result, average, weight = np.full(len(losses), np.nan), 0.0, 0.0
    for index, loss in enumerate(losses):
        if not math.isfinite(loss):
            break
        average = SMOOTHING * average + (1 - SMOOTHING) * float(loss)
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        result[index] = average / weight
    return result


def default_optimizer(model: nn.Module) -> optim.SGD:
    """That of `training.fit`."""
    return optim.SGD(model.parameters(), lr=0.005, momentum=0.9, nesterov=True, weight_decay=5e-4)


def lr_range_test(
    model: nn.Module,
    loader: Any,
    criterion: Any = None,
    optimizer: Any = None,
    start: float = 1e-6,
    stop: float = 10,
    steps: int = 100,
) -> LRRangeTest:
    """Train with a learning rate that grows from step to step, and see at which one the loss falls, and rises.

    The learning rate grows by the same factor in each step; with several groups, the largest one has this rate, and
    the others keep their proportion to it. The test stops when the smoothed loss is four times its smallest value, or
    is not finite. Afterwards the model, the optimiser, the criterion, the random numbers and the position of the
    loader are as they were, bit for bit, also after an interruption.

    Args:
        model: the network.
        loader: gives (x, targets), as for a `Trainer`; it is gone through again from its start if it ends.
        criterion: see `Trainer`; cross-entropy if None.
        optimizer: of the model's parameters; that of `training.fit` if None.
        start, stop: the first and the last learning rate.
        steps: how many.
    Returns:
        `LRRangeTest`, whose `suggestion` is a learning rate to begin with.
    Raises:
        TypeError, ValueError: an argument is not what it should be.
    Example:
        >>> import fastnn
        >>> from fastnn import data, training
        >>> fastnn.manual_seed(0)
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 32), nn.ReLU(), nn.Linear(32, 10))
        >>> loader = data.Loader(data.Shapes32(512), batch_size=64, shuffle=True, mean=0.45, std=0.16)
        >>> test = training.lr_range_test(model, loader, steps=60)
        >>> 1e-4 < test.suggestion < 1
        True

    Source: Smith, 2017, "Cyclical learning rates for training neural networks", section 3.3; there the rate grows
    linearly.
    """
    name = "lr_range_test"
    _arguments.model(name, "model", model)
    check_criterion(name, criterion)
    check_loader(name, "loader", loader)
    start = _check.number(name, "start", start, 0, finite=True)
    stop = _check.number(name, "stop", stop, 0, finite=True)
    steps = _check.integer(name, "steps", steps, 2)
    if not 0 < start < stop:
        raise ValueError(f"{name}: start must be positive and below stop. Received: start={start:g}, stop={stop:g}")
    optimizer = default_optimizer(model) if optimizer is None else optimizer
    check_trains_model(name, optimizer, model)
    criterion = nn.CrossEntropyLoss() if criterion is None else criterion
    return run_range_test(name, model, loader, criterion, optimizer, start, stop, steps)


def run_range_test(
    owner: str, model: nn.Module, loader: Any, criterion: Any, optimizer: Any, start: float, stop: float, steps: int
) -> LRRangeTest:
    """`lr_range_test` with arguments that were checked."""
    lrs = np.geomspace(start, stop, steps)
    losses: list[float] = []
    diverged = False
    with kept(model, criterion, optimizer, [loader]), np.errstate(all="ignore"):
        rates = _proportions(optimizer)
        model.train()
        model.input_grad = False
        average = weight = 0.0
        lowest = math.inf
        with _batches(owner, loader) as batches:
            for lr in lrs:
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * float(lr)
                x, y = next(batches)
                optimizer.zero_grad()
                passed = run_batch(owner, model, criterion, x, y)
                losses.append(passed.loss)
                average = SMOOTHING * average + (1 - SMOOTHING) * passed.loss
                weight = SMOOTHING * weight + (1 - SMOOTHING)
                now = average / weight
                if not math.isfinite(now) or (len(losses) > SKIPPED_FIRST and now > DIVERGED * lowest > 0):
                    diverged = True
                    break
                lowest = min(lowest, now)
                passed.go_back()
                optimizer.step()
    return LRRangeTest(lrs[: len(losses)], losses, diverged)


@contextlib.contextmanager
def _batches(owner: str, loader: Any) -> Iterator[Iterator[tuple[Any, Any]]]:
    batches = forever(owner, loader)
    try:
        yield batches
    finally:
        batches.close()  # type: ignore[attr-defined]


def _proportions(optimizer: Any) -> list[float]:
    rates = [float(group.get("lr", 0.0)) for group in optimizer.param_groups]
    largest = max(rates)
    return [rate / largest for rate in rates] if largest > 0 else [1.0] * len(rates)
