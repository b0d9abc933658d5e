"""Images with more rows and columns around them: pixel by pixel along each axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pad", "pad_backward"]

Pair = tuple[int, int]


def _source(place: int, size: int, mode: str) -> int:
    """Which pixel of x stands at a place that may lie outside of it."""
    if mode == "replicate":
        return min(max(place, 0), size - 1)
    return abs(place) if place < size else 2 * (size - 1) - place  # reflected at the outermost pixels


def _sources(size: int, padding: Pair, mode: str) -> list[int]:
    return [_source(place, size, mode) for place in range(-padding[0], size + padding[1])]


def pad(x: NDArray, padding: tuple[Pair, Pair, Pair, Pair], mode: str, value: float) -> NDArray:
    """y[n, c, i, j] = x[n, c, rows[i], columns[j]]; outside of x, with mode 'constant', it is `value`."""
    if mode == "constant":
        y = np.full([size + sum(more) for size, more in zip(x.shape, padding, strict=True)], value, x.dtype)
        y[tuple(slice(first, first + size) for size, (first, _) in zip(x.shape, padding, strict=True))] = x
        return y
    rows, columns = (_sources(x.shape[axis], padding[axis], mode) for axis in (2, 3))
    return x[:, :, rows][..., columns]


def pad_backward(dy: NDArray, padding: tuple[Pair, Pair, Pair, Pair], mode: str) -> NDArray:
    """dx[n, c, i', j'] = sum of dy over all places that pixel i', j' of x stands at"""
    shape = tuple(size - sum(more) for size, more in zip(dy.shape, padding, strict=True))
    if mode == "constant":
        return dy[tuple(slice(first, first + size) for size, (first, _) in zip(shape, padding, strict=True))].copy()
    dx = np.zeros(shape, dy.dtype)
    for i, row in enumerate(_sources(shape[2], padding[2], mode)):
        for j, column in enumerate(_sources(shape[3], padding[3], mode)):
            dx[:, :, row, column] += dy[:, :, i, j]
    return dx
