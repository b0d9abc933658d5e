"""Reading PyTorch's files: which of its formats it is, and what is in it."""

import argparse
import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from fastnn.training._pth.allowed import Context
from fastnn.training._pth.archive import Archive
from fastnn.training._pth.errors import Budget, Unreadable
from fastnn.training._pth.machine import Machine, StandIn
from fastnn.training._pth.makers import Makers
from fastnn.training._pth.old_format import MAGIC_NUMBER, read_old_format
from fastnn.training._pth.tensors import Storage, Storages, StorageType
from fastnn.training._safetensors import CheckpointError

__all__ = ["is_pth", "read_pth"]

# An optimiser's state is nested five deep. Far more would be too deep for Python's own comparisons and texts.
_DEEPEST = 100
# A pickle of floats in a list takes four times its length, small dictionaries take ten times.
_LEAST_MEMORY, _MEMORY_PER_BYTE = 64 << 20, 8
_ZIP = b"PK\3\4"
_LOCAL_HEADER = 30
_TEXT_PICKLE = f"L{MAGIC_NUMBER}L\n".encode()  # of protocols 0 and 1
_WHERE_TAR_SAYS_SO = 257
_SIZE_OF_START = 300


def read_pth(
    file: str | os.PathLike[str] | IO[bytes],
    *,
    make: Makers = Makers(),  # noqa: B008, it is frozen
    widen: bool = False,
) -> Any:
    """The object that `torch.save` wrote, with NumPy arrays in the place of its tensors, without PyTorch.

    Both formats are read, that of PyTorch 1.6 and later and that before. Nothing in the file is executed. The object
    may be made of tensors, numbers, texts, bytes, None, lists, tuples, sets, dictionaries of all kinds, NumPy's arrays
    and numbers, and argparse.Namespace. torch.Size becomes a tuple; torch.device and torch.dtype become texts such as
    "cuda:0" and "torch.float32". Where tensors were kept ("cuda:0") makes no difference. Attributes of tensors and
    hooks are left out.

    bfloat16 and the 8-bit floats become float32, which holds all of their values. Tensors are views of their storages,
    as in PyTorch: two that share memory there share it here. One in which a number stands at several places, such as an
    expanded one, is read-only and takes no memory of its own. So the arrays take as much memory as the file has bytes,
    twice that for bfloat16, four times for 8-bit floats.

    Args:
        file: its name, or a binary file that can be positioned, which is read from its beginning.
        make: what is to take the place of tensors, parameters, torch.Size, torch.dtype and torch.device.
        widen: whether float16 becomes float32 too.
    Raises:
        FileNotFoundError: there is no such file.
        TypeError: `file` is open for texts.
        CheckpointError: it is damaged, no file of torch.save, or holds something else, such as a whole model. It is a
            `fastnn.FileError`, and its message says what is wrong.
    Example:
        >>> import io
        >>> import numpy as np
        >>> from fastnn.training._pth import read_pth, write_pth
        >>> file = io.BytesIO()
        >>> write_pth({"weight": np.eye(2, dtype=np.float32), "epoch": 3}, file)
        >>> read_pth(file)
        {'weight': array([[1., 0.],
               [0., 1.]], dtype=float32), 'epoch': 3}
    """
    if not isinstance(file, str | os.PathLike):
        name = getattr(file, "name", "")
        return _named(file, name if isinstance(name, str) else "", make, widen)
    path = Path(file)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {os.fspath(path)}")
    if not stat.S_ISREG(path.stat().st_mode):
        raise CheckpointError("not a file but a folder, a FIFO, a socket or a device", path)
    with path.open("rb") as opened:
        return _named(opened, os.fspath(path), make, widen)


def _named(file: IO[bytes], name: str, make: Makers, widen: bool) -> Any:
    """What is read, or an error that says the file's name."""
    try:
        file.seek(0, os.SEEK_END)
        size = file.tell()
        file.seek(0)
        start = file.read(_SIZE_OF_START)
        if not isinstance(start, bytes):
            raise TypeError('read_pth: file must be open for reading bytes: open(path, "rb")')
        result = _read(file, size, start, make, widen)
        check_result(result)
    except Unreadable as error:
        raise CheckpointError(str(error), name) from None
    except MemoryError:
        raise MemoryError(f"{name}: there is not enough memory for its tensors") from None
    return result


def is_pth(start: bytes) -> bool:
    """Whether a file with these first bytes is one of torch.save, or was meant to be one.

    A safetensors file begins with the length of its header, whose upper bytes are zero, as those of no pickle are.
    """
    pickled = start[:1] == b"\x80" and any(start[3:8])
    name = start[_LOCAL_HEADER : _LOCAL_HEADER + int.from_bytes(start[26:28], "little")]
    zipped = start.startswith(_ZIP) and b"/" in name  # the arrays of NumPy's .npz lie in no folder
    return pickled or zipped or start.startswith(_TEXT_PICKLE) or _is_tar(start)


def _is_tar(start: bytes) -> bool:
    return start[_WHERE_TAR_SAYS_SO : _WHERE_TAR_SAYS_SO + 5] == b"ustar"


