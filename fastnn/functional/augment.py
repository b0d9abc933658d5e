"""Batches for training: gather, shift, mirror, cut out, normalise; and bilinear warping."""

from __future__ import annotations

import contextvars
import math
import numbers

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _check, _layout, _runtime, reference

__all__ = ["augment_batch", "warp_batch"]

# Threads that these functions use, if not the usual number: one in a loader's own thread, which must not take
# the cores from the training step that it runs beside.
thread_limit: contextvars.ContextVar[int | None] = contextvars.ContextVar("fastnn_augment_threads", default=None)


def _threads() -> int:
    return thread_limit.get() or _runtime.num_threads()


def augment_batch(
    images: ArrayLike,
    indices: ArrayLike,
    *,
    shifts: ArrayLike | None = None,
    flips: ArrayLike | None = None,
    boxes: ArrayLike | None = None,
    fill: ArrayLike = 0.0,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    padding_mode: str = "zeros",
    dtype: DTypeLike = np.float32,
) -> NDArray:
    """A normalised batch of shifted, mirrored and partly covered images, written pixel-major in one pass.

    Result[k, c, i, j] = (v - mean[c]) / std[c], where v is the pixel of image indices[k] that a window moved by
    shifts[k] = (down, right), mirrored where flips[k], shows at (i, j). Bytes count as v / 255. Outside of an image
    there is black, or its reflection. In the box boxes[k] = (top, left, bottom, right) of the result, v is fill[c].

    Args:
        images: the set. uint8 takes one pass in C, float32 and float64 take NumPy's.
        indices: which images, in [0, M).
        shifts: how far the window moves down and right, in pixels, less than the image's size; default none.
        flips: mirror left and right; default none.
        boxes: lower bounds included, upper ones excluded; default empty.
        fill: v inside the boxes, one number or one per channel.
        mean, std: one number or one per channel, in units of v.
        padding_mode: 'zeros' or 'reflect'.
        dtype: the dtype of the result, float32 or float64.
    Shape:
        - images: (M, C, H, W); indices, flips: (N,); shifts: (N, 2); boxes: (N, 4)
        - Result: (N, C, H, W), pixel-major in memory
    Raises:
        IndexError: an index is not in [0, M), or a shift leaves the image.
        ValueError: shapes do not fit, or std is not positive.
        TypeError: another dtype.
    Example:
        >>> images = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3) * 51
        >>> augment_batch(images, [0], shifts=[[0, 1]], flips=[True])[0, 0].round(1)
        array([[0. , 0.4, 0.2],
               [0. , 1. , 0.8]], dtype=float32)
    """
    name = "augment_batch"
    images = _check.array(name, "images", images)
    if images.dtype != np.uint8:
        images = _check.floats(name, "images", images)
    if images.ndim != 4:
        raise _check.fail(name, f"images has {images.ndim} dimensions, 4 are needed", images=images)
    dtype = _check.float_dtype(name, dtype)
    if not isinstance(padding_mode, str) or padding_mode not in ("zeros", "reflect"):
        raise ValueError(f"{name}: padding_mode must be 'zeros' or 'reflect'. Received: {_check.shown(padding_mode)}")
    c, h, w = images.shape[1:]
    indices = _integers(name, "indices", indices, None)
    n = indices.size
    shifts = _integers(name, "shifts", np.zeros((n, 2), np.int64) if shifts is None else shifts, (n, 2))
    boxes = _integers(name, "boxes", np.zeros((n, 4), np.int64) if boxes is None else boxes, (n, 4))
    flips = np.zeros(n, bool) if flips is None else _check.array(name, "flips", flips)
    if flips.shape != (n,) or flips.dtype != bool:
        raise _check.fail(name, "flips must be one boolean for each index", flips=flips, indices=indices)
    if n and (indices.min() < 0 or indices.max() >= len(images)):
        raise IndexError(f"{name}: an index lies outside [0, {len(images)}). {_check.received(images=images)}")
    if n and ((shifts >= (h, w)) | (shifts <= (-h, -w))).any():
        raise IndexError(f"{name}: a shift is as large as the image. {_check.received(images=images, shifts=shifts)}")
    fill, mean, std = (
        np.ascontiguousarray(np.broadcast_to(per_channel(name, key, value, c), c))
        for key, value in (("fill", fill), ("mean", mean), ("std", std))
    )
    if not (std > 0).all():
        raise ValueError(f"{name}: std must be positive. Received: {std}")
    reflect = padding_mode == "reflect"
    out = _layout.empty_images((n, c, h, w), dtype)
    if out.size == 0:
        return out
    if _runtime.uses_reference() or images.dtype != np.uint8:
        out[...] = reference.augment_batch(images, indices, shifts, flips, boxes, fill, mean, std, reflect)
        return out
    table = ((np.arange(256) / 255 - mean[:, None]) / std[:, None]).astype(dtype)
    _runtime._native.augment_batch(
        np.ascontiguousarray(images),
        indices,
        shifts,
        np.ascontiguousarray(flips).view(np.uint8),
        boxes,
        table,
        ((fill - mean) / std).astype(dtype),
        _layout.pixels(out),
        reflect,
        _threads(),
    )
    return out


