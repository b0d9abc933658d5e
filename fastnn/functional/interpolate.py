"""Images in another size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn.autograd.tape import Op, run
from fastnn.functional import _pooling, avgpool2d

__all__ = ["interpolate", "interpolate_backward"]

MODES = ("nearest", "bilinear")

Scales = tuple[float | None, float | None]
Size = int | Sequence[int] | None
Factor = float | Sequence[float] | None


class Settings(NamedTuple):
    """The checked arguments of one interpolation; one of size and scale_factor is None."""

    size: tuple[int, int] | None
    scale_factor: tuple[float, float] | None
    mode: str
    align_corners: bool


class Resized(NamedTuple):
    """What follows from the settings and the shape of the images."""

    shape: tuple[int, ...]
    out: tuple[int, int]
    scales: Scales


def check_settings(operation: str, size: Size, scale_factor: Factor, mode: str, align_corners: bool | None) -> Settings:
    """All of them as an interpolation takes them, whatever the shape of the images is."""
    sizes = None if size is None else _check.pair(operation, "size", size, 1)
    factors = None if scale_factor is None else _factors(operation, scale_factor)
    if (sizes is None) == (factors is None):
        raise ValueError(
            f"{operation}: one of size and scale_factor is needed. Received: size={_check.shown(size)}, "
            f"scale_factor={_check.shown(scale_factor)}"
        )
    mode = _check.one_of(operation, "mode", mode, MODES)
    corners = align_corners is not None and _check.boolean(operation, "align_corners", align_corners)
    if align_corners is not None and mode == "nearest":
        raise ValueError(
            f"{operation}: align_corners is for mode='bilinear'. Received: mode={mode!r}, align_corners={align_corners}"
        )
    return Settings(sizes, factors, mode, corners)


def _factors(operation: str, value: Any) -> tuple[float, float]:
    """`value`, a positive number or two of them, as (vertical, horizontal)."""
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim):
        first, second = _check.several(operation, "scale_factor", value, 2, _factor)
        return first, second
    single = _factor(operation, "scale_factor", value)
    return single, single


def _factor(operation: str, name: str, value: Any) -> float:
    factor = _check.number(operation, name, value, 0, finite=True)
    if not 1 / _check.MOST_SETTING <= factor <= _check.MOST_SETTING:
        raise ValueError(
            f"{operation}: {name} must be > 0 and <= {_check.MOST_SETTING}. Received: {_check.shown(value)}"
        )
    return factor


def resized(operation: str, shape: tuple[int, ...], settings: Settings) -> Resized:
    """The size of the result for images of this shape."""
    if min(shape[2:]) < 1:
        raise ValueError(f"{operation}: the images have no pixels. Received: x.shape={tuple(shape)}")
    out, scales = settings.size, settings.scale_factor
    if scales is not None:
        out = math.floor(shape[2] * scales[0]), math.floor(shape[3] * scales[1])
    words = f"Received: x.shape={tuple(shape)}, size={settings.size}, scale_factor={settings.scale_factor}"
    if out is None or min(out) < 1:
        raise ValueError(f"{operation}: the result would have no pixels. {words}")
    if max(*out, *shape[2:]) > _pooling.MOST_PAIRS:
        raise ValueError(f"{operation}: images may have {_pooling.MOST_PAIRS} pixels along one axis. {words}")
    _check.fits_memory(operation, "a result", (*shape[:2], *out), **settings._asdict())
    return Resized(tuple(shape), out, scales or (None, None))


# ---- nearest ---------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=256)
def _nearest(size: int, out: int, scale: float | None) -> _pooling.Axis:
    """Which pixel of x each one of y is."""
    index = np.arange(out)
    if out in (size, 2 * size):  # whatever the scale, as PyTorch does it
        return _pooling.picking(size, index // (out // size))
    # PyTorch computes this in float32, which can decide between two pixels.
    step = np.float32(size) / np.float32(out) if scale is None else np.float32(1 / scale)
    return _pooling.picking(size, np.minimum(np.floor(index.astype(np.float32) * step).astype(np.intp), size - 1))


# ---- bilinear --------------------------------------------------------------------------------------------------------
class Terms(NamedTuple):
    """One term of each of the sums along an axis: y[place] += weight * x[source]."""

    place: NDArray[np.intp] | slice
    source: NDArray[np.intp]
    weight: NDArray[np.float64]


@lru_cache(maxsize=256)
def _linear(size: int, out: int, scale: float | None, align_corners: bool) -> tuple[list[Terms], list[Terms]]:
    """The terms of y by x, and of dx by dy."""
    index = np.arange(out)
    place: NDArray
    if out == size:
        place = index.astype(np.float64)
    elif align_corners:
        place = index * ((size - 1) / (out - 1) if out > 1 else 0.0)
    else:
        step = size / out if scale is None else 1 / scale
        place = np.maximum((index + 0.5) * step - 0.5, 0)
    first = np.minimum(place.astype(np.intp), size - 1)
    share = np.minimum(place - first, 1)
    y = np.concatenate([index, index])
    x = np.concatenate([first, np.minimum(first + 1, size - 1)])
    weight = np.concatenate([1 - share, share])
    counts = weight > 0  # so that nothing is made of infinities times zero
    return _terms(y[counts], x[counts], weight[counts], out), _terms(x[counts], y[counts], weight[counts], size)


def _terms(place: NDArray, source: NDArray, weight: NDArray, length: int) -> list[Terms]:
    """The first terms of all sums, the second of those that have one, and so on."""
    order = np.lexsort((source, place))
    place, source, weight = place[order], source[order], weight[order]
    rank = np.arange(len(place)) - np.searchsorted(place, place)
    result = []
    for k in range(int(rank.max(initial=-1)) + 1):
        chosen = rank == k
        places = place[chosen]
        result.append(Terms(slice(None) if len(places) == length else places, source[chosen], weight[chosen]))
    return result


def _sum(x: NDArray, terms: list[Terms], axis: int, length: int) -> NDArray:
    """The sums along an axis of (H, W, N, C), 0 or 1."""
    y = _memory.empty((*x.shape[:axis], length, *x.shape[axis + 1 :]), x.dtype)
    before, after = (slice(None),) * axis, (1,) * (x.ndim - axis - 1)
    if not terms or not isinstance(terms[0].place, slice):
        y[...] = 0  # some pixels are read by nobody
    for k, (place, source, weight) in enumerate(terms):
        weight = weight.astype(x.dtype).reshape(-1, *after)
        if k == 0 and isinstance(place, slice):
            np.take(x, source, axis, out=y, mode="clip")  # with another mode, NumPy takes a detour
            y *= weight
        else:
            term = np.take(x, source, axis)
            term *= weight
            y[(*before, place)] += term
    return y


def _bilinear(x: NDArray, r: Resized, align_corners: bool, backward: bool) -> NDArray:
    """Rows first, then columns; going back, the other way round."""
    pixels = _layout.pixels(x)
    axes = [
        (axis, _linear(size, out, scale, align_corners)[backward], size if backward else out)
        for axis, (size, out, scale) in enumerate(zip(r.shape[2:], r.out, r.scales, strict=True))
    ]
    for axis, terms, length in reversed(axes) if backward else axes:
        pixels = _sum(pixels, terms, axis, length)
    return _layout.images(pixels)


# ---- both ------------------------------------------------------------------------------------------------------------
class Interpolate(Op):
    """`interpolate` with these settings; `operation` is who asks for it, for errors."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, settings: Settings, operation: str = "interpolate") -> None:
        self.settings, self.operation = settings, operation

    def forward(self, x: ArrayLike) -> NDArray:
        x = _check.floats(self.operation, "x", x, 4)
        self.resized = resized(self.operation, x.shape, self.settings)
        return _forward(x, self.resized, self.settings)

    def backward(self, dy: NDArray) -> NDArray:
        return _backward(f"{self.operation}_backward", dy, self.resized, self.settings)


