"""The training loop."""

import contextlib
import copy
import itertools
import math
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastnn import _random, nn, optim
from fastnn.training.callbacks import Callback, Checkpoints, HistoryFiles
from fastnn.training.checkpoint import CheckpointError, load_state, save_state
from fastnn.training.diagnose import find_non_finite
from fastnn.training.evaluate import evaluate
from fastnn.training.history import History
from fastnn.training.interrupts import Interrupted, InterruptFlag
from fastnn.training.metrics import Meter
from fastnn.training.progress import Progress

__all__ = ["Trainer", "count_steps", "fit"]

_INTERVALS = ("epoch", "step")


def count_steps(epochs: float, batches_per_epoch: int) -> int:
    """Steps of a training; a part of a step counts as one, but not the rounding error of 0.1 * 10."""
    return math.ceil(epochs * batches_per_epoch - 1e-9)


class Trainer:
    """Trains a model: epochs, evaluation, schedule, callbacks, and a state that continues bit for bit.

    Args:
        model: the network.
        criterion: a loss module: `criterion(logits, y)` is a float, `criterion.backward()` the gradient of the logits.
        optimizer: of the model's parameters.
        scheduler: of the optimiser's learning rates, or None.
        scheduler_interval: step the scheduler after each 'epoch' or after each 'step'.
        callbacks: see `Callback`; called in their order.
        max_grad_norm: scale gradients down to this norm over all parameters; None to leave them.
        val_tta: test-time averaging of the evaluation after each epoch, see `predict`.
        val_name: what the validation images are called in texts.
        progress: show progress on standard error.
        config: settings, of JSON's types, that a checkpoint must share to be continued here.

    Attributes:
        step: steps done.
        epoch: index of the running epoch, or of the last one.
        total_steps, total_epochs, batches_per_epoch: of the running `fit`.
        history: a `History`.
        meter: training loss and accuracy of the running epoch.
        train_seconds: time of all training steps; evaluation and files not counted.
        images_seen: images of all training steps.
        stop_reason: why training stopped early, or None.
        saved_to: file to which an interruption saved, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: Any,
        optimizer: Any,
        scheduler: Any = None,
        scheduler_interval: str = "epoch",
        callbacks: Iterable[Callback] = (),
        max_grad_norm: float | None = None,
        val_tta: int = 0,
        val_name: str = "validation",
        progress: bool = True,
        config: dict[str, Any] | None = None,
    ) -> None:
        if scheduler_interval not in _INTERVALS:
            raise ValueError(f"Trainer: scheduler_interval must be 'epoch' or 'step'. Received: {scheduler_interval!r}")
        self.model = model
        self.criterion = criterion
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.scheduler_interval = scheduler_interval
        self.max_grad_norm = max_grad_norm
        self.val_tta = val_tta
        self.val_name = val_name
        self.config = config
        # The bar comes first, so that its line stands above what others write about the same epoch.
        self.callbacks: list[Callback] = [*([Progress()] if progress else []), *callbacks]

        self.step = 0
        self.epoch = 0
        self.total_steps = 0
        self.total_epochs = 0
        self.batches_per_epoch = 0
        self.last_batch_size, self.last_loss = 0, math.nan
        self.history = History()
        self.meter = Meter()
        self.train_seconds = 0.0
        self.images_seen = 0
        self.stop_reason: str | None = None
        self.saved_to: Path | None = None
        self._epoch_seconds = 0.0
        self._loader_seed: int | None = None

    # ---- the loop ----------------------------------------------------------------------------------------------------
    def fit(
        self,
        train_loader: Any,
        epochs: float,
        val_loader: Any = None,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train until `epochs` epochs are done in all, those before a call or a checkpoint included.

        Ctrl-C lets the running step end, has the callbacks save, and raises `Interrupted`.

        Args:
            train_loader: gives (images, labels); has a length, and `set_epoch(index)` if its order depends on it.
            epochs: not necessarily a whole number; the last epoch may be a part of one.
            val_loader: images to evaluate on after each epoch, or None.
            resume: a checkpoint to continue from.
        Returns:
            The history, which the attribute is too.

        Raises:
            NonFiniteLoss: the loss became NaN or infinite; the error names the layer and the step.
            Interrupted: Ctrl-C.
            CheckpointError: `resume` is damaged or of another training; nothing has changed.
        """
        batches_per_epoch = len(train_loader)
        if batches_per_epoch < 1:
            raise ValueError("Trainer.fit: the loader has no batches; it may drop a last batch that is not full")
        if not (math.isfinite(epochs) and epochs > 0):
            raise ValueError(f"Trainer.fit: epochs must be a positive number. Received: {epochs}")
        if resume is not None:
            self.load(resume, train_loader)
        elif self.step and batches_per_epoch != self.batches_per_epoch:
            raise ValueError(
                f"Trainer.fit: an epoch had {self.batches_per_epoch} batches and has {batches_per_epoch}; "
                "train with the same loader, or with a new Trainer"
            )
        self.batches_per_epoch = batches_per_epoch
        self._loader_seed = getattr(train_loader, "seed", None)
        self.total_steps = count_steps(epochs, self.batches_per_epoch)
        self.total_epochs = -(-self.total_steps // self.batches_per_epoch)
        with self._prepared(), InterruptFlag() as interrupt:
            self._call("on_fit_begin")
            while self.step < self.total_steps and self.stop_reason is None:
                self._train_epoch(train_loader, interrupt)
                self._finish_epoch(val_loader)
                if interrupt.raised and self.step < self.total_steps:
                    self._stop_for_interrupt()
            self._call("on_fit_end")
            if interrupt.raised:
                self._stop_for_interrupt()
        return self.history

    def stop(self, reason: str) -> None:
        """End the training after the running epoch."""
        self.stop_reason = reason

    @contextlib.contextmanager
    def _prepared(self) -> Iterator[None]:
        input_grad = self.model.input_grad
        self.model.train()
        self.model.input_grad = False  # its input is data: the first layer need not compute a gradient for it
        try:
            yield
        finally:
            self.model.input_grad = input_grad
            self._call("on_exit")

    def _train_epoch(self, loader: Any, interrupt: InterruptFlag) -> None:
        """Train to the end of the epoch that `step` lies in."""
        self.epoch, done = divmod(self.step, self.batches_per_epoch)
        if not done:
            self.meter = Meter()
            self._epoch_seconds = 0.0
        end = min(self.batches_per_epoch, self.total_steps - self.epoch * self.batches_per_epoch)
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(self.epoch)
        start = time.perf_counter()
        with _closing(iter(loader)) as batches:
            for x, y in itertools.islice(batches, done, end):
                self._train_batch(x, y)
                now = time.perf_counter()
                self._epoch_seconds += now - start
                self.train_seconds += now - start
                start = now
                done += 1
                if interrupt.raised and done < end:
                    self._stop_for_interrupt()
        if done < end:
            raise ValueError(f"Trainer.fit: the loader gave {done} batches, its length is {self.batches_per_epoch}")

    def _train_batch(self, x: NDArray, y: NDArray) -> None:
        self._call("on_step_begin")
        random_state = _random.random_state()
        logits = self.model(x)
        loss = self.criterion(logits, y)
        if not math.isfinite(loss):
            raise find_non_finite(self.model, x, loss, self.step + 1, random_state)
        self.optimizer.zero_grad()
        self.model.backward(self.criterion.backward())
        if self.max_grad_norm is not None:
            optim.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        self._call("on_gradients")
        self.optimizer.step()
        if self.scheduler is not None and self.scheduler_interval == "step":
            self.scheduler.step()
        self.step += 1
        self.last_batch_size, self.last_loss = len(x), float(loss)
        self.images_seen += len(x)
        hits = self.meter.hits
        self.meter.update(loss, logits, y)
        accuracy = (self.meter.hits - hits) / len(x)
        self.history.add_step(self.step, self.step / self.batches_per_epoch, len(x), float(loss), accuracy)
        self._call("on_step_end")

    def _finish_epoch(self, val_loader: Any) -> None:
        row: dict[str, Any] = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            "train_loss": self.meter.loss,
            "train_accuracy": self.meter.accuracy,
            "train_top5": self.meter.top5,
        }
        if val_loader is not None:
            result = evaluate(self.model, val_loader, tta=self.val_tta)
            row.update(val_loss=result.loss, val_accuracy=result.accuracy, val_top5=result.top5)
        row["train_seconds"] = round(self._epoch_seconds, 3)
        row["images_per_second"] = round(self.meter.images / max(self._epoch_seconds, 1e-9), 1)
        self.history.append(row)
        if self.scheduler is not None and self.scheduler_interval == "epoch":
            if isinstance(self.scheduler, optim.ReduceLROnPlateau):
                self.scheduler.step(row.get("val_loss", row["train_loss"]))
            else:
                self.scheduler.step()
        self._call("on_epoch_end", row)

    def _stop_for_interrupt(self) -> None:
        self._call("on_interrupt")
        where = f"; its state is in {self.saved_to}" if self.saved_to is not None else ""
        raise Interrupted(f"interrupted after step {self.step} of {self.total_steps}{where}")

    def _call(self, moment: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self, *args)

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Everything that the following steps depend on: nested dicts, lists, numbers, texts and arrays."""
        return {
            "config": self.config,
            "step": self.step,
            "batches_per_epoch": self.batches_per_epoch,
            "loader_seed": self._loader_seed,
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "random": _random.random_state(),
            "callbacks": [[type(callback).__name__, callback.state_dict()] for callback in self.callbacks],
            "history": self.history.state_dict(),
            "meter": self.meter.state_dict(),
            "seconds": [self.train_seconds, self._epoch_seconds],
            "images_seen": self.images_seen,
            "stop_reason": self.stop_reason,
        }

    def load_state_dict(self, state: dict[str, Any], loader: Any = None) -> None:
        """Continue from a `state_dict` of a training of the same kind, and with the same batches if `loader` is given.

        Raises:
            CheckpointError: it does not fit; nothing has changed.
        """
        before = copy.deepcopy(self.state_dict())
        try:
            self._check_fit(state, loader)
            self._set_state(state)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            self._set_state(before)
            words = error.args[0] if error.args else type(error).__name__
            raise CheckpointError(f"the checkpoint does not fit this training: {words}") from error

    def _check_fit(self, state: dict[str, Any], loader: Any) -> None:
        if state["config"] != self.config:
            was, now = state["config"] or {}, self.config or {}
            names = [name for name in dict.fromkeys([*was, *now]) if was.get(name) != now.get(name)]
            words = [f"{name} was {was.get(name)!r} and is {now.get(name)!r}" for name in names]
            raise ValueError("; ".join(words))
        if loader is not None:
            if state["batches_per_epoch"] != len(loader):
                raise ValueError(
                    f"an epoch had {state['batches_per_epoch']} batches and has {len(loader)}; "
                    "the data or the batch size differ"
                )
            seed = getattr(loader, "seed", None)
            if state["loader_seed"] != seed:
                raise ValueError(f"the loader's seed was {state['loader_seed']} and is {seed}")
        theirs, mine = _names(state["callbacks"]), _names(self.state_dict()["callbacks"])
        if theirs != mine:
            raise ValueError(f"the callbacks were {', '.join(theirs) or 'none'} and are {', '.join(mine) or 'none'}")
        if (state["scheduler"] is None) != (self.scheduler is None):
            raise ValueError("one of them has a schedule, the other has none")

    def _set_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        stateful = [entry for name, entry in state["callbacks"] if name != Progress.__name__]
        own = [callback for callback in self.callbacks if not isinstance(callback, Progress)]
        for callback, entry in zip(own, stateful, strict=True):
            callback.load_state_dict(entry)
        self.meter.load_state_dict(state["meter"])
        self.history.load_state_dict(state["history"])
        self.train_seconds, self._epoch_seconds = state["seconds"]
        self.images_seen = state["images_seen"]
        self.stop_reason = state["stop_reason"]
        self.step, self.batches_per_epoch = state["step"], state["batches_per_epoch"]
        self._loader_seed = state["loader_seed"]
        _random.set_random_state(state["random"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, from which `fit(..., resume=path)` continues as if it had not stopped."""
        save_state(path, self.state_dict())

    def load(self, path: str | os.PathLike[str], loader: Any = None) -> None:
        """Read a checkpoint; see `load_state_dict`.

        Raises:
            FileNotFoundError: there is none.
            CheckpointError: it is damaged, or of another training; nothing has changed.
        """
        state = load_state(path)
        try:
            self.load_state_dict(state, loader)
        except CheckpointError as error:
            raise CheckpointError(f"{os.fspath(path)}: {error}") from error


