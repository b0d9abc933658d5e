"""Activations made of straight lines and their products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "hardtanh",
    "hardtanh_backward",
    "relu6",
    "relu6_backward",
]


def hardtanh(x: NDArray, min_val: float, max_val: float) -> NDArray:
    """y = min(max(x, min_val), max_val)"""
    return np.clip(x, min_val, max_val)


def hardtanh_backward(dy: NDArray, x: NDArray, min_val: float, max_val: float) -> NDArray:
    """dx = dy where min_val < x < max_val (or x is NaN), else 0"""
    return np.where((x <= min_val) | (x >= max_val), 0, dy)


def relu6(x: NDArray) -> NDArray:
    """y = min(max(x, 0), 6)"""
    return hardtanh(x, 0, 6)


def relu6_backward(dy: NDArray, x: NDArray) -> NDArray:
    """dx = dy where 0 < x < 6 (or x is NaN), else 0"""
    return hardtanh_backward(dy, x, 0, 6)


def hardsigmoid(x: NDArray) -> NDArray:
    """y = min(max(x + 3, 0), 6) / 6"""
    return np.clip(x + 3, 0, 6) / 6


def hardsigmoid_backward(dy: NDArray, x: NDArray) -> NDArray:
    """dx = dy / 6 where -3 < x < 3, else 0"""
    return np.where((x > -3) & (x < 3), dy / 6, 0)


def hardswish(x: NDArray) -> NDArray:
    """y = x * min(max(x + 3, 0), 6) / 6"""
    return x * np.clip(x + 3, 0, 6) / 6


def hardswish_backward(dy: NDArray, x: NDArray) -> NDArray:
    """dx = 0 where x <= -3, dy where x >= 3, else dy * (2 x + 3) / 6"""
    return np.where(x <= -3, 0, np.where(x < 3, dy * (x / 3 + 0.5), dy))