def _windows(r: Resized, settings: Settings) -> _pooling.Windows:
    h, w = (_nearest(*axis) for axis in zip(r.shape[2:], r.out, r.scales, strict=True))
    return _pooling.Windows(h, w, (r.out, r.scales, settings.mode, settings.align_corners))


def _forward(x: NDArray, r: Resized, settings: Settings) -> NDArray:
    if settings.mode == "nearest":
        return avgpool2d.forward(x, _windows(r, settings), reference.interpolate)
    if _runtime.uses_reference():
        return reference.interpolate(x, r.out, r.scales, settings.mode, settings.align_corners)
    return _bilinear(x, r, settings.align_corners, backward=False)


def _backward(operation: str, dy: NDArray, r: Resized, settings: Settings) -> NDArray:
    if settings.mode == "nearest":
        return avgpool2d.backward(operation, dy, r.shape, _windows(r, settings), reference.interpolate_backward)
    expected = (*r.shape[:2], *r.out)
    if dy.shape != expected:
        reason = f"{operation}: dy must have shape {expected}"
        raise ValueError(f"{reason}. Received: dy.shape={dy.shape}, input_size={r.shape}")
    if _runtime.uses_reference():
        return reference.interpolate_backward(dy, r.shape, r.out, r.scales, settings.mode, settings.align_corners)
    return _bilinear(dy, r, settings.align_corners, backward=True)


