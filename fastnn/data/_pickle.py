"""Reading the pickles of CIFAR's Python version without running what they say.

A pickle is a program for a small stack machine that can call any importable function. This is a machine that knows the
instructions of a batch of CIFAR and no others: those that Python 2 wrote for a dictionary of strings, a list of
small numbers and one array. Nothing is imported, nothing is called, and what an instruction can take of time and memory
is in proportion to its own bytes.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.data._files import DataError

# A batch of 10,000 images has some 20,000, and 30,000 if its strings are numbered for later use.
_MOST_INSTRUCTIONS = 200_000
_LONGEST_NAME = 100


class _Array:
    """Takes the place of numpy.ndarray and of the function that makes an empty one: keeps the state that is set."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def to_bytes_array(self) -> NDArray[np.uint8]:
        match self.state:
            case (1, (int(rows), int(columns)), _Dtype(is_uint8=True), fortran, bytes(content)):
                if min(rows, columns) < 0 or rows * columns != len(content):
                    raise DataError(f"an array of {rows} x {columns} has {len(content)} bytes")
                return np.frombuffer(content, np.uint8).reshape(rows, columns, order="F" if fortran else "C")
        raise DataError("'data' is not a matrix of bytes")


class _Dtype:
    """Takes the place of numpy.dtype. Byte order and the like mean nothing for bytes."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.is_uint8 = code in ("u1", b"u1")


_STAND_INS = {
    b"numpy.core.multiarray\n_reconstruct": _Array,
    b"numpy._core.multiarray\n_reconstruct": _Array,
    b"numpy\nndarray": _Array,
    b"numpy\ndtype": _Dtype,
}


class _Machine:
    """Runs a pickle to its end.

    Args:
        content: the pickle.
        most: instructions that it may have.
    Raises:
        DataError: it does something that no batch does.
        IndexError, KeyError, struct.error: it is damaged.
    """

    def __init__(self, content: bytes, most: int) -> None:
        self._content, self._position, self._most = content, 0, most
        self._stack: list[Any] = []
        self._marks: list[int] = []  # lengths of the stack
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(self._most):
            instruction = self._take(1)
            if instruction == b".":
                return self._stack.pop()
            if instruction not in _INSTRUCTIONS:
                raise DataError(f"refused, a batch has no use for the pickle instruction {instruction!r}")
            _INSTRUCTIONS[instruction](self)
        raise DataError(f"refused, a pickle of more than {self._most:,} instructions")

    # ---- the bytes of an instruction ---------------------------------------------------------------------------------
    def _take(self, size: int) -> bytes:
        content = self._content[self._position : self._position + size]
        if size < 0 or len(content) != size:
            raise DataError("truncated within a pickle instruction")
        self._position += size
        return content

    def _number(self, form: str) -> int:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> bytes:
        end = self._content.find(b"\n", self._position, self._position + _LONGEST_NAME)
        return self._take(end + 1 - self._position)[:-1]

    # ---- instructions ------------------------------------------------------------------------------------------------
    def protocol(self) -> None:
        if (number := self._number("<B")) > 2:
            raise DataError(f"refused, a pickle of protocol {number}; CIFAR-10 has 2")

    def push_number(self, form: str) -> None:
        self._stack.append(self._number(form))

    def push_string(self, form: str) -> None:
        self._stack.append(self._take(self._number(form)))

    def push_text(self) -> None:
        # Limited, since characters may take four times the memory of their bytes.
        if (size := self._number("<I")) > _LONGEST_NAME:
            raise DataError("refused, a text of a batch is a short key")
        self._stack.append(self._take(size).decode("utf-8", "replace"))

    def push_global(self) -> None:
        name = self._line() + b"\n" + self._line()
        if name not in _STAND_INS:
            raise DataError(f"refused, it asks for {name.replace(bytes([10]), b'.').decode('ascii', 'replace')!r}")
        self._stack.append(_STAND_INS[name])

    def push_tuple(self, length: int) -> None:
        items = [self._stack.pop() for _ in range(length)]
        self._stack.append(tuple(items[::-1]))

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        if start > len(self._stack):
            raise DataError("damaged, a mark of the pickle is gone")
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise DataError("damaged, it appends to something that is not a list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target, keys = self._stack[-1], items[::2]
        # Only strings: their hashes are randomised, and looking at them does not go into depth.
        if not isinstance(target, dict) or len(items) % 2 or not all(isinstance(key, bytes | str) for key in keys):
            raise DataError("refused, a dictionary of a batch has strings as keys")
        target.update(zip(keys, items[1::2], strict=True))

    def call(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if function not in (_Array, _Dtype) or not isinstance(arguments, tuple):
            raise DataError("refused, it calls something")
        self._stack.append(function(*arguments[:1]))

    def build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, _Array):
            target.state = state
        elif not isinstance(target, _Dtype):
            raise DataError("refused, it sets attributes")

    def remember(self, form: str) -> None:
        self._memo[self._number(form)] = self._stack[-1]

    def recall(self, form: str) -> None:
        self._stack.append(self._memo[self._number(form)])


# Their names are in Python's `pickletools`.
_INSTRUCTIONS: dict[bytes, Any] = {
    b"J": lambda machine: machine.push_number("<i"),
    b"K": lambda machine: machine.push_number("<B"),
    b"M": lambda machine: machine.push_number("<H"),
    b"T": lambda machine: machine.push_string("<i"),
    b"U": lambda machine: machine.push_string("<B"),
    b"X": lambda machine: machine.push_text(),
    b"N": lambda machine: machine._stack.append(None),
    b"\x88": lambda machine: machine._stack.append(True),
    b"\x89": lambda machine: machine._stack.append(False),
    b"]": lambda machine: machine._stack.append([]),
    b"a": lambda machine: machine.append([machine._stack.pop()]),
    b"e": lambda machine: machine.append(machine._since_mark()),
    b")": lambda machine: machine._stack.append(()),
    b"t": lambda machine: machine._stack.append(tuple(machine._since_mark())),
    b"\x85": lambda machine: machine.push_tuple(1),
    b"\x86": lambda machine: machine.push_tuple(2),
    b"\x87": lambda machine: machine.push_tuple(3),
    b"}": lambda machine: machine._stack.append({}),
    b"s": lambda machine: machine.set_items([machine._stack.pop(), machine._stack.pop()][::-1]),
    b"u": lambda machine: machine.set_items(machine._since_mark()),
    b"(": lambda machine: machine.mark(),
    b"q": lambda machine: machine.remember("<B"),
    b"r": lambda machine: machine.remember("<I"),
    b"h": lambda machine: machine.recall("<B"),
    b"j": lambda machine: machine.recall("<I"),
    b"c": lambda machine: machine.push_global(),
    b"R": lambda machine: machine.call(),
    b"b": lambda machine: machine.build(),
    b"\x80": lambda machine: machine.protocol(),
}


def read_batch(
    content: bytes, labels_key: str = "labels", most: int = _MOST_INSTRUCTIONS
) -> tuple[NDArray[np.uint8], list[Any]]:
    """Read the matrix `data` and the list `labels` from the content of a batch file.

    Args:
        content: the content of the file.
        labels_key: the name of the list of labels.
        most: the largest number of instructions that the pickle may have.
    Raises:
        DataError: it is not such a pickle, or one that does more than hold data.
    """
    try:
        batch = _Machine(content, most).run()
    except (IndexError, KeyError, struct.error) as error:
        raise DataError(f"not a readable pickle ({type(error).__name__})") from None
    if not isinstance(batch, dict):
        raise DataError(f"a dictionary is expected, not {type(batch).__name__}")
    data, labels = (batch.get(key.encode(), batch.get(key)) for key in ("data", labels_key))
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise DataError(f"'data' or '{labels_key}' is missing")
    return data.to_bytes_array(), labels
