"""What can be done between the steps of a training."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fastnn import optim
from fastnn.training.plots import save_curves

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["Callback", "Checkpoints", "EarlyStopping", "FreezeWhitening", "HistoryFiles", "Lookahead"]


class Callback:
    """Called by a `Trainer` at the moments that the methods name. Subclasses define those that they need.

    What must survive an interruption goes into `state_dict`: nested dicts, lists, numbers, texts and arrays.
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


class _Best:
    """The best value of one column of the history so far."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode must be 'auto', 'min' or 'max'. Received: {mode!r}")
        self.monitor = monitor
        self.sign = -1.0 if mode == "min" or (mode == "auto" and monitor.endswith("loss")) else 1.0
        self.min_delta = min_delta
        self.value: float | None = None

    def improved(self, row: dict[str, Any]) -> bool:
        if self.monitor not in row:
            raise ValueError(
                f"there is nothing named {self.monitor!r} to watch; the history has {', '.join(row)} "
                "(val_... need a val_loader)"
            )
        value = float(row[self.monitor])
        if math.isnan(value) or (self.value is not None and self.sign * (value - self.value) <= max(self.min_delta, 0)):
            return False
        self.value = value
        return True


class EarlyStopping(Callback):
    """Stop when a number of the history has not improved for some epochs, and go back to the best weights.

    Args:
        monitor: column of the history.
        patience: epochs without improvement after which training stops.
        min_delta: how much better an improvement must be.
        mode: 'min' or 'max' is better; 'auto' takes 'min' for losses.
        restore_best: give the model the weights of its best epoch at the end, also when it was not stopped.

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
        if patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1. Received: {patience}")
        self.patience = patience
        self.restore_best = restore_best
        self._best = _Best(monitor, mode, min_delta)
        self._waited = 0
        self._weights: dict[str, NDArray] | None = None

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


class Checkpoints(Callback):
    """Keep `last.safetensors`, and `best.safetensors` if there is something to tell the best by.

    Both hold the whole state of the training: `Trainer.fit(..., resume=path)` continues from either.

    Args:
        folder: where; it must exist.
        monitor: column of the history; None to keep only the last.
        mode: 'min' or 'max' is better; 'auto' takes 'min' for losses.
    """

    def __init__(self, folder: str | os.PathLike[str], monitor: str | None = None, mode: str = "auto") -> None:
        self.folder = Path(folder)
        self._best = None if monitor is None else _Best(monitor, mode, 0.0)

    @property
    def last(self) -> Path:
        """The file of the last state."""
        return self.folder / "last.safetensors"

    @property
    def best(self) -> Path:
        """The file of the best state."""
        return self.folder / "best.safetensors"

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        if self._best is not None and self._best.improved(row):
            trainer.save(self.best)
        trainer.save(self.last)

    def on_interrupt(self, trainer: "Trainer") -> None:
        trainer.save(self.last)
        trainer.saved_to = self.last

    def state_dict(self) -> dict[str, Any]:
        return {"best": None if self._best is None else self._best.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._best is not None:
            self._best.value = state["best"]


class HistoryFiles(Callback):
    """Keep `history.csv`, `history.json` and `curves.png` up to date.

    Args:
        folder: where; it must exist.
        title: above the curves.
    """

    def __init__(self, folder: str | os.PathLike[str], title: str = "") -> None:
        self.folder = Path(folder)
        self.title = title

    def on_epoch_end(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        trainer.history.to_csv(self.folder / "history.csv")
        trainer.history.to_json(self.folder / "history.json")

    def on_fit_end(self, trainer: "Trainer") -> None:
        self._draw(trainer)

    def on_interrupt(self, trainer: "Trainer") -> None:
        if trainer.history.steps:
            self._draw(trainer)

    def _draw(self, trainer: "Trainer") -> None:
        # Once, not every epoch: a picture takes half a second.
        save_curves(trainer.history, self.folder / "curves.png", self.title, {"val": trainer.val_name})


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
        if not 0 <= decay <= 1 or every < 1:
            raise ValueError(f"Lookahead: decay in [0, 1] and every >= 1 are needed. Received: {decay}, {every}")
        self.decay = decay
        self.every = every
        self._ema: optim.EMA | None = None
        self._loaded: dict[str, Any] | None = None

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
        self.after_epochs = after_epochs

    def on_step_begin(self, trainer: "Trainer") -> None:
        trainer.model.train_whitening(trainer.step < self.after_epochs * trainer.batches_per_epoch)

    def on_exit(self, trainer: "Trainer") -> None:
        trainer.model.train_whitening(True)
