"""The arguments of the estimators, checked when training begins, as scikit-learn wants it."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from fastnn import _arguments, _check, nn, optim
from fastnn.optim.optimizer import number
from fastnn.training import Callback
from fastnn.training.callbacks import checked_callbacks

__all__ = ["Settings", "checked"]

OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "sgd": partial(optim.SGD, momentum=0.9, nesterov=True),
}
_AUTO_BATCHES = 64  # batches of an epoch with batch_size='auto', where that is between these:
_SMALLEST_AUTO, _LARGEST_AUTO = 32, 128


class Settings(NamedTuple):
    """What training needs to know of an estimator's arguments.

    Attributes:
        make_optimizer: gives the optimiser of a network.
        batch_size: None for one that depends on the number of rows.
        falls: whether the learning rate falls to zero.
    """

    image_shape: tuple[int, int, int] | None
    hidden_layer_sizes: tuple[int, ...]
    criterion: Any
    make_optimizer: Callable[[nn.Module], optim.Optimizer]
    falls: bool
    batch_size: int | None
    epochs: int
    standardize: bool
    early_stopping: bool
    validation_fraction: float
    patience: int
    warm_start: bool
    verbose: bool
    callbacks: list[Callback]

    def rows_in_batch(self, n_rows: int) -> int:
        """The number of rows in a batch."""
        if self.batch_size is not None:
            return self.batch_size
        return min(max(n_rows // _AUTO_BATCHES, _SMALLEST_AUTO), _LARGEST_AUTO)


def checked(estimator: Any) -> Settings:
    """The settings of an estimator.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.
    """
    owner = type(estimator).__name__

    def switch(name: str) -> bool:
        return _check.boolean(owner, name, getattr(estimator, name))

    def count(name: str, minimum: int = 1) -> int:
        return _check.integer(owner, name, getattr(estimator, name), minimum)

    return Settings(
        image_shape=_image_shape(owner, estimator.image_shape),
        hidden_layer_sizes=_sizes(owner, estimator.hidden_layer_sizes),
        criterion=_criterion(owner, estimator.criterion),
        make_optimizer=_optimizer_maker(owner, estimator),
        falls=_check.one_of(owner, "schedule", estimator.schedule, ("cosine", "constant")) == "cosine",
        batch_size=None if _is_auto(estimator.batch_size) else count("batch_size"),
        epochs=count("epochs"),
        standardize=switch("standardize"),
        early_stopping=switch("early_stopping"),
        validation_fraction=_fraction(owner, estimator.validation_fraction),
        patience=count("patience"),
        warm_start=switch("warm_start"),
        verbose=switch("verbose") if isinstance(estimator.verbose, bool) else count("verbose", 0) > 0,
        callbacks=checked_callbacks(owner, estimator.callbacks),
    )


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _image_shape(owner: str, value: Any) -> tuple[int, int, int] | None:
    if value is None:
        return None
    shape = _check.integers(owner, "image_shape", value, 1)
    if len(shape) != 3:
        raise ValueError(
            f"{owner}: image_shape must be (channels, height, width), such as (1, 28, 28). "
            f"Received: {_check.shown(value)}"
        )
    return shape[0], shape[1], shape[2]


def _sizes(owner: str, value: Any) -> tuple[int, ...]:
    """The widths of the hidden layers; none for a linear model."""
    if isinstance(value, tuple | list) and not value:
        return ()
    return _check.integers(owner, "hidden_layer_sizes", value, 1)


def _criterion(owner: str, value: Any) -> Any:
    """The loss; a copy of a module, which keeps its last call."""
    if value is None:
        return None
    criterion = _arguments.function(owner, "criterion", value, may_be_class=False)
    return copy.deepcopy(criterion) if isinstance(criterion, nn.Module) else criterion


def _fraction(owner: str, value: Any) -> float:
    value = _check.number(owner, "validation_fraction", value, 0, 1)
    if value in (0, 1):
        raise ValueError(f"{owner}: validation_fraction must lie between 0 and 1. Received: {value}")
    return value


def _optimizer_maker(owner: str, estimator: Any) -> Callable[[nn.Module], optim.Optimizer]:
    given = estimator.optimizer
    if isinstance(given, str):
        given = OPTIMIZERS[_check.one_of(owner, "optimizer", given, tuple(OPTIMIZERS))]
    elif not callable(given):
        raise TypeError(
            f"{owner}: optimizer must be one of {', '.join(OPTIMIZERS)}, or a class of fastnn.optim. "
            f"Received: {_check.shown(given)}"
        )
    keywords = {name: number(owner, name, getattr(estimator, name)) for name in ("learning_rate", "weight_decay")}
    rate, decay = keywords["learning_rate"], keywords["weight_decay"]
    return lambda network: given(network.parameters(), lr=rate, weight_decay=decay)
