"""Pooling to a given size: window by window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.reference._windows import Windows, adaptive, widest
from fastnn.reference.maxpool2d import maximum, maximum_backward

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool2d_taps",
]

Pair = tuple[int, int]


def _windows(shape: tuple[int, ...], out: Pair) -> tuple[Windows, Windows]:
    return adaptive(shape[2], out[0]), adaptive(shape[3], out[1])


def adaptive_avg_pool2d(x: NDArray, out: Pair) -> NDArray:
    """y[n, c, i, j] = the mean of window i, j"""
    windows_h, windows_w = _windows(x.shape, out)
    y = np.empty((*x.shape[:2], *out), x.dtype)
    for i, (rows, _) in enumerate(windows_h):
        for j, (columns, _) in enumerate(windows_w):
            y[:, :, i, j] = x[:, :, rows][:, :, :, columns].mean(axis=(2, 3))
    return y


def adaptive_avg_pool2d_backward(dy: NDArray, shape: tuple[int, ...], out: Pair) -> NDArray:
    """Every pixel of window i, j gets its share of dy[n, c, i, j]."""
    windows_h, windows_w = _windows(shape, out)
    dx = np.zeros(shape, dy.dtype)
    for i, (rows, _) in enumerate(windows_h):
        for j, (columns, _) in enumerate(windows_w):
            share = dy[:, :, i, j] / (len(rows) * len(columns))
            dx[:, :, rows[:, None], columns] += share[:, :, None, None]
    return dx


def adaptive_max_pool2d_taps(x: NDArray, out: Pair) -> tuple[NDArray, NDArray]:
    """`adaptive_max_pool2d`, and which tap of its window each maximum is."""
    windows_h, windows_w = _windows(x.shape, out)
    return maximum(x, windows_h, windows_w, widest(windows_w))


def adaptive_max_pool2d(x: NDArray, out: Pair) -> NDArray:
    """y[n, c, i, j] = the largest pixel of window i, j"""
    return adaptive_max_pool2d_taps(x, out)[0]


def adaptive_max_pool2d_backward(dy: NDArray, taps: NDArray, shape: tuple[int, ...], out: Pair) -> NDArray:
    """Every dy is added to the pixel that was the largest of its window."""
    windows_h, windows_w = _windows(shape, out)
    return maximum_backward(dy, taps, shape, windows_h, windows_w, widest(windows_w))
