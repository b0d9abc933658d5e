"""Sums, means, extremes, orders and norms of tensors, along axes."""

import builtins
import math
from collections import namedtuple
from typing import Any

import numpy as np

from fastnn._watching import OBSERVERS
from fastnn.autograd.elementwise import observed_answer
from fastnn.autograd.indexing import TakeAlongAxis
from fastnn.autograd.methods import FUNCTIONS, OBSERVED
from fastnn.autograd.modes import RECORDING
from fastnn.autograd.tape import run
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._dtype import numpy_dtype
from fastnn.compat.torch._pointwise import abs as absolute
from fastnn.compat.torch._pointwise import add, div, exp, log, maximum, minimum, mul, pow, sqrt, sub
from fastnn.compat.torch._promotion import as_float, cast, tensor_from
from fastnn.compat.torch._shapes import axis_of, cat, dims_of
from fastnn.compat.torch._tensor import Tensor, checked_out, method, new, wrapped

__all__ = [
    "all",
    "amax",
    "amin",
    "aminmax",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "bincount",
    "bucketize",
    "cdist",
    "corrcoef",
    "cosine_similarity",
    "count_nonzero",
    "cov",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "diff",
    "dist",
    "histc",
    "kthvalue",
    "logsumexp",
    "max",
    "mean",
    "median",
    "min",
    "mode",
    "msort",
    "nanmean",
    "nansum",
    "norm",
    "prod",
    "quantile",
    "renorm",
    "searchsorted",
    "sort",
    "std",
    "std_mean",
    "sum",
    "topk",
    "unique",
    "unique_consecutive",
    "var",
    "var_mean",
]

_sum, _mean, _var, _std = FUNCTIONS[np.sum], FUNCTIONS[np.mean], FUNCTIONS[np.var], FUNCTIONS[np.std]
_MISSING: Any = object()


def _pair(name: str) -> Any:
    return namedtuple(name, ("values", "indices"), module="torch.return_types")


_Max, _Min, _Sort, _TopK = _pair("max"), _pair("min"), _pair("sort"), _pair("topk")
_Median, _Mode, _KthValue, _CumMax, _CumMin = map(_pair, ("median", "mode", "kthvalue", "cummax", "cummin"))
_AMinMax = namedtuple("aminmax", ("min", "max"), module="torch.return_types")


def _told(function: Any, input: Any, axis: Any, keepdim: bool) -> Tensor:
    """A place, or an answer, along axes."""
    if OBSERVERS.get():
        return observed_answer(function, input, axis=axis, keepdims=keepdim)
    return wrapped(function(input._data, axis=axis, keepdims=keepdim))


def _axis(input: Any, dim: Any) -> Any:
    """NumPy's axis; None for all."""
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return None
    axes = dims_of(dim, input._data.ndim)
    if not input._data.ndim:
        return None
    return axes[0] if len(axes) == 1 else axes


def _integers(input: Any, dtype: Any) -> Any:
    if dtype is not None:
        return cast(input, numpy_dtype(dtype))
    return cast(input, np.dtype(np.int64)) if input._data.dtype.kind in "biu" else input


# ---- sums ------------------------------------------------------------------------------------------------------------
@method
def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None) -> Tensor:
    """The sum; of integers and bools in int64."""
    y = _sum(_integers(input, dtype), _axis(input, dim), keepdims=keepdim)
    return y if out is None else checked_out(y, out)


@method
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None) -> Tensor:
    """The mean, of floats."""
    if dtype is not None:
        input = cast(input, numpy_dtype(dtype))
    if input._data.dtype.kind != "f":
        raise RuntimeError(
            f"mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {input.dtype!r}"
        )
    y = _mean(input, _axis(input, dim), keepdims=keepdim)
    return y if out is None else checked_out(y, out)


@method
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of what is a number."""
    return FUNCTIONS[np.nansum](_integers(input, dtype), _axis(input, dim), keepdims=keepdim)


@method
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of what is a number."""
    return FUNCTIONS[np.nanmean](input, _axis(input, dim), keepdims=keepdim)


