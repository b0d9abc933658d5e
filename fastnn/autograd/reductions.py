"""Sums, means, extremes, products and norms of tensors along axes."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.broadcasting import axes_of
from fastnn.autograd.methods import UFUNCS, gradient_of
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import tensor_of

# What np.sum and np.prod call in the end.
_add_up: Any = np.add.reduce
_multiply_up: Any = np.multiply.reduce


class Reduction(Op):
    """The base class of reductions along axes: one, several, or all of them (None)."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, axis: Any, keepdims: bool) -> None:
        self.axis, self.keepdims = axis, keepdims

    def _spread(self, values: Any, ndim: int) -> NDArray:
        """`values`, of the shape of the result, with the axes that were reduced."""
        if self.keepdims:
            return np.asarray(values)
        if self.axis is None:
            return np.reshape(values, (1,) * ndim)
        return np.expand_dims(values, axes_of(self.axis, ndim))

    def _count(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape[axis] for axis in axes_of(self.axis, len(shape)))


class Sum(Reduction):
    """x.sum(axis, keepdims)"""

    is_fresh = False

    def forward(self, x: NDArray) -> Any:
        self.shape = x.shape
        return _add_up(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, dy: NDArray) -> NDArray:
        return np.broadcast_to(self._spread(dy, len(self.shape)), self.shape)


class Mean(Sum):
    """x.mean(axis, keepdims)"""

    def forward(self, x: NDArray) -> Any:
        self.shape = x.shape
        return np.mean(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, dy: NDArray) -> NDArray:
        return super().backward(np.asarray(dy / self._count(self.shape), dy.dtype))


class Var(Reduction):
    """The variance: the sum of the squared distances to the mean, divided by the count minus `ddof`."""

    keeps: ClassVar = {0: "x"}

    def __init__(self, axis: Any, ddof: float, keepdims: bool) -> None:
        super().__init__(axis, keepdims)
        self.ddof = ddof

    def forward(self, x: NDArray) -> Any:
        if self.needs_grad:
            self.x = x
        return np.var(x, axis=self.axis, ddof=self.ddof, keepdims=self.keepdims)

    def backward(self, dy: NDArray) -> NDArray:
        x = self.x
        distances = x - np.mean(x, axis=self.axis, keepdims=True)
        count = self._count(x.shape) - self.ddof
        scale = self._spread(dy, x.ndim) * (2 / count if count > 0 else math.nan)
        return np.asarray(distances * scale, x.dtype)


class Std(Var):
    """The standard deviation, the root of the variance. Where it is 0, its gradient is taken as 0."""

    keeps_result = True

    def forward(self, x: NDArray) -> Any:
        y = np.std(x, axis=self.axis, ddof=self.ddof, keepdims=self.keepdims)
        if self.needs_grad:
            self.x, self.y = x, y
        return y

    def backward(self, dy: NDArray) -> NDArray:
        is_zero = self.y == 0
        return super().backward(
            np.where(is_zero, 0, dy / np.where(is_zero, 1, 2 * self.y)).astype(dy.dtype, copy=False)
        )


class Max(Reduction):
    """The maximum along axes. Equal maxima share the gradient evenly."""

    keeps: ClassVar = {0: "x"}
    keeps_result = True
    ufunc: ClassVar[Any] = np.maximum

    def forward(self, x: NDArray) -> Any:
        y = self.ufunc.reduce(x, axis=self.axis, keepdims=self.keepdims)
        if self.needs_grad:
            self.x, self.y = x, y
        return y

    def backward(self, dy: NDArray) -> NDArray:
        x = self.x
        y = self._spread(self.y, x.ndim)
        is_it = (x == y) | (np.isnan(x) & np.isnan(y))
        shares = self._spread(dy, x.ndim) / is_it.sum(self.axis, keepdims=True).astype(dy.dtype)
        return np.asarray(np.where(is_it, shares, dy.dtype.type(0)))


class Min(Max):
    """The minimum along axes. Equal minima share the gradient evenly."""

    ufunc = np.minimum


class Norm(Reduction):
    """The root of the sum of squares. Its gradient at 0 is taken as 0."""

    keeps: ClassVar = {0: "x"}
    keeps_result = True

    def forward(self, x: NDArray) -> Any:
        y = np.sqrt(_add_up(x * x, axis=self.axis, keepdims=self.keepdims))
        if self.needs_grad:
            self.x, self.y = x, y
        return y

    def backward(self, dy: NDArray) -> NDArray:
        y = self._spread(self.y, self.x.ndim)
        is_zero = y == 0
        scale = np.where(is_zero, 0, self._spread(dy, self.x.ndim) / np.where(is_zero, 1, y))
        return np.asarray(self.x * scale.astype(self.x.dtype, copy=False))


