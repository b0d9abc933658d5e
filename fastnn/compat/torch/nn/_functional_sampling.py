"""Images at other sizes and places, by PyTorch's signatures."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import functional
from fastnn.autograd.methods import FUNCTIONS, UFUNCS
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn._functional_axes import as_floats, as_image, as_sequence, row
from fastnn.compat.torch.nn._functional_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d
from fastnn.compat.torch.nn._resampling_weights import resampling_weights

__all__ = [
    "affine_grid", "grid_sample", "interpolate", "upsample", "upsample_bilinear", "upsample_nearest",
]  # fmt: skip

F: Any = functional  # arrays in, arrays out; here it is tensors
_reshape = FUNCTIONS[np.reshape]
_add, _subtract, _multiply = (UFUNCS[f] for f in (np.add, np.subtract, np.multiply))
_take: Any = NumPyTensor.__getitem__


# ---- other sizes -----------------------------------------------------------------------------------------------------
def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The same images, or sequences, with more or fewer pixels"""
    axes = input._data.ndim - 2
    if mode == "nearest" and input._data.dtype.kind != "f":
        return as_floats(
            lambda x: interpolate(x, size, scale_factor, mode, align_corners, recompute_scale_factor), input
        )
    if mode == "trilinear" or axes not in (1, 2):
        raise NotImplementedError(
            "interpolate: images (N, C, H, W) and sequences (N, C, L) are there. Received: "
            f"shape={tuple(input._data.shape)}, mode={mode!r}"
        )
    if (mode == "bicubic" or antialias) and axes != 2:
        raise NotImplementedError(f"Got {axes + 2}D input, but {mode} mode needs 4D input")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    if mode in ("area", "bicubic", "nearest-exact") or antialias or recompute_scale_factor:
        size, scales = _sizes(input._data.shape[2:], size, scale_factor, recompute_scale_factor)
        if mode == "area":
            return (adaptive_avg_pool1d if axes == 1 else adaptive_avg_pool2d)(input, size)
        if mode == "nearest-exact":
            return _nearest_exact(input, size, scales)
        if mode == "bicubic" or antialias:
            return _by_matrices(input, size, scales, mode, bool(align_corners), antialias)
        scale_factor = None
    if axes == 2:
        return F.interpolate(input, size, scale_factor, mode, align_corners)
    mode = "bilinear" if mode == "linear" else mode
    return as_sequence(F.interpolate(as_image(input), row(size, 1), row(scale_factor, 1), mode, align_corners))


def _sizes(before: tuple[int, ...], size: Any, scale_factor: Any, recompute: Any) -> tuple[list[int], list[float]]:
    """The sizes of the result, and how many pixels of the input one of it stands for, along each axis."""
    if (size is None) == (scale_factor is None):
        word = "either" if size is None else "only one of"
        raise ValueError(f"{word} size or scale_factor should be defined")
    given = size if scale_factor is None else scale_factor
    several = list(given) if isinstance(given, Sequence) else [given] * len(before)
    if len(several) != len(before):
        raise ValueError(
            f"Input and output must have the same number of spatial dimensions, but got input with {len(before)} and "
            f"{'size' if scale_factor is None else 'scale_factor'}={given}"
        )
    sizes = several if scale_factor is None else [math.floor(n * f) for n, f in zip(before, several, strict=True)]
    if scale_factor is None or recompute:
        return sizes, [n / m for n, m in zip(before, sizes, strict=True)]
    return sizes, [1 / factor for factor in several]


def _nearest_exact(input: Any, sizes: list[int], scales: list[float]) -> Tensor:
    for axis, (count, scale) in enumerate(zip(sizes, scales, strict=True), 2):
        places = np.minimum(((np.arange(count) + 0.5) * scale).astype(np.int64), input._data.shape[axis] - 1)
        input = FUNCTIONS[np.take](input, places, axis)
    return input


def _by_matrices(
    input: Any, sizes: list[int], scales: list[float], mode: str, align_corners: bool, antialias: bool
) -> Tensor:
    if antialias and align_corners:
        raise NotImplementedError("interpolate: antialias with align_corners is not there: leave align_corners out")
    down, across = (
        new(resampling_weights(n_in, n_out, mode, antialias, scale, align_corners).astype(input._data.dtype))
        for n_in, n_out, scale in zip(input._data.shape[2:], sizes, scales, strict=True)
    )
    return UFUNCS[np.matmul](down, UFUNCS[np.matmul](input, FUNCTIONS[np.swapaxes](across, 0, 1)))


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """`interpolate`, by its old name"""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with the nearest pixel, by its old name"""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` between four pixels with aligned corners, by its old name"""
    return interpolate(input, size, scale_factor, "bilinear", True)


