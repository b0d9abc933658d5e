"""Values as frames of bytes, between the grader and the process of a submission. Nothing here executes what it reads.

A frame is a header (magic, two lengths), a message in JSON, and the bytes of the arrays in it, one after another.
None, booleans, numbers and texts are written as JSON has them; everything else is a list that begins with its kind:

    ["array", dtype, shape, order, writeable]   its bytes are the next ones behind the message
    ["scalar", dtype]                           a number of NumPy; its bytes, too
    ["same", number]                            the array among the arguments of this call with this number
    ["list", items], ["tuple", items], ["dict", pairs], ["complex", real, imaginary], ["dtype", text]
    ["handle", number, type, parameters]        an object that stays where it is
    ["callback", number, name]                  a function that stays where it is
    ["generator", state]                        a np.random.Generator, from the grader only
"""

import json
import math
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

__all__ = ["HEADER", "Decoder", "Encoder", "TransportError", "frame", "lengths"]

HEADER = struct.Struct("<4sIQ")
_MAGIC = b"fnn1"
MOST_MESSAGE = 1 << 22
_MOST_VALUES, _DEEPEST, _MOST_AXES, _MOST_DIGITS = 20_000, 24, 32, 1000
_DTYPE = re.compile(r"(?:[<>|][biu][1248]|[<>]f(?:2|4|8)|[<>]c(?:8|16)|\|b1)")


class TransportError(ValueError):
    """A value that cannot be sent, or bytes that no sender of ours has written."""


def frame(message: dict[str, Any], buffers: list[bytes]) -> bytes:
    """The bytes of a message and of the arrays in it."""
    text = json.dumps(message).encode()
    if len(text) > MOST_MESSAGE:
        raise TransportError(f"a message of {len(text):,} bytes, {MOST_MESSAGE:,} are allowed")
    return b"".join([HEADER.pack(_MAGIC, len(text), sum(map(len, buffers))), text, *buffers])


def lengths(header: bytes, most: int) -> tuple[int, int]:
    """How many bytes of message and of arrays follow this header.

    Raises:
        TransportError: it is no header, or more follows than is allowed.
    """
    magic, message, arrays = HEADER.unpack(header)
    if magic != _MAGIC:
        raise TransportError("bytes that are no message")
    if message > MOST_MESSAGE or arrays > most:
        raise TransportError(f"a message of {message + arrays:,} bytes, {most:,} are allowed")
    return message, arrays


