"""What a training is given, checked before anything is done: networks, losses, optimisers, loaders, batches."""

import warnings
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import _arguments, _several, nn
from fastnn.autograd.tensor import array_of

__all__ = [
    "batches_of",
    "check_criterion",
    "check_loader",
    "check_trains_model",
    "described",
    "name_of",
    "path_of",
    "scalar",
    "warn_of_hidden_modules",
    "warn_of_schedule_length",
]


def described(value: Any) -> str:
    """A value, in few words: `the class MSELoss`, `a str`, `None`."""
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def name_of(criterion: Any) -> str:
    """What a criterion is called: the name of the function, or of the class."""
    name = getattr(criterion, "__name__", None)
    return name if isinstance(name, str) else type(criterion).__name__


def path_of(owner: str, name: str, value: Any) -> Path:
    """`value`, the name of a file or folder, as a path."""
    return Path(_arguments.path(owner, name, value))


def check_criterion(owner: str, criterion: Any) -> None:
    """Raise TypeError unless it is None or can be called with outputs and targets."""
    if criterion is None:
        return
    if isinstance(criterion, type):
        name = criterion.__name__
        raise TypeError(f"{owner}: criterion is the class {name}; make one: {name}()")
    if not callable(criterion):
        raise TypeError(f"{owner}: criterion must be a loss such as nn.CrossEntropyLoss(). Received: {criterion!r}")


def check_loader(owner: str, name: str, loader: Any, needs_length: bool = False) -> None:
    """Raise TypeError unless it can be gone through once an epoch; say what to do with arrays and data sets."""
    is_arrays = isinstance(loader, tuple) and 1 <= len(loader) <= 2 and not isinstance(loader[0], tuple | list)
    if isinstance(loader, np.ndarray | dict) or is_arrays:
        raise TypeError(
            f"{owner}: {name} must give batches (images, targets). Received: arrays; wrap them: "
            "data.Loader(images, targets, batch_size=128, shuffle=True)"
        )
    if hasattr(loader, "images") and hasattr(loader, "subset"):
        raise TypeError(
            f"{owner}: {name} must give batches (images, targets). Received: a data set, {type(loader).__name__}; "
            f"wrap it: data.Loader(dataset, batch_size=128, shuffle=True)"
        )
    if isinstance(loader, str | bytes) or not isinstance(loader, Iterable):
        raise TypeError(f"{owner}: {name} must give batches (images, targets). Received: {described(loader)}")
    if needs_length and not hasattr(loader, "__len__"):
        raise TypeError(
            f"{owner}: {name} needs a length, its number of batches, and to be gone through once an epoch. "
            f"Received: {described(loader)}; a list of batches, a data.Loader or a class with __len__ will do"
        )


def batches_of(owner: str, loader: Any, name: str = "loader") -> Generator[tuple[Any, Any], None, None]:
    """Pairs (x, y) of a loader.

    Raises:
        TypeError: it is no loader.
        ValueError: a batch is no such pair.
    """
    check_loader(owner, name, loader)
    batches = iter(loader)
    try:
        for batch in batches:
            pair = _pair(owner, batch, name)
            del batch  # its memory can serve the next one
            yield pair
            del pair
    finally:  # a loader's thread ends with it, also when this is left before its end
        if hasattr(batches, "close"):
            batches.close()


def _pair(owner: str, batch: Any, name: str) -> tuple[Any, Any]:
    """A batch as (x, y), where x, or each part of it, has a length."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        found = f"{len(batch)} parts" if isinstance(batch, tuple | list) else described(batch)
        raise ValueError(f"{owner}: {name} must give batches (images, targets). Received: {found}")
    x, y = array_of(batch[0]), array_of(batch[1])
    for label, part in _several.parts("", x):
        if not hasattr(part, "shape") or np.ndim(part) < 1:
            where = f" as part {label} of the images" if label else ""
            raise ValueError(
                f"{owner}: {name} must give arrays of images in its batches, or tuples or dicts of arrays. "
                f"Received: {described(part)}{where}"
            )
    _several.check_lengths(owner, f"the images of {name}", x)
    if y is None:
        raise ValueError(f"{owner}: {name} gives batches without targets; make it with data.Loader(images, targets)")
    return x, y


def scalar(owner: str, criterion: Any, loss: Any) -> float:
    """A loss as a number."""
    loss = array_of(loss)
    try:
        if np.ndim(loss) == 0:
            return float(loss)
    except (TypeError, ValueError):
        pass
    name = name_of(criterion)
    if getattr(criterion, "reduction", "") == "none":
        raise ValueError(f"{owner}: {name} gives one loss for each element; make it with reduction='mean' or 'sum'")
    raise TypeError(f"{owner}: the criterion, {name}, must return a number. Received: {described(loss)}")


def check_trains_model(owner: str, optimizer: Any, model: nn.Module) -> None:
    """Raise unless an optimiser can be stepped and has a parameter of the model that is trained.

    Raises:
        TypeError: it is no optimiser.
        ValueError: it is that of another network.
    """
    if isinstance(optimizer, type):
        name = optimizer.__name__
        raise TypeError(f"{owner}: optimizer is the class {name}; make one: {name}(model.parameters(), lr=...)")
    for method in ("step", "zero_grad", "param_groups"):
        if not hasattr(optimizer, method):
            raise TypeError(f"{owner}: optimizer must be one of fastnn.optim. Received: {described(optimizer)}")
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    held = {id(parameter) for group in optimizer.param_groups for parameter in group.get("params", ())}
    if trained and not trained & held:
        raise ValueError(
            f"{owner}: the optimizer has none of the model's {len(trained)} trainable parameters: "
            "make it with this model's parameters()"
        )


def warn_of_schedule_length(scheduler: Any, interval: str, n_steps: int, n_epochs: int) -> None:
    """Warn of a schedule as long as the batches that is stepped after epochs, or the other way round."""
    lengths = [getattr(scheduler, name, None) for name in ("total_steps", "T_max", "total_iters")]
    length = next((length for length in lengths if isinstance(length, int)), None)
    if length is None or n_steps == n_epochs:
        return
    name = type(scheduler).__name__
    if interval == "epoch" and length >= n_steps:
        warnings.warn(
            f"{name}: the schedule has {length} steps but is stepped after each of {n_epochs} epochs, so it hardly "
            "begins; pass scheduler_interval='step' to step it after each batch",
            UserWarning,
            stacklevel=4,
        )
    elif interval == "step" and length == n_epochs and not hasattr(scheduler, "total_iters"):  # which may be a warm-up
        warnings.warn(
            f"{name}: the schedule has {length} steps, as many as epochs, but is stepped after each of {n_steps} "
            "batches; pass scheduler_interval='epoch' to step it after each epoch",
            UserWarning,
            stacklevel=4,
        )


def warn_of_hidden_modules(model: nn.Module) -> None:
    """Warn of layers and parameters in plain lists, tuples and dicts, which are not found and so not trained."""
    known = {id(module) for module in model.modules()} | {id(parameter) for parameter in model.parameters()}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_"):
                continue
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
            hidden = [item for item in items if isinstance(item, nn.Module | nn.Parameter) and id(item) not in known]
            if any(not isinstance(item, nn.Module) or any(True for _ in item.parameters()) for item in hidden):
                where = f"{path}.{name}" if path else name
                kind = type(value).__name__
                warnings.warn(
                    f"{type(model).__name__}: the layers in the {kind} {where} are not found, and not trained; "
                    "keep them in nn.ModuleList or nn.Sequential",
                    UserWarning,
                    stacklevel=4,
                )
