"""MNIST: 70,000 grey images of handwritten digits, 28 x 28 pixels."""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnn.data import _files
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
_MOST_IMAGES = 10_000_000  # 8 GB: a header that says more is not believed


class MNIST(Dataset):
    """The 60,000 training or 10,000 test images of MNIST.

    Looks in `root`, in the folder that FASTNN_DATA names and in the cache folder, each with and without a
    subfolder `mnist`, `MNIST` or `MNIST/raw`, for the four IDX files under their usual names, plain or
    compressed (.gz).

    Args:
        root: where to look first.
        train: the training images, or the test images.
        download: if the data is nowhere, fetch it into the cache folder, verified by its SHA-256.
    Shape:
        - images: (N, 1, 28, 28), uint8; labels: (N,), int64 in [0, 10)
    Raises:
        DataNotFoundError: it is nowhere; the message says where it was looked for.
        DataError: a file is truncated, damaged, or of another format.
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
        split = "train" if train else "t10k"
        image_file, label_file = f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"
        images = _read_idx(_locate(image_file, root, download), (28, 28))
        labels = _read_idx(_locate(label_file, root, download), ())
        if len(images) != len(labels):
            raise DataError(f"MNIST: {len(images)} images have {len(labels)} labels")
        if labels.size and labels.max() >= 10:
            raise DataError(f"MNIST: label {labels.max()} does not lie in [0, 10)")
        super().__init__(images[:, None], labels, self.names)


def _locate(name: str, root: str | os.PathLike[str] | None, download: bool) -> Path:
    for place in _files.places(root):
        for folder in ("", "mnist", "MNIST", "MNIST/raw"):
            for suffix in ("", ".gz"):
                path = place / folder / (name + suffix)
                if path.is_file():
                    return path
    if not download:
        raise _files.not_found("MNIST", [name, f"{name}.gz"], root)
    archive = f"{name}.gz"
    return _files.download([Source(archive, mirror + archive, _SHA256[archive]) for mirror in _MIRRORS])


def _read_idx(path: Path, item_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file, whose items must have `item_shape`.

    The header is checked before memory is reserved, and what follows must have exactly the size that it
    promises: of a compressed file, no more than that (and one byte, to see that it ends) is expanded.
    """
    name = str(path)
    n_dimensions = 1 + len(item_shape)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        magic, n, *found_shape = struct.unpack(
            f">{1 + n_dimensions}I", _files.read_exactly(file, 4 + 4 * n_dimensions, name)
        )
        if magic != _UNSIGNED_BYTE << 8 | n_dimensions:
            raise DataError(f"{name}: not an IDX file of bytes in {n_dimensions} dimensions (magic {magic:#010x})")
        if tuple(found_shape) != item_shape or n > _MOST_IMAGES:
            raise DataError(f"{name}: {n} items of shape {tuple(found_shape)}, {item_shape} is expected")
        size = n * math.prod(item_shape)
        if path.suffix != ".gz" and path.stat().st_size != 4 + 4 * n_dimensions + size:
            raise DataError(f"{name}: {path.stat().st_size} bytes do not fit to {n} items of shape {item_shape}")
        content = _files.read_exactly(file, size, name)
        try:
            more = file.read(1)
        except (OSError, EOFError, zlib.error) as error:  # the checksum at the end
            raise DataError(f"{name}: damaged ({error})") from error
        if more:
            raise DataError(f"{name}: there is more than the {n} items that the header promises")
    return np.frombuffer(content, np.uint8).reshape(n, *item_shape).copy()
