"""Channels to pixels and back: one slice for each place in a block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pixel_shuffle", "pixel_shuffle_backward", "pixel_unshuffle", "pixel_unshuffle_backward"]


def pixel_shuffle(x: NDArray, r: int) -> NDArray:
    """y[n, c, h r + i, w r + j] = x[n, c r^2 + i r + j, h, w]"""
    n, c, h, w = x.shape
    y = np.empty((n, c // r**2, h * r, w * r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[:, :, i::r, j::r] = x[:, i * r + j :: r**2]
    return y


def pixel_unshuffle(x: NDArray, r: int) -> NDArray:
    """y[n, c r^2 + i r + j, h, w] = x[n, c, h r + i, w r + j]"""
    n, c, h, w = x.shape
    y = np.empty((n, c * r**2, h // r, w // r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[:, i * r + j :: r**2] = x[:, :, i::r, j::r]
    return y


def pixel_shuffle_backward(dy: NDArray, r: int) -> NDArray:
    """Every number goes back to where it came from."""
    return pixel_unshuffle(dy, r)


def pixel_unshuffle_backward(dy: NDArray, r: int) -> NDArray:
    """Every number goes back to where it came from."""
    return pixel_shuffle(dy, r)