def _products_before(x: NDArray) -> NDArray:
    """Along the last axis, the product of all that come before."""
    result = np.ones_like(x, order="C")
    np.multiply.accumulate(x[..., :-1], axis=-1, out=result[..., 1:])
    return result


class Prod(Reduction):
    """The product along axes. The gradient of an element is the product of all others, also where there are zeros."""

    keeps: ClassVar = {0: "x"}

    def forward(self, x: NDArray) -> Any:
        if self.needs_grad:
            self.x = x
        return _multiply_up(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, dy: NDArray) -> NDArray:
        x = self.x
        axes = axes_of(self.axis, x.ndim)
        order = (*(axis for axis in range(x.ndim) if axis not in axes), *axes)
        moved = x.transpose(order)
        rows = moved.reshape(*moved.shape[: x.ndim - len(axes)], self._count(x.shape))
        others = _products_before(rows) * _products_before(rows[..., ::-1])[..., ::-1]
        back = others.reshape(moved.shape).transpose(np.argsort(order))
        return np.asarray(back * self._spread(dy, x.ndim))


class Cumsum(Op):
    """The cumulative sums along an axis."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: NDArray) -> NDArray:
        return np.cumsum(x, self.axis)

    def backward(self, dy: NDArray) -> NDArray:
        return np.flip(np.cumsum(np.flip(dy, self.axis), self.axis), self.axis)


class Cumprod(Op):
    """The cumulative products along an axis."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {0: "x"}

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: NDArray) -> NDArray:
        if self.needs_grad:
            self.x = x
        return np.cumprod(x, self.axis)

    def backward(self, dy: NDArray) -> NDArray:
        # From the end on, without a division: what x[k] is multiplied with is the product of all before, times
        # dy[k] + x[k + 1] * (dy[k + 1] + x[k + 2] * (...)).
        x, dy = np.moveaxis(self.x, self.axis, -1), np.moveaxis(dy, self.axis, -1)
        rest = np.array(dy, order="C")
        for k in range(x.shape[-1] - 2, -1, -1):
            rest[..., k] += x[..., k + 1] * rest[..., k + 1]
        return np.moveaxis(rest * _products_before(x), -1, self.axis)


@gradient_of(np.sum)
def _sum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return run(Sum(axis, keepdims), a)


