"""Transposed convolution: every pixel of x puts a weighted copy of the filter into y."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.reference.conv2d import taps_of

__all__ = ["conv_transpose2d", "conv_transpose2d_backward"]

Pair = tuple[int, int]


def conv_transpose2d(
    x: NDArray, weight: NDArray, bias: NDArray | None, stride: Pair, pad: Pair, dilation: Pair, groups: int, out: Pair
) -> NDArray:
    """y[n, k, i s + p d - pad, j s + q d - pad] += sum over c of x[n, c, i, j] * weight[c, k, p, q]; then the bias."""
    n, c_in, *size = x.shape
    c_out = weight.shape[1] * groups
    y = np.zeros((n, groups, c_out // groups, *out), x.dtype)
    x_grouped = x.reshape(n, groups, c_in // groups, *size)
    w_grouped = weight.reshape(groups, c_in // groups, *weight.shape[1:])
    for p, q, inputs, outputs in taps_of(out, weight.shape[2:], size, stride, pad, dilation):
        y[outputs] += np.einsum("ngcij,gck->ngkij", x_grouped[inputs], w_grouped[..., p, q], optimize=True)
    y = y.reshape(n, c_out, *out)
    return y if bias is None else y + bias[:, None, None]


def conv_transpose2d_backward(
    dy: NDArray, x: NDArray, weight: NDArray, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Every product of the forward pass gives one term of dx and one of dweight."""
    n, c_in, *size = x.shape
    c_out, *out = dy.shape[1:]
    x_grouped = x.reshape(n, groups, c_in // groups, *size)
    w_grouped = weight.reshape(groups, c_in // groups, *weight.shape[1:])
    dy_grouped = dy.reshape(n, groups, c_out // groups, *out)
    dx, dweight = np.zeros_like(x_grouped), np.zeros_like(w_grouped)
    for p, q, inputs, outputs in taps_of(out, weight.shape[2:], size, stride, pad, dilation):
        dx[inputs] += np.einsum("ngkij,gck->ngcij", dy_grouped[outputs], w_grouped[..., p, q], optimize=True)
        dweight[..., p, q] += np.einsum("ngkij,ngcij->gck", dy_grouped[outputs], x_grouped[inputs], optimize=True)
    return dx.reshape(x.shape), dweight.reshape(weight.shape), dy.sum(axis=(0, 2, 3))
