"""The sum of two arrays, as at the end of a residual block."""

from __future__ import annotations

from typing import ClassVar

from numpy.typing import ArrayLike, NDArray

from fastnn import _check
from fastnn.autograd.addition import added
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import AnyArray

__all__ = ["add"]


def add(a: AnyArray, b: ArrayLike) -> AnyArray:
    """a + b, element by element. Its gradient with respect to both a and b is dy itself.

    Args:
        a: an array.
        b: another of the same shape.
    Shape:
        - a, b: the same, float32 or float64; nothing is broadcast
        - Result: the same, in the memory order of a
    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.
    Example:
        >>> add(np.array([1.0, 2.0]), np.array([0.5, -2.0]))
        array([1.5, 0. ])
    """
    return run(Add(), a, b)


class Add(Op):
    """`add` of a and b."""

    keeps: ClassVar = {}
    is_exact = True

    def forward(self, a: ArrayLike, b: ArrayLike) -> NDArray:
        return _add(a, b)

    def backward(self, dy: NDArray) -> tuple[NDArray, NDArray]:
        return dy, dy


def _add(a: ArrayLike, b: ArrayLike) -> NDArray:
    a = _check.floats("add", "a", a)
    b = _check.floats("add", "b", b)
    _check.same_shape("add", a=a, b=b)
    _check.same_dtype("add", a=a, b=b)
    return added(a, b)
