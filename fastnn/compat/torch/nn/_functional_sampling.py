"""Images at other sizes and places, by PyTorch's signatures."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import functional
from fastnn.autograd.methods import FUNCTIONS, UFUNCS
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn._functional_axes import as_image, as_sequence, row
from fastnn.compat.torch.nn._functional_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d

__all__ = [
    "affine_grid", "interpolate", "upsample", "upsample_bilinear", "upsample_nearest",
]  # fmt: skip

F: Any = functional  # arrays in, arrays out; here it is tensors
_reshape = FUNCTIONS[np.reshape]


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
    is_sequence = input._data.ndim == 3
    if mode in ("bicubic", "trilinear", "nearest-exact") or antialias or input._data.ndim not in (3, 4):
        raise NotImplementedError(
            "interpolate: images (N, C, H, W) or sequences (N, C, L), with mode 'nearest', 'bilinear', 'linear' or "
            f"'area', are there. Received: shape={tuple(input._data.shape)}, mode={mode!r}, antialias={antialias}"
        )
    sizes = input._data.shape[2:]
    if recompute_scale_factor and scale_factor is not None:
        factors = scale_factor if isinstance(scale_factor, Sequence) else [scale_factor] * len(sizes)
        size, scale_factor = [math.floor(n * factor) for n, factor in zip(sizes, factors, strict=True)], None
    if mode == "area":
        if size is None:
            factors = scale_factor if isinstance(scale_factor, Sequence) else [scale_factor] * len(sizes)
            size = [math.floor(n * factor) for n, factor in zip(sizes, factors, strict=True)]
        return (adaptive_avg_pool1d if is_sequence else adaptive_avg_pool2d)(input, size)
    if not is_sequence:
        return F.interpolate(input, size, scale_factor, mode, align_corners)
    mode = "bilinear" if mode == "linear" else mode
    images = as_image(input)
    return as_sequence(F.interpolate(images, row(size, 1), row(scale_factor, 1), mode, align_corners))


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
