"""Sums, differences, products and quotients: NumPy's own, to the bit, of large arrays on all threads."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout, _memory, _runtime
from fastnn._watching import kernel_ran

__all__ = ["add", "divide", "multiply", "subtract", "write"]

# Elements from which waking a thread pays: NumPy takes 15 us for so many, and as long as the kernel does.
_LARGE = 1 << 16
_KERNELS = (np.dtype(np.float32), np.dtype(np.float64))
_NAMES: dict[np.ufunc, str] = {
    np.add: "add", np.subtract: "subtract", np.multiply: "multiply", np.true_divide: "divide",
}  # fmt: skip


def add(a: Any, b: Any) -> Any:
    """a + b"""
    return _large(np.add, a, b, None) if _is_large(a, b) else np.add(a, b)


def subtract(a: Any, b: Any) -> Any:
    """a - b"""
    return _large(np.subtract, a, b, None) if _is_large(a, b) else np.subtract(a, b)


def multiply(a: Any, b: Any) -> Any:
    """a * b"""
    return _large(np.multiply, a, b, None) if _is_large(a, b) else np.multiply(a, b)


def divide(a: Any, b: Any) -> Any:
    """a / b; of a large array, NumPy's warnings of infinities and NaN are not given."""
    return _large(np.true_divide, a, b, None) if _is_large(a, b) else np.true_divide(a, b)


def write(ufunc: np.ufunc, array: NDArray, other: Any) -> None:
    """array = ufunc(array, other), in its memory."""
    if array.size < _LARGE or ufunc not in _NAMES or _large(ufunc, array, other, array) is None:
        ufunc(array, other, out=array, casting="same_kind")


def _is_large(a: Any, b: Any) -> bool:
    return (type(a) is np.ndarray and a.size >= _LARGE) or (type(b) is np.ndarray and b.size >= _LARGE)


def _large(ufunc: np.ufunc, a: Any, b: Any, out: NDArray | None) -> Any:
    """By the kernel, where both lie in memory alike or one is a number; else by NumPy, or None if there is `out`."""
    whole = a if type(a) is np.ndarray and a.size >= _LARGE else b
    dtype = whole.dtype
    if dtype in _KERNELS and whole.flags.aligned and not _runtime.uses_reference():
        order = _layout.memory_order(whole)
        flat = whole.transpose(order)
        if flat.flags.c_contiguous:
            flat = flat.reshape(-1)
            sides = [flat if x is whole else _side(x, whole, order) for x in (a, b)]
            if sides[0] is not None and sides[1] is not None and (out is None or not _is_shifted(sides[1], flat)):
                if out is not None:
                    result, y = out, flat
                else:
                    buffer = _memory.empty(tuple([whole.shape[axis] for axis in order]), dtype)
                    result, y = _layout.unordered(buffer, order), buffer.reshape(-1)
                native = _runtime._native
                native.arithmetic(native.ARITHMETIC[_NAMES[ufunc]], *sides, y, _runtime.num_threads())
                kernel_ran("arithmetic")
                return result
    return None if out is not None else ufunc(a, b)


def _is_shifted(x: NDArray, y: NDArray) -> bool:
    """Whether x and y share memory without being the same elements."""
    return np.may_share_memory(x, y) and x.__array_interface__["data"] != y.__array_interface__["data"]


def _side(x: Any, whole: NDArray, order: tuple[int, ...]) -> NDArray | None:
    """The elements of the other side in the order of `whole`, or its one number."""
    if type(x) is float or type(x) is int:
        return np.full(1, x, whole.dtype)
    if not isinstance(x, np.ndarray | np.generic) or x.dtype != whole.dtype:
        return None
    if not x.ndim:
        return np.array([x])
    if not isinstance(x, np.ndarray) or x.shape != whole.shape or not x.flags.aligned:
        return None
    flat = x.transpose(order)
    return flat.reshape(-1) if flat.flags.c_contiguous else None
