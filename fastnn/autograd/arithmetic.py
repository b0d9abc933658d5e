"""Sums, differences, products and quotients. The results are NumPy's, bit for bit; large arrays use all threads."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout, _memory, _runtime
from fastnn._watching import kernel_ran

__all__ = ["LARGE", "add", "divide", "multiply", "subtract", "write"]

# Elements from which waking a thread pays: NumPy takes 15 us for so many, and as long as the kernel does.
LARGE = 1 << 16
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
    """a / b. For a large array, NumPy's warnings about infinities and NaN are not given."""
    return _large(np.true_divide, a, b, None) if _is_large(a, b) else np.true_divide(a, b)


def write(ufunc: np.ufunc, array: NDArray, other: Any) -> None:
    """Compute array = ufunc(array, other) in place."""
    if array.size < LARGE or ufunc not in _NAMES or _large(ufunc, array, other, array) is None:
        ufunc(array, other, out=array, casting="same_kind")


def _is_large(a: Any, b: Any) -> bool:
    return (type(a) is np.ndarray and a.size >= LARGE) or (type(b) is np.ndarray and b.size >= LARGE)


# Pieces of a small side, or of what each of its numbers meets, are at least so long: with less, NumPy is as fast.
_LEAST_PIECE = 16


def _large(ufunc: np.ufunc, a: Any, b: Any, out: NDArray | None) -> Any:
    """By the kernel, where both lie in memory alike, or one is a number or is broadcast to pieces of the other's
    memory; else by NumPy, or None if there is `out`.
    """
    whole, other = (a, b) if type(a) is np.ndarray and a.size >= LARGE else (b, a)
    if type(other) is np.ndarray and other.size > whole.size:
        whole, other = other, whole
    dtype = whole.dtype
    fits = out is None or out is whole
    if fits and dtype in _KERNELS and whole.flags.aligned and not _runtime.uses_reference():
        order = _layout.memory_order(whole)
        flat = whole.transpose(order)
        if flat.flags.c_contiguous:
            flat = flat.reshape(-1)
            side, inner = _side(other, whole, order)
            if side is not None and (out is None or not _is_overwritten(side, flat)):
                if out is not None:
                    result, y = out, flat
                else:
                    buffer = _memory.empty(tuple([whole.shape[axis] for axis in order]), dtype)
                    result, y = _layout.unordered(buffer, order), buffer.reshape(-1)
                native = _runtime._native
                sides = (flat, side) if whole is a else (side, flat)
                native.arithmetic(native.ARITHMETIC[_NAMES[ufunc]], *sides, y, inner, _runtime.num_threads())
                kernel_ran("arithmetic")
                return result
    return None if out is not None else ufunc(a, b)


def _is_overwritten(x: NDArray, y: NDArray) -> bool:
    """Whether y, as it is written, changes what is still to be read of x."""
    is_same = x.size == y.size and x.__array_interface__["data"] == y.__array_interface__["data"]
    return np.may_share_memory(x, y) and not is_same


def _side(x: Any, whole: NDArray, order: tuple[int, ...]) -> tuple[NDArray | None, int]:
    """The elements of the other side in the order of `whole`, and how often each is taken before the next one."""
    if type(x) is float or type(x) is int:
        return np.full(1, x, whole.dtype), whole.size
    if not isinstance(x, np.ndarray | np.generic) or x.dtype != whole.dtype:
        return None, 0
    if not x.ndim:
        return np.array([x]), whole.size
    if not isinstance(x, np.ndarray) or x.ndim > whole.ndim or not x.flags.aligned:
        return None, 0
    if x.shape == whole.shape:
        flat = x.transpose(order)
        return (flat.reshape(-1), 1) if flat.flags.c_contiguous else (None, 0)
    return _small_side(x.reshape((1,) * (whole.ndim - x.ndim) + x.shape).transpose(order), whole.transpose(order).shape)


def _small_side(x: NDArray, shape: tuple[int, ...]) -> tuple[NDArray | None, int]:
    """The same of what is broadcast to this shape: across some of the first axes, and some of the last."""
    first, end = 0, len(shape)
    while x.size > 1 and x.shape[first] == 1:
        first += 1
    while end > first and x.shape[end - 1] == 1:
        end -= 1
    inner = math.prod(shape[end:])
    piece = x.size if inner == 1 else inner
    if x.shape[first:end] != shape[first:end] or not x.flags.c_contiguous or piece < _LEAST_PIECE:
        return None, 0
    return x.reshape(-1), inner
