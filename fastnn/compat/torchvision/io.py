"""torchvision.io: reading and writing images as tensors of bytes (C, H, W)."""

from enum import Enum
from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.data.image import needs_pillow

__all__ = ["ImageReadMode", "decode_image", "read_file", "read_image", "write_jpeg", "write_png"]

_VIDEO = "fastnn reads images only"
__getattr__ = missing(
    __name__,
    {
        **dict.fromkeys(("VideoReader", "read_video", "read_video_timestamps", "write_video"), _VIDEO),
        **dict.fromkeys(("decode_gif", "decode_jpeg", "decode_png", "decode_webp"), "use decode_image"),
        **dict.fromkeys(("encode_jpeg", "encode_png"), "use write_jpeg or write_png"),
    },
)


class ImageReadMode(Enum):
    """The channels that an image gets."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_PILLOW = {"GRAY": "L", "GRAY_ALPHA": "LA", "RGB": "RGB", "RGB_ALPHA": "RGBA"}


def decode_image(input: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False) -> Tensor:
    """The image in a file, by its name, or in a tensor of a file's bytes, as bytes (C, H, W)."""
    import io

    needs_pillow("torchvision.io.decode_image")
    from PIL import Image, ImageOps

    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    with Image.open(io.BytesIO(input._data.tobytes()) if isinstance(input, Tensor) else input) as image:
        turned = ImageOps.exif_transpose(image) if apply_exif_orientation else image
        if wanted is ImageReadMode.UNCHANGED:
            turned = turned.convert("RGB") if turned.mode == "P" else turned
        else:
            turned = turned.convert(_PILLOW[wanted.name])
        pixels = np.array(turned)
    return new(np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)))


def read_image(path: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False) -> Tensor:
    """The image in a file as bytes (C, H, W)."""
    return decode_image(str(path), mode, apply_exif_orientation)


def read_file(path: Any) -> Tensor:
    """The bytes of a file."""
    with open(path, "rb") as file:
        return new(np.frombuffer(file.read(), np.uint8).copy())


def _write(input: Any, filename: Any, **options: Any) -> None:
    from fastnn.compat.torchvision.transforms.functional import to_pil_image

    if not isinstance(input, Tensor) or input._data.dtype != np.uint8:
        raise RuntimeError("Input tensor dtype should be uint8")
    to_pil_image(input).save(filename, **options)


def write_png(input: Any, filename: Any, compression_level: int = 6) -> None:
    """A tensor of bytes (C, H, W) into a PNG file."""
    _write(input, filename, format="PNG", compress_level=compression_level)


def write_jpeg(input: Any, filename: Any, quality: int = 75) -> None:
    """A tensor of bytes (C, H, W) into a JPEG file."""
    _write(input, filename, format="JPEG", quality=quality)
