"""Patches as columns of a matrix, and back."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["col2im", "im2col"]

Pair = tuple[int, int]


def _taps(kernel: Pair, stride: Pair, dilation: Pair, out: Pair) -> Iterator[tuple]:
    """(p, q, index): for every tap, where the padded image is read for all positions of the window."""
    for p in range(kernel[0]):
        for q in range(kernel[1]):
            h, w = p * dilation[0], q * dilation[1]
            rows = slice(h, h + (out[0] - 1) * stride[0] + 1, stride[0])
            yield p, q, (..., rows, slice(w, w + (out[1] - 1) * stride[1] + 1, stride[1]))


def im2col(x: NDArray, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, out: Pair) -> NDArray:
    """columns[n, (c, p, q), (i, j)] = x_padded[n, c, i s + p d, j s + q d]"""
    n, c = x.shape[:2]
    padded = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    columns = np.empty((n, c, *kernel, *out), x.dtype)
    for p, q, index in _taps(kernel, stride, dilation, out):
        columns[:, :, p, q] = padded[index]
    return columns.reshape(n, c * kernel[0] * kernel[1], out[0] * out[1])


def col2im(columns: NDArray, image: Pair, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, out: Pair) -> NDArray:
    """x[n, c, i', j'] = the sum of all entries of `columns` that `im2col` would read from there"""
    n, c = len(columns), columns.shape[1] // (kernel[0] * kernel[1])
    padded = np.zeros((n, c, image[0] + 2 * pad[0], image[1] + 2 * pad[1]), columns.dtype)
    patches = columns.reshape(n, c, *kernel, *out)
    for p, q, index in _taps(kernel, stride, dilation, out):
        padded[index] += patches[:, :, p, q]
    return padded[:, :, pad[0] : pad[0] + image[0], pad[1] : pad[1] + image[1]]
