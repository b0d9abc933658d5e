"""One array, or several of them in a tuple or a dict: the inputs, the targets and the outputs of a network."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn.autograd.tensor import Tensor, mapped

__all__ = ["call", "check_lengths", "first_length", "is_several", "mapped", "parts"]


def is_several(value: Any) -> bool:
    """Whether `value` is a dict, or a tuple with arrays in it; a tuple of numbers or lists stands for one array."""
    if isinstance(value, dict):
        return True
    return isinstance(value, tuple) and any(isinstance(v, np.ndarray | Tensor) or is_several(v) for v in value)


def parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """(what an error calls it, part) of each: `x`, `x[0]`, `x['left']`."""
    if isinstance(value, dict):
        yield from ((f"{name}[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, tuple):
        yield from ((f"{name}[{index}]", part) for index, part in enumerate(value))
    else:
        yield name, value


def call(model: Callable[..., Any], x: Any) -> Any:
    """`model(x)`; for a tuple `model(*x)`, and for a dict `model(**x)`."""
    if isinstance(x, tuple):
        return model(*x)
    return model(**x) if isinstance(x, dict) else model(x)


def first_length(value: Any) -> int | None:
    """The length of the first array that has an axis; None if there is no such array."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return next((n for n in map(first_length, value) if n is not None), None)
    return len(value) if getattr(value, "ndim", 0) else None


def check_lengths(operation: str, name: str, value: Any) -> int:
    """The length that all parts of `value` have.

    Raises:
        ValueError: there are none, one has no axis, or two differ.
    """
    named = list(parts(name, value))
    if not named:
        raise ValueError(f"{operation}: {name} holds no arrays. Received: {value!r}")
    for label, part in named:
        if not np.ndim(part):
            raise ValueError(f"{operation}: {label} needs an axis of images. Received: {part!r}")
        if len(part) != len(named[0][1]):
            raise ValueError(
                f"{operation}: all parts must have the same length: {label} has {len(part)}, "
                f"{named[0][0]} has {len(named[0][1])}"
            )
    return len(named[0][1])