def _spread_arguments(dim: Any, unbiased: Any, keepdim: bool, correction: Any) -> tuple[Any, float, bool]:
    """`x.var(False)` means unbiased, `x.var(0)` an axis."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is _MISSING or correction is None:
        correction = 1 if unbiased is _MISSING or unbiased else 0
    return dim, correction, keepdim


@method
def var(
    input: Any, dim: Any = None, unbiased: Any = _MISSING, keepdim: bool = False, *, correction: Any = _MISSING
) -> Tensor:
    """The variance; the sum of squares is divided by the count less `correction`, 1 at first."""
    dim, ddof, keepdim = _spread_arguments(dim, unbiased, keepdim, correction)
    with np.errstate(all="ignore"):
        return _var(input, _axis(input, dim), ddof=ddof, keepdims=keepdim)


@method
def std(
    input: Any, dim: Any = None, unbiased: Any = _MISSING, keepdim: bool = False, *, correction: Any = _MISSING
) -> Tensor:
    """The root of the variance."""
    dim, ddof, keepdim = _spread_arguments(dim, unbiased, keepdim, correction)
    with np.errstate(all="ignore"):
        return _std(input, _axis(input, dim), ddof=ddof, keepdims=keepdim)


def var_mean(input: Any, dim: Any = None, unbiased: Any = _MISSING, keepdim: bool = False, *,
             correction: Any = _MISSING) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Variance and mean."""
    dim, ddof, keepdim = _spread_arguments(dim, unbiased, keepdim, correction)
    return var(input, dim, keepdim=keepdim, correction=ddof), mean(input, dim, keepdim)


def std_mean(input: Any, dim: Any = None, unbiased: Any = _MISSING, keepdim: bool = False, *,
             correction: Any = _MISSING) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Standard deviation and mean."""
    dim, ddof, keepdim = _spread_arguments(dim, unbiased, keepdim, correction)
    return std(input, dim, keepdim=keepdim, correction=ddof), mean(input, dim, keepdim)


@method
def prod(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product."""
    return FUNCTIONS[np.prod](_integers(input, dtype), _axis(input, dim), keepdims=keepdim)


@method(in_place=True)
def cumsum(input: Any, dim: int, *, dtype: Any = None, out: Any = None) -> Tensor:
    """The sums of all before, and of the element itself."""
    return checked_out(FUNCTIONS[np.cumsum](_integers(input, dtype), axis_of(dim, input._data.ndim)), out)


@method(in_place=True)
def cumprod(input: Any, dim: int, *, dtype: Any = None, out: Any = None) -> Tensor:
    """The products of all before, and of the element itself."""
    return checked_out(FUNCTIONS[np.cumprod](_integers(input, dtype), axis_of(dim, input._data.ndim)), out)


