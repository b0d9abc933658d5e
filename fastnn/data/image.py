"""Reading image files of all common formats, and resizing them."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn._system import open_without_waiting
from fastnn.data import _checks
from fastnn.data._files import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["read_image"]

# What Pillow may open. Nothing else is tried, whatever a file is called: for EPS, say, it starts Ghostscript.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
MOST_PIXELS = 1 << 26  # 8192 x 8192, 200 MB in colour: more than cameras take, less than hurts
RESIZES = ("crop", "squash", "pad")
LARGEST_SIDE = 1 << 16

PNG = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 10_000
_MOST_EXPANSION = 1032  # of deflate, the compression of PNG; a pixel has one bit or more

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


def read_image(
    path: str | os.PathLike[str],
    size: int | Sequence[int] | None = None,
    channels: int = 3,
    resize: str = "crop",
    max_pixels: int = MOST_PIXELS,
) -> NDArray[np.uint8]:
    """Read an image file as bytes, resized if wanted.

    Pillow reads JPEG, PNG, BMP, GIF, WebP, TIFF and PPM. The image is rotated according to its EXIF orientation.
    Transparent parts show white. Of 16-bit values the upper 8 bits are used, and of an animation the first frame.
    Colour is converted to grey as 0.299 R + 0.587 G + 0.114 B.

    Args:
        path: the file.
        size: (height, width) in pixels of the result, or one number for a square. None (default) keeps the size.
        channels: 1 for grey, 3 (default) for red, green and blue.
        resize: how an image of another shape is brought to `size`. 'crop' (default) scales it until it covers `size`
            and cuts the excess evenly from both ends of the longer side. 'squash' scales each side separately. 'pad'
            scales it until it fits into `size` and fills the rest with black. Scaling is bilinear, with anti-aliasing.
        max_pixels: the largest number of pixels allowed, checked before the image is decoded. (Pillow has its own
            limit, PIL.Image.MAX_IMAGE_PIXELS.)
    Shape:
        - Output: (channels, height, width), uint8
    Raises:
        DataError: the file is damaged, truncated, too large or not an image of these formats. The message begins with
            its name.
        OSError: the file does not exist or cannot be read.
        ImportError: Pillow is not installed.
    Example:
        >>> from PIL import Image
        >>> from fastnn import data
        >>> Image.new("RGB", (60, 40), "red").save("red.png")
        >>> data.read_image("red.png").shape, data.read_image("red.png", 32)[:, 0, 0]
        ((3, 40, 60), array([255,   0,   0], dtype=uint8))
    """
    name = "read_image"
    wanted, channels, resize = checked_form(name, size, channels, resize)
    max_pixels = _check.integer(name, "max_pixels", max_pixels, 1)
    path = checked_path(name, path)
    needs_pillow(name)
    with only_our_warnings():
        return read(path, wanted, channels, resize, max_pixels)


# ---- what read_image, ImageFolder and Preprocessing share ----------------------------------------------------
def checked_path(name: str, path: Any, argument: str = "path") -> str:
    """`path` as text."""
    try:
        text = os.fsdecode(os.fspath(path))
    except TypeError:
        raise TypeError(f"{name}: {argument} must be a name. Received: {_check.shown(path)}") from None
    if not text or "\0" in text:
        raise ValueError(f"{name}: {argument} must be a name. Received: {_check.shown(path)}")
    return os.path.expanduser(text)


def checked_form(name: str, size: Any, channels: Any, resize: Any) -> tuple[tuple[int, int] | None, int, str]:
    """Check size, channels and resize. The size becomes (height, width) or None."""
    if size is not None:
        sides = tuple(size) if _checks.is_list(size) else (size, size)
        if len(sides) != 2:
            raise ValueError(f"{name}: size must be one integer, or (height, width). Received: {_check.shown(size)}")
        size = tuple(_check.integer(name, "size", side, 1, LARGEST_SIDE) for side in sides)
    if _check.integer(name, "channels", channels, 1) not in (1, 3):
        raise ValueError(f"{name}: channels must be 1 (grey) or 3 (colour). Received: {_check.shown(channels)}")
    if not isinstance(resize, str) or resize not in RESIZES:
        raise ValueError(f"{name}: resize must be 'crop', 'squash' or 'pad'. Received: {_check.shown(resize)}")
    return size, int(channels), resize


def needs_pillow(name: str) -> None:
    """Raise ImportError, which says how to install it, if Pillow is not installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise ImportError(f'{name}: Pillow is needed: pip install "fastnn[image]"', name="PIL") from None


