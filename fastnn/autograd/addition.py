"""The sum of two gradients."""

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout, _runtime

__all__ = ["added"]


def added(a: NDArray, b: NDArray) -> NDArray:
    """a + b, of one shape, in the memory order of a; a fresh array."""
    if a.dtype != b.dtype or a.dtype.kind != "f" or a.dtype.itemsize < 4 or _runtime.uses_reference() or not a.ndim:
        return np.asarray(np.add(a, b))
    a = _layout.dense(a)
    b = _layout.as_ordered(b, a)
    y = _layout.empty_like(a)
    _runtime._native.add(_layout.flat(a), _layout.flat(b), _layout.flat(y), _runtime.num_threads())
    return y