@gradient_of(np.mean)
def _mean(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return run(Mean(axis, keepdims), a)


@gradient_of(np.var)
def _var(a: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False, *, correction: float | None = None) -> Any:
    return run(Var(axis, ddof if correction is None else correction, keepdims), a)


@gradient_of(np.std)
def _std(a: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False, *, correction: float | None = None) -> Any:
    return run(Std(axis, ddof if correction is None else correction, keepdims), a)


@gradient_of(np.max, np.amax)
def _max(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return run(Max(axis, keepdims), a)


@gradient_of(np.min, np.amin)
def _min(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return run(Min(axis, keepdims), a)


@gradient_of(np.prod)
def _prod(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return run(Prod(axis, keepdims), a)


def _cumulative(function: Any) -> Any:
    def call(x: Any, /, *, axis: int | None = None) -> Any:
        if axis is None and x.ndim > 1:
            raise ValueError(f"np.cumulative_{function.__name__[4:]}: axis is needed. Received: shape={x.shape}")
        return function(x, 0 if axis is None else axis)

    return call


def _line(a: Any, axis: int | None) -> tuple[Any, int]:
    """`a` flat if there is no axis, as NumPy does along what is then the only one."""
    return (a.reshape(-1), 0) if axis is None else (a, axis)


@gradient_of(np.cumsum)
def _cumsum(a: Any, axis: int | None = None) -> Any:
    a, axis = _line(a, axis)
    return run(Cumsum(axis), a)


@gradient_of(np.cumprod)
def _cumprod(a: Any, axis: int | None = None) -> Any:
    a, axis = _line(a, axis)
    return run(Cumprod(axis), a)


for _name, _function in (("cumulative_sum", _cumsum), ("cumulative_prod", _cumprod)):
    if hasattr(np, _name):  # since NumPy 2.1
        gradient_of(getattr(np, _name))(_cumulative(_function))


@gradient_of(*([np.linalg.vector_norm] if hasattr(np.linalg, "vector_norm") else ()))
def _vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    if axis is None:
        y = _norm(x.reshape(-1), ord)
        return y.reshape((1,) * x.ndim) if keepdims else y
    if ord == 2:
        return run(Norm(axis, keepdims), x)
    return _norm(x, ord, axis, keepdims)


@gradient_of(*([np.linalg.matrix_norm] if hasattr(np.linalg, "matrix_norm") else ()))
def _matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return _norm(x, ord, (-2, -1), keepdims)


# ---- made of these ---------------------------------------------------------------------------------------------------
@gradient_of(np.ptp)
def _ptp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _max(a, axis, keepdims) - _min(a, axis, keepdims)


@gradient_of(np.average)
def _average(a: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    if weights is None:
        return _mean(a, axis, keepdims)
    a, weights = tensor_of("np.average", a), tensor_of("np.average", weights)
    if weights.shape != a.shape:
        if axis is None or isinstance(axis, tuple) or weights.shape != (a.shape[axis],):
            raise TypeError("np.average: weights must have the shape of a, or be one for each along an integer axis")
        shape = [1] * a.ndim
        shape[axis] = len(weights)
        weights = np.broadcast_to(weights.reshape(shape), a.shape)
    return np.sum(a * weights, axis=axis, keepdims=keepdims) / np.sum(weights, axis=axis, keepdims=keepdims)


@gradient_of(np.median)
def _median(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    axes = axes_of(axis, a.ndim)
    others = tuple(other for other in range(a.ndim) if other not in axes)
    shape = [a.shape[other] for other in others]
    rows: Any = np.transpose(a, others + axes).reshape(*shape, math.prod(a.shape[axis] for axis in axes))
    n = rows.shape[-1]
    in_order = np.sort(rows, axis=-1)
    if not n:
        middle = rows.mean(-1)  # NaN, with NumPy's warning
    elif n % 2:
        middle = in_order[..., n // 2]
    else:
        middle = (in_order[..., n // 2 - 1] + in_order[..., n // 2]) / 2
    has_nan = np.isnan(rows._data).any(-1)
    if has_nan.any():
        middle = np.where(has_nan, middle * np.nan, middle)
    return middle.reshape([1 if axis in axes else size for axis, size in enumerate(a.shape)]) if keepdims else middle


@gradient_of(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    n_axes = x.ndim if axis is None else np.size(axis)
    if ord is None or (ord == 2 and n_axes == 1) or (ord == "fro" and n_axes == 2):
        return run(Norm(axis, keepdims), x)
    if n_axes == 1:
        size = abs(x)
        if ord in (np.inf, -np.inf):
            return (_max if ord > 0 else _min)(size, axis, keepdims)
        if ord == 1:
            return size.sum(axis, keepdims)
        if not isinstance(ord, str) and ord > 0:
            return (size**ord).sum(axis, keepdims) ** (1 / ord)
    raise TypeError(
        "np.linalg.norm has a gradient here for vectors with ord=None, inf, -inf or above 0, and for matrices with "
        f"ord=None or 'fro'. Received: ord={ord!r}, axis={axis!r}, x.shape={x.shape}"
    )


def _known(a: Any) -> tuple[Any, Any]:
    """Where `a` is a number, and `a` with zeros where it is none."""
    known = ~np.isnan(a)
    return known, np.where(known, a, np.zeros((), a.dtype))


@gradient_of(np.nansum)
def _nansum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _sum(_known(a)[1], axis, keepdims)


@gradient_of(np.nancumsum)
def _nancumsum(a: Any, axis: int | None = None) -> Any:
    return _cumsum(_known(a)[1], axis)


@gradient_of(np.nanprod)
def _nanprod(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _prod(np.where(~np.isnan(a), a, np.ones((), a.dtype)), axis, keepdims)


@gradient_of(np.nanmean)
def _nanmean(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    known, a = _known(a)
    return _sum(a, axis, keepdims) / known.sum(axis, keepdims=keepdims).astype(a.dtype)


@gradient_of(np.nanvar)
def _nanvar(a: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    known, a = _known(a)
    mean = _sum(a, axis, True) / known.sum(axis, keepdims=True).astype(a.dtype)
    squares = np.square(np.where(known, a - mean, np.zeros((), a.dtype)))
    return _sum(squares, axis, keepdims) / (known.sum(axis, keepdims=keepdims) - ddof).astype(a.dtype)


@gradient_of(np.nanstd)
def _nanstd(a: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    variance = _nanvar(a, axis, ddof, keepdims)
    is_zero = variance == 0  # as in Std
    one = np.ones((), a.dtype)
    return np.where(is_zero, one - one, UFUNCS[np.sqrt](np.where(is_zero, one, variance)))


def _extreme(a: Any, axis: Any, keepdims: bool, largest: bool) -> Any:
    is_nan = np.isnan(a)
    nowhere = is_nan.all(axis, keepdims=True)  # NaN stays where nothing else is
    limit = np.asarray(-np.inf if largest else np.inf, a.dtype)
    return (_max if largest else _min)(np.where(is_nan & ~nowhere, limit, a), axis, keepdims)


@gradient_of(np.nanmax)
def _nanmax(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _extreme(a, axis, keepdims, True)


@gradient_of(np.nanmin)
def _nanmin(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _extreme(a, axis, keepdims, False)


@gradient_of(np.diff)
def _diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    before = (slice(None),) * (axis % a.ndim)
    for _ in range(n):
        a = a[(*before, slice(1, None))] - a[(*before, slice(None, -1))]
    return a