@contextlib.contextmanager
def only_our_warnings() -> Iterator[None]:
    """A context manager that silences Pillow's warnings about odd files. Its warning of too many pixels is an error.

    Warning filters belong to the whole process: enter this once, around all threads that read.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read(
    path: str, size: tuple[int, int] | None, channels: int, resize: str, max_pixels: int = MOST_PIXELS
) -> NDArray[np.uint8]:
    """`read_image` with checked arguments."""
    from PIL import Image, UnidentifiedImageError

    with open(path, "rb", opener=open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise DataError("not a regular file", path)
        try:
            check_png(file, max_pixels, path)
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > max_pixels:
                    raise DataError(f"{image.width} x {image.height} are more than {max_pixels} pixels", path)
                return pixels_of(image, size, channels, resize)
        except (DataError, MemoryError):
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise DataError(f"too many pixels ({error})", path) from None
        except UnidentifiedImageError:
            raise DataError(f"not an image of a known kind ({', '.join(FORMATS)})", path) from None
        except Exception as error:  # whatever a decoder trips over
            raise DataError(f"damaged, or of an odd kind ({type(error).__name__}: {error})", path) from error


def check_png(file: IO[bytes], most_pixels: int, path: str = "") -> tuple[int, int] | None:
    """Check what the header of a PNG file promises, before Pillow acts on it.

    Args:
        file: the open file.
        most_pixels: an image with more pixels is not examined further; the caller reports it.
        path: the name of the file, for errors.
    Returns:
        (width, height), or None if the file is not a PNG.
    Raises:
        DataError: the file is too small for its pixels, for which Pillow would allocate memory before reading the
            first; or it has more chunks than any real picture, all of which Pillow would read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(24)
    file.seek(0)
    if not head.startswith(PNG):
        return None
    width, height = (int.from_bytes(head[i : i + 4], "big") for i in (16, 20))
    if head[12:16] != b"IHDR":
        raise DataError("damaged: a PNG begins with its width and height", path)
    if width * height > most_pixels:
        return width, height
    if width * height > 8 * _MOST_EXPANSION * size:
        raise DataError(f"damaged: {size:,} bytes cannot be {width:,} x {height:,} pixels", path)
    position = len(PNG)
    for _ in range(_MOST_CHUNKS + 1):
        if position + 8 > size:
            file.seek(0)
            return width, height
        file.seek(position)
        position += 12 + int.from_bytes(file.read(4), "big")
    raise DataError(f"a PNG of more than {_MOST_CHUNKS:,} chunks", path)


def pixels_of(image: Image, size: tuple[int, int] | None, channels: int, resize: str) -> NDArray[np.uint8]:
    """A Pillow image as (channels, height, width) bytes."""
    from PIL import ImageOps

    image = _in_mode(ImageOps.exif_transpose(_in_eight_bits(image)), "RGB" if channels == 3 else "L")
    if size is not None:
        image = _fitted(image, size, resize)
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))


def _in_eight_bits(image: Image) -> Image:
    from PIL import Image

    # Pillow would cut 16 bits off at 255. Its PNG and PPM readers hand them out as 32 in some versions.
    if image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format in ("PNG", "PPM")):
        bytes_only = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        bytes_only.info["exif"] = image.getexif().tobytes()
        return bytes_only
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode}: it is unknown which number is white; convert it to 8 or 16 bits")
    return image


def _in_mode(image: Image, mode: str) -> Image:
    """`image` as colour ('RGB') or grey ('L') of 8 bits."""
    from PIL import Image

    if "transparency" in image.info or image.mode[-1] in "Aa":
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    if image.mode == mode:
        return image
    # By way of RGB, so that grey is the same formula for all.
    return image.convert(mode) if image.mode in ("L", "RGB", "1") else image.convert("RGB").convert(mode)


def _fitted(image: Image, size: tuple[int, int], resize: str) -> Image:
    from PIL import Image

    (h, w), (width, height) = size, image.size
    if resize == "squash":
        return image.resize((w, h), Image.Resampling.BILINEAR)
    if resize == "crop":
        box_w, box_h = min(width, height * w / h), min(height, width * h / w)
        left, top = (width - box_w) / 2, (height - box_h) / 2
        return image.resize((w, h), Image.Resampling.BILINEAR, box=(left, top, left + box_w, top + box_h))
    scale = min(h / height, w / width)
    fit_w, fit_h = min(w, max(1, round(width * scale))), min(h, max(1, round(height * scale)))
    result = Image.new(image.mode, (w, h))
    fitted = image.resize((fit_w, fit_h), Image.Resampling.BILINEAR)
    result.paste(fitted, ((w - fit_w) // 2, (h - fit_h) // 2))
    return result


def from_array(pixels: NDArray[np.uint8]) -> Image:
    """A Pillow image of (C, H, W) bytes. With C = 4 the last channel is the transparency; C may also be 1 or 3."""
    needs_pillow("Preprocessing")
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))


def is_pillow_image(value: Any) -> bool:
    """Whether `value` is a Pillow image. Pillow is not imported for the test."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)
