"""Two-dimensional max pooling: window by window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.reference._windows import Windows, sliding

__all__ = ["max_pool2d", "max_pool2d_backward", "max_pool2d_taps"]

Pair = tuple[int, int]


def maximum(x: NDArray, windows_h: Windows, windows_w: Windows, kernel_w: int) -> tuple[NDArray, NDArray]:
    """(y, taps): the largest pixel of every window, and its tap p * kernel_w + q."""
    n, c = x.shape[:2]
    y = np.full((n, c, len(windows_h), len(windows_w)), -np.inf, x.dtype)
    taps = np.zeros(y.shape, np.int64)
    for i, (rows, p) in enumerate(windows_h):
        for j, (columns, q) in enumerate(windows_w):
            if not len(rows) or not len(columns):
                continue  # on padding only
            window = x[:, :, rows][:, :, :, columns].reshape(n, c, len(rows) * len(columns))
            best = window.argmax(axis=2)  # the first of equals; a NaN, if there is one
            y[:, :, i, j] = np.take_along_axis(window, best[:, :, None], axis=2)[:, :, 0]
            taps[:, :, i, j] = (p[:, None] * kernel_w + q).reshape(-1)[best]
    return y, taps


def maximum_backward(
    dy: NDArray, taps: NDArray, shape: tuple[int, ...], windows_h: Windows, windows_w: Windows, kernel_w: int
) -> NDArray:
    """dx: every dy is added to the pixel that its tap stands for."""
    dx = np.zeros(shape, dy.dtype)
    for i, (rows, p) in enumerate(windows_h):
        for j, (columns, q) in enumerate(windows_w):
            for row, tap_h in zip(rows, p, strict=True):
                for column, tap_w in zip(columns, q, strict=True):
                    won = taps[:, :, i, j] == tap_h * kernel_w + tap_w
                    dx[:, :, row, column] += np.where(won, dy[:, :, i, j], 0)
    return dx


def _windows(
    size: tuple[int, ...], kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, out: Pair
) -> tuple[Windows, Windows]:
    h, w = (sliding(size[a], out[a], kernel[a], stride[a], pad[a], dilation[a]) for a in (0, 1))
    return h, w


def max_pool2d_taps(
    x: NDArray, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, out: Pair
) -> tuple[NDArray, NDArray]:
    """`max_pool2d`, and which tap p * kernel_w + q each maximum is; the first of equals, the first NaN."""
    return maximum(x, *_windows(x.shape[2:], kernel, stride, pad, dilation, out), kernel[1])


def max_pool2d(x: NDArray, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, out: Pair) -> NDArray:
    """y[n, c, i, j] = max over the p, q inside the image of x[n, c, i s - pad + p d, j s - pad + q d]"""
    return max_pool2d_taps(x, kernel, stride, pad, dilation, out)[0]


def max_pool2d_backward(
    dy: NDArray,
    taps: NDArray,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    pad: Pair,
    dilation: Pair,
    out: Pair,
) -> NDArray:
    """dx[n, c, i', j'] = sum of dy[n, c, i, j] over the windows whose maximum is at i', j'"""
    windows = _windows(shape[2:], kernel, stride, pad, dilation, out)
    return maximum_backward(dy, taps, shape, *windows, kernel[1])
