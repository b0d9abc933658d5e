"""The way back from a broadcast, and axes."""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["axes_of", "unbroadcast"]


def unbroadcast(gradient: Any, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """The gradient with respect to an input of this shape and dtype that was broadcast: the sum over what it met."""
    if type(gradient) is not np.ndarray:
        gradient = np.asarray(gradient)
    if gradient.shape != shape:
        first = gradient.ndim - len(shape)
        axes = [axis for axis in range(gradient.ndim) if axis < first or shape[axis - first] != gradient.shape[axis]]
        # NumPy adds along outer axes one by one: of 131,072 numbers near 1, float32 keeps five digits.
        wide = np.float64 if gradient.dtype == np.float32 else None
        gradient = np.add.reduce(gradient, axis=tuple(axes), dtype=wide, keepdims=True).reshape(shape)
    if gradient.dtype == dtype:
        return gradient
    if gradient.dtype.kind == "c":
        raise TypeError("backward: complex numbers have no gradient here; compute with real and imaginary parts")
    return gradient.astype(dtype)


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` means, counted from the front: all if it is None."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    if not ndim and all(one in (0, -1) for one in axes):
        return ()  # as NumPy has it
    for one in axes:
        if not -ndim <= operator.index(one) < ndim:
            raise np.exceptions.AxisError(one, ndim)
    return tuple(one % ndim for one in axes)
