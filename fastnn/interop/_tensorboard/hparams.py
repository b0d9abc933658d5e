"""The settings of a training, as a table of hyper-parameters holds them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _check
from fastnn.training._arguments import name_of

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["checked_settings", "settings_of"]


def checked_settings(owner: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings by name, as Python's numbers, texts and booleans.

    Raises:
        TypeError: there is something else.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"{owner}: hparams must be a dict of settings by name. Received: {_check.shown(given)}")
    found = {name: _plain(value) for name, value in given.items()}
    for name, value in found.items():
        if value is None:
            raise TypeError(
                f"{owner}: hparams[{name!r}] must be a number, a text or a boolean. Received: "
                f"{_check.shown(given[name])}"
            )
    return found


def _plain(value: Any) -> str | bool | int | float | None:
    """A value as Python's own, None if it is something else."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, str | bool | int | float) else None


def settings_of(trainer: "Trainer") -> dict[str, Any]:
    """What a trainer knows of its settings; those of its `config` go before those of its optimiser.

    Example:
        >>> from fastnn import nn, optim, training
        >>> model = nn.Linear(2, 2)
        >>> trainer = training.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.5))
        >>> settings = settings_of(trainer)
        >>> settings["model"], settings["optimizer"], settings["lr"]
        ('Linear', 'SGD', 0.5)
    """
    group = {name: value for name, value in trainer.optimizer.param_groups[0].items() if name != "params"}
    known: dict[str, Any] = {
        "model": type(trainer.model).__name__,
        "criterion": name_of(trainer.criterion),
        "optimizer": type(trainer.optimizer).__name__,
        "scheduler": None if trainer.scheduler is None else type(trainer.scheduler).__name__,
        "max_grad_norm": trainer.max_grad_norm,
        "epochs": trainer.total_epochs,
        "batch_size": None if trainer.loaders is None else getattr(trainer.loaders[0], "batch_size", None),
        **group,
        **(trainer.config or {}),
    }
    plain = {name: _plain(value) for name, value in known.items()}
    return {name: value for name, value in plain.items() if value is not None}
