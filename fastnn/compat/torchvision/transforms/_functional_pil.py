"""What is done to images of Pillow, by Pillow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

Fill = float | Sequence[float] | None


def crop(img: Image.Image, top: int, left: int, height: int, width: int) -> Image.Image:
    return img.crop((left, top, left + width, top + height))


def hflip(img: Image.Image) -> Image.Image:
    return img.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Image.Image) -> Image.Image:
    return img.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def resize(img: Image.Image, size: Sequence[int], resample: int) -> Image.Image:
    return img.resize((size[1], size[0]), resample)


def _colour(fill: Fill, img: Image.Image) -> Any:
    """A fill as a colour of this image: one number for each channel, whole ones but in images of floats."""
    n = len(img.getbands())
    values = [0 if fill is None else fill] if not isinstance(fill, list | tuple) else list(fill)
    if len(values) not in (1, n):
        raise ValueError(
            "The number of elements in 'fill' does not match the number of channels of the image "
            f"({len(values)} != {n})"
        )
    values = values * n if len(values) == 1 else values
    if img.mode != "F":
        values = [int(value) for value in values]  # type: ignore[arg-type]
    return values[0] if n == 1 and not isinstance(fill, list | tuple) else tuple(values)


def pad(img: Image.Image, sides: tuple[int, int, int, int], fill: Fill, mode: str) -> Image.Image:
    """`sides` are left, top, right, bottom."""
    palette = img.getpalette() if img.mode == "P" else None
    if mode == "constant":
        result = ImageOps.expand(img, border=sides, fill=_colour(fill, img))
    else:
        left, top, right, bottom = sides
        cut = [max(0, -side) for side in sides]
        if any(cut):
            img = img.crop((cut[0], cut[1], img.width - cut[2], img.height - cut[3]))
        pixels = np.asarray(img)
        widths = [(max(0, top), max(0, bottom)), (max(0, left), max(0, right)), (0, 0)]
        result = Image.fromarray(np.pad(pixels, widths[: pixels.ndim], mode=mode))  # type: ignore[call-overload]
    if palette is not None:
        result.putpalette(palette)
    return result


def affine(img: Image.Image, matrix: Sequence[float], resample: int, fill: Fill) -> Image.Image:
    return img.transform(
        img.size,
        Image.Transform.AFFINE,
        tuple(matrix),
        resample,
        fillcolor=_colour(fill, img),
    )


def rotate(img: Image.Image, angle: float, resample: int, expand: bool, center: Any, fill: Fill) -> Image.Image:
    return img.rotate(angle, resample, expand, center, fillcolor=_colour(fill, img))  # type: ignore[arg-type]


def perspective(img: Image.Image, coefficients: Sequence[float], resample: int, fill: Fill) -> Image.Image:
    return img.transform(
        img.size,
        Image.Transform.PERSPECTIVE,
        tuple(coefficients),
        resample,
        fillcolor=_colour(fill, img),
    )


# ---- colour ----------------------------------------------------------------------------------------------------------
def adjust_brightness(img: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(img).enhance(factor)


def adjust_contrast(img: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Contrast(img).enhance(factor)


def adjust_saturation(img: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Color(img).enhance(factor)


def adjust_sharpness(img: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Sharpness(img).enhance(factor)


def adjust_hue(img: Image.Image, factor: float) -> Image.Image:
    if img.mode in ("L", "1", "I", "F"):
        return img
    hue, saturation, value = img.convert("HSV").split()
    turned = np.asarray(hue, np.uint8) + np.uint8(int(factor * 255) % 256)  # beyond red comes red again
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert(img.mode)


def adjust_gamma(img: Image.Image, gamma: float, gain: float) -> Image.Image:
    table = [int((255 + 1 - 1e-3) * gain * (value / 255.0) ** gamma) for value in range(256)]
    return img.convert("RGB").point(table * 3).convert(img.mode)


def to_grayscale(img: Image.Image, channels: int) -> Image.Image:
    grey = img.convert("L")
    return grey if channels == 1 else Image.merge("RGB", (grey, grey, grey))


def invert(img: Image.Image) -> Image.Image:
    return ImageOps.invert(img)


def posterize(img: Image.Image, bits: int) -> Image.Image:
    return ImageOps.posterize(img, bits)


def solarize(img: Image.Image, threshold: float) -> Image.Image:
    return ImageOps.solarize(img, threshold)  # type: ignore[arg-type]


def autocontrast(img: Image.Image) -> Image.Image:
    return ImageOps.autocontrast(img)


def equalize(img: Image.Image) -> Image.Image:
    return ImageOps.equalize(img)
