"""Writing files that `torch.load` reads, with its `weights_only=True` too."""

import os
import struct
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.training._atomic import atomic_write
from fastnn.training._pth.makers import AsTensor, StandsFor
from fastnn.training._pth.old_format import write_old_format
from fastnn.training._pth.pickling import Pickler

__all__ = ["write_pth"]

_ALIGNMENT = 64
_FOLDER = "archive"
_VERSION = b"3\n"
# What a zip archive begins with: a fixed time, so that equal objects are equal files.
_TIME = (1980, 1, 1, 0, 0, 0)
_HEADER, _HEADER64 = 30, 20
_PADDING = struct.Struct("<2s H")


def arrays_are_tensors(value: Any) -> AsTensor | None:
    """What is written as a tensor by default: arrays of NumPy."""
    return AsTensor(value) if isinstance(value, np.ndarray) else None


def write_pth(
    obj: Any,
    file: str | os.PathLike[str] | IO[bytes],
    *,
    stands_for: StandsFor = arrays_are_tensors,
    old_format: bool = False,
) -> None:
    """Write what `torch.load` reads, arrays as its tensors, without PyTorch.

    `obj` is made of dictionaries, lists, tuples, sets, numbers, texts, bytes, None and arrays, such as a state_dict or
    an optimiser's. `torch.load(file, weights_only=True)` reads it; argparse.Namespace, defaultdict, frozenset, and
    arrays that do not stand for tensors need `weights_only=False`, as if PyTorch had written them.

    Arrays of one dtype that share memory share it in PyTorch too, as tied weights do; other tensors are contiguous
    there. An object that stands at several places is one object again. NumPy's numbers are written as Python's, and
    dictionaries of other classes as `dict`. Equal objects are equal files. A file given by its name is written beside
    it and renamed, so that it is always whole.

    Args:
        obj: the object.
        file: the name of a file, or a binary file open for writing.
        stands_for: says of an object whether it is written as a tensor, torch.Size, torch.dtype or torch.device:
            an AsTensor, AsSize, AsDType or AsDevice, or None.
        old_format: whether to write the format of PyTorch before 1.6.
    Raises:
        TypeError: something in it has no place in such a file; the message says where it stands.
        ValueError: it holds itself, or is nested more than 100 deep.
        OSError: the file cannot be written; one that was there stays as it was.
    Example:
        >>> import io
        >>> from fastnn.training._pth import read_pth, write_pth
        >>> file = io.BytesIO()
        >>> write_pth({"step": 3, "betas": (0.9, 0.999)}, file)
        >>> read_pth(file)
        {'step': 3, 'betas': (0.9, 0.999)}
    """
    content, storages = Pickler(stands_for, old_format).pickle(obj)
    write = write_old_format if old_format else _write_archive
    if isinstance(file, str | os.PathLike):
        with atomic_write(file) as opened:
            write(opened, content, storages)
    else:
        write(file, content, storages)


def _write_archive(file: IO[bytes], content: bytes, storages: list[NDArray]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "data.pkl", content)
        _add(archive, "byteorder", b"little")
        for key, array in enumerate(storages):
            ordered = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
            _add(archive, f"data/{key}", ordered.reshape(-1).view(np.uint8).data)
        _add(archive, "version", _VERSION)


def _add(archive: zipfile.ZipFile, name: str, content: bytes | memoryview) -> None:
    """A member whose content begins at a multiple of 64 bytes, where PyTorch expects it."""
    info = zipfile.ZipInfo(f"{_FOLDER}/{name}", _TIME)
    info.create_system = 3  # not that of this machine
    info.file_size = len(content)
    wide = info.file_size * 1.05 > zipfile.ZIP64_LIMIT  # as zipfile decides
    begin = archive.fp.tell() + _HEADER + len(info.filename) + _HEADER64 * wide  # type: ignore[union-attr]
    padding = -(begin + _PADDING.size) % _ALIGNMENT
    info.extra = _PADDING.pack(b"FB", padding) + b"Z" * padding
    with archive.open(info, "w", force_zip64=wide) as member:
        member.write(content)
