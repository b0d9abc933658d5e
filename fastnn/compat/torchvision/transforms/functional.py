"""Functions of images: those of Pillow go to Pillow, tensors (..., C, H, W) to NumPy."""

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.compat.torch._dtype import torch_dtype
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.compat.torchvision.transforms import _functional_tensor as of_tensor
from fastnn.compat.torchvision.transforms import _resampling
from fastnn.compat.torchvision.transforms._conversions import (
    convert_image_dtype,
    normalize,
    pil_to_tensor,
    to_pil_image,
    to_tensor,
)
from fastnn.compat.torchvision.transforms._images import (
    InterpolationMode,
    array_of,
    as_mode,
    dimensions,
    is_pil,
    is_tensor,
    needs_image,
    pil_mode,
)

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
]

__getattr__ = missing(
    __name__, {"elastic_transform": "blur a random field of displacements yourself, or use affine or perspective"}
)


def _pillow() -> Any:
    from fastnn.compat.torchvision.transforms import _functional_pil

    return _functional_pil


def _is_tensor(name: str, img: Any) -> bool:
    """Whether it is a tensor; otherwise it is an image of Pillow, or there is an error."""
    needs_image(name, img)
    return is_tensor(img)


# ---- sizes -----------------------------------------------------------------------------------------------------------
def get_dimensions(img: Any) -> list[int]:
    """[C, H, W]"""
    needs_image("get_dimensions", img)
    return dimensions(img)


def get_image_size(img: Any) -> list[int]:
    """[W, H]"""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img: Any) -> int:
    """C"""
    return get_dimensions(img)[0]


def _pair(size: Any, error: str = "Please provide only two dimensions (h, w) for size.") -> tuple[int, int]:
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(error)
    return size[0], size[1]


# ---- cuts, mirrors, padding ------------------------------------------------------------------------------------------
def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A window, black where it leaves the image."""
    if _is_tensor("crop", img):
        return new(of_tensor.crop(array_of("crop", img), top, left, height, width))
    return _pillow().crop(img, top, left, height, width)


def center_crop(img: Any, output_size: Any) -> Any:
    """The window in the middle; a smaller image is padded with black before."""
    height, width = _pair(output_size)
    _, h, w = get_dimensions(img)
    if height > h or width > w:
        more_h, more_w = max(0, height - h), max(0, width - w)
        img = pad(img, [more_w // 2, more_h // 2, (more_w + 1) // 2, (more_h + 1) // 2])
        _, h, w = get_dimensions(img)
    return crop(img, round((h - height) / 2), round((w - width) / 2), height, width)


def five_crop(img: Any, size: Any) -> tuple[Any, ...]:
    """The corners (top left, top right, bottom left, bottom right) and the middle."""
    height, width = _pair(size)
    _, h, w = get_dimensions(img)
    if height > h or width > w:
        raise ValueError(f"Requested crop size {(height, width)} is bigger than input size {(h, w)}")
    corners = [(top, left) for top in (0, h - height) for left in (0, w - width)]
    return (*(crop(img, *corner, height, width) for corner in corners), center_crop(img, (height, width)))


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image."""
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def hflip(img: Any) -> Any:
    """Mirrored left and right."""
    if _is_tensor("hflip", img):
        return new(array_of("hflip", img)[..., ::-1].copy())
    return _pillow().hflip(img)


def vflip(img: Any) -> Any:
    """Mirrored up and down."""
    if _is_tensor("vflip", img):
        return new(array_of("vflip", img)[..., ::-1, :].copy())
    return _pillow().vflip(img)


