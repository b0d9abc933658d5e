"""The gradient of a broadcast, and axes."""

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _layout, _memory, _runtime
from fastnn._watching import kernel_ran
from fastnn.autograd.arithmetic import LARGE

__all__ = ["axes_of", "unbroadcast"]


def unbroadcast(gradient: Any, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """The gradient with respect to an input of this shape and dtype that was broadcast: a sum over broadcast axes."""
    if type(gradient) is not np.ndarray:
        gradient = np.asarray(gradient)
    if gradient.shape != shape:
        first = gradient.ndim - len(shape)
        axes = [axis for axis in range(gradient.ndim) if axis < first or shape[axis - first] != gradient.shape[axis]]
        summed = _rows_summed(gradient, (1,) * first + shape)
        if summed is None:
            # NumPy adds along outer axes one by one: of 131,072 numbers near 1, float32 keeps five digits.
            wide = np.float64 if gradient.dtype == np.float32 else None
            summed = np.add.reduce(gradient, axis=tuple(axes), dtype=wide, keepdims=True)
        gradient = summed.reshape(shape)
    if gradient.dtype == dtype:
        return gradient
    if gradient.dtype.kind == "c":
        raise TypeError("backward: complex numbers have no gradient here; compute with real and imaginary parts")
    return gradient.astype(dtype)


_LEAST_COLUMNS = 16  # from which a vector is full


def _rows_summed(x: NDArray, shape: tuple[int, ...]) -> NDArray | None:
    """The sum to this shape on all threads, if it is across axes that are the first in memory."""
    if x.size < LARGE or x.dtype not in _check.FLOATS or not x.flags.aligned or _runtime.uses_reference():
        return None
    order = _layout.memory_order(x)
    turned, kept = x.transpose(order), [shape[axis] for axis in order]
    first = next((axis for axis, size in enumerate(kept) if size > 1), len(kept))
    columns = math.prod(kept)
    if not turned.flags.c_contiguous or tuple(kept[first:]) != turned.shape[first:] or columns < _LEAST_COLUMNS:
        return None
    rows = turned.reshape(-1, columns)
    sums = _memory.empty((columns,), x.dtype)
    workspace = _memory.workspace(_runtime._native.sum_rows_workspace(*rows.shape))
    _runtime._native.sum_rows(rows, sums, workspace, _runtime.num_threads())
    kernel_ran("sum_rows")
    return _layout.unordered(sums.reshape(kept), order)


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` means, as a tuple of numbers >= 0; all axes if it is None."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    if not ndim and all(one in (0, -1) for one in axes):
        return ()  # as NumPy has it
    for one in axes:
        if not -ndim <= operator.index(one) < ndim:
            raise np.exceptions.AxisError(one, ndim)
    return tuple(one % ndim for one in axes)