@method
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))), safely."""
    x = as_float(input)
    axes = dims_of(dim, x._data.ndim)
    top = np.max(x._data, axis=axes or None, keepdims=True)
    top = new(np.where(np.isfinite(top), top, 0).astype(x._data.dtype))
    y = add(log(sum(exp(sub(x, top)), axes, keepdim=True)), top)
    return y if keepdim else y.squeeze(axes)


@method
def count_nonzero(input: Any, dim: Any = None) -> Tensor:
    """How many are not 0."""
    return wrapped(np.count_nonzero(input._data, axis=_axis(input, dim)))


# ---- answers ---------------------------------------------------------------------------------------------------------
def _answer(name: str, ufunc: Any) -> Any:
    def function(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Tensor:
        y = _told(ufunc, input, _axis(input, dim), keepdim)
        return checked_out(y, out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Whether {'all' if name == 'all' else 'one'} of them {'are' if name == 'all' else 'is'} not 0."
    return method(function)


all = _answer("all", np.all)
any = _answer("any", np.any)


# ---- extremes --------------------------------------------------------------------------------------------------------
def _picked(input: Any, places: Any, axis: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    """Elements and their places along an axis."""
    if not input._data.ndim:
        return input.clone(), new(np.zeros((), np.int64))
    values: Any = run(TakeAlongAxis(places, axis, keepdim), input)
    return values, new(places if keepdim else places.squeeze(axis))


def _places(function: Any, input: Any, axis: int) -> Any:
    if OBSERVERS.get() and input._data.ndim and function in OBSERVED:
        return observed_answer(function, input, axis=axis, keepdims=True)._data
    return function(input._data, axis=axis, keepdims=True) if input._data.ndim else None


def _extreme(input: Any, dim: Any, keepdim: bool, other: Any, kind: Any, largest: bool) -> Any:
    pair, reduce = (maximum, FUNCTIONS[np.max]) if largest else (minimum, FUNCTIONS[np.min])
    if isinstance(dim, NumPyTensor):
        other, dim = dim, None
    if other is not None:
        return pair(input, other)
    if dim is None:
        if not input._data.size:
            raise RuntimeError(f"{kind.__name__}(): Expected reduction dim to be specified for input.numel() == 0.")
        return reduce(input)
    axis = axis_of(dim, input._data.ndim)
    places = _places(np.argmax if largest else np.argmin, input, axis)
    if places is None or (input._requires_grad and RECORDING.get()):
        return kind(*_picked(input, places, axis, keepdim))
    # A pass over the memory is faster than looking for the places.
    values = (np.max if largest else np.min)(input._data, axis, keepdims=keepdim)
    return kind(wrapped(values), new(places if keepdim else places.squeeze(axis)))


@method
def max(input: Any, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
    """The largest of all; along an axis (values, indices); or of two tensors, element by element."""
    return _extreme(input, dim, keepdim, other, _Max, True)


@method
def min(input: Any, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
    """The smallest of all; along an axis (values, indices); or of two tensors, element by element."""
    return _extreme(input, dim, keepdim, other, _Min, False)


@method
def amax(input: Any, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The largest along axes; equal ones share the gradient."""
    return FUNCTIONS[np.max](input, _axis(input, dim), keepdims=keepdim)


