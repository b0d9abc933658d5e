"""torchvision.transforms.v2.functional: the functions of version 1, and those that only version 2 has."""

# ruff: noqa: F403 (the names are in the `__all__` of version 1)

from typing import Any

import numpy as np

from fastnn.compat.torch._dtype import DTYPES, numpy_dtype
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.compat.torchvision.transforms import _draw
from fastnn.compat.torchvision.transforms import functional as v1
from fastnn.compat.torchvision.transforms._images import array_of, is_pil, is_tensor
from fastnn.compat.torchvision.transforms.functional import *

_ONLY_HERE = [
    "gaussian_noise",
    "get_num_channels",
    "get_size",
    "grayscale_to_rgb",
    "horizontal_flip",
    "permute_channels",
    "to_dtype",
    "to_image",
    "vertical_flip",
]
__all__ = [*v1.__all__, *_ONLY_HERE]

_IMAGES = "only images are transformed: use the function without the kind in its name"
__getattr__ = missing(
    __name__,
    {
        "elastic_transform": "use affine or perspective",
        **{f"{name}_{kind}": _IMAGES for name in __all__ for kind in ("image", "mask", "bounding_boxes", "video")},
    },
)

horizontal_flip, vertical_flip = v1.hflip, v1.vflip
get_num_channels = v1.get_image_num_channels


def get_size(inpt: Any) -> list[int]:
    """[H, W]"""
    return v1.get_dimensions(inpt)[1:]


def to_image(inpt: Any) -> Any:
    """An image of Pillow, an array (H, W, C) or (H, W), or a tensor, as a tensor (C, H, W) of the same numbers."""
    if is_tensor(inpt):
        return inpt
    if is_pil(inpt):
        return v1.pil_to_tensor(inpt)
    if isinstance(inpt, np.ndarray):
        pixels = inpt[:, :, None] if inpt.ndim == 2 else inpt
        return new(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    raise TypeError(f"Input can either be a pure Tensor, a numpy array, or a PIL image, but got {type(inpt)} instead.")


def to_dtype(inpt: Any, dtype: Any = DTYPES["float32"], scale: bool = False) -> Any:
    """A tensor in another dtype, with `scale` so that white stays white."""
    if scale:
        return v1.convert_image_dtype(inpt, dtype)
    return new(array_of("to_dtype", inpt).astype(numpy_dtype(dtype)))


def grayscale_to_rgb(inpt: Any) -> Any:
    """Grey in three channels; what has three stays."""
    if is_pil(inpt):
        return inpt.convert("RGB")
    x = array_of("grayscale_to_rgb", inpt)
    return inpt if x.shape[-3] != 1 else new(np.repeat(x, 3, axis=-3))


def permute_channels(inpt: Any, permutation: list[int]) -> Any:
    """The channels in another order."""
    x = inpt if is_tensor(inpt) else v1.pil_to_tensor(inpt)
    y = new(array_of("permute_channels", x)[..., permutation, :, :])
    return y if is_tensor(inpt) else v1.to_pil_image(y, inpt.mode)


def gaussian_noise(inpt: Any, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> Any:
    """A tensor with normal noise; of bytes the noise counts in units of 255."""
    x = array_of("gaussian_noise", inpt)
    if sigma < 0:
        raise ValueError(f"sigma shouldn't be negative. Got {sigma}")
    if x.dtype == np.uint8:
        noise = _draw.generator().standard_normal(x.shape, np.float32) * (sigma * 255) + mean * 255
        total = x.astype(np.int64) + noise.astype(np.int64)
        return new((total.clip(0, 255) if clip else total).astype(np.uint8))
    if x.dtype.kind != "f":
        raise ValueError(f"Input tensor is expected to be in uint8 or float dtype, got dtype={x.dtype}")
    noise = _draw.generator().standard_normal(x.shape, np.float32)
    total = (x + mean + noise * sigma).astype(x.dtype)
    return new(total.clip(0, 1) if clip else total)
