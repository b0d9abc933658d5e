"""Tensors in other shapes and orders."""

import operator
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn._watching import OBSERVERS
from fastnn.autograd.broadcasting import axes_of, unbroadcast
from fastnn.autograd.methods import FUNCTIONS, gradient_of
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import array_of, new_tensor, operand, wrap


class Reshape(Op):
    """The same elements in another shape."""

    is_exact = True
    is_view = True
    keeps: ClassVar = {}

    def __init__(self, shape: Any) -> None:
        self.new_shape = shape

    def forward(self, x: NDArray) -> NDArray:
        self.shape = x.shape
        return x.reshape(self.new_shape)

    def backward(self, dy: NDArray) -> NDArray:
        return dy.reshape(self.shape)


class Transpose(Op):
    """The axes in another order; None reverses it."""

    is_exact = True
    is_view = True
    keeps: ClassVar = {}

    def __init__(self, axes: Sequence[int] | None) -> None:
        self.axes = axes

    def forward(self, x: NDArray) -> NDArray:
        return x.transpose(self.axes)

    def backward(self, dy: NDArray) -> NDArray:
        return dy.transpose(None if self.axes is None else np.argsort([axis % dy.ndim for axis in self.axes]))


class BroadcastTo(Op):
    """The elements repeated until they fill the shape."""

    is_exact = True
    is_view = True
    keeps: ClassVar = {}

    def __init__(self, shape: Any) -> None:
        self.new_shape = shape

    def forward(self, x: NDArray) -> NDArray:
        self.shape = x.shape
        return np.broadcast_to(x, self.new_shape)

    def backward(self, dy: NDArray) -> NDArray:
        return unbroadcast(dy, self.shape, dy.dtype)


class Diagonal(Op):
    """The diagonal of two axes, at an offset from the main one."""

    is_exact = True
    is_view = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, offset: int, axis1: int, axis2: int) -> None:
        self.places = offset, axis1, axis2

    def forward(self, x: NDArray) -> NDArray:
        self.shape = x.shape
        return np.diagonal(x, *self.places)

    def backward(self, dy: NDArray) -> NDArray:
        dx = np.zeros(self.shape, dy.dtype)
        diagonal = np.diagonal(dx, *self.places)
        diagonal.flags.writeable = True  # it is a view of dx
        diagonal[...] = dy
        return dx


class DiagonalMatrix(Op):
    """The matrix with a given diagonal."""

    is_exact = True
    keeps: ClassVar = {}

    def __init__(self, offset: int) -> None:
        self.offset = offset

    def forward(self, x: NDArray) -> NDArray:
        return np.diag(x, self.offset)

    def backward(self, dy: NDArray) -> NDArray:
        return np.diagonal(dy, self.offset)


class Triangle(Op):
    """The lower (`np.tril`) or upper (`np.triu`) triangle: the other elements are 0."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, function: Any, k: int) -> None:
        self.function, self.k = function, k

    def forward(self, x: NDArray) -> NDArray:
        return self.function(x, self.k)

    def backward(self, dy: NDArray) -> NDArray:
        return self.function(dy, self.k)


class Roll(Op):
    """The elements shifted along axes. Those that leave at the end come in at the front."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, shift: Any, axis: Any) -> None:
        self.shift, self.axis = shift, axis

    def forward(self, x: NDArray) -> NDArray:
        return np.roll(x, self.shift, self.axis)

    def backward(self, dy: NDArray) -> NDArray:
        return np.roll(dy, np.negative(self.shift), self.axis)