def sides_of(padding: Any) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a number, (left and right, top and bottom) or all four.

    Raises:
        TypeError, ValueError: it is nothing of this.
    """
    if isinstance(padding, numbers.Number):
        return (int(padding),) * 4  # type: ignore[call-overload]
    if not isinstance(padding, tuple | list):
        raise TypeError(f"Got inappropriate padding arg: {padding!r}")
    if len(padding) not in (1, 2, 4):
        raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element tuple")
    left, top, right, bottom = list(padding) * (4 // len(padding))
    return left, top, right, bottom


PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """The image with more around it.

    Args:
        padding: a number, (left and right, top and bottom), or (left, top, right, bottom).
        padding_mode: 'constant' (of colour `fill`), 'edge', 'reflect' or 'symmetric' (with the edge itself).
    """
    sides = sides_of(padding)
    if padding_mode not in PADDING_MODES:
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    if fill is not None and not isinstance(fill, numbers.Number | tuple | list):
        raise TypeError(f"Got inappropriate fill arg: {fill!r}")
    if _is_tensor("pad", img):
        if isinstance(fill, tuple | list):
            raise TypeError(f"pad: fill must be one number for a tensor. Received: {fill!r}")
        return new(of_tensor.pad(array_of("pad", img), sides, fill or 0, padding_mode))  # type: ignore[arg-type]
    return _pillow().pad(img, sides, fill, padding_mode)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """A tensor with `v` in the window of h by w at (i, j)."""
    x = array_of("erase", img)
    y = of_tensor.erase(x, i, j, h, w, v._data if is_tensor(v) else v, inplace)
    return img if y is x else new(y)


# ---- sizes and maps --------------------------------------------------------------------------------------------------
def _new_size(h: int, w: int, size: Sequence[int] | None, max_size: int | None) -> list[int]:
    if size is not None and len(size) == 2:
        return [size[0], size[1]]
    short, long = sorted((h, w))
    if size is None:
        if not isinstance(max_size, int):
            raise ValueError(f"max_size must be an integer when size is None, but got {max_size} instead.")
        new_short, new_long = int(max_size * short / long), max_size
    else:
        new_short, new_long = size[0], int(size[0] * long / short)
        if max_size is not None:
            if max_size <= size[0]:
                raise ValueError(
                    f"max_size = {max_size} must be strictly greater than the requested size for the smaller edge "
                    f"size = {size}"
                )
            if new_long > max_size:
                new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if w <= h else [new_short, new_long]


def resize(
    img: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image at another size.

    Args:
        size: (height, width), or the length of the shorter side.
        max_size: of the longer side.
        antialias: whether a pixel of a smaller tensor is a mean over all that fall into it, as it is in Pillow.
    """
    mode = as_mode(interpolation)
    size = [size] if isinstance(size, int) else size
    if size is not None and len(size) not in (1, 2):
        raise ValueError(f"Size must be an int or a 1 or 2 element tuple/list, not a {len(size)} element tuple/list")
    if max_size is not None and size is not None and len(size) != 1:
        raise ValueError("max_size should only be passed if size specifies the length of the smaller edge")
    _, h, w = get_dimensions(img)
    wanted = _new_size(h, w, size, max_size)
    if wanted == [h, w]:
        return img
    if is_tensor(img):
        return new(_resampling.resize(array_of("resize", img), wanted, mode.value, bool(antialias)))
    if antialias is False:
        warnings.warn(
            "Anti-alias option is always applied for PIL Image input. Argument antialias is ignored.", stacklevel=2
        )
    return _pillow().resize(img, wanted, pil_mode(mode))


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A window, at another size."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def _inverse_matrix(
    center: Sequence[float], angle: float, translate: Sequence[float], scale: float, shear: Sequence[float]
) -> list[float]:
    """Where (x, y) of the result comes from, when the image is sheared, scaled, turned clockwise about `center` and
    moved: the inverse of T C R(angle) Shear(x, y) Scale C^-1.
    """
    turn, shear_x, shear_y = (math.radians(degrees) for degrees in (angle, *shear))
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -a * math.tan(shear_x) - math.sin(turn)
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = -c * math.tan(shear_x) + math.cos(turn)
    # The determinant of a turn and two shears is 1.
    rows = ((d / scale, -b / scale), (-c / scale, a / scale))
    x, y = (center[axis] + translate[axis] for axis in (0, 1))
    result: list[float] = []
    for (first, second), middle in zip(rows, center, strict=True):
        result += [first, second, middle - first * x - second * y]
    return result


