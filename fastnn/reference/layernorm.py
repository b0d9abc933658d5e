"""Layer normalisation of the rows of a matrix. Statistics are float64, whatever the dtype of x."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["layer_norm", "layer_norm_backward"]


def layer_norm(
    x: NDArray, weight: NDArray | None, bias: NDArray | None, eps: float
) -> tuple[NDArray, NDArray, NDArray]:
    """y[i, j] = (x[i, j] - mean[i]) * invstd[i] * weight[j] + bias[j],  invstd = 1 / sqrt(biased variance + eps)"""
    mean = x.mean(1, dtype=np.float64)
    deviation = x - mean[:, None]
    invstd = 1 / np.sqrt(np.square(deviation).mean(1) + eps)
    y = deviation * invstd[:, None]
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y.astype(x.dtype), mean, invstd


def layer_norm_backward(
    dy: NDArray, x: NDArray, mean: NDArray, invstd: NDArray, weight: NDArray | None
) -> tuple[NDArray, NDArray, NDArray]:
    """With x_hat = (x - mean) * invstd and g = dy * weight:

    dbias[j]   = sum over i of dy[i, j]
    dweight[j] = sum over i of dy[i, j] * x_hat[i, j]
    dx[i]      = invstd[i] * (g[i] - mean of g[i] - x_hat[i] * mean of (g[i] * x_hat[i]))
    """
    x_hat = (x - mean[:, None]) * invstd[:, None]
    g = (dy if weight is None else dy * weight).astype(np.float64)
    dx = invstd[:, None] * (g - g.mean(1, keepdims=True) - x_hat * (g * x_hat).mean(1, keepdims=True))
    dweight, dbias = (dy * x_hat).sum(0), dy.sum(0, dtype=np.float64)
    return dx.astype(x.dtype), dweight.astype(x.dtype), dbias.astype(x.dtype)
