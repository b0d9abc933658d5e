"""Images and sequences with and without the axis of the batch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.autograd.methods import FUNCTIONS
from fastnn.compat.torch._tensor import new

__all__ = ["as_floats", "as_image", "as_sequence", "in_batch", "one", "pair", "row"]

_reshape = FUNCTIONS[np.reshape]


def in_batch(function: Callable[[Any], Any], x: Any, ndim: int) -> Any:
    """Of one image without the axis of the batch, too."""
    if x._data.ndim != ndim - 1:
        return function(x)
    y = function(_reshape(x, (1, *x._data.shape)))
    if isinstance(y, tuple):
        return tuple(_reshape(part, part._data.shape[1:]) for part in y)
    return _reshape(y, y._data.shape[1:])


def as_floats(function: Callable[[Any], Any], x: Any) -> Any:
    """Of integers below 2^53, by a function of floats that gives some of them."""
    y = function(new(x._data.astype(np.float64)))
    if isinstance(y, tuple):
        return (new(y[0]._data.astype(x._data.dtype)), *y[1:])
    return new(y._data.astype(x._data.dtype))


def as_image(x: Any) -> Any:
    """A sequence as an image of one row."""
    return FUNCTIONS[np.expand_dims](x, -2)


def as_sequence(y: Any) -> Any:
    if isinstance(y, tuple):
        return tuple(map(as_sequence, y))
    return FUNCTIONS[np.squeeze](y, -2)


def pair(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Sequence) else (value, value)


def one(value: Any) -> Any:
    """An argument of a sequence, a number or a tuple of one."""
    return value[0] if isinstance(value, Sequence) and not isinstance(value, str) else value


def row(value: Any, first: int) -> Any:
    """An argument of a sequence as that of an image of one row; 'same' and 'valid' are that already."""
    return value if isinstance(value, str) or value is None else (first, one(value))
