"""Two-dimensional convolution: for every tap of the filter, one matrix product over all pixels that it reaches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["conv2d", "conv2d_backward"]

Pair = tuple[int, int]


def reached(size: int, out: int, tap: int, stride: int, pad: int, dilation: int) -> tuple[slice, slice]:
    """Along one axis: the outputs for which this tap falls on the image, and the inputs it reads for them."""
    first = max(0, -((tap * dilation - pad) // stride))  # the least i with i * stride - pad + tap * dilation >= 0
    last = min(out - 1, (size - 1 + pad - tap * dilation) // stride)
    start = first * stride - pad + tap * dilation
    count = max(0, last - first + 1)
    return slice(first, first + count), slice(start, start + (count - 1) * stride + 1 if count else start, stride)


def taps_of(
    size: Sequence[int], kernel: Sequence[int], out: Sequence[int], stride: Pair, pad: Pair, dilation: Pair
) -> Iterator[tuple]:
    """(p, q, outputs, inputs) for every tap (p, q): index arrays over the images y and x."""
    for p in range(kernel[0]):
        out_h, in_h = reached(size[0], out[0], p, stride[0], pad[0], dilation[0])
        for q in range(kernel[1]):
            out_w, in_w = reached(size[1], out[1], q, stride[1], pad[1], dilation[1])
            yield p, q, (..., out_h, out_w), (..., in_h, in_w)


def conv2d(
    x: NDArray, weight: NDArray, bias: NDArray | None, stride: Pair, pad: Pair, dilation: Pair, groups: int, out: Pair
) -> NDArray:
    """y[n, k, i, j] = bias[k] + sum over c, p, q of weight[k, c, p, q] * x_padded[n, c, i s + p d, j s + q d]"""
    n, c_in = x.shape[:2]
    c_out = len(weight)
    y = np.zeros((n, groups, c_out // groups, *out), x.dtype)
    x_grouped = x.reshape(n, groups, c_in // groups, *x.shape[2:])
    w_grouped = weight.reshape(groups, c_out // groups, *weight.shape[1:])
    for p, q, outputs, inputs in taps_of(x.shape[2:], weight.shape[2:], out, stride, pad, dilation):
        y[outputs] += np.einsum("ngcij,gkc->ngkij", x_grouped[inputs], w_grouped[..., p, q], optimize=True)
    y = y.reshape(n, c_out, *out)
    return y if bias is None else y + bias[:, None, None]


def conv2d_backward(
    dy: NDArray, x: NDArray, weight: NDArray, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Every product of the forward pass gives one term of dx and one of dweight."""
    n, c_in = x.shape[:2]
    c_out = len(weight)
    x_grouped = x.reshape(n, groups, c_in // groups, *x.shape[2:])
    w_grouped = weight.reshape(groups, c_out // groups, *weight.shape[1:])
    dy_grouped = dy.reshape(n, groups, c_out // groups, *dy.shape[2:])
    dx, dweight = np.zeros_like(x_grouped), np.zeros_like(w_grouped)
    for p, q, outputs, inputs in taps_of(x.shape[2:], weight.shape[2:], dy.shape[2:], stride, pad, dilation):
        dx[inputs] += np.einsum("ngkij,gkc->ngcij", dy_grouped[outputs], w_grouped[..., p, q], optimize=True)
        dweight[..., p, q] += np.einsum("ngkij,ngcij->gkc", dy_grouped[outputs], x_grouped[inputs], optimize=True)
    return dx.reshape(x.shape), dweight.reshape(weight.shape), dy.sum(axis=(0, 2, 3))
