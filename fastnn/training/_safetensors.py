"""Safetensors files: eight bytes with the length of a JSON header, the header, and the bytes of the tensors.

Written here and not by the library of that name, for three reasons. Its writer orders metadata at random, so that equal
states would be different files. Its reader ends in panics that are no `Exception` when a header lies, and knows no
bfloat16 and no 8-bit floats in NumPy. And a checksum can only be put into a header by whoever writes the bytes.
The tests let the library read what is written here, and the other way round.
"""

import json
import math
import os
import re
import stat
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastnn._errors import FileError
from fastnn._json import parse_json
from fastnn.training._atomic import atomic_write
from fastnn.training._dtypes import ITEM_SIZES, decode, name_of

__all__ = ["CheckpointError", "read_tensors", "write_tensors"]

_ALIGNMENT = 8
_LONGEST_HEADER = 1 << 24
_MOST_DIMENSIONS, _LARGEST_TENSOR = 32, 1 << 62
# CRC-32 of the whole file with zeros in the place of these eight digits. A gigabyte takes a second or less.
_CHECKSUM = "fastnn_crc32"
_NO_CHECKSUM = "00000000"
_CHECKSUM_TEXT = re.compile(rb'"' + _CHECKSUM.encode() + rb'":"([0-9a-f]{8})"')

# What the first bytes of other files are.
_PYTORCH = "a file of PyTorch and no safetensors file; fastnn.load reads the weights in it"
_OTHERS = (
    (b"PK\x03\x04", "a zip archive, such as NumPy's .npz, and no safetensors file"),
    (b"\x80", _PYTORCH),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes, and no safetensors file"),
    (b"\x93NUMPY", "an array of NumPy (.npy) and no safetensors file"),
    (b"\x1f\x8b", "compressed by gzip; uncompress it first"),
)


class CheckpointError(FileError):
    """A file cannot be read as what it should be, or does not fit the training that it should continue."""


