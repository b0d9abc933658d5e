"""Tensors (..., H, W) at other sizes and under other maps. Arrays in, arrays out."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch.nn._resampling_weights import resampling_weights

Array = NDArray[Any]


def _nearest(n_in: int, n_out: int, mode: str) -> NDArray[np.int64]:
    """The pixel that each new one is."""
    places = np.arange(n_out) + (0.5 if mode == "nearest-exact" else 0.0)
    return np.minimum(np.floor(places * (n_in / n_out)).astype(np.int64), n_in - 1)


def resize(x: Array, size: list[int], mode: str, antialias: bool) -> Array:
    """`mode` is "nearest", "nearest-exact", "bilinear" or "bicubic"."""
    if mode not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        raise ValueError(f"resize: a tensor can be resized by nearest, bilinear or bicubic. Received: {mode}")
    h, w = x.shape[-2:]
    if mode.startswith("nearest"):
        rows, columns = (_nearest(n, new, mode) for n, new in ((h, size[0]), (w, size[1])))
        return x[..., rows[:, None], columns]
    real = x if x.dtype.kind == "f" else x.astype(np.float32)
    across = resampling_weights(w, size[1], mode, antialias).astype(real.dtype)
    down = resampling_weights(h, size[0], mode, antialias).astype(real.dtype)
    y = down @ (real @ across.T)
    if x.dtype.kind == "f":
        return y
    if x.dtype == np.uint8:
        y = y.clip(0, 255)
    return np.rint(y).astype(x.dtype)


def sample(x: Array, rows: Array, columns: Array, mode: str, fill: Any) -> Array:
    """Pixels of x at places counted in pixels from the first one's centre, and `fill` outside.

    Args:
        rows, columns: (H, W) of the result.
        mode: "nearest" or "bilinear".
        fill: None for black, one number or one for each channel.
    """
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"Interpolation mode '{mode}' is unsupported with Tensor input")
    real = x if x.dtype.kind == "f" else x.astype(np.float32)
    if mode == "nearest":
        y, inside = _gathered(real, np.rint(rows), np.rint(columns))
        part = inside.astype(real.dtype)
        y = y * part
    else:
        top, left = np.floor(rows), np.floor(columns)
        y, part = np.zeros((*x.shape[:-2], *rows.shape), real.dtype), np.zeros(rows.shape, real.dtype)
        for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            weight = ((1 - np.abs(rows - row)) * (1 - np.abs(columns - column))).astype(real.dtype)
            values, inside = _gathered(real, row, column)
            weight = weight * inside
            y += values * weight
            part += weight
    if fill is not None:
        colour = np.asarray(fill, real.dtype)
        colour = colour.reshape(-1, 1, 1) if colour.ndim else colour
        y = np.where(part < 0.5, colour, y) if mode == "nearest" else y * part + (1 - part) * colour
    return y.astype(real.dtype) if x.dtype.kind == "f" else np.rint(y).astype(x.dtype)


def _gathered(x: Array, rows: Array, columns: Array) -> tuple[Array, NDArray[np.bool_]]:
    h, w = x.shape[-2:]
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    safe = [np.where(inside, places, 0).astype(np.int64) for places in (rows, columns)]
    return x[..., safe[0], safe[1]], inside


def affine_places(matrix: list[float], size: tuple[int, int], new_size: tuple[int, int]) -> tuple[Array, Array]:
    """Rows and columns of the source for each pixel of the result, under a map about the centre.

    Args:
        matrix: (a, b, c, d, e, f): the result's (x, y) comes from (a x + b y + c, d x + e y + f).
    """
    (h, w), (new_h, new_w) = size, new_size
    x = np.arange(new_w) - (new_w - 1) / 2
    y = (np.arange(new_h) - (new_h - 1) / 2)[:, None]
    a, b, c, d, e, f = matrix
    return d * x + e * y + f + (h - 1) / 2, a * x + b * y + c + (w - 1) / 2


def perspective_places(coefficients: list[float], size: tuple[int, int]) -> tuple[Array, Array]:
    """Rows and columns of the source for each pixel of the result, as Pillow counts them: from the corner."""
    a, b, c, d, e, f, g, h = coefficients
    x = np.arange(size[1]) + 0.5
    y = (np.arange(size[0]) + 0.5)[:, None]
    below = g * x + h * y + 1.0
    return (d * x + e * y + f) / below - 0.5, (a * x + b * y + c) / below - 0.5


def rotated_size(matrix: list[float], size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) that hold a whole rotated image; thousandths of a pixel are rounding errors."""
    h, w = size
    a, b, c, d, e, f = matrix
    corners = [(x * w / 2, y * h / 2) for x in (-1, 1) for y in (-1, 1)]
    spans = []
    for first, second, third, side in ((a, b, c, w), (d, e, f, h)):
        ends = [first * x + second * y + third + side / 2 for x, y in corners]
        low, high = (math.trunc(end / 1e-4) * 1e-4 for end in (min(ends), max(ends)))
        spans.append(math.ceil(high) - math.floor(low))
    return spans[1], spans[0]
