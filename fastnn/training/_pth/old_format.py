"""The files of PyTorch before 1.6: pickles one after the other, and behind them the bytes of the storages.

    magic number, version, facts about the machine, the object, the keys of the storages    five pickles
    of each key in that order: the count of its numbers in eight bytes, and the numbers

All numbers are little-endian, whatever the third pickle says: machines of the other order turned them for the file.
"""

import pickle
import struct
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.training._pth.allowed import Context
from fastnn.training._pth.archive import read_exactly
from fastnn.training._pth.errors import Truncated, Unreadable
from fastnn.training._pth.machine import Machine
from fastnn.training._pth.tensors import Storage, Storages, StorageType

__all__ = ["MAGIC_NUMBER", "read_old_format", "write_old_format"]

MAGIC_NUMBER, _VERSION = 0x1950A86A20F9469CFC6C, 1001
# The pickles are read in one piece. Their length stands nowhere; nearly always they are short.
_FIRST_PIECE = 1 << 20
_LARGEST_COUNT = 1 << 62
_FACTS = {"protocol_version": _VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class _Found:
    """Which storages the object has: their types, lengths and, later, places."""

    def __init__(self) -> None:
        self.types: dict[str, tuple[StorageType, int]] = {}
        self.places: dict[str, int] = {}

    def storage_of(self, identity: Any) -> Storage:
        """("storage", class, key, location, count, None or (key of a view, offset, count))."""
        if type(identity) is tuple and len(identity) == 4 and type(identity[0]) is str and identity[0] == "module":
            raise Unreadable("it holds a whole model; save its weights alone: torch.save(model.state_dict(), path)")
        if type(identity) is not tuple or len(identity) not in (5, 6) or not isinstance(identity[1], StorageType):
            raise Unreadable("damaged, a storage of it has no type")
        _, kind, key, _, count = identity[:5]
        if type(key) is not str or type(count) is not int or not 0 <= count <= _LARGEST_COUNT:
            raise Unreadable("damaged, a storage of it has no key or length")
        first, whole = self.types.setdefault(key, (kind, count))
        n_bytes = count * kind.itemsize
        if n_bytes != whole * first.itemsize:
            raise Unreadable(f"damaged, its storage {key[:80]!r} has two lengths")
        view = identity[5] if len(identity) == 6 else None
        if view is None:
            return Storage(key, kind.dtype, n_bytes, 0, n_bytes)
        if type(view) is not tuple or len(view) != 3 or not all(type(number) is int for number in view[1:]):
            raise Unreadable(f"damaged, a view of its storage {key[:80]!r} has no place")
        offset, length = view[1:]
        if min(offset, length) < 0 or offset + length > count:
            raise Unreadable(f"damaged, a view of its storage {key[:80]!r} reaches outside of it")
        return Storage(key, kind.dtype, n_bytes, offset * kind.itemsize, length * kind.itemsize)


def read_old_format(
    file: IO[bytes],
    size: int,
    make_context: Callable[[Storages | None, Callable[[Any], Storage], int], Context],
    widen: bool,
) -> Any:
    """The object of a file of `size` bytes.

    The pickle is run twice: first to learn where the storages lie, which it needs the second time.

    Args:
        make_context: the stand-ins for a pickle, by its storages, what persistent ids mean, and its length.
        widen: whether float16 becomes float32.
    """
    found = _Found()
    piece = _FIRST_PIECE
    while True:
        file.seek(0)
        content = file.read(min(piece, size))
        try:
            begin, end = _survey(file, size, content, found, make_context)
            break
        except Truncated:
            if piece >= size:
                raise
            piece *= 64

    def read(key: str, n_bytes: int) -> NDArray[np.uint8]:
        file.seek(found.places[key])
        return read_exactly(file, n_bytes)

    context = make_context(Storages(read, "little", widen), found.storage_of, end - begin)
    return _run(content[begin:end], 0, context)[0]


def _run(content: bytes, position: int, context: Context) -> tuple[Any, int]:
    machine = Machine(content, position, context)
    result = machine.run()
    context.arrays.check_end()
    return result, machine.position


def _survey(
    file: IO[bytes], size: int, content: bytes, found: _Found, make_context: Callable[..., Context]
) -> tuple[int, int]:
    """Where the object's pickle begins and ends in `content`; storages and their places go into `found`."""

    def run(position: int, storage_of: Callable[[Any], Storage] = _no_storage) -> tuple[Any, int]:
        return _run(content, position, make_context(None, storage_of, len(content) - position))

    magic, position = run(0)
    if type(magic) is not int or magic != MAGIC_NUMBER:
        raise Unreadable("a pickle that torch.save has not written; read it with Python's pickle if you trust it, and "
                         "write it again by torch.save")  # fmt: skip
    version, position = run(position)
    if type(version) is not int or version != _VERSION:
        raise Unreadable("written by a PyTorch with another format, or damaged")
    _, begin = run(position)
    found.types.clear()
    _, end = run(begin, found.storage_of)
    keys, position = run(end)
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise Unreadable("damaged, it has no list of its storages")
    for key in keys:
        if key not in found.types or key in found.places:
            raise Unreadable(f"damaged, nothing refers to its storage {key[:80]!r}, or it is there twice")
        kind, count = found.types[key]
        file.seek(position)
        header = file.read(8)
        position += 8
        found.places[key] = position
        position += count * kind.itemsize
        if position > size:
            raise Unreadable(f"truncated before the end of its storage {key[:80]!r}")
        if int.from_bytes(header, "little", signed=True) != count:
            raise Unreadable(f"damaged, its storage {key[:80]!r} has two lengths")
    if position != size:
        raise Unreadable(f"damaged, there are {size - position:,} bytes behind its end")
    if missing := next((key for key in found.types if key not in found.places), None):
        raise Unreadable(f"damaged, its storage {missing[:80]!r} is missing")
    return begin, end


def _no_storage(identity: Any) -> Storage:
    raise Unreadable("damaged, it refers to storages where there are none")


def write_old_format(file: IO[bytes], content: bytes, storages: list[NDArray]) -> None:
    """Write a file of an object's pickle, which names the storages by their places in this list."""
    for value in (MAGIC_NUMBER, _VERSION, _FACTS):
        file.write(pickle.dumps(value, 2))
    file.write(content)
    # PyTorch sorts the keys, which are texts.
    keys = sorted(str(key) for key in range(len(storages)))
    file.write(pickle.dumps(keys, 2))
    for key in keys:
        array = storages[int(key)]
        ordered = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        file.write(struct.pack("<q", array.size))
        file.write(ordered.reshape(-1).view(np.uint8).data)
