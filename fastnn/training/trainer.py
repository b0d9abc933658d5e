"""The training loop."""

import contextlib
import copy
import itertools
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fastnn import _arguments, _random, data, nn, optim
from fastnn.optim.optimizer import number
from fastnn.training._arguments import (
    check_criterion,
    check_loader,
    check_trains_model,
    described,
    name_of,
    path_of,
    warn_of_hidden_modules,
    warn_of_schedule_length,
)
from fastnn.training._state import check_state
from fastnn.training._steps import check_shards, steps_of
from fastnn.training.callbacks import Callback, Checkpoints, checked_callbacks, watched
from fastnn.training.checkpoint import CheckpointError
from fastnn.training.evaluate import check_tta
from fastnn.training.history import History
from fastnn.training.interrupts import Interrupted, InterruptFlag
from fastnn.training.metrics import Meter, Metric, named_metrics
from fastnn.training.progress import Progress

__all__ = ["Trainer", "count_steps"]

_INTERVALS = ("epoch", "step")


def count_steps(epochs: float, batches_per_epoch: int) -> int:
    """Steps of a training; a part of a step counts as one, but not the rounding error of 0.1 * 10."""
    return math.ceil(epochs * batches_per_epoch - 1e-9)


class Trainer:
    """Trains a model: epochs, evaluation, schedule, callbacks, and a state that continues bit for bit.

    Args:
        model: the network.
        criterion: a loss of the outputs and the targets. Those of nn, and all whose author wrote a `backward`, get
            arrays: `criterion(outputs, y)` is a float, `criterion.backward()` the gradient of the outputs. A function,
            or a module with a `forward` only, gets the outputs as tensors, through which its gradient is found:
            `criterion=lambda y, t: ((y - t) ** 2).mean()`. If it has parameters, they are trained by an optimiser that
            has them, too.
        optimizer: of the model's parameters.
        scheduler: of the optimiser's learning rates, or None.
        scheduler_interval: step the scheduler after each 'epoch' or after each 'step'.
        distributed: a `fastnn.distributed.World`, for training in several processes with the same result for any number
            of them; None for one process with whole batches. Gradients, losses and metrics are those of its shards.
        scheduler_monitor: column of the history that a `ReduceLROnPlateau` looks at; by default val_loss, or train_loss
            without validation. Its own `mode` says what is better.
        metrics: what else to measure, of training and of validation batches: functions of outputs and targets (arrays)
            by name, or a list of functions. Each gives the mean over a batch, or a pair (total, count) as
            `training.accuracy` does. `metrics={"mae": f}` makes the columns train_mae and val_mae. Accuracy and top-5
            are there by themselves where targets are classes, see `evaluate`.
        val_criterion: the loss of the validation; the criterion if None.
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
        meter: training loss and metrics of the running epoch.
        train_seconds: time of all training steps; evaluation and files not counted.
        images_seen: images of all training steps.
        loaders: the training and the validation loader of the running `fit`, or None.
        stop_reason: why training stopped early, or None.
        saved_to: file to which an interruption saved, or None.

    Raises:
        TypeError, ValueError: an argument is not what it should be: a class instead of an object, the optimiser of
            another network.
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
        metrics: Mapping[str, Metric] | Iterable[Metric] | None = None,
        val_criterion: Any = None,
        scheduler_monitor: str | None = None,
        distributed: Any = None,
    ) -> None:
        _arguments.model("Trainer", "model", model)
        if criterion is None:
            raise TypeError("Trainer: criterion must be a loss such as nn.CrossEntropyLoss(). Received: None")
        check_criterion("Trainer", criterion)
        check_criterion("Trainer", val_criterion)
        check_trains_model("Trainer", optimizer, model)
        warn_of_hidden_modules(model)
        if not isinstance(scheduler_interval, str) or scheduler_interval not in _INTERVALS:
            raise ValueError(f"Trainer: scheduler_interval must be 'epoch' or 'step'. Received: {scheduler_interval!r}")
        if scheduler is not None and (isinstance(scheduler, type) or not hasattr(scheduler, "step")):
            raise TypeError(f"Trainer: scheduler must be one of fastnn.optim. Received: {described(scheduler)}")
        if scheduler_interval == "step" and isinstance(scheduler, optim.ReduceLROnPlateau):
            raise ValueError(
                "Trainer: ReduceLROnPlateau looks at numbers of epochs; scheduler_interval must be 'epoch'"
            )
        check_tta("Trainer", val_tta)
        callbacks = checked_callbacks("Trainer", callbacks)
        self.model = model
        self.criterion = criterion
        self.val_criterion = val_criterion
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.scheduler_interval = scheduler_interval
        self.scheduler_monitor = scheduler_monitor
        self.metrics = named_metrics("Trainer", metrics)
        self.max_grad_norm = None if max_grad_norm is None else number("Trainer", "max_grad_norm", max_grad_norm)
        self.val_tta = val_tta
        self.val_name = val_name
        self.config = config
        self.steps = steps_of("Trainer", distributed)
        progress = progress and self.steps.is_main
        # The bar comes first, so that its line stands above what others write about the same epoch.
        self.callbacks: list[Callback] = [*([Progress()] if progress else []), *callbacks]

        self.step = 0
        self.epoch = 0
        self.total_steps = 0
        self.total_epochs = 0
        self.batches_per_epoch = 0
        self.last_batch_size, self.last_loss = 0, math.nan
        self.history = History()
        self.meter = self._new_meter()
        self.train_seconds = 0.0
        self.images_seen = 0
        self.loaders: tuple[Any, Any] | None = None
        self.stop_reason: str | None = None
        self.saved_to: Path | None = None
        self._epoch_seconds = 0.0
        self._loader_seed: int | None = None
        self._lr = math.nan  # of the last step
        self._goes_on = False  # what the callbacks remember is of this training

    def _new_meter(self) -> Meter:
        return Meter(self.metrics, self.criterion)

    def __repr__(self) -> str:
        parts = [type(self.model).__name__, name_of(self.criterion), type(self.optimizer).__name__]
        if self.scheduler is not None:
            parts.append(f"{type(self.scheduler).__name__} every {self.scheduler_interval}")
        if self.max_grad_norm is not None:
            parts.append(f"max_grad_norm={self.max_grad_norm:g}")
        parts += [f"val_tta={self.val_tta}"] if self.val_tta else []
        parts += [f"metrics={list(self.metrics)}"] if self.metrics else []
        if self.callbacks:
            parts.append(f"callbacks=[{', '.join(type(callback).__name__ for callback in self.callbacks)}]")
        return f"Trainer({', '.join(parts)}, {self.step} steps, {len(self.history)} epochs done)"

    # ---- the loop ----------------------------------------------------------------------------------------------------
    def fit(
        self,
        train_loader: Any,
        epochs: float,
        val_loader: Any = None,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train until `epochs` epochs are done in all, those before a call or a checkpoint included.

        Ctrl-C, or the signal SIGTERM, lets the running step end, has the callbacks save, and raises `Interrupted`. A
        call after a training that stopped early goes on with it. The model's `preprocessing` becomes the loader's.

        Args:
            train_loader: gives (x, y); has a length, and `set_epoch(index)` if its order depends on it. A list of
                batches gives them in the same order in every epoch. x is an array, the images; or a tuple of arrays
                for a network that takes several, `model(*x)`; or a dict of them, `model(**x)`. y, the targets, goes to
                the criterion as it is, and so do the outputs; each may be an array, a tuple or a dict. Images are
                counted by the first array of x.
            epochs: not necessarily a whole number; the last epoch may be a part of one.
            val_loader: images to evaluate on after each epoch, or None.
            resume: a checkpoint to continue from.
        Returns:
            The history, which the attribute is too.

        Raises:
            NonFiniteLoss: the loss became NaN or infinite; the error names the layer and the step.
            Interrupted: Ctrl-C or SIGTERM.
            CheckpointError: `resume` is damaged or of another training; nothing has changed.
            TypeError, ValueError: a loader gives no batches of images and targets, or an argument makes no sense.
        """
        check_loader("Trainer.fit", "train_loader", train_loader, needs_length=True)
        if val_loader is not None:
            check_loader("Trainer.fit", "val_loader", val_loader)
            if hasattr(val_loader, "__len__") and not len(val_loader):
                raise ValueError("Trainer.fit: val_loader has no batches")
        resume = None if resume is None else path_of("Trainer.fit", "resume", resume)
        epochs = number("Trainer.fit", "epochs", epochs)
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
        warn_of_schedule_length(self.scheduler, self.scheduler_interval, self.total_steps, self.total_epochs)
        self._begin(train_loader)
        self.loaders = train_loader, val_loader
        self.steps.check_same(self, train_loader, epochs)
        with self._prepared(), InterruptFlag() as interrupt:
            self.steps.watch(interrupt, self._resume_hint)
            self._call("on_fit_begin")
            while self.step < self.total_steps and self.stop_reason is None:
                self._train_epoch(train_loader, interrupt)
                self._finish_epoch(val_loader)
                if self.steps.is_interrupted() and self.step < self.total_steps:
                    self._stop_for_interrupt(interrupt)
            self._call("on_fit_end")
            if self.steps.is_interrupted():
                self._stop_for_interrupt(interrupt)
        return self.history

    def _begin(self, train_loader: Any) -> None:
        """Forget what belongs to another training, or to the end of this one's last part."""
        if not self._goes_on:
            for callback in self.callbacks:
                callback.reset()
        self._goes_on = True
        self.stop_reason = None
        self.saved_to = None
        preprocessing = getattr(train_loader, "preprocessing", None)
        if preprocessing is not None:
            self.model.preprocessing = preprocessing

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
            self.loaders = None

    def _train_epoch(self, loader: Any, interrupt: InterruptFlag) -> None:
        """Train to the end of the epoch that `step` lies in."""
        self.epoch, done = divmod(self.step, self.batches_per_epoch)
        if not done:
            self.meter = self._new_meter()
            self._epoch_seconds = 0.0
        end = min(self.batches_per_epoch, self.total_steps - self.epoch * self.batches_per_epoch)
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(self.epoch)
        start = time.perf_counter()
        with contextlib.closing(self.steps.batches(loader)) as batches:
            for batch in itertools.islice(batches, done, end):
                self._train_batch(batch)
                del batch  # its memory can serve the next one
                now = time.perf_counter()
                self._epoch_seconds += now - start
                self.train_seconds += now - start
                start = now
                done += 1
                if self.steps.is_interrupted() and done < end:
                    self._stop_for_interrupt(interrupt)
        if done < end:
            raise ValueError(f"Trainer.fit: the loader gave {done} batches, its length is {self.batches_per_epoch}")

    def _train_batch(self, batch: Any) -> None:
        self._call("on_step_begin")
        result = self.steps.step(self, batch)
        self._lr = float(self.optimizer.param_groups[0]["lr"])
        if self.scheduler is not None and self.scheduler_interval == "step":
            self.scheduler.step()
        self.step += 1
        self.last_batch_size, self.last_loss = result.n, result.loss
        self.images_seen += result.n
        measured = result.measure()
        if not result.is_empty:
            epoch = self.step / self.batches_per_epoch
            self.history.add_step(self.step, epoch, result.n, result.loss, measured.get("accuracy"))
        self._call("on_step_end")

    def update_weights(self) -> None:
        """The optimiser's step, once every parameter has its gradient."""
        if self.max_grad_norm is not None:
            optim.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        self._call("on_gradients")
        self.optimizer.step()

    def _finish_epoch(self, val_loader: Any) -> None:
        self._epoch_seconds = self.steps.seconds(self._epoch_seconds)
        row: dict[str, Any] = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "lr": self._lr,
            "train_loss": self.meter.loss,
        }
        row.update({f"train_{name}": value for name, value in self.meter.values().items()})
        if val_loader is not None:
            criterion = self.criterion if self.val_criterion is None else self.val_criterion
            result = self.steps.evaluate(self, val_loader, criterion)
            row["val_loss"] = result.loss
            row.update({f"val_{name}": value for name, value in result.metrics.items()})
        row["train_seconds"] = round(self._epoch_seconds, 3)
        row["images_per_second"] = round(self.meter.images / max(self._epoch_seconds, 1e-9), 1)
        self.history.append(row)
        if self.scheduler is not None and self.scheduler_interval == "epoch":
            if isinstance(self.scheduler, optim.ReduceLROnPlateau):
                default = "val_loss" if "val_loss" in row else "train_loss"
                self.scheduler.step(watched(self.scheduler_monitor or default, row))
            else:
                self.scheduler.step()
        self._call("on_epoch_end", row)

    def _resume_hint(self) -> str:
        """How to continue from the last checkpoint, if there is one."""
        files = [c.last for c in self.callbacks if isinstance(c, Checkpoints) and c.last.is_file()]
        return f"continue with fit(..., resume={str(files[0])!r})" if files else ""

    def _stop_for_interrupt(self, interrupt: InterruptFlag) -> None:
        self._call("on_interrupt")
        self.steps.barrier()  # after the files are written, processes may end
        where = ""
        if self.saved_to is not None:
            where = f"; its state is in {self.saved_to}, from which fit(..., resume=...) or --resume continues"
        raise Interrupted(f"interrupted after step {self.step} of {self.total_steps}{where}", interrupt.signal_number)

    def _call(self, moment: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self, *args)

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Everything that the following steps depend on: nested dicts, lists, numbers, texts and arrays."""
        trained = {"criterion": dict(self.criterion.state_dict())} if self._trains_criterion() else {}
        return {
            "config": self.config,
            "step": self.step,
            "batches_per_epoch": self.batches_per_epoch,
            "loader_seed": self._loader_seed,
            "model": dict(self.model.state_dict()),
            "preprocessing": None if self.model.preprocessing is None else self.model.preprocessing.to_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "random": _random.random_state(),
            "callbacks": [[type(callback).__name__, callback.state_dict()] for callback in self._with_state()],
            "history": self.history.state_dict(),
            "meter": self.meter.state_dict(),
            "seconds": [self.train_seconds, self._epoch_seconds],
            "images_seen": self.images_seen,
            "lr": self._lr,
            "stop_reason": self.stop_reason,
            **trained,
            **({} if self.steps.shards is None else {"shards": self.steps.shards}),
        }

    def _with_state(self) -> list[Callback]:
        return [callback for callback in self.callbacks if not callback.only_watches]

    def _trains_criterion(self) -> bool:
        """Whether the criterion has parameters, as weights of several losses."""
        return isinstance(self.criterion, nn.Module) and any(True for _ in self.criterion.parameters())

    def load_state_dict(self, state: dict[str, Any], loader: Any = None) -> None:
        """Continue from a `state_dict` of a training of the same kind, and with the same batches if `loader` is given.

        Raises:
            CheckpointError: it does not fit; nothing has changed.
        """
        if loader is not None:
            check_loader("Trainer.load_state_dict", "loader", loader, needs_length=True)
        before = copy.deepcopy(self.state_dict())
        try:
            check_state(state)
            self._check_fit(state, loader)
            self._set_state(state)
        except BaseException as error:
            self._set_state(before)
            if not isinstance(error, Exception):
                raise
            words = error.args[0] if error.args else type(error).__name__
            raise CheckpointError(f"the checkpoint does not fit this training: {words}") from error
        self._goes_on = True

    def _check_fit(self, state: dict[str, Any], loader: Any) -> None:
        if state["config"] != self.config:
            was, now = state["config"] or {}, self.config or {}
            names = [name for name in dict.fromkeys([*was, *now]) if was.get(name) != now.get(name)]
            words = [f"{name} was {was.get(name)!r} and is {now.get(name)!r}" for name in names]
            raise ValueError("; ".join(words))
        check_shards(state.get("shards"), self.steps.shards)
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
        if ("criterion" in state) != self._trains_criterion():
            raise ValueError("one of them has a criterion with parameters, the other has none")

    def _set_state(self, state: dict[str, Any]) -> None:
        _random.set_random_state(state["random"])
        self.model.load_state_dict(state["model"])
        if "criterion" in state:
            self.criterion.load_state_dict(state["criterion"])
        preprocessing = state["preprocessing"]
        self.model.preprocessing = None if preprocessing is None else data.Preprocessing.from_dict(preprocessing)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        stateful = [entry for name, entry in state["callbacks"] if name != Progress.__name__]
        for callback, entry in zip(self._with_state(), stateful, strict=True):
            callback.load_state_dict(entry)
        self.meter.load_state_dict(state["meter"])
        self.history.load_state_dict(state["history"])
        self.train_seconds, self._epoch_seconds = state["seconds"]
        self.images_seen = state["images_seen"]
        self.stop_reason = state["stop_reason"]
        self.step, self.batches_per_epoch = state["step"], state["batches_per_epoch"]
        self._loader_seed, self._lr = state["loader_seed"], state["lr"]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, from which `fit(..., resume=path)` continues as if it had not stopped.

        Of several processes, rank 0 writes.
        """
        self.steps.save(path, self.state_dict)

    def load(self, path: str | os.PathLike[str], loader: Any = None) -> None:
        """Read a checkpoint; see `load_state_dict`.

        Raises:
            FileNotFoundError: there is none.
            CheckpointError: it is damaged, or of another training; nothing has changed.
        """
        state = self.steps.load(path_of("Trainer.load", "path", path))
        try:
            self.load_state_dict(state, loader)
        except CheckpointError as error:
            raise CheckpointError(f"{os.fspath(path)}: {error}") from error


def _names(callbacks: list[Any]) -> list[str]:
    """Of all callbacks that have a state. Older checkpoints name the progress bar, which has none."""
    return [name for name, _ in callbacks if name != Progress.__name__]
