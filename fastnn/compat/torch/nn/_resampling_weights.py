"""How much of each pixel goes into each pixel of an image of another size, along one axis.

Source: Keys, 1981, "Cubic convolution interpolation for digital image processing", for bicubic weights.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["resampling_weights"]

_KEYS_SMOOTH, _KEYS_SHARP = -0.5, -0.75  # Keys' parameter: Pillow's, which antialiasing has, and OpenCV's


def _triangle(t: NDArray) -> NDArray:
    return np.maximum(0.0, 1.0 - np.abs(t))


def _cubic(t: NDArray, a: float) -> NDArray:
    t = np.abs(t)
    inner = ((a + 2) * t - (a + 3)) * t * t + 1
    outer = ((t - 5) * t + 8) * t * a - 4 * a
    return np.where(t < 1, inner, np.where(t < 2, outer, 0.0))


def resampling_weights(
    n_in: int, n_out: int, mode: str, antialias: bool, scale: float | None = None, align_corners: bool = False
) -> NDArray[np.float64]:
    """(n_out, n_in), for `mode` "bilinear" or "bicubic"; `scale` is n_in / n_out unless it is given."""
    scale = n_in / n_out if scale is None else scale
    rows, pixels = np.arange(n_out), np.arange(n_in)
    centres = (rows + 0.5) * scale
    is_linear = mode == "bilinear"
    if antialias:  # the filter is as wide as a new pixel, and cut at the borders
        stretch = max(scale, 1.0)
        reach = (1.0 if is_linear else 2.0) * stretch
        first = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
        end = np.minimum((centres + reach + 0.5).astype(np.int64), n_in)
        t = (pixels - centres[:, None] + 0.5) / stretch
        parts = _triangle(t) if is_linear else _cubic(t, _KEYS_SMOOTH)
        parts = np.where((pixels >= first[:, None]) & (pixels < end[:, None]), parts, 0.0)
        return parts / parts.sum(axis=1, keepdims=True)
    parts = np.zeros((n_out, n_in))
    source = rows * ((n_in - 1) / max(n_out - 1, 1)) if align_corners else centres - 0.5
    if is_linear:
        source = np.maximum(source, 0)
    base = np.floor(source).astype(np.int64)
    for offset in range(2) if is_linear else range(-1, 3):
        place = base + offset
        t = source - place
        np.add.at(parts, (rows, np.clip(place, 0, n_in - 1)), _triangle(t) if is_linear else _cubic(t, _KEYS_SHARP))
    return parts
