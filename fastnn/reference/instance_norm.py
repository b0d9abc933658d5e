"""Normalisation of every channel of every image by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["instance_norm"]


def instance_norm(
    x: NDArray,
    running_mean: NDArray | None,
    running_var: NDArray | None,
    weight: NDArray | None,
    bias: NDArray | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
) -> tuple[NDArray, NDArray | None, NDArray | None]:
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, of every channel of every image, or the running ones

    running = (1 - momentum) * running + momentum * the mean over all images, of the unbiased variance
    """
    pixels = tuple(range(2, x.ndim))
    wide = x.astype(np.float64)
    shape = (1, -1) + (1,) * len(pixels)
    if use_input_stats:
        mean, variance = wide.mean(pixels, keepdims=True), wide.var(pixels, keepdims=True)
        if running_mean is not None and running_var is not None:
            unbiased = wide.var(pixels, ddof=1)
            running_mean = (1 - momentum) * running_mean + momentum * wide.mean(pixels).mean(0)
            running_var = (1 - momentum) * running_var + momentum * unbiased.mean(0)
    else:
        mean, variance = running_mean.reshape(shape), running_var.reshape(shape)  # type: ignore[union-attr]
    y = (wide - mean) / np.sqrt(variance + eps)
    if weight is not None:
        y = y * weight.reshape(shape)
    if bias is not None:
        y = y + bias.reshape(shape)
    return y.astype(x.dtype), running_mean, running_var
