"""Images in another size: along each axis, every pixel of y is a mean of one or two pixels of x."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["interpolate", "interpolate_backward"]

Pair = tuple[int, int]
Scales = tuple[float | None, float | None]
Parts = list[list[tuple[int, float]]]


def _nearest(size: int, out: int, scale: float | None) -> Parts:
    """For each pixel of y, the one of x that it is; `scale` is how many times larger y is, if not out / size."""
    if out in (size, 2 * size):  # whatever the scale, as PyTorch does it
        return [[(o // (out // size), 1.0)] for o in range(out)]
    # PyTorch computes this in float32, which can decide between two pixels.
    step = np.float32(size) / np.float32(out) if scale is None else np.float32(1 / scale)
    return [[(min(math.floor(np.float32(o) * step), size - 1), 1.0)] for o in range(out)]


def _linear(size: int, out: int, scale: float | None, align_corners: bool) -> Parts:
    """For each pixel of y, its neighbours in x and their shares."""
    parts: Parts = []
    for o in range(out):
        if out == size:
            place = float(o)
        elif align_corners:
            place = o * ((size - 1) / (out - 1)) if out > 1 else 0.0
        else:
            place = max(0.0, (o + 0.5) * (size / out if scale is None else 1 / scale) - 0.5)
        first = min(int(place), size - 1)
        share = min(place - first, 1.0)
        neighbours = [(first, 1 - share), (min(first + 1, size - 1), share)]
        parts.append([(pixel, weight) for pixel, weight in neighbours if weight > 0])
    return parts


def _parts(shape: tuple[int, ...], out: Pair, scales: Scales, mode: str, align_corners: bool) -> tuple[Parts, Parts]:
    axes = zip(shape[2:], out, scales, strict=True)
    rows, columns = (_nearest(*axis) if mode == "nearest" else _linear(*axis, align_corners) for axis in axes)
    return rows, columns


def interpolate(x: NDArray, out: Pair, scales: Scales, mode: str, align_corners: bool) -> NDArray:
    """y[n, c, i, j] = sum over the neighbours p of i and q of j, weighted, of x[n, c, p, q]"""
    rows, columns = _parts(x.shape, out, scales, mode, align_corners)
    y = np.zeros((*x.shape[:2], *out), x.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            for p, weight_p in row:
                for q, weight_q in column:
                    y[:, :, i, j] += weight_p * weight_q * x[:, :, p, q]
    return y


def interpolate_backward(
    dy: NDArray, shape: tuple[int, ...], out: Pair, scales: Scales, mode: str, align_corners: bool
) -> NDArray:
    """Every term of the forward pass gives one of dx."""
    rows, columns = _parts(shape, out, scales, mode, align_corners)
    dx = np.zeros(shape, dy.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            for p, weight_p in row:
                for q, weight_q in column:
                    dx[:, :, p, q] += weight_p * weight_q * dy[:, :, i, j]
    return dx
