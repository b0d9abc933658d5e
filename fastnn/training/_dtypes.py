"""The number types of safetensors files, and those that NumPy lacks as float32."""

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


def _float8(exponent_bits: int, form: str) -> NDArray[np.float32]:
    """The values of all 256 codes: sign, exponent, mantissa.

    form: "ieee", the largest exponent is that of infinity and NaN, as in IEEE 754; "fn", only the two codes of all ones
        are NaN, and nothing is infinite; "fnuz", only the code of minus zero is NaN, and the bias is larger by one.

    Source: Micikevicius et al., 2022, "FP8 formats for deep learning"; Noune et al., 2022, "8-bit numerical formats for
    deep neural networks", for "fnuz".
    """
    mantissa_bits = 7 - exponent_bits
    code = np.arange(256)
    exponent, mantissa = code >> mantissa_bits & (1 << exponent_bits) - 1, code & (1 << mantissa_bits) - 1
    bias, largest = (1 << exponent_bits - 1) - (form != "fnuz"), (1 << exponent_bits) - 1
    fraction = np.where(exponent > 0, 1.0, 0.0) + mantissa / (1 << mantissa_bits)
    value = np.ldexp(fraction, np.maximum(exponent, 1) - bias)
    if form == "ieee":
        value[exponent == largest] = np.where(mantissa[exponent == largest] > 0, np.nan, np.inf)
    elif form == "fn":
        value[code & 127 == 127] = np.nan
    else:
        value[128] = np.nan
    return np.where(code < 128, value, -value).astype(np.float32)


def _exponents() -> NDArray[np.float32]:
    """The powers of two that codes without sign and mantissa stand for.

    Source: Rouhani et al., 2023, "Microscaling data formats for deep learning".
    """
    value = np.ldexp(1.0, np.arange(256) - 127)
    value[255] = np.nan
    return value.astype(np.float32)


def _bfloat16(codes: NDArray) -> NDArray[np.float32]:
    """bfloat16 is the upper half of float32."""
    wide = codes.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def _lookup(table: NDArray[np.float32]) -> Callable[[NDArray], NDArray]:
    return lambda codes: table[codes]


# A bool of NumPy must be 0 or 1, which a byte of a file need not be.
_CONVERTED: dict[str, tuple[np.dtype, Callable[[NDArray], NDArray]]] = {
    "BOOL": (np.dtype("u1"), lambda codes: codes != 0),
    "BF16": (np.dtype("<u2"), _bfloat16),
    "F8_E4M3": (np.dtype("u1"), _lookup(_float8(4, "fn"))),
    "F8_E5M2": (np.dtype("u1"), _lookup(_float8(5, "ieee"))),
    "F8_E4M3FNUZ": (np.dtype("u1"), _lookup(_float8(4, "fnuz"))),
    "F8_E5M2FNUZ": (np.dtype("u1"), _lookup(_float8(5, "fnuz"))),
    "F8_E8M0": (np.dtype("u1"), _lookup(_exponents())),
}
# Bytes of one number, by the name of its type; other types are not read.
ITEM_SIZES = {name: dtype.itemsize for name, dtype in _NUMPY.items()} | {
    name: dtype.itemsize for name, (dtype, _) in _CONVERTED.items()
}


def name_of(dtype: np.dtype) -> str | None:
    """The name of a type that can be written, whatever its byte order; None if it cannot."""
    return _NAMES.get(dtype.newbyteorder("<") if dtype.itemsize > 1 else dtype)


def decode(content: NDArray[np.uint8], name: str, byteorder: str = "little") -> NDArray:
    """The numbers of type `name` in a row of bytes: a view of them where NumPy has that type, otherwise float32."""
    if name in _CONVERTED:
        dtype, convert = _CONVERTED[name]
        return convert(content.view(_ordered(dtype, byteorder)))
    numbers = content.view(_ordered(_NUMPY[name], byteorder))
    return numbers if numbers.dtype.isnative else numbers.astype(numbers.dtype.newbyteorder("="))


def _ordered(dtype: np.dtype, byteorder: str) -> np.dtype:
    return dtype.newbyteorder(">") if byteorder == "big" else dtype
