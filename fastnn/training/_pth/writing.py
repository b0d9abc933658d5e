"""Writing files that `torch.load` reads, with its `weights_only=True` too."""

import os
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.training._atomic import atomic_write

__all__ = ["is_written", "write_pth"]

_DEEPEST = 100
_ALIGNMENT = 64
_FOLDER = "archive"
_VERSION = b"3\n"
_LONGEST_INTEGER = 255  # bytes
# What a zip archive begins with: a fixed time, so that equal objects are equal files.
_TIME = (1980, 1, 1, 0, 0, 0)
_HEADER, _HEADER64 = 30, 20
_PADDING = struct.Struct("<2s H")

_STORAGES = {
    "f8": "DoubleStorage",
    "f4": "FloatStorage",
    "f2": "HalfStorage",
    "i8": "LongStorage",
    "i4": "IntStorage",
    "i2": "ShortStorage",
    "i1": "CharStorage",
    "u1": "ByteStorage",
    "b1": "BoolStorage",
}
# Types that PyTorch has no class of storages for.
_UNTYPED = {"u2": "uint16", "u4": "uint32", "u8": "uint64"}


def is_written(dtype: np.dtype) -> bool:
    """Whether arrays of this type can be written."""
    return dtype.str[1:] in _STORAGES or dtype.str[1:] in _UNTYPED


ArrayOf = Callable[[Any], tuple[NDArray, bool] | None]


def array_of_numpy(value: Any) -> tuple[NDArray, bool] | None:
    """What is written as a tensor by default: arrays of NumPy."""
    return (value, False) if isinstance(value, np.ndarray) else None


