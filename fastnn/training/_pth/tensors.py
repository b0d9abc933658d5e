"""Storages, which are the bytes of tensors, and the arrays that are views of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.training._dtypes import ITEM_SIZES, decode
from fastnn.training._pth.errors import Unreadable
from fastnn.training._pth.machine import StandIn

__all__ = ["DTYPES", "STORAGES", "WITHOUT_STORAGES", "Storage", "StorageType", "Storages", "strided"]

# PyTorch's names of number types -> those of `_dtypes`.
DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
# Its classes of storages -> names of number types. Those of complex and quantised numbers can be named, not read.
STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}
# Types of whole numbers that PyTorch has no class of storages for.
WITHOUT_STORAGES = ("uint16", "uint32", "uint64")
_MOST_DIMENSIONS, _LARGEST_TENSOR = 32, 1 << 62
# Of one storage; PyTorch itself lets tensors of one storage have one type, or see its bytes.
_MOST_TYPES = 2


@dataclass(frozen=True, slots=True)
class StorageType(StandIn):
    """A class of storages, by the name of its numbers' type."""

    dtype: str

    @property
    def is_read(self) -> bool:
        return self.dtype in DTYPES

    @property
    def itemsize(self) -> int:
        return ITEM_SIZES[DTYPES[self.dtype]] if self.is_read else 1


@dataclass(frozen=True, slots=True)
class Storage(StandIn):
    """`n_bytes` bytes from `start` of the file's storage `key`, which has `whole` bytes."""

    key: str
    dtype: str
    whole: int
    start: int
    n_bytes: int


class Storages:
    """The numbers of storages, each read once.

    Args:
        read: the bytes of a storage, by its key and length.
        byteorder: "little" or "big".
        widen: whether float16 becomes float32, as the smaller types do that NumPy lacks.
    """

    def __init__(self, read: Callable[[str, int], NDArray[np.uint8]], byteorder: str, widen: bool) -> None:
        self._read, self._byteorder, self._widen = read, byteorder, widen
        self._numbers: dict[str, dict[str, NDArray]] = {}

    def numbers(self, storage: Storage, dtype: str) -> NDArray:
        """All numbers of a storage in a row, in the type that they are read as."""
        of_types = self._numbers.setdefault(storage.key, {})
        if dtype not in of_types:
            if len(of_types) >= _MOST_TYPES:
                raise Unreadable(f"refused, its storage {storage.key[:80]!r} is seen as more than {_MOST_TYPES} types")
            content = self._read(storage.key, storage.whole)
            usable = content.size - content.size % ITEM_SIZES[DTYPES[dtype]]
            numbers = decode(content[:usable], DTYPES[dtype], self._byteorder)
            if self._widen and numbers.dtype == np.float16:
                numbers = numbers.astype(np.float32)
            of_types[dtype] = numbers
        itemsize = ITEM_SIZES[DTYPES[dtype]]
        first = storage.start // itemsize
        return of_types[dtype][first : first + storage.n_bytes // itemsize]


def strided(numbers: NDArray, offset: Any, shape: Any, strides: Any, what: str) -> NDArray:
    """The tensor of `shape` whose steps along each axis are `strides` numbers, beginning at `offset`: a view.

    One in which a number stands at several places is read-only: writing to it would change more than is meant.

    Raises:
        Unreadable: it would reach outside of `numbers`.
    """
    wrong = f"damaged, {what} has a shape or strides that no tensor has"
    lists = type(shape) in (tuple, list) and type(strides) in (tuple, list) and len(shape) == len(strides)
    if not lists or len(shape) > _MOST_DIMENSIONS:
        raise Unreadable(wrong)
    if not all(type(number) is int and 0 <= number <= _LARGEST_TENSOR for number in (*shape, *strides, offset)):
        raise Unreadable(wrong)
    # NumPy refuses huge sides even of arrays without elements.
    if math.prod(max(side, 1) for side in shape) * max(numbers.itemsize, 8) > _LARGEST_TENSOR:
        raise Unreadable(wrong)
    if 0 in shape:
        return np.empty(shape, numbers.dtype)
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if last >= numbers.size:
        raise Unreadable(f"damaged, {what} reaches outside of its storage")
    # The step along an axis of one is never taken, and may be of any size.
    steps = [min(stride, numbers.size) * numbers.itemsize for stride in strides]
    array = np.ndarray(tuple(shape), numbers.dtype, numbers, offset * numbers.itemsize, tuple(steps))
    if _overlaps(shape, strides):
        array.flags.writeable = False
    return array


def _overlaps(shape: Any, strides: Any) -> bool:
    """Whether a number may stand at several places."""
    reach = 0
    for stride, side in sorted((stride, side) for side, stride in zip(shape, strides, strict=True) if side > 1):
        if stride <= reach:
            return True
        reach += (side - 1) * stride
    return False
