"""How a `Trainer` does a step, reads, writes and evaluates: in one process with whole batches."""

import math
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _random, _several
from fastnn.training._arguments import batches_of, described
from fastnn.training._passes import run_batch
from fastnn.training.checkpoint import load_state, save_state
from fastnn.training.evaluate import Evaluation, evaluate
from fastnn.training.interrupts import InterruptFlag
from fastnn.training.metrics import loss_weight
from fastnn.training.non_finite import find_non_finite

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["StepResult", "WholeBatches", "check_shards", "steps_of"]


class StepResult(NamedTuple):
    """What came of a step.

    Attributes:
        n: the number of images.
        loss: the mean, NaN if there was nothing to learn.
        is_empty: whether every label is to be ignored.
        measure: adds the step to the meter; returns its own metrics.
    """

    n: int
    loss: float
    is_empty: bool
    measure: Callable[[], dict[str, float]]


class WholeBatches:
    """Steps of one process.

    Attributes:
        is_main: whether this process writes files and shows progress.
        shards: into how many shards a batch is cut, or None.
        processes: how many train together.
    """

    is_main = True
    shards: int | None = None
    processes = 1

    def check_same(self, trainer: "Trainer", loader: Any, epochs: float) -> None:
        """Before a training: all processes must be about the same one."""

    def watch(self, interrupt: InterruptFlag, resume_hint: Callable[[], str]) -> None:
        """A training begins, that signals may interrupt and that may be continued in this way."""
        self._interrupt = interrupt

    def is_interrupted(self) -> bool:
        """Whether to stop after this step."""
        return self._interrupt.raised

    def seconds(self, seconds: float) -> float:
        """A time that was measured, the same for all processes."""
        return seconds

    def batches(self, loader: Any) -> Generator[Any, None, None]:
        """An epoch."""
        return batches_of("Trainer.fit", loader, "train_loader")

    def step(self, trainer: "Trainer", batch: Any) -> StepResult:
        """Forward, backward and update."""
        x, y = batch
        random_state = _random.random_state()
        n = _several.first_length(x) or 0
        passed = run_batch("Trainer.fit", trainer.model, trainer.criterion, x, y)
        outputs, loss = passed.outputs, passed.loss
        # If every label is to be ignored there is nothing to learn, and the mean over nothing is NaN.
        is_empty = math.isnan(loss) and loss_weight(trainer.criterion, outputs, y, n) == 0
        if not is_empty:
            if not math.isfinite(loss):
                raise find_non_finite(trainer.model, x, loss, trainer.step + 1, random_state)
            trainer.optimizer.zero_grad()
            passed.go_back()
            trainer.update_weights()
        return StepResult(n, loss, is_empty, lambda: trainer.meter.update(loss, outputs, y, n))

    def evaluate(self, trainer: "Trainer", loader: Any, criterion: Any) -> Evaluation:
        """The validation after an epoch."""
        return evaluate(trainer.model, loader, criterion, trainer.val_tta, metrics=trainer.metrics)

    def save(self, path: Any, make_state: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint."""
        save_state(path, make_state())

    def load(self, path: Path) -> dict[str, Any]:
        """Read a checkpoint."""
        return load_state(path)

    def exists(self, path: Path) -> bool:
        """Whether there is such a file where files are written."""
        return path.is_file()

    def barrier(self) -> None:
        """Wait for the other processes."""


def steps_of(owner: str, world: Any) -> WholeBatches:
    """The way of steps for a `fastnn.distributed.World`, or for None."""
    if world is None:
        return WholeBatches()
    from fastnn.distributed import World
    from fastnn.distributed._training import ShardsOfBatches

    if not isinstance(world, World):
        raise TypeError(f"{owner}: distributed must be a fastnn.distributed.World. Received: {described(world)}")
    world.check_open(owner)
    return ShardsOfBatches(world)


def check_shards(was: int | None, now: int | None) -> None:
    """Raise ValueError if a training would go on with another number of shards, which gives other bits."""
    if was == now:
        return
    before, after = (f"cut into {shards} shards" if shards else "not cut into shards" for shards in (was, now))
    advice = f"a World of {was} shards" if was else "distributed=None"
    raise ValueError(f"a batch was {before} and is {after}: continue with {advice}")