class Encoder:
    """Makes trees of values, and collects the bytes of their arrays in `buffers`.

    Args:
        keep: gives the tree of a value that cannot be sent: a handle or a callback.
        most: bytes of all arrays.
        known: the arrays that the other side has, by id: their numbers.
    """

    def __init__(self, keep: Callable[[Any], list[Any]], most: int, known: dict[int, int] | None = None) -> None:
        self.buffers: list[bytes] = []
        self.arrays: list[np.ndarray] = []
        self._keep, self._left = keep, most
        self._known, self._numbers_new = ({}, True) if known is None else (known, False)
        self._values = 0

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The tree of a value.

        Raises:
            TransportError: it is too large, or nested too deeply.
        """
        self._values += 1
        if self._values > _MOST_VALUES:
            raise TransportError(f"more than {_MOST_VALUES:,} values")
        if depth > _DEEPEST:
            raise TransportError(f"lists nested more than {_DEEPEST} deep")
        kind = type(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            if value.bit_length() > 3 * _MOST_DIGITS:
                raise TransportError(f"an integer of more than {_MOST_DIGITS} digits")
            return value
        if kind is str:
            if len(value) > MOST_MESSAGE // 8:
                raise TransportError(f"a text of {len(value):,} characters")
            return value
        if kind is complex:
            return ["complex", value.real, value.imag]
        if isinstance(value, np.generic) and _DTYPE.fullmatch(value.dtype.str):
            self._take(value.dtype.itemsize)
            self.buffers.append(value.tobytes())
            return ["scalar", value.dtype.str]
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, np.dtype) and _DTYPE.fullmatch(value.str):
            return ["dtype", value.str]
        # What a class of the submission's own says about itself is not asked.
        if isinstance(value, list):
            return ["list", [self.encode(item, depth + 1) for item in list.__iter__(value)]]
        if isinstance(value, tuple):
            return ["tuple", [self.encode(item, depth + 1) for item in tuple.__iter__(value)]]
        if isinstance(value, dict):
            pairs = dict.items(value)
            return ["dict", [[self.encode(key, depth + 1), self.encode(item, depth + 1)] for key, item in pairs]]
        return self._keep(value)

    def _take(self, n_bytes: int) -> None:
        if n_bytes > self._left:
            raise TransportError(f"arrays of more bytes than may be sent; one has {n_bytes:,}")
        self._left -= n_bytes

    def _array(self, value: np.ndarray) -> list[Any]:
        array = np.ndarray.view(value, np.ndarray)  # without the operators of a class of the submission's own
        if not _DTYPE.fullmatch(array.dtype.str) or array.ndim > _MOST_AXES:
            return self._keep(value)
        if id(value) in self._known:
            return ["same", self._known[id(value)]]
        if self._numbers_new:
            self._known[id(value)] = len(self.arrays)
            self.arrays.append(value)
        self._take(array.size * array.itemsize)
        order: Literal["F", "C"] = "F" if array.flags.fnc else "C"
        self.buffers.append(array.tobytes(order))
        return ["array", array.dtype.str, list(array.shape), order, bool(array.flags.writeable)]


class Decoder:
    """Makes values of trees, which anybody may have written.

    Args:
        data: the bytes of the arrays.
        handle, callback: give the value of a tree of this kind, or raise.
        known: the arrays that `same` means; None if it means those of this message, which the grader has sent.
    """

    def __init__(
        self,
        data: bytes,
        handle: Callable[[int, str, list[Any] | None], Any],
        callback: Callable[[int, str], Any],
        known: list[np.ndarray] | None = None,
    ) -> None:
        self.arrays: list[np.ndarray] = []
        self.containers: list[list[Any] | dict[Any, Any]] = []
        self._known = self.arrays if known is None else known
        self._data, self._at = data, 0
        self._handle, self._callback = handle, callback
        self._values = 0

    def decode(self, tree: Any, depth: int = 0) -> Any:
        """The value of a tree.

        Raises:
            TransportError: it is not one.
        """
        self._values += 1
        if self._values > _MOST_VALUES or depth > _DEEPEST:
            raise TransportError("a value that is too large")
        if tree is None or type(tree) in (bool, int, float, str):
            return tree
        if type(tree) is not list or not tree or type(tree[0]) is not str:
            raise TransportError("a value of no kind")
        make = getattr(self, f"_decode_{tree[0]}", None)
        if make is None:
            raise TransportError("a value of an unknown kind")
        return make(depth, *_checked(tree))

    def end(self) -> None:
        """Raise unless all bytes are used."""
        if self._at != len(self._data):
            raise TransportError("bytes behind the last array")

    def _bytes(self, n: int) -> bytes:
        if n > len(self._data) - self._at:
            raise TransportError("an array without its bytes")
        self._at += n
        return self._data[self._at - n : self._at]

    def _decode_array(self, depth: int, name: str, shape: list[int], order: Any, is_writeable: bool) -> np.ndarray:
        dtype = _dtype(name)
        if len(shape) > _MOST_AXES or max(shape, default=0) > 2**48:
            raise TransportError("an array of an impossible shape")
        n_bytes = math.prod(shape) * dtype.itemsize
        flat = np.frombuffer(self._bytes(n_bytes), dtype).copy()
        try:
            result = flat.reshape(shape, order="F" if order == "F" else "C")
        except ValueError:  # no elements, but sides whose product no index holds
            raise TransportError("an array of an impossible shape") from None
        result.flags.writeable = is_writeable
        self.arrays.append(result)
        return result

    def _decode_same(self, depth: int, number: int) -> np.ndarray:
        if not 0 <= number < len(self._known):
            raise TransportError("an array that was not sent")
        return self._known[number]

    def _decode_scalar(self, depth: int, name: str) -> np.generic:
        dtype = _dtype(name)
        return np.frombuffer(self._bytes(dtype.itemsize), dtype)[0]

    def _decode_list(self, depth: int, items: list[Any]) -> list[Any]:
        result: list[Any] = []
        self.containers.append(result)
        result.extend(self.decode(item, depth + 1) for item in items)
        return result

    def _decode_tuple(self, depth: int, items: list[Any]) -> tuple[Any, ...]:
        return tuple([self.decode(item, depth + 1) for item in items])

    def _decode_dict(self, depth: int, pairs: list[Any]) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        self.containers.append(result)
        for pair in pairs:
            if type(pair) is not list or len(pair) != 2:
                raise TransportError("a dict without pairs")
            key = self.decode(pair[0], depth + 1)
            try:
                hash(key)
            except TypeError:
                raise TransportError("a dict with a key that cannot be one") from None
            result[key] = self.decode(pair[1], depth + 1)
        return result

    def _decode_complex(self, depth: int, real: float, imaginary: float) -> complex:
        return complex(real, imaginary)

    def _decode_dtype(self, depth: int, name: str) -> np.dtype[Any]:
        return _dtype(name)

    def _decode_handle(self, depth: int, number: int, name: str, parameters: list[Any] | None) -> Any:
        return self._handle(number, name, parameters)

    def _decode_generator(self, depth: int, text: str) -> np.random.Generator:
        if self._known is not self.arrays:
            raise TransportError("a generator that is not the grader's")
        state = json.loads(text)
        generator = np.random.Generator(getattr(np.random, state["bit_generator"])())
        generator.bit_generator.state = state
        return generator

    def _decode_callback(self, depth: int, number: int, name: str) -> Any:
        return self._callback(number, name)


# What stands behind the kind of a tree.
_CONTENTS: dict[str, tuple[type | tuple[type, ...], ...]] = {
    "array": (str, list, str, bool),
    "scalar": (str,),
    "same": (int,),
    "list": (list,),
    "tuple": (list,),
    "dict": (list,),
    "complex": (float, float),
    "dtype": (str,),
    "handle": (int, str, (list, type(None))),
    "callback": (int, str),
    "generator": (str,),
}


def _checked(tree: list[Any]) -> Iterator[Any]:
    kinds = _CONTENTS[tree[0]]
    if len(tree) != len(kinds) + 1:
        raise TransportError(f"no {tree[0]}")
    for value, kind in zip(tree[1:], kinds, strict=True):
        if type(value) not in (kind if isinstance(kind, tuple) else (kind,)):
            raise TransportError(f"no {tree[0]}")
        yield value
    if tree[0] == "array" and not all(type(side) is int and side >= 0 for side in tree[2]):
        raise TransportError("an array of no shape")


def _dtype(name: str) -> np.dtype[Any]:
    if not _DTYPE.fullmatch(name):
        raise TransportError("an array of an unknown dtype")
    try:
        return np.dtype(name)
    except TypeError:
        raise TransportError("an array of an unknown dtype") from None
