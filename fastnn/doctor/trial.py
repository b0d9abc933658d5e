"""Some steps of training on trial."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import _random, _several, nn
from fastnn.autograd import no_grad, observing
from fastnn.doctor._kept import own_pass
from fastnn.doctor._steps import Activations, Weights
from fastnn.doctor.findings import Record
from fastnn.insight._state import preserved
from fastnn.training._arguments import batches_of
from fastnn.training._passes import loss_of, run_batch

__all__ = ["Trial", "forever", "loss_on", "run_trial", "scaled"]

# Steps whose gradients and updates are measured: every eighth of the trial, and the first ones, which differ most.
FIRST_STEPS = 2
EXAMINED = 8
# A loss this many times the first is diverging; further steps would only give larger numbers.
DIVERGED = 1e4


@dataclass
class Trial:
    """What came of some steps.

    Attributes:
        losses: of each step's batch.
        start, end: the loss on the same batches before and after, in training mode.
        record: gradient norms and updates.
        diverged: whether the loss became NaN, infinite or vast.
    """

    losses: list[float] = field(default_factory=list)
    start: float = math.nan
    end: float = math.nan
    record: Record = field(default_factory=Record)
    diverged: bool = False

    @property
    def decrease(self) -> float:
        """By how much the loss fell, as a part of what it was; -inf if it diverged."""
        if self.diverged or not math.isfinite(self.end):
            return -math.inf
        return (self.start - self.end) / abs(self.start) if self.start else 0.0


def forever(owner: str, loader: Any) -> Iterator[tuple[Any, Any]]:
    """The batches of a loader, epoch after epoch."""
    own = own_pass(loader)
    while True:
        n = 0
        with contextlib.closing(batches_of(owner, own, "loader")) as batches:
            for x, y in batches:
                n += 1
                yield x, y
        if not n:
            raise ValueError(f"{owner}: loader gives batches only once; give a list of them, or a data.Loader")


def loss_on(
    owner: str, model: nn.Module, criterion: Any, batches: list[tuple[Any, Any]], training: bool = True
) -> float:
    """The mean loss of batches, with the same dropout every time; the model stays as it is."""
    total, images = 0.0, 0
    modules = [module for module in (model, criterion) if isinstance(module, nn.Module)]
    with contextlib.ExitStack() as stack:
        for module in modules:
            stack.enter_context(preserved(module))
            module.train(training)
        stack.enter_context(no_grad())
        stack.enter_context(np.errstate(all="ignore"))
        _random.set_random_state(_SEED_STATE)
        for x, y in batches:
            n = _several.first_length(x) or 0
            loss = loss_of(owner, criterion, _several.call(model, x), y)
            total, images = total + loss * n, images + n
    return total / images if images else math.nan


_SEED_STATE = dict(np.random.PCG64(0).state)


@contextlib.contextmanager
def scaled(optimizer: Any, factor: float) -> Iterator[None]:
    """Within the block all learning rates are multiplied by a factor."""
    before = [group["lr"] for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, before, strict=True):
        group["lr"] = rate * factor
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, before, strict=True):
            group["lr"] = rate


def run_trial(
    owner: str,
    model: nn.Module,
    criterion: Any,
    optimizer: Any,
    loader: Any,
    steps: int,
    probe: list[tuple[Any, Any]],
    seen: Activations | None = None,
) -> Trial:
    """Train for some steps, within a block of `kept`; the last steps show `seen` the activations.

    Args:
        owner: the operation, for errors.
        model, criterion, optimizer, loader: of the training.
        steps: how many.
        probe: batches whose loss is measured before and after.
        seen: looks at the activations of the probe after the steps.
    """
    trial = Trial(start=loss_on(owner, model, criterion, probe))
    weights = Weights(model, trial.record)
    every = max(1, steps // EXAMINED)
    model.train()
    model.input_grad = False
    with contextlib.closing(forever(owner, loader)) as batches, np.errstate(all="ignore"):  # type: ignore[type-var]
        for step in range(steps):
            x, y = next(batches)
            optimizer.zero_grad()
            passed = run_batch(owner, model, criterion, x, y)
            trial.losses.append(passed.loss)
            if not math.isfinite(passed.loss) or abs(passed.loss) > DIVERGED * max(1.0, abs(trial.losses[0])):
                trial.diverged = True
                break
            passed.go_back()
            is_examined = step < FIRST_STEPS or step % every == 0
            if is_examined:
                weights.before_step()
            optimizer.step()
            if is_examined:
                weights.after_step()
    trial.end = loss_on(owner, model, criterion, probe)
    trial.diverged = trial.diverged or not math.isfinite(trial.end)
    trial.record.losses = list(trial.losses)
    if seen is not None:
        look_at(model, probe, seen)
    return trial


def look_at(model: nn.Module, batches: list[tuple[Any, Any]], seen: Activations) -> None:
    """Let `seen` see the activations of these batches, in training mode; the model stays as it is."""
    with preserved(model), observing(seen), no_grad(), np.errstate(all="ignore"):
        model.train()
        for x, _ in batches:
            seen.begin()
            _several.call(model, x)