def warp_batch(x: ArrayLike, maps: ArrayLike, fill: float = 0.0) -> NDArray:
    """Every image sampled along an affine map, bilinearly.

    Result[k, :, i, j] = x[k, :, a, b] with (a, b) = maps[k] @ (i, j, 1): maps lead from the result to the
    source.

    Args:
        x: a batch of images.
        maps: an affine map for each image.
        fill: the value outside of an image.
    Shape:
        - x: (N, C, H, W), float32 or float64; maps: (N, 2, 3)
        - Result: as x
    Raises:
        ValueError: shapes do not fit, or a map is not finite.
        TypeError: another dtype.
    Example:
        >>> x = np.array([[[[1.0, 2.0, 4.0]]]])
        >>> warp_batch(x, [[[1, 0, 0], [0, 1, 0.5]]])  # half a pixel to the left
        array([[[[1.5, 3. , 2. ]]]])
    """
    x = _check.floats("warp_batch", "x", _check.array("warp_batch", "x", x), 4)
    maps = _check.numbers("warp_batch", "maps", _check.array("warp_batch", "maps", maps))
    try:
        value = float(fill) if isinstance(fill, numbers.Real) else math.nan
    except OverflowError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"warp_batch: fill must be a finite number. Received: {_check.shown(fill)}")
    with np.errstate(over="ignore"):
        maps = maps.astype(x.dtype)
    if maps.shape != (len(x), 2, 3) or not np.isfinite(maps).all():
        raise _check.fail(
            "warp_batch", f"maps must be a 2 by 3 matrix, finite in {x.dtype}, for each image", x=x, maps=maps
        )
    if x.size == 0:
        return x.copy()
    if _runtime.uses_reference():
        return reference.warp_batch(x, maps, value)
    n, c, h, w = x.shape
    out = _layout.empty_images((n, c, h, w), x.dtype)
    _runtime._native.warp_batch(_layout.pixels(x), maps.reshape(n, 6), value, _layout.pixels(out), _threads())
    return out


def _integers(operation: str, name: str, value: ArrayLike, shape: tuple[int, ...] | None) -> NDArray[np.int64]:
    array = _check.array(operation, name, value)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{operation}: {name} must be integers. Received: {name}.dtype={array.dtype}")
    if array.ndim != 1 if shape is None else array.shape != shape:
        raise _check.fail(operation, f"{name} must have shape {'(N,)' if shape is None else shape}", **{name: array})
    if array.dtype.kind == "u" and array.size and array.max() >= 2**63:
        raise _check.fail(operation, f"{name} must fit into int64", **{f"the largest of {name}": int(array.max())})
    return np.array(array, np.int64, order="C")  # a copy, which no other thread writes into while C reads it


def per_channel(operation: str, name: str, value: ArrayLike, channels: int) -> NDArray[np.float64]:
    """`value`, one finite number or one for each channel, as it came."""
    values = _check.numbers(operation, name, _check.array(operation, name, value))
    if values.shape not in ((), (1,), (channels,)) or not np.isfinite(values).all():
        received = _check.shown(value)
        raise ValueError(f"{operation}: {name} must be one finite number, or {channels}. Received: {received}")
    return values
