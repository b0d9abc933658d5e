"""Pointwise activations."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["relu", "relu_backward"]


def relu(x: NDArray) -> NDArray:
    """y = max(x, 0)"""
    return np.maximum(x, 0)


def relu_backward(dy: NDArray, y: NDArray) -> NDArray:
    """dx = dy where y > 0 (or y is NaN), else 0"""
    return np.where(y <= 0, np.zeros_like(dy), dy)