def _moved_by(center: Any, width: int, height: int) -> list[float]:
    """`center` counted from the middle of the image, as tensors need it."""
    return [0.0, 0.0] if center is None else [center[0] - width * 0.5, center[1] - height * 0.5]


def _check_center(center: Any) -> None:
    if center is not None and not isinstance(center, list | tuple):
        raise TypeError("Argument center should be a sequence")


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """Turned counter-clockwise by `angle` degrees about `center` (x, y); with `expand` the result holds all of it."""
    mode = as_mode(interpolation)
    if not isinstance(angle, int | float):
        raise TypeError("Argument angle should be int or float")
    _check_center(center)
    if not _is_tensor("rotate", img):
        return _pillow().rotate(img, angle, pil_mode(mode), expand, center, fill)
    x = array_of("rotate", img)
    h, w = x.shape[-2:]
    matrix = _inverse_matrix(_moved_by(center, w, h), -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = _resampling.rotated_size(matrix, (h, w)) if expand else (h, w)
    return new(_resampling.sample(x, *_resampling.affine_places(matrix, (h, w), size), mode.value, fill))


def affine(
    img: Any,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Any:
    """Turned clockwise by `angle` degrees, moved by `translate` (x, y) pixels, scaled and sheared."""
    mode = as_mode(interpolation)
    if not isinstance(angle, int | float):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, list | tuple):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if isinstance(shear, numbers.Number):
        shear = [shear, 0.0]
    elif not isinstance(shear, list | tuple):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    elif len(shear) == 1:
        shear = [shear[0], shear[0]]
    if len(shear) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    _check_center(center)
    _, h, w = get_dimensions(img)
    if is_pil(img):
        middle = [w * 0.5, h * 0.5] if center is None else center
        return _pillow().affine(img, _inverse_matrix(middle, angle, translate, scale, shear), pil_mode(mode), fill)
    matrix = _inverse_matrix(_moved_by(center, w, h), angle, translate, scale, shear)
    places = _resampling.affine_places(matrix, (h, w), (h, w))
    return new(_resampling.sample(array_of("affine", img), *places, mode.value, fill))


def _perspective_coefficients(startpoints: Any, endpoints: Any) -> list[float]:
    """The eight numbers of the map that leads from the result's corners to the image's."""
    rows, targets = [], []
    for (x, y), (from_x, from_y) in zip(endpoints, startpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -from_x * x, -from_x * y])
        rows.append([0, 0, 0, x, y, 1, -from_y * x, -from_y * y])
        targets += [from_x, from_y]
    solution = np.linalg.lstsq(np.array(rows, float), np.array(targets, float), rcond=None)[0]
    return solution.astype(np.float32).tolist()


def perspective(
    img: Any, startpoints: Any, endpoints: Any, interpolation: Any = InterpolationMode.BILINEAR, fill: Any = None
) -> Any:
    """Seen from elsewhere: the corners `startpoints` [x, y] of the image come to `endpoints`."""
    mode = as_mode(interpolation)
    coefficients = _perspective_coefficients(startpoints, endpoints)
    if not _is_tensor("perspective", img):
        return _pillow().perspective(img, coefficients, pil_mode(mode), fill)
    x = array_of("perspective", img)
    places = _resampling.perspective_places(coefficients, x.shape[-2:])
    return new(_resampling.sample(x, *places, mode.value, fill))


