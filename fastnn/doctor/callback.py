"""The doctor in a training: a callback, and a watch over loops of one's own."""

import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _check, _terminal, nn
from fastnn.autograd import observing
from fastnn.data import Loader
from fastnn.doctor._collected import Collected, Watching
from fastnn.doctor._criteria import is_of_classes
from fastnn.doctor._samples import Sample, take_sample
from fastnn.doctor.examine_inputs import examine_inputs, examine_pair
from fastnn.doctor.examine_labels import examine_order
from fastnn.doctor.examine_loss import AT_CHANCE, LARGEST_GAP, Gap, examine_gap, examine_probe, overfitting
from fastnn.doctor.examine_optimizer import examine_optimizer, is_scheduled
from fastnn.doctor.findings import Diagnosis, Finding
from fastnn.doctor.loop import Loop
from fastnn.doctor.probe import probe_labels
from fastnn.doctor.run import begins_with_norm
from fastnn.training.callbacks import Callback
from fastnn.training.non_finite import NonFiniteLoss
from fastnn.training.progress import Progress

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["Doctor"]

# Epochs in which the validation loss was above its smallest value, by a tenth, while the training loss fell: one or two
# happen by chance. (Prechelt, 1998, "Early stopping - but when?", stops by the same two measures.)
RISING_EPOCHS, RISEN_BY = 3, 1.1
# Besides, training and validation must differ by as much as a good network without augmentation is allowed to.
RISING_GAP = 0.1
# The first steps are examined too, so that what is wrong from the start is said early.
FIRST_STEPS = 5


