"""NumPy's arrays and numbers as pickles describe them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.training._pth.errors import Budget, Unreadable
from fastnn.training._pth.machine import StandIn

__all__ = ["ARRAY_CLASS", "CODES", "DTypeStandIn", "PendingArrays", "frombuffer", "scalar"]

CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
_MOST_DIMENSIONS, _LARGEST_SIDE = 32, 1 << 48
_ARRAY, _SCALAR = 200, 40  # bytes of memory


class _ArrayClass(StandIn):
    """Takes the place of numpy.ndarray."""


ARRAY_CLASS = _ArrayClass()


class DTypeStandIn(StandIn):
    """Takes the place of a numpy.dtype, whose byte order is set after it was made."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        code = arguments[0] if arguments else None
        if type(code) is bytes:
            code = code.decode("latin-1")
        if type(code) is not str or code not in CODES:
            shown = repr(code[:20]) if type(code) is str else "something"
            raise Unreadable(f"it holds a NumPy array or number of the type {shown}; numbers and bools are read")
        self.dtype = np.dtype(code)

    def set_state(self, state: Any) -> None:
        order = state[1] if type(state) is tuple and len(state) >= 8 else None
        if type(order) is bytes:
            order = order.decode("latin-1")
        if type(order) is not str or order not in ("<", ">", "|", "="):
            raise Unreadable("damaged, a type of NumPy has no byte order")
        if any(part is not None for part in state[2:5]):
            raise Unreadable("it holds a NumPy array of records; arrays of numbers and bools are read")
        if order in "<>":
            self.dtype = self.dtype.newbyteorder("<" if order == "<" else ">")


def _content(value: Any) -> bytes | bytearray:
    """The bytes of an array: a text that Python 2 wrote as a string has been taken for a text."""
    if type(value) is str:
        return value.encode("utf-8", "surrogatepass")
    if type(value) in (bytes, bytearray):
        return value
    raise Unreadable("damaged, a NumPy array or number has no bytes")


def scalar(arguments: tuple[Any, ...]) -> np.generic:
    """numpy.core.multiarray.scalar(dtype, content)."""
    if len(arguments) != 2 or not isinstance(arguments[0], DTypeStandIn):
        raise Unreadable("damaged, a number of NumPy has no type")
    dtype, content = arguments[0].dtype, _content(arguments[1])
    if len(content) != dtype.itemsize:
        raise Unreadable("damaged, a number of NumPy has another length than its type")
    return _numbers(content, dtype)[0]


def frombuffer(arguments: tuple[Any, ...], budget: Budget) -> NDArray:
    """numpy._core.numeric._frombuffer(content, dtype, shape, order), which protocol 5 writes."""
    if len(arguments) != 4 or not isinstance(arguments[1], DTypeStandIn) or type(arguments[3]) is not str:
        raise Unreadable("damaged, a NumPy array has no type or order")
    return _array(arguments[2], arguments[1].dtype, arguments[3], _content(arguments[0]), budget)


def _array(shape: Any, dtype: np.dtype, order: str, content: bytes | bytearray, budget: Budget) -> NDArray:
    if type(shape) is not tuple or len(shape) > _MOST_DIMENSIONS:
        raise Unreadable("damaged, a NumPy array has no shape")
    if not all(type(side) is int and 0 <= side <= _LARGEST_SIDE for side in shape):
        raise Unreadable("damaged, a NumPy array has no shape")
    if math.prod(max(side, 1) for side in shape) * dtype.itemsize > 1 << 62:
        raise Unreadable("damaged, a NumPy array has no shape")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise Unreadable(f"damaged, a NumPy array of shape {shape} has {len(content):,} bytes")
    budget.take(_ARRAY + len(content))
    return _numbers(content, dtype).reshape(shape, order="F" if order == "F" else "C")


def _numbers(content: bytes | bytearray, dtype: np.dtype) -> NDArray:
    """A copy, in this machine's byte order. A bool of NumPy must be 0 or 1, which a byte of a file need not be."""
    if dtype.kind == "b":
        return np.frombuffer(content, np.uint8) != 0
    return np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))


class PendingArrays:
    """Arrays that are made empty first and get their content later, as pickles of protocols up to 4 do.

    What is made is an array of NumPy from the beginning, since the pickle may refer to it before its content comes.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._pending: dict[int, NDArray] = {}

    def make(self, arguments: tuple[Any, ...]) -> NDArray:
        """numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b"b")."""
        if not arguments or arguments[0] is not ARRAY_CLASS:
            raise Unreadable("it holds an array of a class that is not NumPy's own")
        self._budget.take(_ARRAY)
        array = np.empty(0, np.int8)
        self._pending[id(array)] = array
        return array

    def is_pending(self, value: Any) -> bool:
        return id(value) in self._pending

    def fill(self, array: NDArray, state: Any) -> None:
        del self._pending[id(array)]
        if type(state) is not tuple or len(state) != 5 or not isinstance(state[2], DTypeStandIn):
            raise Unreadable("damaged, a NumPy array has no type")
        _, shape, dtype, fortran, content = state
        made = _array(shape, dtype.dtype, "F" if fortran is True else "C", _content(content), self._budget)
        # The one way to give an array another shape and type; nothing of the pickle reaches it unchecked.
        array.__setstate__((1, made.shape, made.dtype, made.flags.fnc, made.tobytes("A")))  # type: ignore[arg-type]

    def check_end(self) -> None:
        if self._pending:
            raise Unreadable("damaged, a NumPy array of it has no content")
