"""Normalisation by the root of the mean square."""

from typing import Any

import numpy as np

__all__ = ["rms_norm"]


def rms_norm(x: Any, normalized_shape: tuple[int, ...], weight: Any, eps: float) -> Any:
    """y = x / sqrt(mean of x^2 + eps) * weight, the mean over the last axes, in float64 whatever the dtype of x"""
    wide = x.astype(np.float64)
    axes = tuple(range(-len(normalized_shape), 0))
    y = wide / np.sqrt((wide * wide).mean(axis=axes, keepdims=True) + eps)
    return (y if weight is None else y * weight).astype(x.dtype)
