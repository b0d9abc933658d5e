"""The sum of two gradients."""

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _layout, _runtime, reference
from fastnn._watching import kernel_ran

__all__ = ["added"]


def added(a: NDArray, b: NDArray) -> NDArray:
    """a + b for arrays of one shape, as a new array in the memory order of a."""
    if _runtime.uses_reference():
        return np.asarray(reference.add(a, b))
    if a.dtype != b.dtype or a.dtype not in _check.FLOATS or not a.ndim:
        return np.asarray(np.add(a, b))
    a_flat, y, y_flat = _layout.flat_pair(a)
    _runtime._native.add(a_flat, _layout.flat(_layout.as_ordered(b, y)), y_flat, _runtime.num_threads())
    kernel_ran("add")
    return y
