"""How a `Trainer` does a step, reads, writes and evaluates: in several processes with shards of batches."""

import contextlib
import math
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from fastnn import _random, _several, nn
from fastnn.distributed._world import World, mean_over_shards
from fastnn.training._passes import run_batch
from fastnn.training._steps import StepResult, WholeBatches
from fastnn.training.checkpoint import load_state
from fastnn.training.evaluate import Evaluation, evaluate
from fastnn.training.interrupts import InterruptFlag
from fastnn.training.metrics import loss_weight
from fastnn.training.non_finite import NonFiniteLoss, find_non_finite

__all__ = ["ShardsOfBatches"]


class ShardsOfBatches(WholeBatches):
    """Steps of a `World`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_main = world.is_main
        self.shards = world.n_shards
        self.processes = world.size
        self._interrupted = False

    def check_same(self, trainer: Any, loader: Any, epochs: float) -> None:
        settings = {
            "the training": repr(trainer).replace("Progress, ", "").replace("callbacks=[Progress], ", ""),
            "the number of epochs": epochs,
            "the optimizer": repr(trainer.optimizer),
            "the number of steps done": trainer.step,
            "the configuration": trainer.config,
        }
        self.world._check_same(_modules(trainer), loader, settings)

    def watch(self, interrupt: InterruptFlag, resume_hint: Callable[[], str]) -> None:
        self._interrupted = False
        self.world.communicator.is_told_to_end = lambda: interrupt.raised
        if not self.world.communicator.has_hint:
            self.world.communicator.set_hint(resume_hint)
        if self.world.size > 1 and self.is_main:
            interrupt.on_raised = self.world.communicator.say_hint

    def is_interrupted(self) -> bool:
        return self._interrupted

    def seconds(self, seconds: float) -> float:
        return float(self.world.communicator.exchange("seconds", {"seconds": seconds})[0]["seconds"])

    def batches(self, loader: Any) -> Generator[Any, None, None]:
        with contextlib.closing(self.world.batches(loader)) as batches:
            yield from batches

    def step(self, trainer: Any, batch: Any) -> StepResult:
        criterion = trainer.criterion
        is_sum = getattr(criterion, "reduction", "mean") == "sum"
        trainer.optimizer.zero_grad()
        step = self.world.begin_step(_modules(trainer), batch)
        broken: tuple[Any, float, dict[str, Any]] | None = None
        for position, x, y in step.shards():
            n = _several.first_length(x) or 0
            random_state = _random.random_state()
            passed = run_batch("Trainer.fit", trainer.model, criterion, x, y)
            loss = passed.loss
            weight = loss_weight(criterion, passed.outputs, y, n)
            measured = trainer.meter.measure(passed.loss, passed.outputs, y, n)
            step.record(position, measured)
            step.set_weight(position, float(batch.n) if is_sum else weight)
            if not math.isnan(loss) or weight:
                if not math.isfinite(loss) and broken is None:
                    broken = x, loss, random_state
                passed.go_back()
            del x, y, passed
        told = step.finish(is_sum)
        self._interrupted = told["interrupted"]
        records = [record for record in told["records"] if record is not None]
        losses = [math.nan if record is None else record["loss"] for record in told["records"]]
        weights = [0.0 if record is None else record["weight"] for record in told["records"]]
        is_empty = not any(weights)
        loss = mean_over_shards(losses, weights)
        if is_sum and not is_empty:
            loss = loss * sum(weights)
        if not is_empty and not math.isfinite(loss):
            raise self._non_finite(trainer, broken, loss)
        if not is_empty:
            trainer.update_weights()
        return StepResult(batch.n, loss, is_empty, lambda: trainer.meter.add(records))

    def _non_finite(self, trainer: Any, broken: Any, loss: float) -> NonFiniteLoss:
        """On every process; the one whose shard broke first knows where."""
        if broken is None:
            told = None
        else:
            x, own_loss, random_state = broken
            error = find_non_finite(trainer.model, x, own_loss, trainer.step + 1, random_state)
            told = [str(error), error.step, error.layer]
        found = self.world.communicator.exchange("where the loss is not finite", {"found": told})
        first = next((one["found"] for one in found if one["found"] is not None), None)
        return NonFiniteLoss(*(first or (f"the loss is {loss} in step {trainer.step + 1}", trainer.step + 1, "")))

    def evaluate(self, trainer: Any, loader: Any, criterion: Any) -> Evaluation:
        return evaluate(
            trainer.model, loader, criterion, trainer.val_tta, metrics=trainer.metrics, distributed=self.world
        )

    def save(self, path: Any, make_state: Callable[[], dict[str, Any]]) -> None:
        if self.is_main:
            super().save(path, make_state)

    def load(self, path: Path) -> dict[str, Any]:
        """Rank 0 reads; the others need not see its files."""
        content = self.world.on_main(path.read_bytes)
        if self.is_main:
            return load_state(path)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_bytes(content)
            return load_state(copy)

    def exists(self, path: Path) -> bool:
        return bool(self.world.on_main(lambda: b"1" if path.is_file() else b""))

    def barrier(self) -> None:
        self.world.barrier()


def _modules(trainer: Any) -> list[nn.Module]:
    """What has parameters or buffers."""
    criterion = trainer.criterion
    return [trainer.model, *([criterion] if isinstance(criterion, nn.Module) else [])]
