"""Two-dimensional average pooling: window by window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.reference._windows import sliding

__all__ = ["avg_pool2d", "avg_pool2d_backward"]

Pair = tuple[int, int]


def _divisors(size: int, out: int, kernel: int, stride: int, pad: int, count_include_pad: bool) -> list[int]:
    """How many pixels of each window count: those of the image, and, if wanted, of the padding around it."""
    first = -pad if count_include_pad else 0
    end = size + pad if count_include_pad else size
    starts = [o * stride - pad for o in range(out)]
    return [min(start + kernel, end) - max(start, first) for start in starts]


def avg_pool2d(
    x: NDArray, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, out: Pair, count_include_pad: bool
) -> NDArray:
    """y[n, c, i, j] = 1 / divisor * sum over p, q of x_padded[n, c, i s + p, j s + q]"""
    (h, w), y = x.shape[2:], np.empty((*x.shape[:2], *out), x.dtype)
    divisors_h = _divisors(h, out[0], kernel[0], stride[0], pad[0], count_include_pad)
    divisors_w = _divisors(w, out[1], kernel[1], stride[1], pad[1], count_include_pad)
    for i, (rows, _) in enumerate(sliding(h, out[0], kernel[0], stride[0], pad[0], dilation[0])):
        for j, (columns, _) in enumerate(sliding(w, out[1], kernel[1], stride[1], pad[1], dilation[1])):
            total = x[:, :, rows][:, :, :, columns].sum(axis=(2, 3))
            y[:, :, i, j] = total / (divisors_h[i] * divisors_w[j])
    return y


def avg_pool2d_backward(
    dy: NDArray,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    pad: Pair,
    dilation: Pair,
    out: Pair,
    count_include_pad: bool,
) -> NDArray:
    """dx[n, c, i', j'] = sum of dy[n, c, i, j] / divisor over the windows that hold i', j'"""
    (h, w), dx = shape[2:], np.zeros(shape, dy.dtype)
    divisors_h = _divisors(h, out[0], kernel[0], stride[0], pad[0], count_include_pad)
    divisors_w = _divisors(w, out[1], kernel[1], stride[1], pad[1], count_include_pad)
    for i, (rows, _) in enumerate(sliding(h, out[0], kernel[0], stride[0], pad[0], dilation[0])):
        for j, (columns, _) in enumerate(sliding(w, out[1], kernel[1], stride[1], pad[1], dilation[1])):
            share = dy[:, :, i, j] / (divisors_h[i] * divisors_w[j])
            dx[:, :, rows[:, None], columns] += share[:, :, None, None]
    return dx