class Doctor(Callback):
    """Watches a training, and says what is wrong as soon as it is seen: each finding once, in a line.

    It looks at inputs and labels before the first step, at gradients, updates and activations of the first five steps
    and then of every `every`-th, and at losses and accuracies after each epoch. It changes nothing: weights are what
    they would be without it, bit for bit.

    What it costs, measured on a network of three convolutions with 64 images of 32 x 32 in a batch and `every=50`: 2 %
    of 320 steps, the first five among them, and once, before the first step, 0.13 s for 2,000 images. Where nothing is
    learned that holds for the validation images, a linear classifier is fitted once, which takes a second or so.

    Args:
        every: steps between two that are examined.
        say: gets each line; by default it goes where the progress bar is, which stays whole, or to standard error.

    Attributes:
        diagnosis: what was found, a `fastnn.doctor.Diagnosis`.

    Example:
        >>> import fastnn
        >>> from fastnn import data, optim, training
        >>> fastnn.manual_seed(0)
        >>> loader = data.Loader(data.Shapes32(640).images.astype(np.float32), data.Shapes32(640).labels, shuffle=True)
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
        >>> doctor = training.Doctor(say=lambda line: None)
        >>> history = training.fit(model, loader, epochs=1, callbacks=[doctor], progress=False)
        >>> print(doctor.diagnosis["input_range"].cause)
        bytes, 0..255, that were not divided by 255

        A loop of one's own is watched in a block:

        >>> optimizer, criterion = optim.SGD(model.parameters(), lr=1e-6), nn.CrossEntropyLoss()
        >>> with doctor.watch(model, optimizer):
        ...     for x, y in loader:
        ...         loss = criterion(model(x), y)
        ...         dx = model.backward(criterion.backward())
        ...         optimizer.step()
        >>> print(doctor.diagnosis["gradients_not_zeroed"].advice)
        optimizer.zero_grad() before each backward, or after each step
    """

    def __init__(self, every: int = 50, say: Callable[[str], Any] | None = None) -> None:
        self.every = _check.integer("Doctor", "every", every, 1)
        if say is not None and not callable(say):
            raise TypeError(f"Doctor: say must be a function. Received: {_check.shown(say)}")
        self._given_say = say
        self._progress: Progress | None = None
        self.reset()

    def reset(self) -> None:
        self._collected = Collected(self._tell)
        self._seen: Watching | None = None
        self._weights: Any = None
        self._is_looking = False
        self._samples: tuple[Sample | None, Sample | None] = (None, None)
        self._gaps: list[Gap] = []
        self._has_probed = False
        self._steps = 0

    @property
    def diagnosis(self) -> Diagnosis:
        """What was found so far."""
        return self._collected.diagnosis(f"{self._steps} steps, {self._collected.examined} of them examined")

    def _tell(self, finding: Finding) -> None:
        if finding.severity == "note":
            return
        if self._given_say is not None:
            self._given_say(f"doctor: {finding.line()}")
        elif self._progress is not None:
            self._progress.write(f"doctor: {finding.line()}")
        else:
            _terminal.say(f"doctor: {finding.line()}")

    # ---- in a training -----------------------------------------------------------------------------------------------
    def on_fit_begin(self, trainer: "Trainer") -> None:
        self._progress = next((one for one in trainer.callbacks if isinstance(one, Progress)), None)
        collected = self._collected
        self._seen = Watching(trainer.model, trainer.criterion)
        self._weights = collected.weights(trainer.model)
        collected.add(examine_optimizer(trainer.model, trainer.optimizer))
        if trainer.loaders is None:
            return
        names = ("train_loader", "val_loader")
        train, val = (
            take_sample("Doctor", name, loader) if isinstance(loader, Loader | list | tuple) and len(loader) else None
            for name, loader in zip(names, trainer.loaders, strict=True)
        )
        self._samples = train, val
        normalises = begins_with_norm(trainer.model)
        if train is not None:
            collected.add(examine_inputs(train, normalises))
            collected.add(examine_order(train))
        if val is not None:
            collected.add(examine_inputs(val, normalises))
        if train is not None and val is not None:
            collected.add(examine_pair(train, val))

    def on_step_begin(self, trainer: "Trainer") -> None:
        if self._seen is not None and (self._steps < FIRST_STEPS or self._steps % self.every == 0):
            self._seen.begin()
            self._is_looking = True
            trainer.during_step.enter_context(observing(self._seen))

    def on_gradients(self, trainer: "Trainer") -> None:
        if self._is_looking:
            self._weights.before_step()

    def on_step_end(self, trainer: "Trainer") -> None:
        self._steps += 1
        collected, seen = self._collected, self._seen
        if self._is_looking and seen is not None:
            self._is_looking = False
            self._weights.after_step()
            train, val = self._samples
            collected.see_batch(trainer.model, trainer.criterion, seen, with_inputs=train is None)
            if self._steps == 1:
                for sample in (train, val):
                    if sample is not None:
                        collected.see_sample(sample, trainer.criterion)
                self._set_unit(trainer)
            collected.see_step(trainer.model, seen, is_scheduled(trainer.optimizer))
        collected.see_loss(trainer.last_loss, trainer.model)
        if _train_is_unknown(self._samples) and collected.examined == FIRST_STEPS:
            collected.see_inputs(begins_with_norm(trainer.model), trainer.criterion)

    def _set_unit(self, trainer: "Trainer") -> None:
        train = self._samples[0]
        if train is not None and isinstance(trainer.criterion, nn.MSELoss):
            self._collected.unit = train.square or None
        elif train is not None and is_of_classes(trainer.criterion):
            self._collected.see_sample(train, trainer.criterion)

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        collected = self._collected
        scheduled = is_scheduled(trainer.optimizer)
        collected.see_losses(trainer.total_steps, scheduled)
        self._probe(row)
        rows = trainer.history.rows
        if "val_loss" in row:
            accuracies = (row.get("train_accuracy", math.nan), row.get("val_accuracy", math.nan))
            images = 0 if self._samples[1] is None else self._samples[1].images
            gap = Gap(row["train_loss"], row["val_loss"], *accuracies, images)
            self._gaps.append(gap)
            # The running statistics of batch norm lag behind, so that single epochs have a poor validation.
            latest = self._gaps[-RISING_EPOCHS:]
            if len(latest) == RISING_EPOCHS and all(map(examine_gap, latest)):
                collected.add(examine_gap(gap))
            collected.add(_rising(rows, gap))

    def _probe(self, row: dict[str, Any]) -> None:
        """Once, where nothing is learned that holds for other images: whether labels belong to their images."""
        train, collected = self._samples[0], self._collected
        if self._has_probed or train is None or train.images_of_set is None or train.labels_of_set is None:
            return
        val = self._samples[1]
        n = val.images if val is not None else 0
        knows_nothing = collected.is_stuck()
        if "val_accuracy" in row and n and collected.classes > 1:
            chance = 1 / collected.classes
            error = math.sqrt(chance * (1 - chance) / n)
            knows_nothing = row["val_accuracy"] < chance + 2 * AT_CHANCE * error
        if knows_nothing and len(collected.record.losses) >= FIRST_STEPS:
            self._has_probed = True
            probe = probe_labels(train.images_of_set, train.labels_of_set)
            collected.add([] if probe is None else examine_probe(probe, learns=False))

    def on_exit(self, trainer: "Trainer") -> None:
        self._is_looking = False
        if self._steps and self._collected.record.losses:
            error = sys.exception()
            if isinstance(error, NonFiniteLoss):
                self._collected.add([_non_finite(error)])
                self._collected.record.losses.append(math.nan)  # of the step that did not end
            self._collected.see_losses(trainer.total_steps, is_scheduled(trainer.optimizer))
        self._seen = self._weights = self._progress = None

    def state_dict(self) -> dict[str, Any]:
        return {"said": [list(key) for key in sorted(self._collected.said)], "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._collected.said = {(str(name), str(severity)) for name, severity in state["said"]}
        self._steps = int(state["steps"])

    # ---- in a loop of one's own --------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def watch(self, model: nn.Module, optimizer: Any, criterion: Any = None) -> Iterator["Loop"]:
        """Within the block, watch a loop that trains `model` with `optimizer`, as `fit` would be watched.

        It sees what the model is given and gives, the losses of `nn` and `functional`, every backward, and every
        `optimizer.step()`. Beside what is found in a `fit`, it finds a forgotten `zero_grad`, training in eval mode,
        and evaluation in training mode.

        Args:
            model: the network.
            optimizer: its `step` is watched; it stays the same object.
            criterion: the loss, if it is a function of one's own: what it wants of the outputs cannot be seen.
        Yields:
            The watch, whose `loss(value)` notes a loss that cannot be seen, of a function of one's own.
        Raises:
            TypeError: model is no `nn.Module`, or optimizer has no `step`.
        """
        self.reset()
        loop = Loop(self._collected, model, optimizer, criterion, self.every)
        with loop.watching():
            yield loop
        self._steps = loop.steps
        loop.finish()


def _non_finite(error: NonFiniteLoss) -> Finding:
    return Finding(
        "non_finite_loss",
        "error",
        str(error),
        "numbers that grew beyond what float32 holds, a logarithm or a division of 0, or such inputs",
        "a lower learning rate, max_grad_norm=1; or a check of the inputs with np.isfinite",
        error.layer,
    )


def _train_is_unknown(samples: tuple[Sample | None, Sample | None]) -> bool:
    """Whether the training images can be seen in the steps only."""
    return samples[0] is None


def _rising(rows: list[dict[str, Any]], gap: Gap) -> list[Finding]:
    """Overfitting, by the validation loss of several epochs."""
    losses = [float(row["val_loss"]) for row in rows if "val_loss" in row]
    if len(losses) <= RISING_EPOCHS or not np.isfinite(losses).all():
        return []
    best = int(np.argmin(losses))
    has_risen = len(losses) - 1 - best >= RISING_EPOCHS and min(losses[-RISING_EPOCHS:]) > RISEN_BY * losses[best]
    falls = rows[-1]["train_loss"] < rows[best]["train_loss"]
    difference = gap.train_accuracy - gap.val_accuracy
    is_wide = (
        difference > RISING_GAP if math.isfinite(difference) else gap.val_loss > (1 + LARGEST_GAP) * gap.train_loss
    )
    if not (has_risen and falls and is_wide):
        return []
    return [overfitting(gap, f"; the validation loss was smallest, {losses[best]:.3g}, in epoch {best + 1}")]
