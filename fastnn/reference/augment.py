"""Batches for training: gather, shift, mirror, cut out, normalise; and bilinear warping."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["augment_batch", "warp_batch"]


def augment_batch(
    images: NDArray,
    indices: NDArray,
    shifts: NDArray,
    flips: NDArray,
    boxes: NDArray,
    fill: NDArray,
    mean: NDArray,
    std: NDArray,
    reflect: bool,
) -> NDArray:
    """out[k, c, i, j] = (v - mean[c]) / std[c], in float64, where

    v = images[indices[k], c, i + down, (w - 1 - j if flips[k] else j) + right], with (down, right) = shifts[k],
    bytes divided by 255, black (0) or mirrored outside the image, and fill[c] inside the box
    (top, left, bottom, right) = boxes[k].
    """
    _, c, h, w = images.shape
    i, j = np.arange(h), np.arange(w)
    rows = i + shifts[:, :1]
    columns = np.where(flips[:, None], w - 1 - j, j) + shifts[:, 1:]
    if reflect:
        rows, columns = reflected(rows, h), reflected(columns, w)
    inside_rows, inside_columns = (rows >= 0) & (rows < h), (columns >= 0) & (columns < w)
    v = images[
        indices[:, None, None, None],
        np.arange(c)[:, None, None],
        rows.clip(0, h - 1)[:, None, :, None],
        columns.clip(0, w - 1)[:, None, None, :],
    ]
    v = v / 255 if images.dtype == np.uint8 else v.astype(np.float64)
    v = np.where(inside_rows[:, None, :, None] & inside_columns[:, None, None, :], v, 0)
    top, left, bottom, right = boxes.T[:, :, None]
    boxed = ((i >= top) & (i < bottom))[:, None, :, None] & ((j >= left) & (j < right))[:, None, None, :]
    v = np.where(boxed, fill[:, None, None], v)
    return (v - mean[:, None, None]) / std[:, None, None]


def reflected(position: NDArray, size: int) -> NDArray:
    """Where the mirrors at 0 and size - 1 show `position`; the edge itself is not repeated."""
    position = np.abs(position)
    return np.where(position < size, position, 2 * (size - 1) - position)


def warp_batch(x: NDArray, maps: NDArray, fill: float) -> NDArray:
    """out[k, :, i, j] = x[k, :, a, b] with (a, b) = maps[k] @ (i, j, 1), bilinear between pixels, `fill`
    outside."""
    n, _, h, w = x.shape
    i, j = np.meshgrid(np.arange(h, dtype=x.dtype), np.arange(w, dtype=x.dtype), indexing="ij")
    maps = maps[:, :, :, None, None]
    a = (maps[:, 0, 0] * i + maps[:, 0, 1] * j) + maps[:, 0, 2]
    b = (maps[:, 1, 0] * i + maps[:, 1, 1] * j) + maps[:, 1, 2]
    a, b = a.clip(-1, h), b.clip(-1, w)
    top, left = np.floor(a).astype(np.int64), np.floor(b).astype(np.int64)
    down, right = a - top.astype(x.dtype), b - left.astype(x.dtype)
    surrounded = np.pad(x, ((0, 0), (0, 0), (1, 2), (1, 2)), constant_values=fill).transpose(0, 2, 3, 1)
    k = np.arange(n)[:, None, None]
    out = np.zeros_like(surrounded[:, :h, :w])
    for weight, row, column in (
        ((1 - down) * (1 - right), top, left),
        ((1 - down) * right, top, left + 1),
        (down * (1 - right), top + 1, left),
        (down * right, top + 1, left + 1),
    ):
        out = out + weight[..., None] * surrounded[k, row + 1, column + 1]
    return out.transpose(0, 3, 1, 2)
