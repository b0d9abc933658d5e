"""What an image is: one of Pillow's, or a tensor (..., C, H, W)."""

from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.data import image

__all__ = [
    "InterpolationMode",
    "array_of",
    "as_mode",
    "dimensions",
    "is_pil",
    "is_tensor",
    "largest_value",
    "needs_image",
    "needs_pillow",
    "pil_mode",
]


class InterpolationMode(Enum):
    """How pixels between pixels are found. Tensors have the first four."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_PILLOW_NUMBERS = {"nearest": 0, "nearest-exact": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
_BY_NUMBER = {number: InterpolationMode(name) for name, number in _PILLOW_NUMBERS.items() if name != "nearest-exact"}
_NAMES = frozenset(_PILLOW_NUMBERS)


def as_mode(value: Any) -> InterpolationMode:
    """A mode, its name, or Pillow's number of it.

    Raises:
        TypeError, ValueError: it is neither.
    """
    if isinstance(value, InterpolationMode):
        return value
    if isinstance(value, str) and value in _NAMES:
        return InterpolationMode(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if int(value) not in _BY_NUMBER:
            raise ValueError(f"an interpolation of Pillow is 0 to 5. Received: {value}")
        return _BY_NUMBER[int(value)]
    raise TypeError(
        "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer constant. "
        f"Received: {value!r}"
    )


def pil_mode(mode: InterpolationMode) -> int:
    """Pillow's number of a mode."""
    return _PILLOW_NUMBERS[mode.value]


def is_tensor(value: Any) -> bool:
    return isinstance(value, NumPyTensor)


def is_pil(value: Any) -> bool:
    return image.is_pillow_image(value)


def needs_pillow(name: str) -> None:
    """Raise ImportError, with what to do, if Pillow is missing."""
    image.needs_pillow(name)


def needs_image(name: str, value: Any) -> None:
    """Raise TypeError unless it is an image."""
    if not (is_tensor(value) or is_pil(value)):
        raise TypeError(f"{name}: img should be PIL Image or Tensor. Got {type(value)}")


def array_of(name: str, value: Any) -> NDArray[Any]:
    """The array of a tensor with H and W at least."""
    if not is_tensor(value):
        raise TypeError(f"{name}: img should be Tensor Image. Got {type(value)}")
    if value._data.ndim < 2:
        raise TypeError(f"{name}: Tensor is not a torch image. Received: shape={value._data.shape}")
    return value._data


def dimensions(value: Any) -> list[int]:
    """[C, H, W]"""
    if is_pil(value):
        return [len(value.getbands()), value.height, value.width]
    shape = array_of("get_dimensions", value).shape
    return [1 if len(shape) == 2 else shape[-3], *shape[-2:]]


def largest_value(dtype: np.dtype[Any]) -> int:
    """White: 1 of floats, all bits of integers."""
    return 1 if dtype.kind == "f" or dtype.kind == "b" else int(np.iinfo(dtype).max)
