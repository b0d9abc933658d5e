"""Reading the pickles of CIFAR's Python version without running what they say.

A pickle is a program: it may call any importable function. Here it may call two, and these are stand-ins that
only keep their arguments; NumPy is not reached, and no other name is. Before that, every instruction is held
against the list of those that Python 2's pickler writes for dictionaries, lists, strings, numbers and arrays,
because some of the others let a few bytes reserve gigabytes.
"""

import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.data._files import DataError

_ALLOWED = """
    PROTO STOP MARK GLOBAL REDUCE BUILD EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWTRUE NEWFALSE INT LONG LONG1 BININT BININT1 BININT2
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET
""".split()  # noqa: SIM905 - forty lines of one string each would hide what is not among them
# A batch stores some 10,000; the unpickler's memo grows to the largest index used.
_MOST_MEMO_ENTRIES = 1 << 20


class _Array:
    """Takes the place of numpy.ndarray and of the function that makes an empty one: keeps the state that is
    set."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def to_bytes_array(self, name: str) -> NDArray[np.uint8]:
        match self.state:
            case (1, (int(rows), int(columns)), _Dtype(is_uint8=True), fortran, bytes(content)):
                if min(rows, columns) < 0 or rows * columns != len(content):
                    raise DataError(f"{name}: an array of {rows} x {columns} has {len(content)} bytes")
                return np.frombuffer(content, np.uint8).reshape(rows, columns, order="F" if fortran else "C")
        raise DataError(f"{name}: 'data' is not a matrix of bytes")


class _Dtype:
    """Takes the place of numpy.dtype."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.is_uint8 = code in ("u1", b"u1")

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like mean nothing for bytes."""


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_batch(content: bytes, name: str) -> tuple[NDArray[np.uint8], list[Any]]:
    """The matrix `data` and the list `labels` of a batch file's content; `name` is for messages.

    Raises:
        DataError: not such a pickle, or one that does more than hold data.
    """
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name not in _ALLOWED:
                raise DataError(f"{name}: refused, a batch has no use for the pickle instruction {opcode.name}")
            if opcode.name.endswith("PUT") and not 0 <= int(argument or 0) < _MOST_MEMO_ENTRIES:
                raise DataError(f"{name}: refused, memo index {argument}")
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except DataError:
        raise
    except pickle.UnpicklingError as error:
        raise DataError(f"{name}: refused, {error}") from error
    except Exception as error:  # a damaged pickle fails in a dozen ways: IndexError, KeyError, struct.error, ...
        raise DataError(f"{name}: not a readable pickle ({type(error).__name__}: {error})") from error
    if not isinstance(batch, dict):
        raise DataError(f"{name}: a dictionary is expected, not {type(batch).__name__}")
    data, labels = (batch.get(key.encode(), batch.get(key)) for key in ("data", "labels"))
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise DataError(f"{name}: 'data' or 'labels' is missing")
    return data.to_bytes_array(name), labels
