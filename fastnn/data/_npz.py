"""Reading the small .npz files of the courses: arrays of numbers, of a size that such files have."""

from __future__ import annotations

import io
import math
import os
import re
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnn.data._files import DataError, read_file

# The largest of the courses has 450 kB, and a megabyte unpacked.
_LARGEST_FILE, _LARGEST_ARRAYS, _MOST_ARRAYS = 4 << 20, 16 << 20, 1000
_MEMBER = b"PK\1\2"  # in the directory of a zip archive
_MAGIC = re.compile(rb"\x93NUMPY(?:\x01\x00(..)|\x02\x00(..)\x00\x00)", re.DOTALL)
# Exactly what NumPy writes for an array of numbers, so that nothing has to be evaluated.
_HEADER = re.compile(
    rb"\{'descr': '([<>|][iuf]\d)', 'fortran_order': (True|False), 'shape': \(((?:\d{1,9}, ?)*(?:\d{1,9})?)\), \} *\n"
)


def read_npz(path: str | os.PathLike[str], needed: Collection[str] = ()) -> dict[str, NDArray]:
    """The arrays by name.

    Args:
        path: the file.
        needed: names that must be there.
    Raises:
        OSError: the file cannot be opened.
        DataError: it is damaged, too large, holds something else than arrays of numbers, or lacks one.
    """
    path = Path(path)
    content = read_file(path, 1, _LARGEST_FILE)
    try:
        if content.count(_MEMBER) > _MOST_ARRAYS:  # zipfile would make an object of each first
            raise DataError(f"more than {_MOST_ARRAYS:,} arrays")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            sizes = [member.file_size for member in members]
            if sum(sizes) > _LARGEST_ARRAYS:
                raise DataError(f"arrays of {sum(sizes):,} bytes are more than such a file has")
            arrays = {member.filename: _array(archive.read(member)) for member in members}
    except DataError as error:
        raise DataError(str(error), path) from None
    except Exception as error:  # zipfile raises a dozen kinds: BadZipFile, KeyError, ...
        raise DataError(f"not a whole .npz file ({type(error).__name__}: {error})", path) from None
    result = {name.removesuffix(".npy"): array for name, array in arrays.items()}
    if missing := [name for name in needed if name not in result]:
        raise DataError(f"there is no array {' or '.join(missing)} in it", path)
    return result


def _array(content: bytes) -> NDArray:
    magic = _MAGIC.match(content)
    if magic is None:
        raise DataError("one of its members is no array")
    end = magic.end() + int.from_bytes(magic[1] or magic[2], "little")
    header = _HEADER.fullmatch(content, magic.end(), end)
    if header is None:
        raise DataError("one of its members is not an array of numbers")
    dtype = np.dtype(header[1].decode())
    shape = tuple(int(side) for side in header[3].replace(b",", b" ").split())
    if math.prod(shape) * dtype.itemsize != len(content) - end:
        raise DataError(f"an array of shape {shape} has {len(content) - end:,} bytes")
    order = "F" if header[2] == b"True" else "C"
    return np.frombuffer(content, dtype, offset=end).reshape(shape, order=order).copy()  # type: ignore[call-overload]
