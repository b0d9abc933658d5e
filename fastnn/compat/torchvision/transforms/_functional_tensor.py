"""What is done to tensors (..., C, H, W): cuts, mirrors, padding, and colour. Arrays in, arrays out."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torchvision.transforms._images import largest_value

Array = NDArray[Any]


# ---- cuts ------------------------------------------------------------------------------------------------------------
def crop(x: Array, top: int, left: int, height: int, width: int) -> Array:
    """A window, black where it leaves the image."""
    h, w = x.shape[-2:]
    bottom, right = top + height, left + width
    inner = x[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left >= 0 and top >= 0 and right <= w and bottom <= h:
        return inner
    result = np.zeros((*x.shape[:-2], height, width), x.dtype)
    row, column = max(-top, 0), max(-left, 0)
    result[..., row : row + inner.shape[-2], column : column + inner.shape[-1]] = inner
    return result


def pad(x: Array, sides: tuple[int, int, int, int], fill: float, mode: str) -> Array:
    """`sides` are left, top, right, bottom; negative ones cut off."""
    h, w = x.shape[-2:]
    left, top, right, bottom = sides
    x = x[..., max(0, -top) : h - max(0, -bottom), max(0, -left) : w - max(0, -right)]
    widths = [(0, 0)] * (x.ndim - 2) + [(max(0, top), max(0, bottom)), (max(0, left), max(0, right))]
    if mode == "constant":
        return np.pad(x, widths, constant_values=np.asarray(fill).astype(x.dtype))
    if mode == "reflect" and any(width >= side for pair, side in zip(widths[-2:], x.shape[-2:], strict=True)
                                 for width in pair):  # fmt: skip
        raise RuntimeError(f"pad: reflection by {sides} is not less than the image, {x.shape[-2:]}")
    return np.pad(x, widths, mode=mode)  # type: ignore[call-overload]


def erase(x: Array, top: int, left: int, height: int, width: int, value: Any, inplace: bool) -> Array:
    y = x if inplace else x.copy()
    y[..., top : top + height, left : left + width] = value
    return y


# ---- colour ----------------------------------------------------------------------------------------------------------
def needs_channels(name: str, x: Array) -> None:
    """Raise TypeError unless there are 1 or 3 channels."""
    channels = 1 if x.ndim == 2 else x.shape[-3]
    if channels not in (1, 3):
        raise TypeError(f"{name}: Input image tensor permitted channel values are [1, 3], but found {channels}")


def _real(x: Array) -> Array:
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _blend(x: Array, other: Any, part: float) -> Array:
    """`part` of x and the rest of another image, cut to black and white."""
    real = _real(x)
    mixed = real * real.dtype.type(part) + np.asarray(other, real.dtype) * real.dtype.type(1.0 - part)
    return mixed.clip(0, largest_value(x.dtype)).astype(x.dtype)


def grey(x: Array, channels: int = 1) -> Array:
    if x.ndim < 3:
        raise TypeError(f"Input image tensor should have at least 3 dimensions, but found {x.ndim}")
    needs_channels("rgb_to_grayscale", x)
    if x.shape[-3] == 1:
        return x.copy()  # also if there should be three, as in torchvision
    real = _real(x)
    red, green, blue = (real.dtype.type(weight) for weight in (0.2989, 0.587, 0.114))
    y = red * real[..., 0, :, :] + green * real[..., 1, :, :] + blue * real[..., 2, :, :]
    y = y.astype(x.dtype)[..., None, :, :]
    return np.repeat(y, 3, axis=-3) if channels == 3 else y


def adjust_brightness(x: Array, factor: float) -> Array:
    return _blend(x, 0, factor)


def adjust_contrast(x: Array, factor: float) -> Array:
    light = _real(grey(x) if x.ndim > 2 and x.shape[-3] == 3 else x)
    axes = (-3, -2, -1) if x.ndim > 2 else (-2, -1)
    mean = light.mean(axis=axes, keepdims=True, dtype=np.float64).astype(light.dtype)
    return _blend(x, mean, factor)


def adjust_saturation(x: Array, factor: float) -> Array:
    return x if x.ndim == 2 or x.shape[-3] == 1 else _blend(x, grey(x), factor)


def adjust_hue(x: Array, factor: float, to_float: Callable[[Array], Array], back: Callable[[Array], Array]) -> Array:
    """`to_float` and `back` convert to float32 in 0..1, and to the dtype of x."""
    if x.ndim == 2 or x.shape[-3] == 1:
        return x
    rgb = to_float(x)
    red, green, blue = (rgb[..., channel, :, :] for channel in range(3))
    value, least = rgb.max(axis=-3), rgb.min(axis=-3)
    chroma = value - least
    is_grey = chroma == 0
    saturation = chroma / np.where(is_grey, 1, value)
    safe = np.where(is_grey, 1, chroma)
    # Sixths of the colour circle from red on.
    sextant = np.where(
        value == red,
        (green - blue) / safe,
        np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turned = np.fmod(sextant / 6 + 1, 1) + np.float32(factor)
    turned -= np.floor(turned)
    whole = np.floor(turned * 6)
    rest = turned * 6 - whole
    place = whole.astype(np.int32) % 6
    low = (value * (1 - saturation)).clip(0, 1)
    falling = (value * (1 - saturation * rest)).clip(0, 1)
    rising = (value * (1 - saturation * (1 - rest))).clip(0, 1)
    result = np.stack(
        [
            np.choose(place, (value, falling, low, low, rising, value)),
            np.choose(place, (rising, value, value, falling, low, low)),
            np.choose(place, (low, low, rising, value, value, falling)),
        ],
        axis=-3,
    )
    return back(result)


def adjust_sharpness(x: Array, factor: float) -> Array:
    """Towards or away from a blurred copy, whose border is sharp."""
    if min(x.shape[-2:]) <= 2:
        return x
    real = _real(x)
    h, w = x.shape[-2:]
    total = 4 * real[..., 1:-1, 1:-1]
    for row in range(3):
        for column in range(3):
            total = total + real[..., row : h - 2 + row, column : w - 2 + column]
    blurred = x.copy()
    inner = total / real.dtype.type(13)
    blurred[..., 1:-1, 1:-1] = inner if x.dtype.kind == "f" else np.rint(inner)
    return _blend(x, blurred, factor)


def gaussian_blur(x: Array, size: list[int], sigma: list[float]) -> Array:
    """`size` and `sigma` are of x and y."""
    real = _real(x)
    radius = [side // 2 for side in size]
    if radius[0] >= x.shape[-1] or radius[1] >= x.shape[-2]:
        raise RuntimeError(f"gaussian_blur: a kernel of {size} needs a larger image. Received: {x.shape}")
    y = pad(real, (radius[0], radius[1], radius[0], radius[1]), 0, "reflect")
    for axis, side, width in ((-1, size[0], sigma[0]), (-2, size[1], sigma[1])):
        places = np.arange(side) - (side - 1) / 2
        weights = np.exp(-0.5 * (places / width) ** 2)
        weights = (weights / weights.sum()).astype(real.dtype)
        windows = np.lib.stride_tricks.sliding_window_view(y, side, axis=axis)
        y = windows @ weights
    return y if x.dtype.kind == "f" else np.rint(y).astype(x.dtype)


def invert(x: Array) -> Array:
    return x.dtype.type(largest_value(x.dtype)) - x


def posterize(x: Array, bits: int) -> Array:
    return x & np.uint8(256 - 2 ** (8 - bits))


def solarize(x: Array, threshold: float) -> Array:
    return np.where(x >= threshold, invert(x), x)


def autocontrast(x: Array) -> Array:
    real, white = _real(x), largest_value(x.dtype)
    least, most = (f(axis=(-2, -1), keepdims=True) for f in (real.min, real.max))
    is_flat = most == least
    scale = np.where(is_flat, 1, white / np.where(is_flat, 1, most - least)).astype(real.dtype)
    y = (real - np.where(is_flat, 0, least).astype(real.dtype)) * scale
    return y.clip(0, white).astype(x.dtype)


def equalize(x: Array) -> Array:
    """Each channel of bytes spread so that all values are about as frequent."""
    planes = x.reshape(-1, *x.shape[-2:])
    return np.stack([_equalized(plane) for plane in planes]).reshape(x.shape)


def _equalized(plane: Array) -> Array:
    counts = np.bincount(plane.ravel(), minlength=256)
    step = counts[counts > 0][:-1].sum() // 255
    if step == 0:
        return plane
    table = (np.cumsum(counts) + step // 2) // step
    return np.concatenate([[0], table[:-1]]).clip(0, 255).astype(np.uint8)[plane]
