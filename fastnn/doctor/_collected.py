"""What is learned of a training while it runs, by a callback or in a loop of the user's own."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnn import _several, nn
from fastnn.doctor._criteria import ignored_label, is_of_classes
from fastnn.doctor._kept import kept
from fastnn.doctor._samples import Sample, SampleOf
from fastnn.doctor._steps import Activations, Weights
from fastnn.doctor.examine_activations import LEAST_IMAGES, dead_shares, examine_activations
from fastnn.doctor.examine_gradients import examine_gradients, examine_updates, examine_weights
from fastnn.doctor.examine_inputs import examine_inputs
from fastnn.doctor.examine_labels import entropy, examine_labels
from fastnn.doctor.examine_loss import NEAR_CHANCE
from fastnn.doctor.examine_outputs import examine_modes, examine_outputs, modes_in_training
from fastnn.doctor.findings import Diagnosis, Finding, Record

__all__ = ["Collected", "Watching"]

# Steps whose gradients and updates must have been measured before anything is said of them: medians of fewer jump.
LEAST_EXAMINED = 5
# Steps after which a loss that has not moved is said to be stuck.
LEAST_STEPS = 100
# Standard errors by which the second half of the losses must be lower than the first to be called falling.
FALLING = 2.0
# By so much of its norm the fastest weight can move in a whole training, if all steps go one way: too little to learn.
LEAST_MOVE = 0.01
# The loss of the last quarter of the steps, over that of the first, and over that of a network that knows nothing.
RISEN = 2.0
IMAGES_OF_MODES = 32


class Watching(Activations):
    """Looks at a forward of the network: activations, inputs, outputs, the last operation, and labels."""

    def __init__(self, model: nn.Module, criterion: Any) -> None:
        super().__init__(model)
        self._model, self._criterion = model, criterion
        self.x: Any = None
        self.y: Any = None
        self.outputs: Any = None
        self.last_operation = ""
        self._latest = ""

    def operation(self, op: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        super().operation(op, phase, inputs, results, seconds)
        if phase == "forward" and id(op.module) in self._paths:
            self._latest = str(getattr(op, "name", type(op).__name__)).lower()

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        super().module(module, phase, inputs, results, seconds)
        if phase != "forward":
            return
        if module is self._model:
            self.x = inputs[0] if len(inputs) == 1 else inputs
            self.outputs, self.last_operation = results, self._latest
        elif len(inputs) == 2 and (module is self._criterion or isinstance(module, nn.Loss)):
            self.y = inputs[1]

    def begin(self) -> None:
        super().begin()
        self.x = self.y = self.outputs = None

    def fresh(self) -> None:
        """Forget the activations, for another window."""
        self.alive, self.images, self.flat = {}, {}, {}


class Collected:
    """The findings of a running training, each said once.

    Args:
        say: gets each finding when it is found.
    """

    def __init__(self, say: Callable[[Finding], Any]) -> None:
        self._say = say
        self.findings: list[Finding] = []
        self.record = Record()
        self.said: set[tuple[str, str]] = set()
        self.classes = 0
        self.unit: float | None = None
        self.first_loss: float | None = None
        self.examined = 0
        self._sample = SampleOf("loader", keep=False)
        self._knows_outputs = False

    def add(self, findings: Iterable[Finding]) -> None:
        """Keep and say those that are new: a name is told once for each severity."""
        for finding in findings:
            key = finding.name, finding.severity
            if key not in self.said:
                self.said.add(key)
                self.findings.append(finding)
                self._say(finding)

    def diagnosis(self, examined: str) -> Diagnosis:
        """All so far."""
        return Diagnosis(self.findings, self.record, examined)

    # ---- one examined step -------------------------------------------------------------------------------------------
    def see_batch(self, model: nn.Module, criterion: Any, seen: Watching, with_inputs: bool) -> None:
        """After the forward of an examined step; `with_inputs`: nothing else looks at the data."""
        if seen.x is None:
            return
        if not self._knows_outputs:
            self._knows_outputs = True
            self.add(examine_outputs(seen.outputs, criterion, seen.last_operation))
            self._see_modes(model, seen.x)
        self.add(modes_in_training(model))
        is_scores = isinstance(seen.outputs, np.ndarray) and seen.outputs.ndim >= 2
        if is_scores and is_of_classes(criterion):
            self.classes = seen.outputs.shape[1]
        if with_inputs and (_several.first_length(seen.x) or 0):
            self._sample.add(seen.x, seen.y)

    def _see_modes(self, model: nn.Module, x: Any) -> None:
        few = _several.mapped(lambda part: np.array(part[:IMAGES_OF_MODES]), x)
        if (_several.first_length(few) or 0) > 1:
            with kept(model, None, None), np.errstate(all="ignore"):
                found = examine_modes(model, few)
            self.add(finding for finding in found if finding.name != "eval_mode_in_training")

    def see_sample(self, sample: Sample, criterion: Any) -> None:
        """Labels of a sample, once the number of classes is known."""
        if not self.classes or sample.labels is None:
            return
        self.add(examine_labels(sample, self.classes, ignored_label(criterion)))
        if getattr(criterion, "reduction", "mean") == "mean" and self.classes > 1:
            self.unit = entropy(sample.labels, self.classes) or None

    def see_inputs(self, normalises: bool, criterion: Any) -> None:
        """The inputs and labels of the examined steps."""
        if self._sample.sample.images:
            sample = self._sample.finished(complete=False)
            self.add(examine_inputs(sample, normalises))
            self.see_sample(sample, criterion)

    def see_step(self, model: nn.Module, seen: Watching, scheduled: bool) -> None:
        """After an examined step."""
        self.examined += 1
        if any(images >= LEAST_IMAGES for images in seen.images.values()):
            self.record.dead_units = dead_shares(seen)
            self.add(examine_activations(seen))
            seen.fresh()
        if self.examined >= LEAST_EXAMINED:
            self.add(examine_gradients(model, self.record, self.unit))
            self.add(examine_updates(self.record, scheduled))

    def weights(self, model: nn.Module) -> Weights:
        """What measures the weights of a step."""
        return Weights(model, self.record)

    def see_loss(self, loss: float, model: nn.Module) -> None:
        """Of every step; of the first one, whether it is far too large."""
        self.record.losses.append(loss)
        if self.first_loss is None:
            self.first_loss = loss
        if len(self.record.losses) == LEAST_EXAMINED and self.unit:
            first = float(np.median(self.record.losses))
            self.add(examine_weights(model, first, self.unit, after=False))

    # ---- the losses so far -------------------------------------------------------------------------------------------
    def is_stuck(self) -> bool:
        """Whether the loss is that of a network that knows nothing, and has not fallen in many steps."""
        losses = self.record.loss_array()
        if len(losses) < LEAST_STEPS or not self.unit or not np.isfinite(losses).all():
            return False
        half = len(losses) // 2
        early, late = losses[:half], losses[half:]
        error = math.sqrt(early.var() / len(early) + late.var() / len(late))
        falls = early.mean() - late.mean() > FALLING * error
        return not falls and abs(float(late.mean()) - self.unit) < NEAR_CHANCE * self.unit

    def see_losses(self, total_steps: int, scheduled: bool) -> None:
        """What the losses of many steps tell: stuck, rising, or with updates too small to learn anything."""
        losses = self.record.loss_array()
        finite = losses[np.isfinite(losses)]
        if self.is_stuck() and self.unit:
            self.add(
                [
                    Finding(
                        "loss_stuck_at_chance",
                        "warning",
                        f"the loss of the last {len(losses) // 2} steps is {losses[len(losses) // 2 :].mean():.4g} and "
                        f"does not fall; knowing nothing of the images gives {self.unit:.4g} with {self.classes} "
                        f"classes (ln {self.classes} = {math.log(self.classes):.4g})",
                        "the network gives the same answer for all images: see the other findings for why",
                        "fastnn.diagnose tries other learning rates; overfit one batch first",
                    )
                ]
            )
        ratios = self.record.median(self.record.update_ratios)
        fastest = max(ratios.values(), default=0.0)
        if 0 < fastest * total_steps < LEAST_MOVE and self.examined >= LEAST_EXAMINED and not scheduled:
            self.add(
                [
                    Finding(
                        "learning_rate_too_low",
                        "warning",
                        f"in a step the fastest weight changes by {fastest:.2g} of its norm: in all {total_steps} "
                        f"steps by {fastest * total_steps:.2g} at most",
                        "a learning rate that is too low",
                        "training.lr_range_test suggests one",
                    )
                ]
            )
        quarter = max(len(finite) // 4, 1)
        if len(finite) < 2 or (quarter < LEAST_EXAMINED and len(finite) == len(losses)):
            return
        first, last = float(finite[:quarter].mean()), float(finite[-quarter:].mean())
        floor = first if self.unit is None else max(first, self.unit)
        if last > RISEN * floor > 0:
            broken = ", and then is not finite" if len(finite) < len(losses) else ""
            self.add(
                [
                    Finding(
                        "learning_rate_too_high",
                        "warning",
                        f"the loss is {first:.4g} in the first quarter of the steps and {last:.4g} in the last one"
                        f"{broken}",
                        "a learning rate that is too high",
                        "a tenth of it, max_grad_norm, or training.lr_range_test",
                    )
                ]
            )