@contextlib.contextmanager
def _closing(batches: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Close a generator that is left before its end, so that a loader's thread ends with it."""
    try:
        yield batches
    finally:
        if hasattr(batches, "close"):
            batches.close()


def _names(callbacks: list[Any]) -> list[str]:
    """Of all callbacks that have a state; a progress bar has none, and may come or go."""
    return [name for name, _ in callbacks if name != Progress.__name__]


def fit(
    model: nn.Module,
    train_loader: Any,
    epochs: float,
    optimizer: Any = None,
    criterion: Any = None,
    scheduler: Any = None,
    val_loader: Any = None,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    callbacks: Iterable[Callback] = (),
    **kwargs: Any,
) -> History:
    """Train a model; the short way to a `Trainer`.

    Args:
        model, train_loader, epochs, scheduler, val_loader, resume, callbacks: see `Trainer`.
        optimizer: SGD with learning rate 0.01, Nesterov momentum 0.9 and weight decay 5e-4 if None.
        criterion: cross-entropy if None.
        out: a folder, made if missing, for history, curves, and the last and best checkpoint.
        **kwargs: go to `Trainer`.

    Example:
        >>> import numpy as np
        >>> from fastnn import training
        >>> batches = [(np.eye(4, dtype=np.float32), np.arange(4))] * 20
        >>> history = training.fit(nn.Linear(4, 4), batches, epochs=2, progress=False)
        >>> history["train_loss"][1] < history["train_loss"][0]
        True
    """
    if optimizer is None:
        optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    files: list[Callback] = []
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        files = [HistoryFiles(out), Checkpoints(out, "train_loss" if val_loader is None else "val_accuracy")]
    trainer = Trainer(
        model,
        nn.CrossEntropyLoss() if criterion is None else criterion,
        optimizer,
        scheduler,
        callbacks=[*callbacks, *files],
        **kwargs,
    )
    return trainer.fit(train_loader, epochs, val_loader, resume)
