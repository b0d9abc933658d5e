"""Pointwise activations."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "gelu_tanh",
    "gelu_tanh_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softplus",
    "softplus_backward",
    "tanh",
    "tanh_backward",
]


def relu(x: NDArray) -> NDArray:
    """y = max(x, 0)"""
    return np.maximum(x, 0)


def relu_backward(dy: NDArray, y: NDArray) -> NDArray:
    """dx = dy where y > 0 (or y is NaN), else 0"""
    return np.where(y <= 0, np.zeros_like(dy), dy)


def leaky_relu(x: NDArray, negative_slope: float) -> NDArray:
    """y = x where x > 0, else negative_slope * x"""
    return np.where(x > 0, x, x.dtype.type(negative_slope) * x)


def leaky_relu_backward(dy: NDArray, x: NDArray, negative_slope: float) -> NDArray:
    """dx = dy where x > 0, else negative_slope * dy"""
    return np.where(x > 0, dy, x.dtype.type(negative_slope) * dy)


def prelu(x: NDArray, weight: NDArray) -> NDArray:
    """y = x where x > 0, else weight * x, with one weight for each channel or one for all"""
    return np.where(x > 0, x, _along_channels(weight, x) * x)


def prelu_backward(dy: NDArray, x: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """dx = dy where x > 0, else weight * dy;  dweight = sum of dy * x where x <= 0, of a channel or of all"""
    dx = np.where(x > 0, dy, _along_channels(weight, x) * dy)
    terms = np.where(x > 0, 0, dy * x)
    if weight.size == 1:
        return dx, terms.sum(dtype=np.float64).astype(x.dtype).reshape(1)
    others = tuple(axis for axis in range(x.ndim) if axis != 1)
    return dx, terms.sum(axis=others, dtype=np.float64).astype(x.dtype)


def _along_channels(weight: NDArray, x: NDArray) -> NDArray:
    """A view of the weights that broadcasts along axis 1 of x."""
    return weight.reshape(-1, *(1,) * (x.ndim - 2)) if weight.size > 1 else weight.reshape(())


def elu(x: NDArray, alpha: float) -> NDArray:
    """y = x where x > 0, else alpha * (exp(x) - 1)"""
    return np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)))


def elu_backward(dy: NDArray, x: NDArray, alpha: float) -> NDArray:
    """dx = dy where x > 0, else dy * alpha * exp(x)"""
    return np.where(x > 0, dy, dy * (x.dtype.type(alpha) * np.exp(np.minimum(x, 0))))


def gelu(x: NDArray) -> NDArray:
    """y = x * P(z < x) for a standard normal z"""
    with np.errstate(invalid="ignore"):  # -infinity * 0 is NaN
        return x * _normal_cdf(x)


def gelu_backward(dy: NDArray, x: NDArray) -> NDArray:
    """dx = dy * (P(z < x) + x * exp(-x^2 / 2) / sqrt(2 pi))"""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        density = np.exp(-x * x / 2) * x.dtype.type(1 / math.sqrt(2 * math.pi))
        return dy * (_normal_cdf(x) + x * density)


def _normal_cdf(x: NDArray) -> NDArray:
    """P(z < x) for a standard normal z. NumPy has no error function; Python has."""
    cdf = [math.erfc(-value / math.sqrt(2)) / 2 for value in x.ravel().tolist()]
    return np.array(cdf, x.dtype).reshape(x.shape)


def gelu_tanh(x: NDArray) -> NDArray:
    """y = x / 2 * (1 + tanh(u / 2)) = x * sigmoid(u) with u = sqrt(8 / pi) * (x + 0.044715 x^3)"""
    with np.errstate(over="ignore", invalid="ignore"):
        return x * sigmoid(x.dtype.type(math.sqrt(8 / math.pi)) * (x + x.dtype.type(0.044715) * x * x * x))


def gelu_tanh_backward(dy: NDArray, x: NDArray) -> NDArray:
    """dx = dy * (s + x * s * (1 - s) * du) with s = sigmoid(u) and du = sqrt(8 / pi) * (1 + 3 * 0.044715 x^2)

    Beyond +-30, s is 0 or 1 in any precision.
    """
    x = np.clip(x, -30, 30)
    slope, cubic = x.dtype.type(math.sqrt(8 / math.pi)), x.dtype.type(0.044715)
    s = sigmoid(slope * (x + cubic * x * x * x))
    return dy * (s + x * s * (1 - s) * slope * (1 + 3 * cubic * x * x))


def silu(x: NDArray) -> NDArray:
    """y = x * sigmoid(x)"""
    with np.errstate(invalid="ignore"):  # -infinity * 0 is NaN
        return x * sigmoid(x)


def silu_backward(dy: NDArray, x: NDArray) -> NDArray:
    """dx = dy * s * (1 + x * (1 - s)) with s = sigmoid(x)"""
    s = sigmoid(x)
    with np.errstate(invalid="ignore"):
        return dy * s * (1 + x * (1 - s))


def sigmoid(x: NDArray) -> NDArray:
    """y = 1 / (1 + exp(-x)) = exp(x) / (1 + exp(x)), whichever does not overflow"""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_backward(dy: NDArray, y: NDArray) -> NDArray:
    """dx = dy * y * (1 - y)"""
    return dy * y * (1 - y)


def tanh(x: NDArray) -> NDArray:
    """y = tanh(x)"""
    return np.tanh(x)


def tanh_backward(dy: NDArray, y: NDArray) -> NDArray:
    """dx = dy * (1 - y^2)"""
    return dy * ((1 - y) * (1 + y))


def softplus(x: NDArray, beta: float, threshold: float) -> NDArray:
    """y = log(1 + exp(z)) / beta with z = beta * x, and x where z > threshold

    log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), which does not overflow.
    """
    z = x.dtype.type(beta) * x
    return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / x.dtype.type(beta))


def softplus_backward(dy: NDArray, x: NDArray, beta: float, threshold: float) -> NDArray:
    """dx = dy * sigmoid(beta * x), and dy where beta * x > threshold"""
    z = x.dtype.type(beta) * x
    return np.where(z > threshold, dy, dy * sigmoid(z))
