"""Your own images: a folder that holds one folder for each class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _runtime
from fastnn.data import _checks, image
from fastnn.data._files import DataError, DataNotFoundError
from fastnn.data.dataset import Dataset
from fastnn.data.preprocessing import Preprocessing

__all__ = ["ImageFolder"]

_MOST_NAMED = 20  # broken files in one message
_MOST_THREADS = 16  # each holds an image of up to max_pixels
_CHUNK = 1 << 24  # bytes that are counted together
_PARTS = {"train", "training", "test", "testing", "val", "valid", "validation"}

Form = tuple[tuple[int, int] | None, int, str, int]  # size, channels, resize, max_pixels


class ImageFolder(Dataset):
    """The images in `path/<class>/`, read into memory. Each folder is a class, and its name is that of the class.

        flowers/daisy/1.jpg
        flowers/daisy/garden/2.png
        flowers/tulip/3.jpg

    Files that end in .jpg, .jpeg, .png, .bmp, .gif, .webp, .tif, .tiff, .ppm, .pgm, .pbm and .pnm are read, also in
    folders within the folder of a class. Hidden files and folders (.name) are skipped. Classes are sorted by name, and
    the files of a class by path, so that the order is the same on every machine. See `read_image` for how each kind of
    image is converted.

    Args:
        path: the folder that holds the folders of the classes.
        size: (height, width) in pixels to which each image is resized, or one number for a square. None (default) if
            all images have the same size.
        channels: 1 for grey, 3 (default) for red, green and blue.
        resize: how an image of another shape is brought to `size`. 'crop' (default) scales it until it covers `size`
            and cuts the excess evenly from both ends of the longer side. 'squash' scales each side separately. 'pad'
            scales it until it fits into `size` and fills the rest with black.
        classes: the names of the classes in the order of their labels. Default: the names of the folders. For a test
            set whose folder lacks some classes, give those of the training set, `classes=train.classes`.
        skip_broken: skip files that cannot be read, with one warning that lists them. Default False: an error.
        max_pixels: an image with more pixels counts as broken.
    Shape:
        - images: (N, channels, height, width), uint8
        - labels: (N,), int64
    Attributes:
        images: the images.
        labels: the class of each image.
        classes: the names of the classes.
        files: the path of each image.
        mean: the mean of each channel over all images, where 0 is black and 1 is full brightness.
        std: the standard deviation of each channel, likewise; 1 for a channel that never varies.
        preprocessing: the `Preprocessing` that prepares other images in the same way.
    Raises:
        DataNotFoundError: there is no such folder, there is no class in it, or there is no image in a class.
        DataError: files cannot be read. The message lists them, up to 20.
        ValueError: `size` is None, and the images have different sizes.
        ImportError: Pillow is not installed.
    Example:
        >>> from PIL import Image
        >>> from fastnn import data
        >>> for name in ("blue", "red"):
        ...     os.makedirs(f"colours/{name}")
        ...     for side in (40, 50):
        ...         Image.new("RGB", (side, 60), name).save(f"colours/{name}/{side}.png")
        >>> colours = data.ImageFolder("colours", size=32)
        >>> colours, colours.classes, colours.labels
        (ImageFolder(4 images of 3 x 32 x 32), ('blue', 'red'), array([0, 0, 1, 1]))
        >>> loader = data.Loader(colours, batch_size=2, shuffle=True, mean=colours.mean, std=colours.std)
    """

    files: tuple[str, ...]
    preprocessing: Preprocessing

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: int | Sequence[int] | None = None,
        channels: int = 3,
        resize: str = "crop",
        classes: Sequence[str] | None = None,
        skip_broken: bool = False,
        max_pixels: int = image.MOST_PIXELS,
    ) -> None:
        wanted, channels, resize = image.checked_form("ImageFolder", size, channels, resize)
        max_pixels = _check.integer("ImageFolder", "max_pixels", max_pixels, 1)
        skip_broken = _check.boolean("ImageFolder", "skip_broken", skip_broken)
        root = Path(image.checked_path("ImageFolder", path))
        image.needs_pillow("ImageFolder")
        names = _class_names(root, classes)
        found = [(str(file), label) for label, name in enumerate(names) for file in _image_files(root / name)]
        if not found:
            raise DataNotFoundError(f"ImageFolder: there is no image. {_layout(root)}")
        images, kept = _read_all([file for file, _ in found], (wanted, channels, resize, max_pixels), skip_broken)
        super().__init__(images, [found[index][1] for index in kept], names)
        self.files = tuple(found[index][0] for index in kept)
        self.mean, self.std = _mean_and_std(images)
        self.preprocessing = Preprocessing(self.mean, self.std, images.shape[2:], channels, resize, self.classes)

    def _keep(self, chosen: slice | NDArray[np.int64], positions: NDArray[np.int64]) -> None:
        super()._keep(chosen, positions)
        self.files = tuple(self.files[position] for position in positions)


# ---- which files -------------------------------------------------------------------------------------------
def _layout(root: Path) -> str:
    return f"Needed is a folder for each class: {root}/<class>/<image>.jpg, as {root}/cat/1.jpg and {root}/dog/1.png"


def _class_names(root: Path, classes: Sequence[str] | None) -> tuple[str, ...]:
    if not root.is_dir():
        raise DataNotFoundError(f"ImageFolder: there is no folder {root}. {_layout(root)}")
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise DataNotFoundError(f"ImageFolder: there is no folder in {root}. {_layout(root)}")
    if classes is None:
        if {name.lower() for name in folders} <= _PARTS:
            raise DataNotFoundError(
                f"ImageFolder: {root} has the parts {', '.join(folders)}, not classes; read each by itself, "
                f"as ImageFolder('{root / folders[0]}')"
            )
        empty = [name for name in folders if next(_image_files(root / name), None) is None]
        if empty:
            places = ", ".join(str(root / name) for name in empty[:_MOST_NAMED])
            suffixes = ", ".join(image.SUFFIXES)
            raise DataNotFoundError(f"ImageFolder: no image in {places}. {_layout(root)}. Images end in {suffixes}")
        return tuple(folders)
    names = _checks.names("ImageFolder", "classes", classes)
    unknown = sorted(set(folders) - set(names))
    if unknown or len(set(names)) < len(names):
        reason = f"classes must name each folder in {root} once; not named: {', '.join(unknown) or 'none'}"
        raise ValueError(f"ImageFolder: {reason}. Received: {_check.shown(classes)}")
    return names


def _image_files(folder: Path) -> Iterator[Path]:
    """The images in `folder` and below, sorted by their parts."""
    seen = set()
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if not name.startswith(".") and _is_image(name)]
    return iter(sorted(found, key=lambda path: path.parts))


def _is_image(name: str) -> bool:
    return name.lower().endswith(image.SUFFIXES)


# ---- reading -----------------------------------------------------------------------------------------------
def _read_all(files: list[str], form: Form, skip_broken: bool) -> tuple[NDArray[np.uint8], list[int]]:
    """The images of those files that can be read, and their positions."""

    def read(file: str) -> NDArray[np.uint8] | Exception:
        try:
            return image.read(file, *form)
        except (DataError, OSError) as error:
            return error

    n_threads = min(_runtime.num_threads(), _MOST_THREADS)
    images: NDArray[np.uint8] | None = None
    kept: list[int] = []
    broken: list[str] = []
    with image.only_our_warnings(), ThreadPoolExecutor(n_threads, "fastnn-images") as pool:
        for position, result in enumerate(pool.map(read, files)):
            if isinstance(result, Exception):
                broken.append(str(result) if isinstance(result, DataError) else f"{files[position]}: {result}")
                continue
            if images is None:
                images = np.empty((len(files), *result.shape), np.uint8)
            if images.shape[1:] != result.shape:
                raise ValueError(
                    "ImageFolder: size is needed, as size=64, because images differ: "
                    f"{files[kept[0]]} is {_size(images)}, {files[position]} {_size(result)} (height x width)"
                )
            images[len(kept)] = result
            kept.append(position)
    if broken:
        more = [f"and {len(broken) - _MOST_NAMED} more"] if len(broken) > _MOST_NAMED else []
        names = "\n  ".join(["", *broken[:_MOST_NAMED], *more])
        said = f"ImageFolder: {len(broken)} of {len(files)} files cannot be read"
        if images is None:
            raise DataError(f"{said}:{names}")
        if not skip_broken:
            raise DataError(f"{said}; skip_broken=True leaves them out:{names}")
        warnings.warn(f"{said} and are left out:{names}", stacklevel=3)
    assert images is not None
    return images[: len(kept)], kept


def _size(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[-2]} x {pixels.shape[-1]}"


def _mean_and_std(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of each channel in units of 0..1, exact but for the last rounding: how often each byte occurs says all."""
    step = max(1, _CHUNK // max(1, images[0].size))
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, np.int64)
        for begin in range(0, len(images), step):
            counts += np.bincount(images[begin : begin + step, channel].ravel(), minlength=256)
        n, values = int(counts.sum()), range(256)
        total = sum(value * count for value, count in zip(values, counts.tolist(), strict=True))
        squares = sum(value * value * count for value, count in zip(values, counts.tolist(), strict=True))
        means.append(total / n / 255)
        variance = (squares * n - total * total) / (n * n)
        deviations.append(variance**0.5 / 255 if variance else 1.0)
    return tuple(means), tuple(deviations)
