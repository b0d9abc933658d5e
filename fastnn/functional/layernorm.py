"""Layer normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.tape import Op, run

__all__ = ["Normalized", "layer_norm", "layer_norm_backward"]


class Normalized(NamedTuple):
    """What `layer_norm` and `group_norm` return.

    Attributes:
        y: the normalised activation.
        mean, invstd: what it was normalised with, float64; the backward functions need them.
    """

    y: NDArray
    mean: NDArray
    invstd: NDArray


def _check_axes(operation: str, x: NDArray, axes: tuple[int, ...]) -> None:
    if x.ndim < len(axes) or x.shape[x.ndim - len(axes) :] != axes:
        raise _check.fail(operation, f"the last axes of x must be normalized_shape {axes}", x=x)


def _affine(operation: str, name: str, value: ArrayLike | None, axes: tuple[int, ...]) -> NDArray | None:
    """weight or bias as a dense vector."""
    if value is None:
        return None
    array = _check.floats(operation, name, value)
    if array.shape != axes:
        raise _check.fail(operation, f"{name} must have normalized_shape {axes}", **{name: array})
    return _layout.contiguous(array).reshape(-1)


def layer_norm(
    x: ArrayLike,
    normalized_shape: int | Sequence[int],
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Normalized:
    """Normalise over the last axes, each sample by itself.

    y = (x - mean) * invstd * weight + bias,  invstd = 1 / sqrt(variance + eps), where mean and (biased) variance are
    taken over the last axes.

    Args:
        x: activations.
        normalized_shape: the sizes of the axes that are normalised together.
        weight, bias: scale and offset of every element of these axes, or None.
        eps: added to the variance.
    Shape:
        - x: (..., *normalized_shape), float32 or float64
        - weight, bias: normalized_shape, of the dtype of x
        - Result: (y, mean, invstd); y has the shape of x, the others have its leading axes, float64
    Raises:
        ValueError: shapes do not fit.
    Example:
        >>> layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), 2, eps=0.0).y
        array([[-1.,  1.],
               [-1.,  1.]])

    Source: Ba, Kiros and Hinton, 2016, "Layer normalization".
    """
    operation = LayerNorm(normalized_shape, eps)
    y = run(operation, x, weight, bias)
    return Normalized(y, operation.mean, operation.invstd)


class LayerNorm(Op):
    """`layer_norm` of x, weight and bias."""

    keeps: ClassVar = {0: "x", 1: "weight"}
    is_exact = is_fresh = True

    def __init__(self, normalized_shape: int | Sequence[int], eps: float) -> None:
        self.normalized_shape, self.eps = normalized_shape, eps

    def forward(self, x: ArrayLike, weight: ArrayLike | None, bias: ArrayLike | None) -> NDArray:
        self.x, self.weight = x, weight
        y, self.mean, self.invstd = _forward(x, self.normalized_shape, weight, bias, self.eps)
        return y

    def backward(self, dy: NDArray) -> Any:
        need_dx, *needs = self.needs_grad
        return layer_norm_backward(
            dy, self.x, self.normalized_shape, self.mean, self.invstd, self.weight, need_dx, any(needs)
        )


def _need_no_check(x: Any, axes: Any, weight: Any, bias: Any) -> bool:
    """A quick look that suffices for what layers of one axis hand over; else the real checks follow."""
    if not (type(x) is np.ndarray and x.dtype in _check.FLOATS and type(axes) is tuple and len(axes) == 1):
        return False
    if type(axes[0]) is not int or x.shape[-1:] != axes:
        return False
    for values in (weight, bias):
        if values is not None and not (
            type(values) is np.ndarray
            and values.dtype == x.dtype
            and values.shape == axes
            and values.flags.c_contiguous
            and values.flags.aligned
        ):
            return False
    return True


def _forward(x: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> Normalized:
    if _need_no_check(x, normalized_shape, weight, bias):
        axes: Any = normalized_shape
    else:
        x = _check.floats("layer_norm", "x", x)
        axes = _check.integers("layer_norm", "normalized_shape", normalized_shape, 1)
        _check_axes("layer_norm", x, axes)
        weight = _affine("layer_norm", "weight", weight, axes)
        bias = _affine("layer_norm", "bias", bias, axes)
        _check.same_dtype("layer_norm", x=x, weight=weight, bias=bias)
    eps = _check.epsilon("layer_norm", eps)
    leading = x.shape[: x.ndim - len(axes)]
    if not x.size:
        return Normalized(_memory.empty(x.shape, x.dtype), np.zeros(leading), np.ones(leading))
    if _runtime.uses_reference():
        y, mean, invstd = reference.layer_norm(x.reshape(-1, math.prod(axes)), weight, bias, eps)
        return Normalized(y.reshape(x.shape), mean.reshape(leading), invstd.reshape(leading))
    order = _layout.row_order(x, len(axes))
    rows = _layout.ordered(x, order).reshape(-1, math.prod(axes))
    y, mean, invstd = _memory.empty(rows.shape, x.dtype), np.empty(len(rows)), np.empty(len(rows))
    _runtime._native.layernorm_forward(rows, weight, bias, eps, y, mean, invstd, _runtime.num_threads())
    kernel_ran("layernorm_forward")
    of_rows = None if order is None else order[: len(leading)]
    mean, invstd = _layout.in_rows(mean, leading, of_rows), _layout.in_rows(invstd, leading, of_rows)
    return Normalized(_layout.in_rows(y, x.shape, order), mean, invstd)


def layer_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    normalized_shape: int | Sequence[int],
    mean: ArrayLike,
    invstd: ArrayLike,
    weight: ArrayLike | None = None,
    need_dx: bool = True,
    need_dweight: bool = True,
) -> tuple[NDArray | None, NDArray | None, NDArray | None]:
    """Gradients of `layer_norm`.

    With x_hat = (x - mean) * invstd and g = dy * weight:

    dx = invstd * (g - mean of g - x_hat * mean of (g * x_hat)),  means over the last axes
    dweight, dbias = sums of dy * x_hat and of dy over the leading axes

    Args:
        dy: gradient of the loss with respect to y.
        x, normalized_shape, weight: as in `layer_norm`.
        mean, invstd: those in the result of `layer_norm`.
        need_dx: whether to compute dx.
        need_dweight: whether to compute dweight and dbias.
    Shape:
        - dy, x: (..., *normalized_shape)
        - mean, invstd: the leading axes of x
        - Result: (dx, dweight, dbias) with the shapes of x, weight and bias; None where it is not needed
    """
    x = _check.floats("layer_norm_backward", "x", x)
    dy = _check.floats("layer_norm_backward", "dy", dy)
    _check.same_shape("layer_norm_backward", dy=dy, x=x)
    axes = _check.integers("layer_norm_backward", "normalized_shape", normalized_shape, 1)
    _check_axes("layer_norm_backward", x, axes)
    weight = _affine("layer_norm_backward", "weight", weight, axes)
    _check.same_dtype("layer_norm_backward", dy=dy, x=x, weight=weight)
    leading, features = x.shape[: x.ndim - len(axes)], math.prod(axes)
    need_dx = _check.boolean("layer_norm_backward", "need_dx", need_dx)
    need_dweight = _check.boolean("layer_norm_backward", "need_dweight", need_dweight)
    mean = np.asarray(_check.reals("layer_norm_backward", "mean", mean), np.float64)
    invstd = np.asarray(_check.reals("layer_norm_backward", "invstd", invstd), np.float64)
    if mean.shape != leading or invstd.shape != leading:
        raise _check.fail("layer_norm_backward", f"mean and invstd must have shape {leading}", mean=mean, invstd=invstd)
    if not x.size:
        dx = _memory.empty(x.shape, x.dtype) if need_dx else None
        return (dx, np.zeros(axes, x.dtype), np.zeros(axes, x.dtype)) if need_dweight else (dx, None, None)
    dx = dweight = dbias = None
    if _runtime.uses_reference():
        rows, dy_rows = x.reshape(-1, features), dy.reshape(-1, features)
        dx, dweight, dbias = reference.layer_norm_backward(dy_rows, rows, mean.reshape(-1), invstd.reshape(-1), weight)
        dx = dx.reshape(x.shape) if need_dx else None
        dweight, dbias = (dweight, dbias) if need_dweight else (None, None)
    else:
        order, native = _layout.row_order(x, len(axes)), _runtime._native
        rows, dy_rows = (_layout.ordered(a, order).reshape(-1, features) for a in (x, dy))
        of_rows = None if order is None else order[: len(leading)]
        mean, invstd = (_layout.ordered(a, of_rows).reshape(-1) for a in (mean, invstd))
        if need_dx:
            dx = _memory.empty(rows.shape, x.dtype)
        if need_dweight:
            dweight, dbias = np.empty(features, x.dtype), np.empty(features, x.dtype)
        workspace = _memory.workspace(native.layernorm_backward_workspace(rows, need_dweight))
        native.layernorm_backward(
            dy_rows, rows, mean, invstd, weight, dx, dweight, dbias, workspace, _runtime.num_threads()
        )
        kernel_ran("layernorm_backward")
        dx = None if dx is None else _layout.in_rows(dx, x.shape, order)
    if dweight is None or dbias is None:
        return dx, None, None
    return dx, dweight.reshape(axes), dbias.reshape(axes)
