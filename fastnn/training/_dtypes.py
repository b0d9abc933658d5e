"""The number types of safetensors files, and those that NumPy lacks as float32."""

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["ITEM_SIZES", "decode", "name_of"]

_NUMPY = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
}
_NAMES = {dtype: name for name, dtype in _NUMPY.items()}


def _float8(exponent_bits: int, finite: bool) -> NDArray[np.float32]:
    """The values of all 256 codes: sign, exponent, mantissa.

    finite: only the two codes of all ones are NaN, and nothing is infinite (the type "e4m3fn"); otherwise the largest
        exponent is that of infinity and NaN, as in IEEE 754.

    Source: Micikevicius et al., 2022, "FP8 formats for deep learning".
    """
    mantissa_bits = 7 - exponent_bits
    code = np.arange(256)
    exponent, mantissa = code >> mantissa_bits & (1 << exponent_bits) - 1, code & (1 << mantissa_bits) - 1
    bias, largest = (1 << exponent_bits - 1) - 1, (1 << exponent_bits) - 1
    fraction = np.where(exponent > 0, 1.0, 0.0) + mantissa / (1 << mantissa_bits)
    value = np.ldexp(fraction, np.maximum(exponent, 1) - bias)
    if finite:
        value[code & 127 == 127] = np.nan
    else:
        value[exponent == largest] = np.where(mantissa[exponent == largest] > 0, np.nan, np.inf)
    return np.where(code < 128, value, -value).astype(np.float32)


_E4M3, _E5M2 = _float8(4, finite=True), _float8(5, finite=False)
# bfloat16 is the upper half of float32. A bool of NumPy must be 0 or 1, which a byte of a file need not be.
_CONVERTED: dict[str, tuple[np.dtype, Callable[[NDArray], NDArray]]] = {
    "BOOL": (np.dtype("u1"), lambda codes: codes != 0),
    "BF16": (np.dtype("<u2"), lambda codes: (codes.astype(np.uint32) << 16).view(np.float32)),
    "F8_E4M3": (np.dtype("u1"), lambda codes: _E4M3[codes]),
    "F8_E5M2": (np.dtype("u1"), lambda codes: _E5M2[codes]),
}
# Bytes of one number, by the name of its type; other types are not read.
ITEM_SIZES = {name: dtype.itemsize for name, dtype in _NUMPY.items()} | {
    name: dtype.itemsize for name, (dtype, _) in _CONVERTED.items()
}


def name_of(dtype: np.dtype) -> str | None:
    """The name of a type that can be written, whatever its byte order; None if it cannot."""
    return _NAMES.get(dtype.newbyteorder("<") if dtype.itemsize > 1 else dtype)


def decode(content: NDArray[np.uint8], name: str) -> NDArray:
    """The numbers of type `name` in a row of bytes: a view of them where NumPy has that type, otherwise float32."""
    if name in _CONVERTED:
        dtype, convert = _CONVERTED[name]
        return convert(content.view(dtype))
    numbers = content.view(_NUMPY[name])
    return numbers if sys.byteorder == "little" else numbers.astype(numbers.dtype.newbyteorder("="))
