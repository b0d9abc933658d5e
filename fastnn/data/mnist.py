"""MNIST: 70,000 grey images of handwritten digits, 28 x 28 pixels."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn.data import _files, image
from fastnn.data._files import DataError, Source
from fastnn.data.dataset import Dataset

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_UNSIGNED_BYTE = 8  # IDX's code of the only element type that is read here
FOLDERS = ("", "mnist", "MNIST", "MNIST/raw")
_MOST_IMAGES = {"train": 60_000, "t10k": 10_000}  # fewer are welcome


class MNIST(Dataset):
    """The 60,000 training or 10,000 test images of MNIST, in their official order.

    The data is looked for in `root`, then in the folder named by the environment variable FASTNN_DATA, then in the
    cache folder; in each of them directly, or in a subfolder `mnist`, `MNIST` or `MNIST/raw`. It consists of four IDX
    files under their usual names (train-images-idx3-ubyte or train-images.idx3-ubyte), compressed (.gz) or not.

    Args:
        root: the first folder to look in. None (default) skips it.
        train: True (default) for the training images, False for the test images.
        download: download the files if they are not found. They are saved in `root`, or in the cache folder if root is
            None, and their SHA-256 is verified. Default False.
    Shape:
        - images: (N, 1, 28, 28), uint8 in 0..255
        - labels: (N,), int64 in [0, 10)
    Attributes:
        images: the images; 0 is the background, 255 the ink.
        labels: the digit of each image.
        classes: the names of the classes, '0' to '9'.
        mean: the mean over the training images, where 0 is black and 1 is full brightness.
        std: the standard deviation, likewise.
    Raises:
        DataNotFoundError: the data is not found, or cannot be downloaded. The message lists the folders searched.
        DataError: a file is truncated, damaged, or in another format.
    Example:
        >>> from fastnn import data
        >>> data.MNIST.names[3]
        '3'

    Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    """

    names = tuple("0123456789")
    mean = (0.1307,)
    std = (0.3081,)

    def __init__(self, root: str | os.PathLike[str] | None = None, train: bool = True, download: bool = False) -> None:
        root = None if root is None else image.checked_path("MNIST", root, "root")
        train, download = (
            _check.boolean("MNIST", name, value) for name, value in (("train", train), ("download", download))
        )
        images, labels = read(Origin("MNIST", FOLDERS, _MIRRORS, _SHA256), root, train, download)
        super().__init__(images[:, None], labels, self.names)


class Origin(NamedTuple):
    """The location of the four files of MNIST, or of a data set in the same format.

    Attributes:
        name: the name of the data set, for messages.
        folders: the subfolders in which the files are looked for.
        mirrors: the addresses to which file names are appended for a download.
        sha256: the SHA-256 of each compressed file.
        into: the subfolder in which downloads are saved.
    """

    name: str
    folders: Sequence[str]
    mirrors: Sequence[str]
    sha256: Mapping[str, str]
    into: str = ""


def read(
    origin: Origin, root: str | os.PathLike[str] | None, train: bool, download: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the images, (N, 28, 28), and the labels, (N,), of ten classes.

    Raises:
        DataNotFoundError, DataError: as for `MNIST`.
    """
    split = "train" if train else "t10k"
    image_path, label_path = (_locate(origin, split, what, root, download) for what in ("images-idx3", "labels-idx1"))
    images = _read_idx(image_path, (28, 28), _MOST_IMAGES[split])
    labels = _read_idx(label_path, (), _MOST_IMAGES[split])
    if len(images) != len(labels):
        raise DataError(f"{len(labels):,} labels, {image_path} has {len(images):,} images", label_path)
    if labels.size and labels.max() >= 10:
        raise DataError(f"label {labels.max()} does not lie in [0, 10)", label_path)
    return images, labels


def _locate(origin: Origin, split: str, what: str, root: str | os.PathLike[str] | None, download: bool) -> Path:
    # The second name is what some programs make of the first when they unpack it.
    names = [f"{split}-{what}-ubyte", f"{split}-{what.replace('-', '.')}-ubyte"]
    for place in _files.places(root):
        for folder in origin.folders:
            for name in names:
                for suffix in ("", ".gz"):
                    path = place / folder / (name + suffix)
                    if path.is_file():
                        return path
    archive = f"{names[0]}.gz"
    if not download:
        raise _files.not_found(origin.name, [names[0], archive], root)
    sources = [Source(archive, mirror + archive, origin.sha256[archive]) for mirror in origin.mirrors]
    return _files.download(sources, (_files.cache_folder() if root is None else _files.expanded(root)) / origin.into)


def _read_idx(path: Path, item_shape: tuple[int, ...], most: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file of at most `most` items, which must have `item_shape`.

    The header is checked before memory is reserved, and what follows must have exactly the size that it
    promises: of a compressed file, no more than that (and one byte, to see that it ends) is expanded.
    """
    header_size = 4 + 4 * (1 + len(item_shape))
    largest = header_size + most * math.prod(item_shape)
    # What cannot be compressed gets a little longer.
    with _files.open_file(path, largest + (largest >> 6) + 4096) as file:
        try:
            content = _idx_content(_files.GzipReader(file, largest) if path.suffix == ".gz" else file, item_shape, most)
        except DataError as error:
            raise DataError(str(error), path) from None
    return np.frombuffer(content, np.uint8).reshape(-1, *item_shape).copy()


def _idx_content(file: _files.Readable, item_shape: tuple[int, ...], most: int) -> bytes:
    n_dimensions = 1 + len(item_shape)
    header = _files.read_exactly(file, 4 + 4 * n_dimensions)
    magic, n, *found_shape = struct.unpack(f">{1 + n_dimensions}I", header)
    if magic != _UNSIGNED_BYTE << 8 | n_dimensions:
        raise DataError(f"not an IDX file of bytes in {n_dimensions} dimensions (magic {magic:#010x})")
    if tuple(found_shape) != item_shape or n > most:
        raise DataError(
            f"{n:,} items of shape {tuple(found_shape)}, at most {most:,} of shape {item_shape} are expected"
        )
    content = _files.read_exactly(file, n * math.prod(item_shape))
    if file.read(1):
        raise DataError(f"there is more than the {n} items that the header promises")
    if isinstance(file, _files.GzipReader):
        file.check_end()
    return content