class Astype(Op):
    """The same numbers in another dtype."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, dtype: Any) -> None:
        self.new_dtype = dtype

    def forward(self, x: NDArray) -> NDArray:
        self.dtype = x.dtype
        return x.astype(self.new_dtype)

    def backward(self, dy: NDArray) -> NDArray:
        return dy.astype(self.dtype)


# ---- shape and order of axes -----------------------------------------------------------------------------------------
def _is_c(order: Any, name: str, x: Any) -> None:
    if order not in ("C", None):
        raise TypeError(f"{name}: order must be 'C' for a tensor. Received: order={order!r}, shape={np.shape(x)}")


@gradient_of(np.reshape)
def reshape(a: Any, shape: Any, order: str = "C") -> Any:
    _is_c(order, "np.reshape", a)
    return run(Reshape(shape), a)


@gradient_of(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    _is_c(order, "np.ravel", a)
    return run(Reshape(-1), a)


@gradient_of(np.squeeze)
def _squeeze(a: Any, axis: Any = None) -> Any:
    return run(Reshape(np.squeeze(array_of(a), axis).shape), a)


@gradient_of(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    return run(Reshape(np.expand_dims(array_of(a), axis).shape), a)


@gradient_of(np.transpose, *([np.permute_dims] if hasattr(np, "permute_dims") else ()))
def transpose(a: Any, axes: Any = None) -> Any:
    return run(Transpose(axes), a)


def _in_order_of(function: Any, a: Any, *arguments: Any) -> Any:
    """The axes as a function of NumPy reorders them, which knows all that can be wrong with its arguments."""
    sizes = tuple(range(np.ndim(a)))
    probe = np.broadcast_to(0, sizes)  # an axis is told by its length, whatever there is in it
    return run(Transpose(function(probe, *arguments).shape), a)


@gradient_of(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    return _in_order_of(np.swapaxes, a, axis1, axis2)


@gradient_of(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    return _in_order_of(np.moveaxis, a, source, destination)


@gradient_of(np.rollaxis)
def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    return _in_order_of(np.rollaxis, a, axis, start)


@gradient_of(*{where.matrix_transpose for where in (np, np.linalg) if hasattr(where, "matrix_transpose")})
def _matrix_transpose(x: Any, /) -> Any:
    return swapaxes(x, -1, -2)


@gradient_of(np.broadcast_to)
def _broadcast_to(array: Any, shape: Any) -> Any:
    return run(BroadcastTo(shape), array)


@gradient_of(np.broadcast_arrays)
def _broadcast_arrays(*args: Any) -> Any:
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(run(BroadcastTo(shape), a) for a in args)


def at_least(function: Any, arrays: Sequence[Any]) -> Any:
    parts = [operand(f"np.{function.__name__}", a) for a in arrays]
    results = [run(Reshape(function(array_of(part)).shape), part) for part in parts]
    return results[0] if len(results) == 1 else tuple(results)


@gradient_of(np.atleast_1d)
def _atleast_1d(*arys: Any) -> Any:
    return at_least(np.atleast_1d, arys)


@gradient_of(np.atleast_2d)
def _atleast_2d(*arys: Any) -> Any:
    return at_least(np.atleast_2d, arys)


@gradient_of(np.atleast_3d)
def _atleast_3d(*arys: Any) -> Any:
    return at_least(np.atleast_3d, arys)


@gradient_of(np.flip)
def _flip(m: Any, axis: Any = None) -> Any:
    turned = axes_of(axis, m.ndim)
    index = tuple(slice(None, None, -1) if axis in turned else slice(None) for axis in range(m.ndim))
    return FUNCTIONS[operator.getitem](m, index)


@gradient_of(np.fliplr)
def _fliplr(m: Any) -> Any:
    return _flip(m, 1)


@gradient_of(np.flipud)
def _flipud(m: Any) -> Any:
    return _flip(m, 0)


@gradient_of(np.rot90)
def _rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    np.rot90(m._data, k, axes)  # which says what is wrong with them
    first, second = axes_of(tuple(axes), m.ndim)
    if k % 4 == 0:
        return m[...]
    if k % 4 == 2:
        return _flip(m, (first, second))
    return swapaxes(_flip(m, second), first, second) if k % 4 == 1 else _flip(swapaxes(m, first, second), second)


@gradient_of(np.roll)
def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    return run(Roll(shift, axis), a)


def _of_matrices(function: Any) -> Any:
    def call(x: Any, /, *, offset: int = 0) -> Any:
        return function(x, offset, -2, -1)

    return call


@gradient_of(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return run(Diagonal(offset, axis1, axis2), a)


@gradient_of(np.diag)
def _diag(v: Any, k: int = 0) -> Any:
    if v.ndim not in (1, 2):
        raise ValueError(f"np.diag: one or two axes are needed. Received: shape={v.shape}")
    return run(DiagonalMatrix(k), v) if v.ndim == 1 else diagonal(v, k)


@gradient_of(np.trace)
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return diagonal(a, offset, axis1, axis2).sum(-1)


for _name, _function in (("diagonal", diagonal), ("trace", _trace)):
    if hasattr(np.linalg, _name):  # since NumPy 2, of the last two axes
        gradient_of(getattr(np.linalg, _name))(_of_matrices(_function))


@gradient_of(np.tril)
def _tril(m: Any, k: int = 0) -> Any:
    return run(Triangle(np.tril, k), m)


@gradient_of(np.triu)
def _triu(m: Any, k: int = 0) -> Any:
    return run(Triangle(np.triu, k), m)


@gradient_of(np.ndarray.astype, *([np.astype] if hasattr(np, "astype") else ()))
def _astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
    dtype = np.dtype(dtype)
    if dtype == x.dtype and not copy:
        return x
    if dtype.kind == "f":
        return run(Astype(dtype), x)
    if OBSERVERS.get():
        return run(Astype(dtype), new_tensor(x._data, None, x._kind))
    return wrap(x._data.astype(dtype), x._kind)


@gradient_of(np.copy)
def _copy(a: Any) -> Any:
    return run(Astype(a.dtype), a)