def interpolate(
    x: ArrayLike,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> NDArray:
    """The same images with more or fewer pixels.

    nearest:   y[n, c, i, j] = x[n, c, floor(i * H / H_out), floor(j * W / W_out)]
    bilinear:  y[n, c, i, j] is x at the row (i + 1/2) * H / H_out - 1/2, or i * (H - 1) / (H_out - 1) with
        align_corners, and the column alike, where x between its pixels is a straight line along each axis

    Args:
        x: images.
        size: height and width of the result, one number or two.
        scale_factor: how many times larger it is, one number or two; in the place of size. 1 / scale_factor then stands
            for H / H_out, from which it may differ by rounding; 'nearest' to twice the size takes every pixel twice.
        mode: 'nearest' or 'bilinear'.
        align_corners: for 'bilinear', whether the centres of the corner pixels stay where they are, rather than the
            corners of the image; None for False.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: (N, C, H_out, W_out), H_out = floor(H * scale_factor_h) or as size says
    Raises:
        ValueError: both or none of size and scale_factor are given, or they do not fit; the message shows them.
        TypeError: another dtype.
    Example:
        >>> x = np.array([[[[0.0, 4.0]]]])
        >>> interpolate(x, scale_factor=2)[0, 0]
        array([[0., 0., 4., 4.],
               [0., 0., 4., 4.]])
        >>> interpolate(x, size=(1, 4), mode="bilinear")[0, 0]
        array([[0., 1., 3., 4.]])

    Source: PyTorch's definition.
    """
    return run(Interpolate(check_settings("interpolate", size, scale_factor, mode, align_corners)), x)


def interpolate_backward(
    dy: ArrayLike,
    input_size: Sequence[int],
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> NDArray:
    """The gradient of `interpolate`: every pixel of dy is shared out among those that its value was made of.

    Args:
        dy: gradient of the loss with respect to the result.
        input_size: the shape of x.
        size, scale_factor, mode, align_corners: as in `interpolate`.
    Shape:
        - dy: (N, C, H_out, W_out)
        - Result: input_size, (N, C, H, W)
    """
    operation = "interpolate_backward"
    shape = _pooling.image_shape(operation, input_size)
    settings = check_settings(operation, size, scale_factor, mode, align_corners)
    dy = _check.floats(operation, "dy", dy, 4)
    return _backward(operation, dy, resized(operation, shape, settings), settings)
