"""Normalisation by the root of the mean square."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _runtime, reference
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor, array_of

__all__ = ["rms_norm"]


def rms_norm(
    x: ArrayLike, normalized_shape: int | Sequence[int], weight: ArrayLike | None = None, eps: float | None = None
) -> Any:
    """Divide by the root of the mean square over the last axes, each sample by itself.

    y = x / sqrt(mean of x^2 + eps) * weight

    Args:
        x: activations.
        normalized_shape: the sizes of the axes that are normalised together.
        weight: scale of every element of these axes, or None.
        eps: added to the mean square; None for the machine epsilon of the dtype of x.
    Shape:
        - x: (..., *normalized_shape), float32 or float64
        - weight: normalized_shape, of the dtype of x
        - Result: that of x, C-contiguous
    Raises:
        ValueError: shapes do not fit.
    Example:
        >>> rms_norm(np.array([[3.0, 4.0], [30.0, -40.0]]), 2, np.array([2.5, 2.5]) ** 0.5, eps=0.0).round(4)
        array([[ 1.3416,  1.7889],
               [ 1.3416, -1.7889]])

    Source: Zhang and Sennrich, 2019, "Root mean square layer normalization".
    """
    array = _check.floats("rms_norm", "x", array_of(x))
    axes = _check.integers("rms_norm", "normalized_shape", normalized_shape, 1)
    if array.shape[max(array.ndim - len(axes), 0) :] != axes:
        raise _check.fail("rms_norm", f"the last axes of x must be normalized_shape {axes}", x=array)
    scale = None if weight is None else _check.floats("rms_norm", "weight", array_of(weight))
    if scale is not None and scale.shape != axes:
        raise _check.fail("rms_norm", f"weight must have normalized_shape {axes}", weight=scale)
    _check.same_dtype("rms_norm", x=array, weight=scale)
    eps = float(np.finfo(array.dtype).eps) if eps is None else _check.epsilon("rms_norm", eps)
    x = x if isinstance(x, Tensor) else array
    weight = weight if isinstance(weight, Tensor) else scale
    if _runtime.uses_reference():
        return reference.rms_norm(x, axes, weight, eps)
    return run(RMSNorm(math.prod(axes), eps), x, weight)


class RMSNorm(Op):
    """`rms_norm` of x and weight."""

    keeps: ClassVar = {0: "x", 1: "weight"}
    is_exact = is_fresh = True
    x: Any = None
    weight: Any = None

    def __init__(self, features: int, eps: float) -> None:
        self.features, self.eps = features, eps

    def forward(self, x: Any, weight: Any) -> NDArray:
        if self.needs_grad:
            self.x, self.weight = x, weight
        rows = self._rows(x)
        with np.errstate(all="ignore"):  # infinity and NaN are results
            mean_square = np.square(rows, dtype=np.float64).mean(axis=1, keepdims=True)
            invrms = (1 / np.sqrt(mean_square + self.eps)).astype(rows.dtype)
            y = rows * invrms
            if weight is not None:
                y *= _layout.contiguous(weight).reshape(-1)
        if self.needs_grad:
            self.invrms = invrms
        return y.reshape(x.shape)

    def backward(self, dy: NDArray) -> tuple[NDArray | None, NDArray | None]:
        rows, g, weight, dx, dweight = self._rows(self.x), self._rows(dy), self.weight, None, None
        with np.errstate(all="ignore"):
            x_hat = rows * self.invrms
            if self.needs_grad[1]:
                dweight = (g * x_hat).sum(axis=0, dtype=np.float64).astype(rows.dtype).reshape(weight.shape)
            if self.needs_grad[0]:
                if weight is not None:
                    g = g * _layout.contiguous(weight).reshape(-1)
                mean = (g * x_hat).mean(axis=1, keepdims=True, dtype=np.float64).astype(rows.dtype)
                dx = ((g - x_hat * mean) * self.invrms).reshape(self.x.shape)
        return dx, dweight

    def _rows(self, x: Any) -> NDArray:
        x = _layout.contiguous(_check.floats("rms_norm", "x", x))
        return x.reshape(x.size // self.features, self.features)