def write_pth(obj: Any, file: str | os.PathLike[str] | IO[bytes], *, array_of: ArrayOf = array_of_numpy) -> None:
    """Write what `torch.load(file, weights_only=True)` reads, arrays as its tensors, without PyTorch.

    `obj` is made of dictionaries, lists, tuples, sets, numbers, texts, bytes, None and arrays, such as a state_dict or
    an optimiser's. Arrays that are the same memory share it in PyTorch too, as tied weights do; all tensors are
    contiguous there. NumPy's numbers are written as Python's. Equal objects are equal files. A file given by its name
    is written beside it and renamed, so that it is always whole.

    Args:
        obj: the object.
        file: the name of a file, or a binary file open for writing.
        array_of: of an object that stands for a tensor the array and whether it is a parameter; None of others.
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
    pickler = _Pickler(array_of)
    pickler.write(obj, "", 0)
    content = b"\x80\x02" + b"".join(pickler.parts) + b"."
    if isinstance(file, str | os.PathLike):
        with atomic_write(file) as opened:
            _write_archive(opened, content, pickler.storages)
    else:
        _write_archive(file, content, pickler.storages)


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


class _Pickler:
    """Makes the instructions of protocol 2 that PyTorch's careful reader knows. Their names are in `pickletools`."""

    def __init__(self, array_of: ArrayOf) -> None:
        self.parts: list[bytes] = []
        self.storages: list[NDArray] = []
        self._array_of = array_of
        self._keys: dict[Any, int] = {}

    def write(self, value: Any, path: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError(f"write_pth: obj holds itself, or is nested more than {_DEEPEST} deep: {path[:80]}")
        array = self._array_of(value)
        if array is not None:
            self._write_tensor(*array, path)
        elif isinstance(value, np.generic):
            self._write_plain(value.item(), path)
        elif isinstance(value, Mapping):
            self._write_mapping(value, path, depth)
        elif isinstance(value, list | tuple | set | frozenset):
            self._write_items(value, path, depth)
        else:
            self._write_plain(value, path)

    # ---- plain values ------------------------------------------------------------------------------------------------
    def _write_plain(self, value: Any, path: str) -> None:
        match value:
            case None:
                self.parts.append(b"N")
            case bool():
                self.parts.append(b"\x88" if value else b"\x89")
            case int():
                self.parts.append(_integer(int(value), path))
            case float():
                self.parts.append(b"G" + struct.pack(">d", value))
            case complex():
                self.parts.append(b"cbuiltins\ncomplex\nG" + struct.pack(">d", value.real))
                self.parts.append(b"G" + struct.pack(">d", value.imag) + b"\x86R")
            case str():
                self.parts.append(_text(value))
            case bytes():
                self.parts.append(b"c_codecs\nencode\n" + _text(value.decode("latin-1")) + _text("latin1") + b"\x86R")
            case _:
                raise TypeError(
                    f"write_pth: obj{path[:200]} must be a number, a text, bytes, None, an array, or a container of "
                    f"these. Received: {type(value).__name__}"
                )

    # ---- containers --------------------------------------------------------------------------------------------------
    def _write_mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> None:
        ordered = isinstance(value, OrderedDict)
        self.parts.append(b"ccollections\nOrderedDict\n)R" if ordered else b"}")
        if value:
            self.parts.append(b"(")
            for key, item in value.items():
                if not isinstance(key, str | int | float | tuple | bytes | np.generic | None):
                    raise TypeError(f"write_pth: a key of obj{path[:200]} must be a text or a number. Received: "
                                    f"{type(key).__name__}")  # fmt: skip
                self.write(key, f"{path} (a key)", depth + 1)
                self.write(item, f"{path}[{key!r}]", depth + 1)
            self.parts.append(b"u")
        attributes = vars(value) if ordered else None
        if attributes:
            self._write_mapping(attributes, f"{path} (attributes)", depth + 1)
            self.parts.append(b"b")

    def _write_items(self, value: Any, path: str, depth: int) -> None:
        if isinstance(value, set | frozenset):
            self.parts.append(b"cbuiltins\nset\n" if isinstance(value, set) else b"cbuiltins\nfrozenset\n")
        plain_tuple = isinstance(value, tuple)
        self.parts.append(b"(" if plain_tuple else b"](")
        for index, item in enumerate(value):
            self.write(item, f"{path}[{index}]", depth + 1)
        self.parts.append(b"t" if plain_tuple else b"e")
        if isinstance(value, set | frozenset):
            self.parts.append(b"\x85R")

    # ---- tensors -----------------------------------------------------------------------------------------------------
    def _write_tensor(self, array: NDArray, is_parameter: bool, path: str) -> None:
        code = array.dtype.str[1:]
        if not is_written(array.dtype):
            raise TypeError(f"write_pth: obj{path[:200]} must be an array of real numbers or bools. "
                            f"Received: dtype {array.dtype}")  # fmt: skip
        key = str(self._key(array))
        strides = [1] * array.ndim
        for axis in range(array.ndim - 2, -1, -1):
            strides[axis] = strides[axis + 1] * max(array.shape[axis + 1], 1)
        untyped = code in _UNTYPED
        storage = b"ctorch.storage\nUntypedStorage\n" if untyped else f"ctorch\n{_STORAGES[code]}\n".encode()
        if is_parameter:
            self.parts.append(b"ctorch._utils\n_rebuild_parameter\n(")
        self.parts += [
            b"ctorch._utils\n_rebuild_tensor_v3\n(" if untyped else b"ctorch._utils\n_rebuild_tensor_v2\n(",
            b"(" + _text("storage") + storage + _text(key) + _text("cpu"),
            _integer(array.nbytes if untyped else array.size, path) + b"tQK\0",
            _tuple(array.shape, path) + _tuple(strides, path),
            b"\x89ccollections\nOrderedDict\n)R",
            f"ctorch\n{_UNTYPED[code]}\n".encode() if untyped else b"",
            b"tR",
        ]
        if is_parameter:
            self.parts.append(b"\x88ccollections\nOrderedDict\n)RtR")

    def _key(self, array: NDArray) -> int:
        """The number of its storage: that of an earlier array if both are the same memory."""
        layout = array.nbytes if array.flags.c_contiguous else (array.shape, array.strides)
        identity = (array.ctypes.data, layout, array.dtype.str)
        if identity not in self._keys:
            self._keys[identity] = len(self.storages)
            self.storages.append(array)
        return self._keys[identity]


def _text(value: str) -> bytes:
    content = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(content)) + content


def _integer(value: int, path: str) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    size = value.bit_length() // 8 + 1
    if size > _LONGEST_INTEGER:
        raise TypeError(f"write_pth: obj{path[:200]} must be an integer of at most {_LONGEST_INTEGER} bytes")
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def _tuple(numbers: Any, path: str) -> bytes:
    return b"(" + b"".join(_integer(number, path) for number in numbers) + b"t"
