"""Group normalisation. Statistics are float64, whatever the dtype of x."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["group_norm", "group_norm_backward"]


def _grouped(values: NDArray, groups: int) -> NDArray:
    """(N, C, ...) as (N, groups, everything that is normalised together)."""
    return values.reshape(len(values), groups, -1)


def _per_channel(values: NDArray, x: NDArray) -> NDArray:
    """`values`, one for each channel, in the shape that broadcasts against x."""
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def group_norm(
    x: NDArray, groups: int, weight: NDArray | None, bias: NDArray | None, eps: float
) -> tuple[NDArray, NDArray, NDArray]:
    """y = (x - mean) * invstd * weight[c] + bias[c], mean and invstd = 1 / sqrt(biased variance + eps) of one group of
    channels of one image"""
    grouped = _grouped(x, groups)
    mean = grouped.mean(2, dtype=np.float64)
    deviation = grouped - mean[..., None]
    invstd = 1 / np.sqrt(np.square(deviation).mean(2) + eps)
    y = (deviation * invstd[..., None]).reshape(x.shape)
    if weight is not None:
        y = y * _per_channel(weight, x)
    if bias is not None:
        y = y + _per_channel(bias, x)
    return y.astype(x.dtype), mean, invstd


def group_norm_backward(
    dy: NDArray, x: NDArray, mean: NDArray, invstd: NDArray, weight: NDArray | None
) -> tuple[NDArray, NDArray, NDArray]:
    """With x_hat = (x - mean) * invstd and g = dy * weight:

    dbias[c]   = sum over images and pixels of dy
    dweight[c] = sum over images and pixels of dy * x_hat
    dx         = invstd * (g - mean of g - x_hat * mean of (g * x_hat)),  means over a group of one image
    """
    groups = mean.shape[1]
    x_hat = (_grouped(x, groups) - mean[..., None]) * invstd[..., None]
    g = _grouped(dy if weight is None else dy * _per_channel(weight, x), groups).astype(np.float64)
    dx = invstd[..., None] * (g - g.mean(2, keepdims=True) - x_hat * (g * x_hat).mean(2, keepdims=True))
    axes = (0, *range(2, x.ndim))
    dweight, dbias = (dy * x_hat.reshape(x.shape)).sum(axes), dy.sum(axes, dtype=np.float64)
    return dx.reshape(x.shape).astype(x.dtype), dweight.astype(x.dtype), dbias.astype(x.dtype)
