"""What can be done between the steps of a training."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from fastnn import _arguments, _check, optim
from fastnn.optim.optimizer import number
from fastnn.optim.scheduler import fraction
from fastnn.training._arguments import described, path_of
from fastnn.training.plots import save_curves

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["Callback", "Checkpoints", "EarlyStopping", "FreezeWhitening", "HistoryFiles", "Lookahead"]


class Callback:
    """Called by a `Trainer` at the moments that the methods name. Subclasses define those that they need.

    What must survive an interruption goes into `state_dict`: nested dicts, lists, numbers, texts and arrays.

    Attributes:
        only_watches: the training would be the same without it, and it has no state: a checkpoint fits whether or not
            it is there.
    """

    only_watches: ClassVar[bool] = False

    def reset(self) -> None:
        """Before the first step of a new training: forget what belongs to another one.

        A training that goes on, from a checkpoint or by another call of the same trainer's `fit`, is not a new one.
        """

    def on_fit_begin(self, trainer: "Trainer") -> None:
        """After a checkpoint was loaded, before the first step."""

    def on_step_begin(self, trainer: "Trainer") -> None:
        """`trainer.step` steps are done."""

    def on_gradients(self, trainer: "Trainer") -> None:
        """After backward, before the optimiser: the place to look at gradients or to change them."""

    def on_step_end(self, trainer: "Trainer") -> None:
        """After the optimiser and a schedule of steps."""

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        """`row` is the epoch's line of the history."""

    def on_interrupt(self, trainer: "Trainer") -> None:
        """Ctrl-C in the middle of an epoch; after this, `fit` ends."""

    def on_fit_end(self, trainer: "Trainer") -> None:
        """After the last epoch; not after an interruption or an error."""

    def on_exit(self, trainer: "Trainer") -> None:
        """When `fit` ends, however it does."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""

    def _settings(self) -> dict[str, Any]:
        """What `repr` shows: the public attributes."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __repr__(self) -> str:
        words = (f"{name}={_check.shown(value)}" for name, value in self._settings().items())
        return f"{type(self).__name__}({', '.join(words)})"


def checked_callbacks(owner: str, callbacks: Any) -> list[Callback]:
    """Callbacks as a list; raises TypeError if there is something else among them."""
    found = _arguments.sequence(owner, "callbacks", callbacks)
    for callback in found:
        if not isinstance(callback, Callback):
            raise TypeError(f"{owner}: callbacks must hold training.Callback objects. Received: {described(callback)}")
    return found


# What the names of numbers end in that are better when smaller, and when larger.
_SMALLER = ("loss", "error", "mae", "mse", "rmse", "perplexity", "distance")
_LARGER = (
    "accuracy", "top5", "score", "f1", "auc", "precision", "recall", "iou", "dice", "r2", "psnr", "correlation",
)  # fmt: skip


def _is_smaller_better(owner: str, monitor: str, mode: str) -> bool:
    if not isinstance(mode, str) or mode not in ("auto", "min", "max"):
        raise ValueError(f"{owner}: mode must be 'auto', 'min' or 'max'. Received: {mode!r}")
    if mode != "auto":
        return mode == "min"
    for endings, smaller in ((_SMALLER, True), (_LARGER, False)):
        if monitor.lower().endswith(endings):
            return smaller
    raise ValueError(f"{owner}: is {monitor!r} better when small or when large? Say mode='min' or mode='max'")


class _Best:
    """The best value of one column of the history so far."""

    def __init__(self, owner: str, monitor: str, mode: str, min_delta: float) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"{owner}: monitor must be the name of a column of the history. Received: {monitor!r}")
        self.monitor = monitor
        self.sign = -1.0 if _is_smaller_better(owner, monitor, mode) else 1.0
        self.min_delta = min_delta
        self.value: float | None = None

    def settings(self) -> dict[str, Any]:
        """For `repr`."""
        mode = "min" if self.sign < 0 else "max"
        return {"monitor": self.monitor, "mode": mode, "min_delta": self.min_delta, "best": self.value}

    def improved(self, row: dict[str, Any]) -> bool:
        value = watched(self.monitor, row)
        if math.isnan(value) or (self.value is not None and self.sign * (value - self.value) <= self.min_delta):
            return False
        self.value = value
        return True