@method
def amin(input: Any, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The smallest along axes; equal ones share the gradient."""
    return FUNCTIONS[np.min](input, _axis(input, dim), keepdims=keepdim)


@method
def aminmax(input: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest and the largest."""
    axes = () if dim is None else dim
    return _AMinMax(amin(input, axes, keepdim), amax(input, axes, keepdim))


@method
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The place of the largest, the first of equal ones."""
    return _told(np.argmax, input, _axis(input, dim), keepdim)


@method
def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The place of the smallest, the first of equal ones."""
    return _told(np.argmin, input, _axis(input, dim), keepdim)


@method
def median(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The middle one, of two the smaller; along an axis (values, indices)."""
    if dim is None:
        flat = input.reshape(-1)
        return _kth(flat, (flat._data.size + 1) // 2, 0, False)[0]
    axis = axis_of(dim, input._data.ndim)
    return _Median(*_kth(input, (input._data.shape[axis] + 1) // 2, axis, keepdim))


def _kth(input: Any, k: int, axis: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    places = np.argsort(input._data, axis, kind="stable")
    return _picked(input, np.take(places, [k - 1], axis), axis, keepdim)


@method
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest, from 1, and its place."""
    return _KthValue(*_kth(input, k, axis_of(dim, input._data.ndim), keepdim))


@method
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent, of several the smallest, and one of its places."""
    axis = axis_of(dim, input._data.ndim)

    def last_place(line: Any) -> int:
        values, counts = np.unique(line, return_counts=True)
        return int(np.flatnonzero(line == values[counts.argmax()])[-1])

    places = np.expand_dims(np.apply_along_axis(last_place, axis, input._data), axis)
    return _Mode(*_picked(input, places, axis, keepdim))


@method
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """In order along an axis: (values, indices)."""
    axis = axis_of(dim, input._data.ndim)
    return _Sort(*_picked(input, _order(input, axis, descending), axis, True))


def _order(input: Any, axis: int, descending: bool) -> Any:
    if not input._data.ndim:
        return None
    if not descending:
        return input._data.argsort(axis, kind="stable")
    backwards = (*(slice(None),) * axis, slice(None, None, -1))
    turned = input._data[backwards]  # so that equal ones keep their order
    return input._data.shape[axis] - 1 - turned.argsort(axis, kind="stable")[backwards]


@method
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The places in order along an axis."""
    order = _order(input, axis_of(dim, input._data.ndim), descending)
    return new(np.zeros((), np.int64)) if order is None else wrapped(order)


@method
def msort(input: Any) -> Tensor:
    """In order along the first axis."""
    return sort(input, 0)[0]


@method
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k largest, or smallest, along an axis: (values, indices)."""
    axis = axis_of(dim, input._data.ndim)
    if input._data.ndim and k > input._data.shape[axis]:
        raise RuntimeError("selected index k out of range")
    order = _order(input, axis, largest)
    places = None if order is None else order[(*(slice(None),) * axis, slice(k))]
    return _TopK(*_picked(input, places, axis, True))


def _running(input: Any, dim: int, kind: Any, is_new: Any) -> Any:
    axis = axis_of(dim, input._data.ndim)
    x = np.moveaxis(input._data, axis, 0)
    places = np.zeros(x.shape, np.int64)
    best = x[0].copy()
    for i in range(1, len(x)):
        better = is_new(x[i], best)
        best = np.where(better, x[i], best)
        places[i] = np.where(better, i, places[i - 1])
    return kind(*_picked(input, np.moveaxis(places, 0, axis), axis, True))


@method
def cummax(input: Any, dim: int) -> Any:
    """The largest so far, and its place."""
    return _running(input, dim, _CumMax, np.greater_equal)


@method
def cummin(input: Any, dim: int) -> Any:
    """The smallest so far, and its place."""
    return _running(input, dim, _CumMin, np.less_equal)


@method
def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """What a share q of the elements is below; no gradient goes through."""
    if input._requires_grad:
        raise RuntimeError("quantile has no gradient here: use sort, or detach() its input")
    share = q._data if isinstance(q, NumPyTensor) else q
    y = np.quantile(input._data, share, axis=_axis(input, dim), method=interpolation, keepdims=keepdim)
    return wrapped(np.asarray(y, input._data.dtype))


@method
def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements that there are, in order."""
    axis = None if dim is None else axis_of(dim, input._data.ndim)
    found = np.unique(input._data, return_inverse=return_inverse, return_counts=return_counts, axis=axis)
    if not isinstance(found, tuple):
        return wrapped(found)
    parts = [wrapped(part) for part in found]
    if return_inverse and dim is None:
        parts[1] = parts[1].reshape(input._data.shape)
    return tuple(parts)


@method
def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """The elements without neighbours that are equal."""
    flat = input._data.reshape(-1)
    is_first = np.concatenate([[True], flat[1:] != flat[:-1]]) if flat.size else np.zeros(0, bool)
    parts = [wrapped(flat[is_first])]
    if return_inverse:
        parts.append(wrapped((np.cumsum(is_first) - 1).reshape(input._data.shape)))
    if return_counts:
        parts.append(wrapped(np.diff(np.append(np.flatnonzero(is_first), flat.size))))
    return parts[0] if len(parts) == 1 else tuple(parts)


@method
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each number occurs."""
    y = np.bincount(input._data, None if weights is None else weights._data, minlength)
    return wrapped(y)


@method
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of some bins of one width."""
    x = input._data
    low, high = (float(x.min()), float(x.max())) if min == max else (min, max)
    return wrapped(np.histogram(x, bins, (low, high))[0].astype(x.dtype))


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Between which boundaries each lies."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def searchsorted(sorted_sequence: Any, values: Any, *, out_int32: bool = False, right: bool = False,
                 side: str | None = None, sorter: Any = None) -> Tensor:  # fmt: skip
    """Where to put each so that the order stays."""
    wanted, order = tensor_from(values)._data, None if sorter is None else sorter._data
    places = np.searchsorted(sorted_sequence._data, wanted, "right" if right or side == "right" else "left", order)
    return wrapped(np.asarray(places, np.int32 if out_int32 else np.int64))


@method
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Differences of neighbours, of the tensor with something before and after it."""
    if prepend is not None or append is not None:
        input = cat([part for part in (prepend, input, append) if part is not None], dim)
    return FUNCTIONS[np.diff](input, n, dim)


# ---- norms -----------------------------------------------------------------------------------------------------------
@method
def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None, dtype: Any = None
) -> Tensor:
    """(sum |x|^p)^(1/p) of all elements, or along axes; its gradient at 0 is 0."""
    x = cast(input, numpy_dtype(dtype)) if dtype is not None else input
    if x._data.dtype.kind != "f":
        raise RuntimeError(f"norm: floats are needed. Received: {x.dtype!r}")
    if isinstance(p, NumPyTensor):
        p = p.item()
    if p == "nuc":
        raise RuntimeError("norm: the nuclear norm is not in fastnn: use numpy.linalg.norm(x.numpy(), 'nuc')")
    return checked_out(vector_norm(x, 2 if p in ("fro", None) else p, dim, keepdim), out)


def vector_norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The norm of all elements, or along axes."""
    axis = _axis(x, dim)
    if ord == 2:
        if axis is None and not keepdim:
            return FUNCTIONS[np.linalg.norm](x.reshape(-1))
        return FUNCTIONS[np.linalg.norm](x, axis=dims_of(axis, x._data.ndim), keepdims=keepdim)
    size = absolute(x)
    if ord == math.inf:
        return amax(size, () if axis is None else axis, keepdim)
    if ord == -math.inf:
        return amin(size, () if axis is None else axis, keepdim)
    if ord == 0:
        return _sum(new((x._data != 0).astype(x._data.dtype)), axis, keepdims=keepdim)
    if ord == 1:
        return _sum(size, axis, keepdims=keepdim)
    return pow(_sum(pow(size, ord), axis, keepdims=keepdim), 1 / ord)


@method
def dist(input: Any, other: Any, p: float = 2) -> Tensor:
    """The norm of the difference."""
    return norm(sub(input, other), p)


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "") -> Tensor:
    """The distances of all rows of one to all rows of the other."""
    return vector_norm(sub(x1.unsqueeze(-2), x2.unsqueeze(-3)), p, -1)


