"""CIFAR-100: 60,000 colour images of 32 x 32 pixels in 100 classes, in the form that Python programs get."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnn.data import _files, _pickle, _tar
from fastnn.data._files import DataError, Source

__all__ = ["NAMES", "read"]

_FOLDER, _ARCHIVE = "cifar-100-python", "cifar-100-python.tar.gz"
_RECORDS = {"train": 50_000, "test": 10_000}
_PIXELS, _CLASSES = 3 * 32 * 32, 100
_LARGEST = 170 << 20  # bytes of a file: the pixels, and 250 for each image's labels and name
_MOST_INSTRUCTIONS = 400_000  # of a pickle: two labels, a name, and its number, for each image

_SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
SOURCES = (Source(_ARCHIVE, f"https://www.cs.toronto.edu/~kriz/{_ARCHIVE}", _SHA256),)

_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail
snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
tulip turtle wardrobe whale willow_tree wolf woman worm
"""
NAMES = tuple(_NAMES.split())

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read(root: str | os.PathLike[str] | None, train: bool, download: bool) -> Batch:
    """Images (N, 3, 32, 32) and labels of the fine classes.

    Looks in `root`, in the folder that FASTNN_DATA names and in the cache folder for the folder cifar-100-python or
    the archive cifar-100-python.tar.gz; `root` may be either itself. No pickle is executed.

    Raises:
        DataNotFoundError: it is nowhere; the message says where it was looked for.
        DataError: a file is truncated, damaged, of another format, or hostile.
    """
    member = "train" if train else "test"
    for place in _files.places(root):
        for path in _found(place):
            return _read(path, member)
    if not download:
        raise _files.not_found("CIFAR-100", [_FOLDER, _ARCHIVE], root)
    return _read(_files.download(SOURCES, root), member)


def _found(place: Path) -> Iterator[Path]:
    for name in (_FOLDER, _ARCHIVE):
        for path in (place, place / name):
            if path.name == name and path.exists():
                yield path


def _read(path: Path, member: str) -> Batch:
    smallest = _RECORDS[member] * _PIXELS
    if path.is_dir():
        path /= member
        if not path.exists():
            raise DataError(f"{member} is missing", path.parent)
        content = _files.read_file(path, smallest, _LARGEST)
    else:
        content = _member(path, member, smallest)
    try:
        return _parse(content, _RECORDS[member])
    except DataError as error:
        raise DataError(str(error), path) from None


def _member(path: Path, member: str, smallest: int) -> bytes:
    limit = 2 * _LARGEST
    with _files.open_file(path, limit) as file:
        try:
            stream = _files.GzipReader(file, limit)
            members = list(_tar.read_members(stream, [f"{_FOLDER}/{member}"], smallest, _LARGEST))
        except DataError as error:
            raise DataError(str(error), path) from None
    return members[0][1]


def _parse(content: bytes, records: int) -> Batch:
    pixels, labels = _pickle.read_batch(content, "fine_labels", _MOST_INSTRUCTIONS)
    if pixels.shape != (records, _PIXELS) or len(labels) != records:
        raise DataError(
            f"{records} images of {_PIXELS} bytes are expected, not {pixels.shape} with {len(labels)} labels"
        )
    if not all(type(label) is int and 0 <= label < _CLASSES for label in labels):
        raise DataError(f"a label is not an integer in [0, {_CLASSES})")
    return pixels.reshape(-1, 3, 32, 32).copy(), np.array(labels, np.int64)