# ---- other places ----------------------------------------------------------------------------------------------------
def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Where the pixels of an image come from, for matrices (N, 2, 3): places (N, H, W, 2) within [-1, 1]"""
    if len(size) != 4:
        raise NotImplementedError(f"affine_grid: sizes (N, C, H, W) are there. Received: {tuple(size)}")
    n, _, height, width = size
    x, y = (
        np.linspace(-1, 1, count) if align_corners else (np.arange(count) * 2 + 1) / count - 1
        for count in (width, height)
    )
    places = np.stack([*np.broadcast_arrays(x[None, :], y[:, None]), np.ones((height, width))], -1)
    rows = new(places.reshape(1, height * width, 3).astype(theta._data.dtype))
    return _reshape(UFUNCS[np.matmul](rows, FUNCTIONS[np.swapaxes](theta, 1, 2)), (n, height, width, 2))


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """Pixels of images at places (N, H, W, 2) of x and y, where -1 and 1 are the borders; between pixels, in between

    With mode 'nearest' no gradient goes to the places.
    """
    if mode not in ("bilinear", "nearest"):
        raise NotImplementedError(f"grid_sample: modes 'bilinear' and 'nearest' are there. Received: {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    shape, places = input._data.shape, grid._data.shape
    if len(shape) != 4 or len(places) != 4 or places[0] != shape[0] or places[3] != 2:
        raise RuntimeError(
            "grid_sample: images (N, C, H, W) and places (N, H_out, W_out, 2) are needed. Received: "
            f"{tuple(shape)}, {tuple(places)}"
        )
    columns, rows = (
        _inside(_pixel(_take(grid, (..., axis)), size, align_corners), size, padding_mode, align_corners)
        for axis, size in enumerate(shape[:1:-1])
    )
    images = np.arange(shape[0])[:, None, None]
    if mode == "nearest":
        y = _pixels(input, images, np.rint(rows._data), np.rint(columns._data), None)
    else:
        top, left = np.floor(rows._data), np.floor(columns._data)
        down, right = _subtract(rows, new(top)), _subtract(columns, new(left))
        up, back = _subtract(1.0, down), _subtract(1.0, right)
        y = _pixels(input, images, top, left, _multiply(up, back))
        for row_step, column_step, weight in ((0, 1, (up, right)), (1, 0, (down, back)), (1, 1, (down, right))):
            y = _add(y, _pixels(input, images, top + row_step, left + column_step, _multiply(*weight)))
    return FUNCTIONS[np.moveaxis](y, -1, 1)


def _pixel(place: Any, size: int, align_corners: bool | None) -> Tensor:
    """A place between -1 and 1 as the number of a pixel."""
    if align_corners:
        return _multiply(_add(place, 1.0), (size - 1) / 2)
    return _multiply(_subtract(_multiply(_add(place, 1.0), size), 1.0), 0.5)


def _inside(place: Any, size: int, padding_mode: str, align_corners: bool | None) -> Any:
    """Places beyond the borders, moved to these or reflected by them."""
    if padding_mode == "zeros":
        return place
    if padding_mode == "reflection":
        low, span = (0.0, size - 1.0) if align_corners else (-0.5, float(size))
        if span <= 0:
            return _multiply(place, 0.0)
        distance = UFUNCS[np.absolute](_subtract(place, low))
        flips = np.floor(distance._data / span)
        rest = _subtract(distance, new((flips * span).astype(distance._data.dtype)))
        place = _add(FUNCTIONS[np.where](new(flips % 2 == 0), rest, _subtract(span, rest)), low)
    return FUNCTIONS[np.clip](place, 0, size - 1)


def _pixels(input: Any, images: NDArray, rows: NDArray, columns: NDArray, weight: Any) -> Tensor:
    """(N, H_out, W_out, C): pixels times weights, 0 outside of the images."""
    height, width = input._data.shape[2:]
    is_inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    at = [np.where(is_inside, place, 0).astype(np.int64) for place in (rows, columns)]
    part = new(is_inside.astype(input._data.dtype))
    part = part if weight is None else _multiply(part, weight)
    return _multiply(_take(input, (images, slice(None), *at)), FUNCTIONS[np.expand_dims](part, -1))