@method(in_place=True)
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Tensor:
    """Slices across an axis, shortened to a norm of at most maxnorm."""
    axis = axis_of(dim, input._data.ndim)
    others = tuple(i for i in range(input._data.ndim) if i != axis)
    length = vector_norm(input.detach(), p, others, True)._data
    scale = np.where(length > maxnorm, maxnorm / (length + 1e-7), 1).astype(input._data.dtype)
    return mul(input, new(scale))


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle, along an axis."""
    axis = dim
    product = sum(mul(x1, x2), axis)
    lengths = [sqrt(maximum(sum(mul(x, x), axis), new(np.asarray(eps * eps, x._data.dtype)))) for x in (x1, x2)]
    return div(product, mul(*lengths))


@method
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """The covariances of the rows."""
    if fweights is not None or aweights is not None:
        raise NotImplementedError("torch.cov: fweights and aweights are not in fastnn: use numpy.cov on x.numpy()")
    x = as_float(input)
    x = x.reshape(1, -1) if x._data.ndim < 2 else x
    x = sub(x, mean(x, 1, keepdim=True))
    y = div(x.matmul(x.t()), builtins.max(x._data.shape[1] - correction, 0))
    return y.squeeze()


@method
def corrcoef(input: Any) -> Tensor:
    """The correlations of the rows."""
    y = cov(input)
    if y._data.ndim == 0:
        return div(y, y)
    deviations = sqrt(y.diagonal())
    return div(div(y, deviations[:, None]), deviations[None, :])