# ---- colour ----------------------------------------------------------------------------------------------------------
def _adjusted(name: str, img: Any, factor: float) -> Any:
    if not _is_tensor(name, img):
        return getattr(_pillow(), name)(img, factor)
    if factor < 0:
        raise ValueError(f"{name}: factor ({factor}) is not non-negative.")
    x = array_of(name, img)
    of_tensor.needs_channels(name, x)
    return new(getattr(of_tensor, name)(x, factor))


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Multiplied by a factor."""
    return _adjusted("adjust_brightness", img, brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Away from its mean brightness (above 1), or towards it."""
    return _adjusted("adjust_contrast", img, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Away from grey (above 1), or towards it."""
    return _adjusted("adjust_saturation", img, saturation_factor)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Away from a blurred copy (above 1), or towards it."""
    return _adjusted("adjust_sharpness", img, sharpness_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turned around the colour circle by a fraction of it, -0.5 to 0.5."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if not _is_tensor("adjust_hue", img):
        return _pillow().adjust_hue(img, hue_factor)
    x = array_of("adjust_hue", img)
    of_tensor.needs_channels("adjust_hue", x)
    kind, single = torch_dtype(x.dtype), torch_dtype(np.dtype(np.float32))
    return new(
        of_tensor.adjust_hue(
            x,
            hue_factor,
            lambda array: convert_image_dtype(new(array), single)._data,
            lambda array: convert_image_dtype(new(array), kind)._data,
        )
    )


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain * v ** gamma of values in 0..1."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    if not _is_tensor("adjust_gamma", img):
        return _pillow().adjust_gamma(img, gamma, gain)
    x = array_of("adjust_gamma", img)
    of_tensor.needs_channels("adjust_gamma", x)
    real = x if x.dtype.kind == "f" else convert_image_dtype(new(x), torch_dtype(np.dtype(np.float32)))._data
    return convert_image_dtype(new((gain * real**gamma).clip(0, 1).astype(real.dtype)), torch_dtype(x.dtype))


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Grey, in one channel or three."""
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if _is_tensor("rgb_to_grayscale", img):
        return new(of_tensor.grey(array_of("rgb_to_grayscale", img), num_output_channels))
    return _pillow().to_grayscale(img, num_output_channels)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """`rgb_to_grayscale` of an image of Pillow."""
    if not is_pil(img):
        raise TypeError("Input should be PIL Image")
    return rgb_to_grayscale(img, num_output_channels)


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Blurred by a Gaussian of standard deviation `sigma`, (x, y) or one, cut off to `kernel_size` pixels."""
    sizes = [kernel_size, kernel_size] if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        sigma = [size * 0.15 + 0.35 for size in sizes]
    sigmas = [float(sigma)] * 2 if isinstance(sigma, int | float) else list(sigma)
    sigmas = sigmas * 2 if len(sigmas) == 1 else sigmas
    if len(sigmas) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigmas)}")
    if min(sigmas) <= 0:
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    if _is_tensor("gaussian_blur", img):
        return new(of_tensor.gaussian_blur(array_of("gaussian_blur", img), sizes, sigmas))
    blurred = of_tensor.gaussian_blur(pil_to_tensor(img)._data, sizes, sigmas)
    return to_pil_image(new(blurred), img.mode)


def _changed(name: str, img: Any, *values: Any, bytes_only: bool = False) -> Any:
    if not _is_tensor(name, img):
        return getattr(_pillow(), name)(img, *values)
    x = array_of(name, img)
    if x.ndim < 3:
        raise TypeError(f"Input image tensor should have at least 3 dimensions, but found {x.ndim}")
    if bytes_only and x.dtype != np.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found torch.{x.dtype}")
    of_tensor.needs_channels(name, x)
    return new(getattr(of_tensor, name)(x, *values))


def invert(img: Any) -> Any:
    """White for black."""
    return _changed("invert", img)


def posterize(img: Any, bits: int) -> Any:
    """Only the upper bits of each byte."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    return _changed("posterize", img, bits, bytes_only=True)


def solarize(img: Any, threshold: float) -> Any:
    """What is `threshold` or brighter inverted."""
    return _changed("solarize", img, threshold)


def autocontrast(img: Any) -> Any:
    """Each channel stretched from black to white."""
    return _changed("autocontrast", img)


def equalize(img: Any) -> Any:
    """Each channel spread so that all values are about as frequent."""
    return _changed("equalize", img, bytes_only=True)
