"""torchvision.utils: pictures of tensors."""

import math
from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.data.image import needs_pillow

__all__ = ["draw_bounding_boxes", "make_grid", "save_image"]

_DRAW = "draw with matplotlib on x.permute(1, 2, 0).numpy()"
__getattr__ = missing(__name__, dict.fromkeys(("draw_keypoints", "draw_segmentation_masks", "flow_to_image"), _DRAW))


def _batch(images: Any) -> np.ndarray:
    """(N, C, H, W) of a tensor with fewer axes too, or of a list; one channel becomes three."""
    if isinstance(images, list):
        for image in images:
            if not isinstance(image, Tensor):
                raise TypeError(f"tensor or list of tensors expected, got a list containing {type(image)}")
        x = np.stack([image._data for image in images])
    elif isinstance(images, Tensor):
        x = images._data
    else:
        raise TypeError(f"tensor or list of tensors expected, got {type(images)}")
    if x.ndim < 4:
        x = x[None] if x.ndim == 3 else x[None, None]
    return np.repeat(x, 3, axis=1) if x.shape[1] == 1 else x


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images beside each other in rows of `nrow`.

    Args:
        tensor: (N, C, H, W), one image, or a list of images.
        padding: pixels around each.
        normalize: move values into 0..1, of which `value_range` (by default the least and the largest, of all images
            or with `scale_each` of each) are the ends.
    Shape:
        - Result: (C, H', W'); one image stays as it is.
    """
    x = _batch(tensor)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError("value_range has to be a tuple (min, max) if specified. min and max are numbers")
        axes = (1, 2, 3) if scale_each else (0, 1, 2, 3)
        low, high = (x.min(axes, keepdims=True), x.max(axes, keepdims=True)) if value_range is None else value_range
        x = (x.clip(low, high) - low) / np.maximum(np.subtract(high, low), 1e-5).astype(x.dtype)
    n, channels, h, w = x.shape
    if n == 1:
        return new(x[0].copy())
    columns = min(nrow, n)
    rows = math.ceil(n / columns)
    grid = np.full((channels, rows * (h + padding) + padding, columns * (w + padding) + padding), pad_value, x.dtype)
    for position, image in enumerate(x):
        row, column = divmod(position, columns)
        top, left = row * (h + padding) + padding, column * (w + padding) + padding
        grid[:, top : top + h, left : left + w] = image
    return new(grid)


def save_image(tensor: Any, fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """`make_grid` of values in 0..1 into a file, or a file object with its `format`."""
    needs_pillow("torchvision.utils.save_image")
    from PIL import Image

    grid = make_grid(tensor, **kwargs)._data
    pixels = (grid * 255 + 0.5).clip(0, 255).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(fp, format=format)


def draw_bounding_boxes(
    image: Any,
    boxes: Any,
    labels: list[str] | None = None,
    colors: Any = None,
    fill: bool | None = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
) -> Tensor:
    """Boxes (N, 4), each (left, top, right, bottom), on an image (C, H, W) of bytes or of floats in 0..1.

    Args:
        labels: a text for each.
        colors: one, or a list of them: names, "#FF00FF", or (red, green, blue). By default different ones.
        fill: whether the inside is tinted.
    """
    needs_pillow("torchvision.utils.draw_bounding_boxes")
    from PIL import Image, ImageColor, ImageDraw, ImageFont

    if not isinstance(image, Tensor):
        raise TypeError(f"Tensor expected, got {type(image)}")
    x = image._data
    if x.ndim != 3:
        raise ValueError("Pass individual images, not batches")
    if x.shape[0] not in (1, 3):
        raise ValueError("Only grayscale and RGB images are supported")
    corners = boxes._data.tolist()
    if any(left > right or top > bottom for left, top, right, bottom in corners):
        raise ValueError("Boxes need to be in (xmin, ymin, xmax, ymax) format.")
    if labels is not None and len(labels) != len(corners):
        raise ValueError(f"{len(labels)} labels for {len(corners)} boxes: one for each is needed")
    if isinstance(colors, list) and len(colors) < len(corners):
        raise ValueError(f"Number of colors ({len(colors)}) is less than number of boxes ({len(corners)}).")
    if colors is None:
        wheel = [f"hsv({360 * position // max(len(corners), 1)},100%,100%)" for position in range(len(corners))]
    else:
        wheel = colors if isinstance(colors, list) else [colors] * len(corners)
    bytes_ = x if x.dtype == np.uint8 else (x * 255).round().clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(np.repeat(bytes_, 3 // len(bytes_), axis=0).transpose(1, 2, 0)))
    draw = ImageDraw.Draw(picture, "RGBA")
    letters = ImageFont.load_default() if font is None else ImageFont.truetype(font, font_size or 10)
    for corner, color, label in zip(corners, wheel, labels or [""] * len(corners), strict=False):
        rgb = ImageColor.getrgb(color)[:3] if isinstance(color, str) else tuple(color)
        draw.rectangle(corner, outline=rgb, width=width, fill=(*rgb, 100) if fill else None)
        if label:
            draw.text((corner[0] + width + 1, corner[1] + width + 1), label, fill=rgb, font=letters)
    y = np.asarray(picture).transpose(2, 0, 1)
    return new(y.copy() if x.dtype == np.uint8 else y.astype(x.dtype) / x.dtype.type(255))
