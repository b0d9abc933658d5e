"""Pictures as the PKU assignment needs them: bytes of grey or of colour."""

import io
import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnn.data import DataError, image
from fastnn.data._files import open_file

__all__ = ["read_image"]

_LARGEST_PICTURE = 32 << 20


def read_image(
    path: str | os.PathLike[str],
    mode: str = "RGB",
    formats: tuple[str, ...] = ("PNG", "JPEG"),
    most_pixels: int = 1 << 24,
) -> NDArray[np.uint8]:
    """The pixels of a picture file: (H, W, 3), or with mode 'L' (H, W) of grey.

    Pillow reads it. matplotlib's own reader calls Pillow too, but turns a PNG into float32, in which v / 255 has lost
    the digits that the assignment's losses are compared in; and it does not convert colours.

    Args:
        path: the file.
        mode: 'RGB' or 'L'.
        formats: what it may be. Pillow knows many more, for some of which it starts other programs.
        most_pixels: it may have; nothing is decoded before this is known.
    Raises:
        ModuleNotFoundError: Pillow is missing; `courses.run` says how to get it.
        OSError: there is no such file.
        DataError: it is not a picture of these formats, a damaged one, or too large.
    """
    from PIL import Image

    path = Path(path)
    with open_file(path, min(_LARGEST_PICTURE, 65536 + 8 * most_pixels)) as file:
        content = file.read()
    try:
        _check_picture(content, formats, most_pixels)
        with Image.open(io.BytesIO(content), formats=formats) as picture:
            if picture.width * picture.height > most_pixels:
                raise DataError(f"{picture.width:,} x {picture.height:,} pixels are too many")
            return np.asarray(picture.convert(mode))
    except DataError as error:
        raise DataError(str(error), path) from None
    except Exception as error:  # Pillow raises a dozen kinds: SyntaxError, struct.error, ...
        raise DataError(f"not a picture, or damaged ({error})", path) from None


def _check_picture(content: bytes, formats: tuple[str, ...], most_pixels: int) -> None:
    """Look at what a file says it is, before Pillow does."""
    signatures = {"PNG": image.PNG, "JPEG": b"\xff\xd8\xff"}
    if not any(content.startswith(signatures[name]) for name in formats):
        raise DataError(f"not a picture of the format {' or '.join(formats)}")
    size = image.check_png(io.BytesIO(content), most_pixels)
    if size is not None and math.prod(size) > most_pixels:
        raise DataError(f"too many pixels: {size[0]:,} x {size[1]:,}")
