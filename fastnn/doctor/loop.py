"""A watch over a loop of the user's own."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn import _arguments, _check, nn
from fastnn.autograd import is_grad_enabled, observing
from fastnn.autograd.tensor import array_of
from fastnn.doctor._collected import Collected, Watching
from fastnn.doctor.examine_optimizer import examine_optimizer, is_scheduled
from fastnn.doctor.examine_outputs import depends_on_mode
from fastnn.doctor.findings import Finding
from fastnn.doctor.run import begins_with_norm

__all__ = ["Loop"]

# Of the steps, those in which the gradients of the step before were still there. Once may be an experiment.
MOST_LEFT, LEAST_LEFT = 0.5, 2
# Weights that are looked at for gradients that are left over: they are zeroed all together, or not at all.
LOOKED_AT = 4
FIRST_STEPS = 5
_LOSSES = {"CrossEntropy", "LossOf"}


class Loop(Watching):
    """Sees a loop run; see `Doctor.watch`.

    Attributes:
        steps: steps of the optimiser.
    """

    def __init__(self, collected: Collected, model: nn.Module, optimizer: Any, criterion: Any, every: int) -> None:
        _arguments.model("Doctor.watch", "model", model)
        if isinstance(optimizer, type) or not callable(getattr(optimizer, "step", None)):
            raise TypeError(f"Doctor.watch: optimizer must be one of fastnn.optim. Received: {_check.shown(optimizer)}")
        super().__init__(model, criterion)
        self._collected, self._optimizer, self._every = collected, optimizer, every
        self._kind: Any = criterion
        self.steps = 0
        self._backwards = 0
        self._left = 0
        self._has_checked = True  # of the backward since the last step
        self._untrained = 0  # forwards in training mode that record nothing
        self._where = ""

    # ---- what runs ---------------------------------------------------------------------------------------------------
    def begins(self, what: Any, phase: str, inputs: tuple[Any, ...]) -> None:
        if phase == "forward" and what is self._model:
            self.begin()
            self._see_mode()
        if phase != "backward":
            return
        self._backwards += 1
        if not self._has_checked:
            self._has_checked = True
            weights = [p for p in self._model.parameters() if p.requires_grad and p.ndim >= 2][:LOOKED_AT]
            held = [p.grad for p in weights if p.grad is not None]
            self._left += bool(held) and any(bool(np.any(gradient)) for gradient in held)

    def _see_mode(self) -> None:
        if is_grad_enabled():
            return
        moving = [(path, m) for path, m in self._model.named_modules() if m.training and depends_on_mode(m)]
        if moving:
            self._untrained += 1
            self._where = moving[0][0]

    def operation(self, op: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        super().operation(op, phase, inputs, results, seconds)
        if phase == "forward" and type(op).__name__ in _LOSSES and len(inputs) == 2 and is_grad_enabled():
            self.y = inputs[1]
            if self._kind is None and not isinstance(op.module, nn.Loss):
                self._kind = getattr(op, "function", None) or _cross_entropy
            value = np.asarray(array_of(results))
            if value.ndim == 0:
                self.loss(float(value))

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        super().module(module, phase, inputs, results, seconds)
        if phase == "forward" and isinstance(module, nn.Loss) and self._criterion is None:
            self._kind = module

    def loss(self, value: Any) -> None:
        """Note the loss of a step. Those of `nn` and `functional` are seen without."""
        self._collected.see_loss(float(array_of(value)), self._model)

    # ---- steps -------------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block, this is told of what runs in this thread, and of the optimiser's steps."""
        optimizer, collected = self._optimizer, self._collected
        collected.add(examine_optimizer(self._model, optimizer))
        weights = collected.weights(self._model)
        step = optimizer.step
        had_own = "step" in vars(optimizer)

        def watched_step(*arguments: Any, **keywords: Any) -> Any:
            is_examined = self.steps < FIRST_STEPS or self.steps % self._every == 0
            if is_examined and not arguments and not keywords:
                weights.before_step()
            result = step(*arguments, **keywords)
            if is_examined:
                weights.after_step()
                self._see_step()
            self.steps += 1
            self._has_checked = False
            self._see_left()
            return result

        optimizer.step = watched_step
        try:
            with observing(self):
                yield
        finally:
            if had_own:
                optimizer.step = step
            else:
                del optimizer.step

    def _see_step(self) -> None:
        collected = self._collected
        collected.see_batch(self._model, self._kind, self, with_inputs=True)
        if self.steps == FIRST_STEPS - 1:
            collected.see_inputs(begins_with_norm(self._model), self._kind)
        collected.see_step(self._model, self, is_scheduled(self._optimizer))

    def _see_left(self) -> None:
        checked = self.steps - 1
        if self._left >= LEAST_LEFT and self._left > MOST_LEFT * checked:
            norms = self._collected.record.gradient_norms
            path = next(iter(norms), "")
            series = norms.get(path, [])
            growth = (
                f"; the norm of the gradient of {path} was {series[0]:.3g} and is {series[-1]:.3g}" if series else ""
            )
            self._collected.add(
                [
                    Finding(
                        "gradients_not_zeroed",
                        "error",
                        f"in {self._left} of {checked} steps, backward found the gradients of the step before and "
                        f"added to them{growth}",
                        "zero_grad was forgotten: gradients of all batches so far add up",
                        "optimizer.zero_grad() before each backward, or after each step",
                    )
                ]
            )

    def finish(self) -> None:
        """After the loop: what its whole length tells."""
        collected = self._collected
        collected.see_inputs(begins_with_norm(self._model), self._kind)
        collected.see_losses(max(self.steps, 1), is_scheduled(self._optimizer))
        if self._untrained:
            collected.add(
                [
                    Finding(
                        "training_mode_at_test",
                        "warning",
                        f"{self._untrained} batches ran without recording gradients while {self._where} was in "
                        "training mode",
                        "model.eval() was forgotten before the evaluation: batch norm takes the statistics of the "
                        "batch and moves its running ones, dropout drops",
                        "model.eval() before, and model.train() after it",
                        self._where,
                    )
                ]
            )
        if self._backwards and not self.steps:
            collected.add(
                [
                    Finding(
                        "no_step",
                        "error",
                        "gradients were computed, and the optimiser made no step",
                        "optimizer.step() was forgotten, or another optimiser makes the steps",
                        "optimizer.step() after each backward",
                    )
                ]
            )


def _cross_entropy(outputs: Any, targets: Any) -> None:
    """Stands for `functional.cross_entropy`, whose operation was seen."""


_cross_entropy.__name__ = "cross_entropy"
