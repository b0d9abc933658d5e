"""The short way to a training."""

import os
from collections.abc import Iterable
from typing import Any

from fastnn import _arguments, nn, optim
from fastnn.training._arguments import path_of
from fastnn.training.callbacks import Callback, Checkpoints, HistoryFiles, checked_callbacks
from fastnn.training.checkpoint import save_weights
from fastnn.training.history import History
from fastnn.training.results import facts, write_metrics
from fastnn.training.trainer import Trainer

__all__ = ["fit"]


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
        model: the network; it is trained in place.
        train_loader: gives batches (x, y), such as a `data.Loader` or a list of pairs.
        epochs: how often every batch is seen; the last epoch may be a part of one, as in 2.5.
        optimizer: has the model's parameters; by default SGD with learning rate 0.005, Nesterov momentum 0.9 and weight
            decay 5e-4.
        criterion: the loss, a module or a function of (outputs, y); by default the cross-entropy.
        scheduler: changes the learning rate after each epoch, or after each batch with scheduler_interval="step".
        val_loader: batches on which the network is evaluated after each epoch.
        callbacks: are called at the beginning and end of training, epochs and steps; see `training.Callback`.
        resume: a checkpoint to continue from.
        out: a folder, made if missing, for history.csv, history.json, curves.png, last.safetensors, best.safetensors,
            and, when training has ended, metrics.json and weights.safetensors. `fastnn.load` reads all three files of
            weights.
        **kwargs: further arguments of `Trainer`, such as metrics, max_grad_norm, progress, scheduler_interval or
            distributed.

    Example:
        >>> import numpy as np
        >>> from fastnn import functional, training
        >>> batches = [(np.eye(4, dtype=np.float32), np.arange(4))] * 20
        >>> history = training.fit(nn.Linear(4, 4), batches, epochs=2, progress=False)
        >>> history["train_loss"][1] < history["train_loss"][0]
        True
        >>> pairs = [((x,), {"label": y}) for x, y in batches]  # several inputs and targets, here one of each
        >>> def loss(scores, targets):
        ...     return functional.cross_entropy(scores, targets["label"])
        >>> history = training.fit(nn.Linear(4, 4), pairs, epochs=2, criterion=loss, progress=False)
    """
    _arguments.model("fit", "model", model)
    if optimizer is None:
        optimizer = optim.SGD(model.parameters(), lr=0.005, momentum=0.9, nesterov=True, weight_decay=5e-4)
    callbacks = checked_callbacks("fit", callbacks)
    files: list[Callback] = []
    if out is not None:
        out = path_of("fit", "out", out)
        out.mkdir(parents=True, exist_ok=True)
        files = [HistoryFiles(out), Checkpoints(out, "auto")]
    trainer = Trainer(
        model,
        nn.CrossEntropyLoss() if criterion is None else criterion,
        optimizer,
        scheduler,
        callbacks=[*callbacks, *files],
        **kwargs,
    )
    history = trainer.fit(train_loader, epochs, val_loader, resume)
    if out is not None and trainer.steps.is_main:
        save_weights(model, out / "weights.safetensors")
        write_metrics(out, {**history.rows[-1], **facts(trainer), "resumed": resume is not None})
    return history