# ---- writing ---------------------------------------------------------------------------------------------------------
def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, NDArray], metadata: Mapping[str, str]) -> None:
    """Write arrays and texts; equal ones give equal files, byte for byte.

    Raises:
        TypeError: an array is not of numbers that such a file can hold.
        OSError: the file cannot be written.
    """
    for name, array in tensors.items():
        if name_of(array.dtype) is None:
            raise TypeError(f"a safetensors file cannot hold {name!r}, an array of {array.dtype}")
    # Wide numbers first, as the library does, so that each lies at a multiple of its size.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(sorted({**metadata, _CHECKSUM: _NO_CHECKSUM}.items()))}
    end = 0
    for name in order:
        begin, end = end, end + tensors[name].nbytes
        kind, shape = name_of(tensors[name].dtype), list(tensors[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    content = json.dumps(header, separators=(",", ":")).encode()
    content += b" " * (-len(content) % _ALIGNMENT)
    if len(content) > _LONGEST_HEADER:
        raise ValueError(f"the names and the state take {len(content):,} bytes, {_LONGEST_HEADER:,} fit into a file")
    place = _CHECKSUM_TEXT.search(content)
    assert place is not None
    with atomic_write(path) as file:
        file.write(len(content).to_bytes(8, "little"))
        file.write(content)
        checksum = zlib.crc32(content)
        for name in order:
            data = tensors[name].astype(tensors[name].dtype.newbyteorder("<"), copy=False).tobytes()
            checksum = zlib.crc32(data, checksum)
            file.write(data)
        file.seek(8 + place.start(1))
        file.write(b"%08x" % checksum)


# ---- reading ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Entry:
    """One tensor of a header that has been checked."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray], dict[str, str]]:
    """The arrays by name, and the metadata without the checksum, which has been compared if there is one.

    bfloat16 and the two common 8-bit floats become float32, which holds all of their values.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not a whole safetensors file, whatever is wrong with it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {os.fspath(path)}")
    if not stat.S_ISREG(path.stat().st_mode):
        raise CheckpointError("not a file but a folder, a FIFO, a socket or a device", path)
    with path.open("rb") as file:
        try:
            return _read(file, os.fstat(file.fileno()).st_size)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(str(error), path) from None
        except MemoryError:
            raise MemoryError(f"{os.fspath(path)}: there is not enough memory for its tensors") from None


def _read(file: IO[bytes], size: int) -> tuple[dict[str, NDArray], dict[str, str]]:
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > size - 8 or length > _LONGEST_HEADER:
        raise ValueError(_what_it_is(start, file, length, size))
    content = file.read(length)
    if not content.startswith(b"{"):
        raise ValueError(_what_it_is(start, file, length, size))
    try:
        header = parse_json(content.decode())
    except ValueError as error:
        raise ValueError(f"not a whole safetensors file, its header is {error}") from None
    metadata, entries = _checked(header, size - 8 - length)
    place = _CHECKSUM_TEXT.search(content) if _CHECKSUM in metadata else None
    expected = metadata.pop(_CHECKSUM, None)
    checksum = 0
    if place is not None:
        checksum = zlib.crc32(content[: place.start(1)] + _NO_CHECKSUM.encode() + content[place.end(1) :])
    tensors = {}
    for entry in entries:
        data = np.empty(entry.end - entry.begin, np.uint8)
        if file.readinto(data) != data.size:  # type: ignore[attr-defined]
            raise ValueError(f"truncated within {entry.name[:80]!r}")
        checksum = zlib.crc32(data.data, checksum)
        tensors[entry.name] = decode(data, entry.dtype).reshape(entry.shape)
    if expected is not None and (place is None or int(place[1], 16) != checksum):
        raise ValueError("damaged, or changed by another program: its checksum does not fit to its content")
    return tensors, metadata


def _what_it_is(start: bytes, file: IO[bytes], length: int, size: int) -> str:
    """A sentence about a file that does not begin like a safetensors file."""
    if start.startswith(b"PK\x03\x04"):
        file.seek(0)
        if b"/data.pkl" in file.read(256):
            return _PYTORCH
    for signature, words in _OTHERS:
        if start.startswith(signature[:8]):
            return words
    if len(start) < 8:
        return f"not a whole safetensors file: it has only {size} bytes"
    if length > size - 8:
        return f"not a whole safetensors file: {size:,} bytes, its header alone would have {length:,}"
    return f"not a safetensors file: no header of {length:,} bytes begins there"


def _checked(header: Any, size: int) -> tuple[dict[str, str], list[_Entry]]:
    """Metadata and entries in the order of the file, if they describe exactly `size` bytes."""
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("not a safetensors file: its metadata are not texts")
    entries = sorted(
        (_entry(name, entry) for name, entry in header.items()), key=lambda entry: (entry.begin, entry.end)
    )
    end = 0
    for entry in entries:
        if entry.begin != end:
            raise ValueError(f"not a whole safetensors file: there is a gap or an overlap before {entry.name[:80]!r}")
        end = entry.end
    if end != size:
        raise ValueError(f"not a whole safetensors file: {size:,} bytes of tensors, {end:,} are expected")
    return metadata, entries


def _entry(name: str, entry: Any) -> _Entry:
    wrong = f"not a safetensors file: its header says nonsense about {name[:80]!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(wrong)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    lists = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
    if not lists or not all(type(number) is int and number >= 0 for number in (*shape, *offsets)):
        raise ValueError(wrong)
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise ValueError(f"{name!r} has numbers of the type {dtype!r}; {', '.join(ITEM_SIZES)} can be read")
    if len(shape) > _MOST_DIMENSIONS or any(side > _LARGEST_TENSOR for side in shape):
        raise ValueError(wrong)
    # NumPy refuses huge sides even of arrays without elements.
    if math.prod(max(side, 1) for side in shape) * ITEM_SIZES[dtype] > _LARGEST_TENSOR:
        raise ValueError(wrong)
    if math.prod(shape) * ITEM_SIZES[dtype] != offsets[1] - offsets[0]:
        raise ValueError(f"{wrong}: its shape does not fit to its bytes")
    return _Entry(name, dtype, tuple(shape), *offsets)
