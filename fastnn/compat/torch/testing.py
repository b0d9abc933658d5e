"""torch.testing: whether tensors are close, and tensors to test with."""

import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._creation import _made
from fastnn.compat.torch._device import check_device as _check_device
from fastnn.compat.torch._dtype import dtype as _dtype
from fastnn.compat.torch._dtype import numpy_dtype
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._random import source
from fastnn.compat.torch._size import sizes_of
from fastnn.compat.torch._tensor import Tensor

__all__ = ["assert_close", "make_tensor"]

_TOLERANCES = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise an AssertionError unless |actual - expected| <= atol + rtol * |expected| everywhere.

    Tensors, arrays, numbers, and sequences and mappings of these are compared. Without tolerances those of the dtype
    are taken: rtol 1.3e-6 and atol 1e-5 in float32, 1e-7 in float64, 0 for integers.

    Raises:
        AssertionError: they differ, in numbers, shapes, dtypes or structure.
        TypeError: they are not of comparable types.
        ValueError: only one of rtol and atol is given.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"rtol and atol must both be specified or both be unspecified, but got {rtol=} and {atol=}")
    given = None if rtol is None or atol is None else (rtol, atol)
    text = _difference(actual, expected, "", given, equal_nan, allow_subclasses, check_dtype, check_stride)
    if text is not None:
        raise AssertionError(text if msg is None else msg(text) if callable(msg) else msg)


def _difference(
    actual: Any,
    expected: Any,
    path: str,
    given: tuple[float, float] | None,
    equal_nan: bool,
    allow_subclasses: bool,
    check_dtype: bool,
    check_stride: bool,
) -> str | None:
    """What differs, in words; None if nothing does."""
    rest = (given, equal_nan, allow_subclasses, check_dtype, check_stride)
    where = f"\n\nThe failure occurred for item {path}" if path else ""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if actual.keys() != expected.keys():
            return (
                f"The keys of the mappings do not match: {sorted(actual, key=str)}, {sorted(expected, key=str)}{where}"
            )
        parts: Any = ((key, actual[key], expected[key]) for key in actual)
    elif _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}{where}"
        parts = zip(range(len(actual)), actual, expected, strict=True)
    else:
        return _numbers(actual, expected, where, *rest)
    for key, a, b in parts:
        text = _difference(a, b, f"{path}[{key!r}]", *rest)
        if text is not None:
            return text
    return None


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _numbers(
    actual: Any,
    expected: Any,
    where: str,
    given: tuple[float, float] | None,
    equal_nan: bool,
    allow_subclasses: bool,
    check_dtype: bool,
    check_stride: bool,
) -> str | None:
    if not _are_related(actual, expected, allow_subclasses):
        raise TypeError(
            f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.{where}"
        )
    a, b = _array(actual), _array(expected)
    if a.shape != b.shape:
        return f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}.{where}"
    if check_dtype and a.dtype != b.dtype:
        return f"The values for attribute 'dtype' do not match: torch.{a.dtype} != torch.{b.dtype}.{where}"
    if check_stride and a.strides != b.strides:
        return f"The values for attribute 'stride()' do not match: {a.strides} != {b.strides}.{where}"
    tolerances = [_TOLERANCES.get(x.dtype.name, (0.0, 0.0)) for x in (a, b)]
    rtol, atol = given if given is not None else np.max(tolerances, 0)
    if isinstance(actual, numbers.Number) and given is None and a.dtype.kind == "f":
        rtol, atol = _TOLERANCES["float64"]
    a, b = (x.astype(np.float64) if x.dtype.kind in "fb" else x for x in (a, b))
    is_close = np.isclose(a, b, rtol, atol, equal_nan) if rtol or atol else (a == b)
    if equal_nan and not (rtol or atol) and a.dtype.kind == "f":
        is_close = is_close | (np.isnan(a) & np.isnan(b))
    if np.all(is_close):
        return None
    with np.errstate(all="ignore"):
        distances = np.where(is_close, 0, np.abs(a.astype(np.float64) - b.astype(np.float64)))
        relative = distances / np.abs(b)
    bound = f"{'Tensor-likes' if a.ndim else 'Scalars'} are not {'close' if rtol or atol else 'equal'}!"
    if not a.ndim:
        return (
            f"{bound}\n\nExpected {b.item()} but got {a.item()}.\nAbsolute difference: {distances.item()} (up to "
            f"{atol} allowed)\nRelative difference: {relative.item()} (up to {rtol} allowed){where}"
        )
    wrong = int(a.size - np.count_nonzero(is_close))
    lines = [bound, "", f"Mismatched elements: {wrong} / {a.size} ({100 * wrong / a.size:.1f}%)"]
    for name, found, limit in (("absolute", distances, atol), ("relative", relative, rtol)):
        place = np.unravel_index(int(np.nanargmax(np.where(is_close, -1, np.nan_to_num(found)))), found.shape)
        at = tuple(int(i) for i in place)
        lines.append(f"Greatest {name} difference: {found[place]} at index {at} (up to {limit} allowed)")
    return "\n".join(lines) + where


def _are_related(a: Any, b: Any, allow_subclasses: bool) -> bool:
    if isinstance(a, numbers.Number) and isinstance(b, numbers.Number):
        return True
    for kind in (NumPyTensor, np.ndarray, np.generic):
        if isinstance(a, kind) and isinstance(b, kind):
            return allow_subclasses or type(a) is type(b)
    return False


def _array(value: Any) -> NDArray:
    return value._data if isinstance(value, NumPyTensor) else np.asarray(value)


def make_tensor(
    *shape: Any,
    dtype: _dtype,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Even numbers of [low, high): by default [-9, 9), bytes of [0, 10), bools."""
    _check_device(device)
    kind = numpy_dtype(dtype)
    sizes = sizes_of(shape)
    if kind.kind == "b":
        low, high = (0 if low is None else low), (2 if high is None else high)
    low = (0 if kind.kind == "u" else -9) if low is None else low
    high = (10 if kind.kind != "f" else 9) if high is None else high
    if low >= high:
        raise ValueError(f"make_tensor: low must be below high. Received: low={low}, high={high}")
    draw = source(None)
    drawn = draw.uniform(low, high, sizes) if kind.kind == "f" else draw.integers(int(low), int(high), sizes)
    array = np.asarray(drawn, kind)
    if exclude_zero:
        array[array == 0] = np.finfo(kind).tiny if kind.kind == "f" else 1
    if noncontiguous and array.ndim and array.shape[-1] > 1:
        array = np.repeat(array, 2, -1)[..., ::2]
    return _made(array, requires_grad)


__getattr__ = missing(
    __name__,
    {
        "assert_allclose": "use torch.testing.assert_close",
        "FileCheck": "use re.search",
    },
)
