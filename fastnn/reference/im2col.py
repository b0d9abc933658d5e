"""Patches as columns of a matrix, and back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastnn.reference.conv2d import reached

__all__ = ["col2im", "im2col"]

Pair = tuple[int, int]


def _taps(image: Pair, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, out: Pair) -> Iterator[tuple]:
    """(p, q, outputs, inputs) for every tap: the positions of the window for which it falls on the image, and where."""
    for p in range(kernel[0]):
        out_h, in_h = reached(image[0], out[0], p, stride[0], pad[0], dilation[0])
        for q in range(kernel[1]):
            out_w, in_w = reached(image[1], out[1], q, stride[1], pad[1], dilation[1])
            yield p, q, (..., out_h, out_w), (..., in_h, in_w)


def im2col(x: NDArray, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, out: Pair) -> NDArray:
    """columns[n, (c, p, q), (i, j)] = x_padded[n, c, i s + p d, j s + q d]"""
    n, c, *image = x.shape
    columns = np.zeros((n, c, *kernel, *out), x.dtype)
    for p, q, outputs, inputs in _taps((image[0], image[1]), kernel, stride, pad, dilation, out):
        columns[:, :, p, q][outputs] = x[inputs]
    return columns.reshape(n, c * kernel[0] * kernel[1], out[0] * out[1])


def col2im(columns: NDArray, image: Pair, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, out: Pair) -> NDArray:
    """x[n, c, i', j'] = the sum of all entries of `columns` that `im2col` would read from there"""
    n, c = len(columns), columns.shape[1] // (kernel[0] * kernel[1])
    x = np.zeros((n, c, *image), columns.dtype)
    patches = columns.reshape(n, c, *kernel, *out)
    for p, q, outputs, inputs in _taps(image, kernel, stride, pad, dilation, out):
        x[inputs] += patches[:, :, p, q][outputs]
    return x