def _read(file: IO[bytes], size: int, start: bytes, make: Makers, widen: bool) -> Any:
    def make_context(storages: Storages | None, storage_of: Callable[[Any], Storage], length: int) -> Context:
        return Context(storages, storage_of, make, Budget(_LEAST_MEMORY + _MEMORY_PER_BYTE * length))

    if start.startswith(_ZIP):
        return _read_archive(file, size, make_context, widen)
    if _is_tar(start):
        raise Unreadable("a tar archive, as PyTorch wrote before 0.1.10. Where PyTorch is installed, write it again: "
                         "torch.save(torch.load(path, weights_only=False), path), if you trust it")  # fmt: skip
    if start[:1] != b"\x80" and not start.startswith(_TEXT_PICKLE):
        raise Unreadable("not a file of torch.save: neither a zip archive nor a pickle begins there")
    return read_old_format(file, size, make_context, widen)


def _read_archive(file: IO[bytes], size: int, make_context: Callable[..., Context], widen: bool) -> Any:
    archive = Archive(file, size)
    pickles = [name for name in archive.names() if name.endswith(b"/data.pkl") and name.count(b"/") == 1]
    if len(pickles) != 1:
        raise Unreadable("a zip archive, but not one of torch.save: it has no data.pkl in one folder")
    folder = pickles[0].removesuffix(b"data.pkl")
    if archive.size(folder + b"constants.pkl") is not None:
        raise Unreadable("a program of TorchScript. Where PyTorch is installed, save its weights alone: "
                         "torch.save(torch.jit.load(path).state_dict(), path)")  # fmt: skip

    def storage_of(identity: Any) -> Storage:
        """("storage", class, key, location, count)."""
        if type(identity) is not tuple or len(identity) != 5 or not isinstance(identity[1], StorageType):
            raise Unreadable("damaged, a storage of it has no type")
        _, kind, key, _, count = identity
        if type(key) is not str or type(count) is not int:
            raise Unreadable("damaged, a storage of it has no key or length")
        found = archive.size(member_of(key))
        if found is None:
            raise Unreadable(f"damaged, its storage {key[:80]!r} is missing")
        if kind.is_read and found != count * kind.itemsize:
            raise Unreadable(f"damaged, its storage {key[:80]!r} has {found:,} bytes and should have another length")
        return Storage(key, kind.dtype, found, 0, found)

    def member_of(key: str) -> bytes:
        name = key.encode("utf-8", "surrogatepass")
        early = folder + b"tensors/" + name  # of PyTorch 1.4, where one had to ask for this format
        return early if archive.size(early) is not None else folder + b"data/" + name

    order = folder + b"byteorder"
    byteorder = "little"
    if (length := archive.size(order)) is not None:
        byteorder = archive.read(order).tobytes().decode("latin-1") if length <= len("little") else ""
        if byteorder not in ("little", "big"):
            raise Unreadable("damaged, its byte order is neither little nor big")
    content = archive.read(pickles[0]).tobytes()
    storages = Storages(lambda key, _: archive.read(member_of(key)), byteorder, widen)
    context = make_context(storages, storage_of, len(content))
    machine = Machine(content, 0, context)
    result = machine.run()
    context.arrays.check_end()
    if machine.position != len(content):
        raise Unreadable("damaged, there is something behind the end of its pickle")
    return result


def check_result(result: Any) -> None:
    """Raise Unreadable if a result holds a stand-in, itself, or more levels than Python's own functions bear."""
    levels: dict[int, int] = {}  # of what has been looked at; 0 as long as its parts are being looked at
    stack, n_open = [result], 0
    while stack:
        value = stack[-1]
        if levels.get(id(value), 0) > 0:
            stack.pop()
            continue
        parts = _parts(value)
        if id(value) not in levels:
            levels[id(value)] = 0
            n_open += 1
            if n_open > _DEEPEST:
                raise Unreadable(f"refused, it is nested more than {_DEEPEST} deep")
            for part in parts:
                if levels.get(id(part)) == 0:
                    raise Unreadable("refused, a container in it holds itself")
            stack.extend(part for part in parts if id(part) not in levels)
            continue
        level = levels[id(value)] = 1 + max((levels[id(part)] for part in parts), default=0)
        if level > _DEEPEST:
            raise Unreadable(f"refused, it is nested more than {_DEEPEST} deep")
        stack.pop()
        n_open -= 1


def _parts(value: Any) -> list[Any]:
    """The containers in a container, and stand-ins, which are an error."""
    if isinstance(value, StandIn):
        raise Unreadable(f"it holds {_called(value)} as a value; only tensors, numbers, texts and containers are read")
    if isinstance(value, dict):
        parts = list(value.values())
        if isinstance(value, OrderedDict):
            parts.extend(vars(value).values())
    elif isinstance(value, list | tuple):
        parts = list(value)
    elif isinstance(value, argparse.Namespace):
        parts = list(vars(value).values())
    else:
        return []
    return [part for part in parts if isinstance(part, dict | list | tuple | argparse.Namespace | StandIn)]


def _called(value: StandIn) -> str:
    name = getattr(value, "name", None)
    return f"the class or function {name}" if name else "a storage, a type or a class"