def watched(monitor: str, row: dict[str, Any]) -> float:
    """The number of that name in a row of the history.

    Raises:
        ValueError: there is none.
    """
    value = row.get(monitor)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(
            f"there is nothing named {monitor!r} to watch; the history has {', '.join(row)} (val_... need a val_loader)"
        )
    return float(value)


class EarlyStopping(Callback):
    """Stop when a number of the history has not improved for some epochs, and go back to the best weights.

    Every new training starts afresh. A training that goes on after it was stopped has `patience` epochs again, and
    keeps its best weights.

    Args:
        monitor: column of the history.
        patience: epochs without improvement after which training stops.
        min_delta: an improvement must be larger than this.
        mode: 'min' or 'max' is better; 'auto' goes by the name: 'min' for losses and errors, 'max' for accuracies and
            scores.
        restore_best: give the model the weights of its best epoch at the end, also when it was not stopped.
    Raises:
        ValueError, TypeError: an argument makes no sense, or 'auto' does not know the name.

    Source: Prechelt, 1998, "Early stopping - but when?".
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self.patience = _check.integer("EarlyStopping", "patience", patience, 1)
        self.restore_best = bool(restore_best)
        self._best = _Best("EarlyStopping", monitor, mode, number("EarlyStopping", "min_delta", min_delta))
        self.reset()

    def reset(self) -> None:
        self._best.value = None
        self._waited = 0
        self._weights: dict[str, NDArray] | None = None

    def on_fit_begin(self, trainer: "Trainer") -> None:
        if self._waited >= self.patience:
            self._waited = 0

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        if self._best.improved(row):
            self._waited = 0
            if self.restore_best:
                self._weights = trainer.model.state_dict()
            return
        self._waited += 1
        if self._waited >= self.patience:
            trainer.stop(f"{self._best.monitor} has not improved for {self._waited} epochs")

    def on_fit_end(self, trainer: "Trainer") -> None:
        if self._weights is not None:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best.value, "waited": self._waited, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._best.value, self._waited, self._weights = state["best"], state["waited"], state["weights"]

    def _settings(self) -> dict[str, Any]:
        return {**self._best.settings(), **super()._settings(), "waited": self._waited}


class Checkpoints(Callback):
    """Keep `last.safetensors`, and `best.safetensors` if there is something to tell the best by.

    Both hold the whole state of the training: `Trainer.fit(..., resume=path)` continues from either, and
    `fastnn.load(path, model)` takes the weights.

    Args:
        folder: where; it must exist.
        monitor: column of the history; 'auto' for the first of val_accuracy, val_loss and train_loss that there is;
            None to keep only the last.
        mode: 'min' or 'max' is better; 'auto' goes by the name, see `EarlyStopping`.
    """

    def __init__(self, folder: str | os.PathLike[str], monitor: str | None = None, mode: str = "auto") -> None:
        self.folder = path_of("Checkpoints", "folder", folder)
        self._mode = mode
        self._is_auto = isinstance(monitor, str) and monitor == "auto"
        if self._is_auto and mode != "auto":
            raise ValueError(f"Checkpoints: with monitor='auto', mode must be 'auto' too. Received: {mode!r}")
        self._best = None if monitor is None or self._is_auto else _Best("Checkpoints", monitor, mode, 0.0)

    @property
    def last(self) -> Path:
        """The file of the last state."""
        return self.folder / "last.safetensors"

    @property
    def best(self) -> Path:
        """The file of the best state."""
        return self.folder / "best.safetensors"

    def reset(self) -> None:
        if self._is_auto:
            self._best = None
        elif self._best is not None:
            self._best.value = None

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        if self._is_auto and self._best is None:
            monitor = next(name for name in ("val_accuracy", "val_loss", "train_loss") if name in row)
            self._best = _Best("Checkpoints", monitor, self._mode, 0.0)
        if self._best is not None and self._best.improved(row):
            trainer.save(self.best)
        trainer.save(self.last)

    def on_interrupt(self, trainer: "Trainer") -> None:
        trainer.save(self.last)
        trainer.saved_to = self.last

    def state_dict(self) -> dict[str, Any]:
        if self._best is None:
            return {"monitor": None, "best": None}
        return {"monitor": self._best.monitor, "best": self._best.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        monitor = state["monitor"]
        if self._is_auto:
            self._best = None if monitor is None else _Best("Checkpoints", monitor, self._mode, 0.0)
        if self._best is not None:
            # The best of another column says nothing about this one.
            self._best.value = state["best"] if self._best.monitor == monitor else None

    def _settings(self) -> dict[str, Any]:
        folder = {"folder": str(self.folder)}
        if self._best is None:
            return {**folder, "monitor": "auto" if self._is_auto else None}
        best = self._best.settings()
        return {**folder, **{name: best[name] for name in ("monitor", "mode", "best")}}


class HistoryFiles(Callback):
    """Keep `history.csv`, `history.json` and `curves.png` up to date.

    Args:
        folder: where; it must exist.
        title: above the curves.
    """

    def __init__(self, folder: str | os.PathLike[str], title: str = "") -> None:
        self.folder = path_of("HistoryFiles", "folder", folder)
        self.title = str(title)

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        if not trainer.steps.is_main:
            return
        trainer.history.to_csv(self.folder / "history.csv")
        trainer.history.to_json(self.folder / "history.json")

    def on_fit_end(self, trainer: "Trainer") -> None:
        self._draw(trainer)

    def on_interrupt(self, trainer: "Trainer") -> None:
        self._draw(trainer)

    def _draw(self, trainer: "Trainer") -> None:
        if not trainer.steps.is_main:
            return
        # Once, not every epoch: a picture takes half a second.
        save_curves(trainer.history, self.folder / "curves.png", self.title, {"val": trainer.val_name})

    def _settings(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "title": self.title}


class Lookahead(Callback):
    """Average the weights over time, and every few steps go on from the average.

    Every `every` steps: average = d * average + (1 - d) * weights, then weights = average, with
    d = decay ** every * (step / total_steps) ** 3. At the end the weights are the average. Running statistics of batch
    norm are averaged like weights.

    Args:
        decay: per step, at the end of training.
        every: steps between two averages.

    Source: Zhang et al., 2019, "Lookahead optimizer: k steps forward, 1 step back"; the growing decay is tysam-code's,
    2023, "hlb-CIFAR10".
    """

    def __init__(self, decay: float = 0.95, every: int = 5) -> None:
        self.decay = fraction("Lookahead", "decay", decay)
        self.every = _check.integer("Lookahead", "every", every, 1)
        self._ema: optim.EMA | None = None
        self._loaded: dict[str, Any] | None = None

    def reset(self) -> None:
        self._ema = self._loaded = None

    def on_fit_begin(self, trainer: "Trainer") -> None:
        if self._ema is None:
            self._ema = optim.EMA(trainer.model)
        if self._loaded is not None:
            self._ema.load_state_dict(self._loaded)
            self._loaded = None

    def decay_at(self, step: int, total_steps: int) -> float:
        """d, what remains of the average after `step` of `total_steps` steps."""
        return self.decay**self.every * (step / total_steps) ** 3

    def on_step_end(self, trainer: "Trainer") -> None:
        is_due = trainer.step % self.every == 0
        assert self._ema is not None
        if is_due:
            self._ema.update(self.decay_at(trainer.step, trainer.total_steps))
        if is_due or trainer.step >= trainer.total_steps:
            self._ema.copy_to_model()

    def state_dict(self) -> dict[str, Any]:
        return {"ema": self._loaded if self._ema is None else self._ema.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._ema, self._loaded = None, state["ema"]


class FreezeWhitening(Callback):
    """Train the bias of an `Airbench`'s first layer for some steps only; later steps are faster.

    Args:
        after_epochs: epochs, not necessarily a whole number, for which it is trained.
    """

    def __init__(self, after_epochs: float) -> None:
        self.after_epochs = number("FreezeWhitening", "after_epochs", after_epochs)

    def on_step_begin(self, trainer: "Trainer") -> None:
        trainer.model.train_whitening(trainer.step < self.after_epochs * trainer.batches_per_epoch)

    def on_exit(self, trainer: "Trainer") -> None:
        trainer.model.train_whitening(True)
