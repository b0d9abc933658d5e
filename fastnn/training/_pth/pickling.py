"""Objects as the instructions of pickles, protocol 2, that PyTorch's careful reader knows.

The instructions' names are in Python's `pickletools`.
"""

import argparse
import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.training._pth.makers import AsDevice, AsDType, AsSize, AsTensor, StandsFor
from fastnn.training._pth.numpy_objects import CODES
from fastnn.training._pth.sharing import Place, find_storages
from fastnn.training._pth.tensors import WITHOUT_STORAGES

__all__ = ["Pickler", "is_written"]

_DEEPEST = 100
_LONGEST_INTEGER = 255  # bytes
_BATCH = 1000  # as Python's: readers have so much on their stack
_STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
_FACTORIES = (bool, bytes, dict, float, int, list, set, str, tuple)
_HOOKS = b"ccollections\nOrderedDict\n)R"


def is_written(dtype: np.dtype) -> bool:
    """Whether arrays of this type can be written as tensors."""
    return dtype.name in _STORAGES or dtype.name in WITHOUT_STORAGES


class Pickler:
    """Makes one pickle, and learns on the way which storages it needs.

    An object that stands at several places is described once, so that it is one object again when it is read.

    Args:
        stands_for: see `write_pth`.
        old: whether the pickle is for the old format.
    """

    def __init__(self, stands_for: StandsFor, old: bool) -> None:
        self._stands_for, self._old = stands_for, old
        self._parts: list[bytes | int] = []  # a number is that of a tensor
        self._tensors: list[AsTensor] = []
        self._numbers: dict[int, int] = {}  # of objects, by their ids
        self._kept: list[Any] = []  # so that ids hold
        self._open: set[int] = set()

    def pickle(self, obj: Any) -> tuple[bytes, list[NDArray]]:
        """A pickle, and the storages that it names by their places in this list."""
        self._write(obj, "", 0)
        storages, places = find_storages([tensor.array for tensor in self._tensors])
        described = [
            _tensor(tensor, place, storages[place.storage].size, self._old)
            for tensor, place in zip(self._tensors, places, strict=True)
        ]
        parts = (described[part] if isinstance(part, int) else part for part in self._parts)
        return b"\x80\x02" + b"".join(parts) + b".", storages

    def _write(self, value: Any, path: str, depth: int) -> None:
        if depth > _DEEPEST or id(value) in self._open:
            raise ValueError(f"write_pth: obj holds itself, or is nested more than {_DEEPEST} deep: {path[:80]}")
        if (number := self._numbers.get(id(value))) is not None:
            self._add(b"h" + bytes([number]) if number < 256 else b"j" + struct.pack("<I", number))
        elif (stand_in := self._stands_for(value)) is not None:
            self._write_stand_in(stand_in, path)
            self._remember(value)
        elif isinstance(value, np.generic):
            self._write_plain(value.item(), path)
        elif isinstance(value, np.ndarray):
            self._write_numpy(value, path)
            self._remember(value)
        elif isinstance(value, Mapping | list | tuple | set | frozenset | argparse.Namespace):
            self._open.add(id(value))
            self._write_container(value, path, depth + 1)
            self._open.remove(id(value))
        else:
            self._write_plain(value, path)

    def _add(self, *parts: bytes) -> None:
        self._parts += parts

    def _remember(self, value: Any) -> None:
        number = self._numbers[id(value)] = len(self._kept)
        self._kept.append(value)
        self._add(b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number))

    # ---- plain values ------------------------------------------------------------------------------------------------
    def _write_plain(self, value: Any, path: str) -> None:
        match value:
            case None:
                self._add(b"N")
            case bool():
                self._add(b"\x88" if value else b"\x89")
            case int():
                self._add(_integer(int(value), path))
            case float():
                self._add(b"G" + struct.pack(">d", value))
            case complex():
                self._add(b"cbuiltins\ncomplex\nG" + struct.pack(">d", value.real))
                self._add(b"G" + struct.pack(">d", value.imag) + b"\x86R")
            case str():
                self._add(_text(value))
            case bytes():
                self._add(b"c_codecs\nencode\n" + _text(value.decode("latin-1")) + _text("latin1") + b"\x86R")
            case bytearray():
                self._add(b"cbuiltins\nbytearray\n" + _text(value.decode("latin-1")) + _text("latin-1") + b"\x86R")
            case _:
                raise TypeError(
                    f"write_pth: obj{path[:200]} must be a number, a text, bytes, None, an array, or a container of "
                    f"these. Received: {type(value).__name__}"
                )

    # ---- containers --------------------------------------------------------------------------------------------------
    def _write_container(self, value: Any, path: str, depth: int) -> None:
        if isinstance(value, argparse.Namespace):
            self._add(b"cargparse\nNamespace\n)\x81")
            self._remember(value)
            self._write_attributes(value, path, depth)
        elif isinstance(value, Mapping):
            self._write_mapping(value, path, depth)
        elif isinstance(value, list):
            self._add(b"]")
            self._remember(value)
            self._write_items(value, path, depth)
        elif isinstance(value, tuple):
            self._add(b"(")
            for index, item in enumerate(value):
                self._write(item, f"{path}[{index}]", depth)
            self._add(b"t")
            self._remember(value)
        else:
            self._add(b"cbuiltins\nset\n]" if isinstance(value, set) else b"cbuiltins\nfrozenset\n]")
            self._write_items(value, path, depth)
            self._add(b"\x85R")
            self._remember(value)

    def _write_items(self, value: Any, path: str, depth: int) -> None:
        for index, item in enumerate(value):
            if not index % _BATCH:
                self._add(b"e(" if index else b"(")
            self._write(item, f"{path}[{index}]", depth)
        if value:
            self._add(b"e")

    def _write_mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> None:
        if isinstance(value, Counter):
            self._add(b"ccollections\nCounter\n)R")
        elif isinstance(value, defaultdict):
            self._write_defaultdict(value, path)
        else:
            self._add(_HOOKS if isinstance(value, OrderedDict) else b"}")
        self._remember(value)
        if value:
            for index, (key, item) in enumerate(value.items()):
                if not index % _BATCH:
                    self._add(b"u(" if index else b"(")
                if not isinstance(key, str | int | float | tuple | bytes | np.generic | None):
                    raise TypeError(f"write_pth: a key of obj{path[:200]} must be a text or a number. Received: "
                                    f"{type(key).__name__}")  # fmt: skip
                self._write(key, f"{path} (a key)", depth)
                self._write(item, f"{path}[{key!r}]", depth)
            self._add(b"u")
        if isinstance(value, OrderedDict) and vars(value):
            self._write_attributes(value, path, depth)

    def _write_attributes(self, value: Any, path: str, depth: int) -> None:
        self._write(vars(value), f"{path} (attributes)", depth)
        self._add(b"b")

    def _write_defaultdict(self, value: defaultdict[Any, Any], path: str) -> None:
        factory: Any = value.default_factory
        if factory is not None and factory not in _FACTORIES:
            raise TypeError(f"write_pth: obj{path[:200]} must be a defaultdict of one of Python's plain types. "
                            f"Received: {factory!r}")  # fmt: skip
        name = b"N" if factory is None else f"cbuiltins\n{factory.__name__}\n".encode()
        self._add(b"ccollections\ndefaultdict\n" + name + b"\x85R")

    # ---- PyTorch's objects and NumPy's -------------------------------------------------------------------------------
    def _write_stand_in(self, value: AsTensor | AsSize | AsDType | AsDevice, path: str) -> None:
        match value:
            case AsTensor():
                if not is_written(value.array.dtype):
                    raise TypeError(f"write_pth: obj{path[:200]} must be an array of real numbers or bools. "
                                    f"Received: dtype {value.array.dtype}")  # fmt: skip
                if self._old and value.array.dtype.name in WITHOUT_STORAGES:
                    raise TypeError(f"write_pth: obj{path[:200]} must not be {value.array.dtype}, which PyTorch does "
                                    "not read from its old format")  # fmt: skip
                self._parts.append(len(self._tensors))
                self._tensors.append(value)
            case AsSize():
                self._add(b"ctorch\nSize\n" + _tuple(value.sides) + b"\x85R")
            case AsDType():
                self._add(f"ctorch\n{value.name}\n".encode())
            case AsDevice(kind, None):
                self._add(b"ctorch\ndevice\n" + _text(kind) + b"\x85R")
            case AsDevice(kind, int(index)):
                self._add(b"ctorch\ndevice\n" + _text(kind) + _integer(index) + b"\x86R")

    def _write_numpy(self, array: NDArray, path: str) -> None:
        """As NumPy 2 pickles an array."""
        if array.dtype.str[1:] not in CODES:
            raise TypeError(f"write_pth: obj{path[:200]} must be an array of numbers or bools. "
                            f"Received: dtype {array.dtype}")  # fmt: skip
        code, order = array.dtype.str[1:], array.dtype.str[0]
        self._add(b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85")
        self._write_plain(b"b", path)
        self._add(b"\x87R(K\1" + _tuple(array.shape))
        self._add(b"cnumpy\ndtype\n" + _text(code) + b"\x89\x88\x87R")
        self._add(b"(K\3" + _text(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89")
        self._write_plain(array.tobytes(), path)
        self._add(b"tb")


def _tensor(tensor: AsTensor, place: Place, count: int, old: bool) -> bytes:
    """torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks), or ..._v3 with a dtype."""
    array, dtype = tensor.array, tensor.array.dtype.name
    untyped = dtype in WITHOUT_STORAGES
    storage = b"ctorch.storage\nUntypedStorage\n" if untyped else f"ctorch\n{_STORAGES[dtype]}\n".encode()
    made = b"".join([
        b"ctorch._utils\n_rebuild_tensor_v3\n(" if untyped else b"ctorch._utils\n_rebuild_tensor_v2\n(",
        b"(" + _text("storage") + storage + _text(str(place.storage)) + _text("cpu"),
        _integer(count * array.itemsize if untyped else count) + (b"NtQ" if old else b"tQ"),
        _integer(place.offset) + _tuple(array.shape) + _tuple(place.strides),
        b"\x88" if tensor.requires_grad and not tensor.is_parameter else b"\x89",
        _HOOKS + (f"ctorch\n{dtype}\n".encode() if untyped else b"") + b"tR",
    ])  # fmt: skip
    if not tensor.is_parameter:
        return made
    flag = b"\x88" if tensor.requires_grad else b"\x89"
    return b"ctorch._utils\n_rebuild_parameter\n(" + made + flag + _HOOKS + b"tR"


def _text(value: str) -> bytes:
    content = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(content)) + content


def _integer(value: int, path: str = "") -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    size = value.bit_length() // 8 + 1
    if size > _LONGEST_INTEGER:
        raise TypeError(f"write_pth: obj{path[:200]} must be an integer of at most {_LONGEST_INTEGER} bytes")
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def _tuple(numbers: Any) -> bytes:
    return b"(" + b"".join(_integer(number) for number in numbers) + b"t"
