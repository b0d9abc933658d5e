"""Softmax and its logarithm along one axis."""

from __future__ import annotations

from typing import ClassVar

from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import AnyArray

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]


class Softmax(Op):
    """`softmax` or `log_softmax`, by name."""

    keeps: ClassVar = {}
    keeps_result = True
    is_exact = is_fresh = True

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def forward(self, x: ArrayLike) -> NDArray:
        self.y = _forward(self.name, x, self.dim)
        return self.y

    def backward(self, dy: NDArray) -> NDArray:
        return _backward(self.name, dy, self.y, self.dim)


def softmax(x: AnyArray, dim: int | None = None) -> AnyArray:
    """exp(x) / sum of exp(x) along `dim`: positive numbers that sum to 1.

    Args:
        x: logits. -inf has probability 0; a sum that contains NaN or +inf, or nothing but -inf, gives NaN.
        dim: the axis, negative ones count from the last; None means 0 for one or three dimensions, else 1.
    Shape:
        - x: any of at least one dimension, float32 or float64
        - Result: the same
    Raises:
        IndexError: x has no axis `dim`.
    Example:
        >>> softmax(np.log([[1.0, 3.0]]), dim=1)
        array([[0.25, 0.75]])

    Source: Bridle, 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """
    return run(Softmax("softmax", dim), x)


def softmax_backward(dy: ArrayLike, y: ArrayLike, dim: int | None = None) -> NDArray:
    """The gradient with respect to x: y * (dy - sum of dy * y along dim).

    Args:
        dy: gradient of the loss with respect to the result.
        dim: as in `softmax`.
        y: the result of `softmax`.
    Shape:
        - dy, y (the result of `softmax`): the same, float32 or float64
        - Result: the same
    """
    return _backward("softmax", dy, y, dim)


def log_softmax(x: AnyArray, dim: int | None = None) -> AnyArray:
    """log(softmax(x)), accurate where a probability is too small for its logarithm.

    Args:
        x, dim: as in `softmax`.
    Shape:
        - x: any of at least one dimension, float32 or float64
        - Result: the same
    Raises:
        IndexError: x has no axis `dim`.
    Example:
        >>> log_softmax(np.array([0.0, 1000.0]), dim=0)
        array([-1000.,     0.])

    Source: PyTorch's definition.
    """
    return run(Softmax("log_softmax", dim), x)


def log_softmax_backward(dy: ArrayLike, y: ArrayLike, dim: int | None = None) -> NDArray:
    """The gradient with respect to x: dy - exp(y) * sum of dy along dim.

    Args:
        dy: gradient of the loss with respect to the result.
        dim: as in `log_softmax`.
        y: the result of `log_softmax`.
    Shape:
        - dy, y (the result of `log_softmax`): the same, float32 or float64
        - Result: the same
    """
    return _backward("log_softmax", dy, y, dim)


def dim_argument(operation: str, dim: int | None) -> int | None:
    """`dim` as an int, or None."""
    if dim is None:
        return None
    try:
        return _check.integer(operation, "dim", dim, -(2**63))
    except TypeError:
        raise TypeError(f"{operation}: dim must be an integer or None. Received: {_check.shown(dim)}") from None


def _axis(operation: str, x: NDArray, dim: int | None) -> int:
    """`dim` as an index from 0; None is the choice that PyTorch makes."""
    axis = dim_argument(operation, dim)
    if axis is None:
        axis = 0 if x.ndim in (1, 3) else 1
    if not -x.ndim <= axis < x.ndim:
        raise IndexError(f"{operation}: dim={axis} is no axis of an array with {x.ndim} dimensions")
    return axis % x.ndim


def _forward(name: str, x: ArrayLike, dim: int | None) -> NDArray:
    x = _check.floats(name, "x", x)
    axis = _axis(name, x, dim)
    if _runtime.uses_reference() and x.size:
        return getattr(reference, name)(x, axis)
    order = _layout.axis_last(x, axis)
    buffer = _memory.empty(tuple(x.shape[other] for other in order), x.dtype)
    if x.size:
        rows = (-1, x.shape[axis])
        x_rows, y_rows = _layout.ordered(x, order).reshape(rows), buffer.reshape(rows)
        _runtime._native.softmax_forward(name == "log_softmax", x_rows, y_rows, _runtime.num_threads())
        kernel_ran("softmax_forward")
    return _layout.unordered(buffer, order)


def _backward(name: str, dy: ArrayLike, y: ArrayLike, dim: int | None) -> NDArray:
    operation = f"{name}_backward"
    dy = _check.floats(operation, "dy", dy)
    y = _check.floats(operation, "y", y)
    _check.same_shape(operation, dy=dy, y=y)
    _check.same_dtype(operation, dy=dy, y=y)
    axis = _axis(operation, y, dim)
    if _runtime.uses_reference() and y.size:
        return getattr(reference, operation)(dy, y, axis)
    order = _layout.axis_last(y, axis)
    buffer = _memory.empty(tuple(y.shape[other] for other in order), y.dtype)
    if y.size:
        rows = (-1, y.shape[axis])
        dy_rows, y_rows = (_layout.ordered(array, order).reshape(rows) for array in (dy, y))
        _runtime._native.softmax_backward(
            name == "log_softmax", dy_rows, y_rows, buffer.reshape(rows), _runtime.num_threads()
        )
        kernel_ran("softmax_backward")
    return _layout.unordered(buffer, order)
