"""Types of numbers by PyTorch's names."""

from typing import Any

import numpy as np

from fastnn.compat.notes import note

__all__ = [
    "DTYPES",
    "HALF",
    "dtype",
    "finfo",
    "get_default_dtype",
    "iinfo",
    "numpy_dtype",
    "set_default_dtype",
    "torch_dtype",
]


class dtype:
    """A type of numbers, one object each: `torch.float32`. NumPy takes it for its own.

    Attributes:
        dtype: NumPy's; None if neither NumPy nor fastnn has it.
        itemsize: bytes of a number.
        is_floating_point, is_complex, is_signed: as the names say.
    """

    def __init__(self, name: str, itemsize: int, kind: str) -> None:
        self._name, self.itemsize = name, itemsize
        self.is_floating_point, self.is_complex, self.is_signed = kind == "f", kind == "c", kind in "fic"
        self._numpy = None if name in _MISSING else np.dtype(name)

    @property
    def dtype(self) -> np.dtype:
        return numpy_dtype(self)

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> Any:
        return _named, (self._name,)

    def to_real(self) -> "dtype":
        return self


_MISSING = {
    "bfloat16": "use torch.float32",
    "float8_e4m3fn": "use torch.float32",
    "float8_e5m2": "use torch.float32",
    "complex64": "keep real and imaginary parts in two tensors",
    "complex128": "keep real and imaginary parts in two tensors",
}
DTYPES = {
    name: dtype(name, itemsize, kind)
    for name, itemsize, kind in (
        ("float32", 4, "f"), ("float64", 8, "f"), ("float16", 2, "f"), ("bfloat16", 2, "f"),
        ("float8_e4m3fn", 1, "f"), ("float8_e5m2", 1, "f"), ("complex64", 8, "c"), ("complex128", 16, "c"),
        ("int64", 8, "i"), ("int32", 4, "i"), ("int16", 2, "i"), ("int8", 1, "i"), ("uint8", 1, "u"),
        ("uint16", 2, "u"), ("uint32", 4, "u"), ("uint64", 8, "u"), ("bool", 1, "b"),
    )
}  # fmt: skip
_BY_NUMPY = {kind._numpy: kind for kind in DTYPES.values() if kind._numpy is not None}
_FLOAT32, _BFLOAT16 = np.dtype(np.float32), DTYPES["bfloat16"]
_default = _FLOAT32

# What is said of modules in half precision and of bfloat16.
HALF = (
    "half precision is taken as float32: fastnn computes in float32 and float64, and on a CPU fewer bits are not faster"
)


def _named(name: str) -> dtype:
    return DTYPES[name]


def numpy_dtype(value: Any) -> np.dtype:
    """NumPy's dtype for PyTorch's, or for Python's `float`, `int`, `bool`; float32 for bfloat16.

    Raises:
        TypeError: it is no dtype, or one that fastnn does not compute in.
    """
    if isinstance(value, dtype):
        if value is _BFLOAT16:
            note(HALF)
            return _FLOAT32
        if value._numpy is None:
            raise TypeError(f"fastnn has no {value!r}: {_MISSING[value._name]}")
        return value._numpy
    if value is float:
        return _default
    if value is int:
        return np.dtype(np.int64)
    if value is bool:
        return np.dtype(np.bool_)
    raise TypeError(f"a dtype must be one of torch's, such as torch.float32. Received: {value!r}")


def torch_dtype(value: np.dtype) -> dtype:
    """PyTorch's dtype for NumPy's."""
    found = _BY_NUMPY.get(value)
    if found is None:
        raise TypeError(f"torch has no dtype {value}")
    return found


def default_numpy_dtype() -> np.dtype:
    return _default


def get_default_dtype() -> dtype:
    """What floats become where nothing else is said: float32 at first."""
    return torch_dtype(_default)


def set_default_dtype(d: dtype) -> None:
    """Let floats become `d`, torch.float32 or torch.float64."""
    global _default
    kind = numpy_dtype(d)
    if kind.kind != "f" or kind.itemsize < 4:
        raise TypeError(f"set_default_dtype: torch.float32 or torch.float64 is needed. Received: {d!r}")
    _default = kind


class finfo:
    """Limits of a floating-point type: eps, max, min, tiny, smallest_normal, resolution, bits."""

    def __init__(self, type: dtype | None = None) -> None:
        if type is _BFLOAT16:
            raise TypeError("torch.finfo: bfloat16 is taken as float32 here: ask for torch.finfo(torch.float32)")
        info = np.finfo(_default if type is None else numpy_dtype(type))
        self.bits, self.dtype = info.bits, info.dtype.name
        for name in ("eps", "max", "min", "tiny", "smallest_normal", "resolution"):
            setattr(self, name, float(getattr(info, name)))


class iinfo:
    """Limits of an integer type: max, min, bits."""

    def __init__(self, type: dtype) -> None:
        info = np.iinfo(numpy_dtype(type))
        self.bits, self.max, self.min, self.dtype = info.bits, info.max, info.min, info.dtype.name
