"""Images of Pillow, arrays and tensors into each other; dtypes; normalisation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._dtype import default_numpy_dtype, numpy_dtype
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torchvision.transforms._images import array_of, is_pil, is_tensor, largest_value, needs_pillow

__all__ = ["convert_image_dtype", "normalize", "pil_to_tensor", "to_pil_image", "to_tensor"]

_OF_MODE = {"I": np.int32, "I;16": np.int16, "I;16B": np.int16, "F": np.float32}  # all others are bytes
_MODES = {1: {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}, 2: "LA", 3: "RGB", 4: "RGBA"}
_OTHER_MODES = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}
_NEARLY = 1e-3  # less than one, which makes of 0..1 the whole numbers 0..255, each as often


def _channels_first(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def to_tensor(pic: Any) -> Tensor:
    """An image of Pillow, or an array (H, W) or (H, W, C), as a tensor (C, H, W); bytes become floats in 0..1."""
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        pixels = pic
    elif is_pil(pic):
        pixels = np.asarray(pic, _OF_MODE.get(pic.mode, np.uint8))
        if pic.mode == "1":
            pixels = pixels * np.uint8(255)
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    pixels = _channels_first(pixels)
    if pixels.dtype != np.uint8:
        return new(np.array(pixels, order="C"))
    real = default_numpy_dtype()
    result = np.empty(pixels.shape, real)
    np.divide(pixels, real.type(255), out=result, dtype=real, casting="unsafe")
    return new(result)


def pil_to_tensor(pic: Any) -> Tensor:
    """An image of Pillow as a tensor (C, H, W) of its own numbers."""
    if not is_pil(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    return new(_channels_first(np.array(pic)))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) or an array (H, W, C), or either without channels, as an image of Pillow.

    Floats are in 0..1, but for mode "F".
    """
    needs_pillow("to_pil_image")
    from PIL import Image

    if is_tensor(pic):
        pixels = pic._data
        pixels = pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels
    elif isinstance(pic, np.ndarray):
        pixels = pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pixels.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {pixels.ndim} dimensions.")
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    channels = pixels.shape[2]
    if not 1 <= channels <= 4:
        raise ValueError(f"pic should have 1 to 4 channels. Got {channels} channels.")
    if pixels.dtype.kind == "f" and mode != "F":
        pixels = (pixels * 255).astype(np.uint8)
    if channels == 1:
        pixels = pixels[:, :, 0]
        usual = _MODES[1].get(pixels.dtype.name)  # type: ignore[attr-defined]
        if mode is not None and mode != usual:
            raise ValueError(f"Incorrect mode ({mode}) supplied for input type {pixels.dtype}. Should be {usual}")
    else:
        usual = _MODES[channels] if pixels.dtype == np.uint8 else None
        if mode is not None and mode not in _OTHER_MODES[channels]:
            raise ValueError(f"Only modes {list(_OTHER_MODES[channels])} are supported for {channels} channels")
    mode = mode or usual
    if mode is None:
        raise TypeError(f"Input type {pixels.dtype} is not supported")
    made = Image.fromarray(np.ascontiguousarray(pixels))
    if made.mode == mode:
        return made
    return Image.frombytes(mode, made.size, np.ascontiguousarray(pixels).tobytes())


def convert_image_dtype(image: Any, dtype: Any = None) -> Tensor:
    """A tensor in another dtype, where white stays white: 1 of floats, the largest of integers."""
    kind = default_numpy_dtype() if dtype is None else numpy_dtype(dtype)
    x = array_of("convert_image_dtype", image)
    if x.dtype == kind:
        return image
    white, old_white = largest_value(kind), largest_value(x.dtype)
    if x.dtype.kind == "f":
        if kind.kind == "f":
            return new(x.astype(kind))
        if kind.itemsize * 8 > {4: 24, 8: 53}[x.dtype.itemsize]:
            raise RuntimeError(f"The cast from {x.dtype} to {kind} cannot be performed safely.")
        return new((x * x.dtype.type(white + 1.0 - _NEARLY)).astype(kind))
    if kind.kind == "f":
        return new(x.astype(kind) / kind.type(old_white))
    if old_white > white:
        return new((x // x.dtype.type((old_white + 1) // (white + 1))).astype(kind))
    return new(x.astype(kind) * kind.type((white + 1) // (old_white + 1)))


def normalize(tensor: Any, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """(x - mean) / std of a tensor (..., C, H, W), for each channel."""
    if not is_tensor(tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    x = tensor._data
    if x.dtype.kind != "f":
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if x.ndim < 3:
        raise ValueError(
            f"Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = {tuple(x.shape)}"
        )
    means, deviations = _per_channel(mean, x.dtype), _per_channel(std, x.dtype)
    if not deviations.all():
        raise ValueError(f"std evaluated to zero after conversion to {x.dtype}, leading to division by zero.")
    shape = np.broadcast_shapes(x.shape, means.shape, deviations.shape)
    if shape != x.shape:
        raise RuntimeError(f"output with shape {list(x.shape)} doesn't match the broadcast shape {list(shape)}")
    if inplace:
        np.subtract(x, means, out=x)
        np.divide(x, deviations, out=x)
        return tensor
    y = x - means
    y /= deviations
    return new(y)


def _per_channel(value: Any, kind: np.dtype[Any]) -> NDArray[Any]:
    numbers = np.asarray(value._data if is_tensor(value) else value, kind)
    return numbers[:, None, None] if numbers.ndim == 1 else numbers
