"""Batch normalisation. Statistics are float64, whatever the dtype of x: a rounded mean would cost its digits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["batch_norm", "batch_norm_backward", "batch_norm_statistics"]


def _axes(x: NDArray) -> tuple[int, ...]:
    """All axes but the channels'."""
    return (0, *range(2, x.ndim))


def _per_channel(values: NDArray, x: NDArray) -> NDArray:
    """`values`, one for each channel, in the shape that broadcasts against x."""
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def batch_norm_statistics(x: NDArray) -> tuple[NDArray, NDArray]:
    """mean[c] and the biased variance[c] = mean of (x[:, c] - mean[c])^2"""
    mean = x.mean(_axes(x), dtype=np.float64)
    return mean, np.square(x - _per_channel(mean, x)).mean(_axes(x))


def batch_norm(x: NDArray, mean: NDArray, invstd: NDArray, weight: NDArray | None, bias: NDArray | None) -> NDArray:
    """y[n, c] = (x[n, c] - mean[c]) * invstd[c] * weight[c] + bias[c]"""
    y = (x - _per_channel(mean, x)) * _per_channel(invstd, x)
    if weight is not None:
        y = y * _per_channel(weight, x)
    if bias is not None:
        y = y + _per_channel(bias, x)
    return y.astype(x.dtype)


def batch_norm_backward(
    dy: NDArray, x: NDArray, mean: NDArray, invstd: NDArray, weight: NDArray | None, training: bool
) -> tuple[NDArray, NDArray, NDArray]:
    """With x_hat = (x - mean) * invstd and means and sums over all axes but the channels':

    dbias = sum of dy, dweight = sum of dy * x_hat
    dx    = weight * invstd * (dy - mean of dy - x_hat * mean of (dy * x_hat))   in training
    dx    = weight * invstd * dy                                                 where the statistics are constants
    """
    x_hat = (x - _per_channel(mean, x)) * _per_channel(invstd, x)
    dbias = dy.sum(_axes(x), dtype=np.float64)
    dweight = (dy * x_hat).sum(_axes(x))
    scale = invstd if weight is None else invstd * weight
    dx = dy * _per_channel(scale, x)
    if training:
        n = x.size // x.shape[1]
        dx -= _per_channel(scale, x) * (_per_channel(dbias, x) + x_hat * _per_channel(dweight, x)) / n
    return dx.astype(x.dtype), dweight.astype(x.dtype), dbias.astype(x.dtype)
