"""Softmax and its logarithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]


def softmax(x: NDArray, dim: int) -> NDArray:
    """y = exp(x) / sum of exp(x) along dim

    Subtracting the largest x of each sum changes nothing but keeps exp from overflowing.
    """
    with np.errstate(invalid="ignore"):  # infinity - infinity is NaN
        e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def softmax_backward(dy: NDArray, y: NDArray, dim: int) -> NDArray:
    """dx = y * (dy - sum of dy * y along dim)"""
    return y * (dy - (dy * y).sum(axis=dim, keepdims=True))


def log_softmax(x: NDArray, dim: int) -> NDArray:
    """y = x - log(sum of exp(x) along dim), after subtracting the largest x as in softmax"""
    with np.errstate(invalid="ignore"):
        shifted = x - x.max(axis=dim, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


def log_softmax_backward(dy: NDArray, y: NDArray, dim: int) -> NDArray:
    """dx = dy - exp(y) * sum of dy along dim"""
    return dy - np.exp(y) * dy.sum(axis=dim, keepdims=True)
