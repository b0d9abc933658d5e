"""The checks of all functions, and the words of their errors: the operation, the reason, the shapes received."""

import math
import numbers as numbers_abc
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def received(**arrays: Any) -> str:
    """The closing words of an error: `Received: x.shape=(2, 3), weight.shape=(4, 5)`."""
    words = [
        f"{name}.shape={value.shape}" if hasattr(value, "shape") else f"{name}={value!r}"
        for name, value in arrays.items()
    ]
    return "Received: " + ", ".join(words)


def fail(operation: str, reason: str, **arrays: Any) -> ValueError:
    """The error to raise when `reason` holds for `arrays`."""
    return ValueError(f"{operation}: {reason}. {received(**arrays)}")


def floats(operation: str, name: str, value: Any, ndim: int | tuple[int, ...] | None = None) -> NDArray:
    """`value` as an array of float32 or float64 in native byte order, not copied unless it must be.

    Raises:
        TypeError: another dtype; the message shows the cast.
        ValueError: the number of dimensions is not `ndim`.
    """
    array = np.asarray(value)
    is_native = array.dtype in FLOATS
    if not is_native and array.dtype.newbyteorder("=") not in FLOATS:
        raise TypeError(
            f"{operation}: {name} has dtype {array.dtype}, float32 or float64 is needed; "
            f"cast it with {name}.astype(numpy.float32)"
        )
    if ndim is not None and array.ndim not in (ndim if isinstance(ndim, tuple) else (ndim,)):
        wanted = " or ".join(map(str, ndim if isinstance(ndim, tuple) else (ndim,)))
        raise fail(operation, f"{name} has {array.ndim} dimensions, {wanted} are needed", **{name: array})
    if is_native:
        return array
    return _layout.copied("in native byte order", array.astype(array.dtype.newbyteorder("=")))


def same_dtype(operation: str, **arrays: NDArray | None) -> None:
    """Raise TypeError unless all arrays that are not None have one dtype."""
    dtypes = {name: array.dtype for name, array in arrays.items() if array is not None}
    if len(set(dtypes.values())) > 1:
        words = ", ".join(f"{name}.dtype={dtype}" for name, dtype in dtypes.items())
        raise TypeError(f"{operation}: dtypes differ; cast the arrays to one of them. Received: {words}")


def same_shape(operation: str, **arrays: NDArray) -> None:
    """Raise ValueError unless all arrays have one shape."""
    if len({array.shape for array in arrays.values()}) > 1:
        raise fail(operation, f"{' and '.join(arrays)} must have the same shape", **arrays)


def values(operation: str, name: str, value: Any, n: int, what: str) -> NDArray | None:
    """`value` as a dense vector of n floats, or None if it is None; `what` says what each belongs to: 'channel'."""
    if value is None:
        return None
    array = floats(operation, name, value)
    if array.shape != (n,):
        raise fail(operation, f"{name} needs one value for each {what}, {n} in all", **{name: array})
    return _layout.contiguous(array)


def numbers(operation: str, name: str, value: Any) -> NDArray[np.float64]:
    """`value`, an array of any real dtype, as a C-contiguous one of float64."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{operation}: {name} must hold numbers. Received: dtype={array.dtype}")
    return np.require(array, np.float64, ("C", "A"))


def epsilon(operation: str, value: Any) -> float:
    """`value` as a finite number that is not negative."""
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{operation}: eps must be finite and not negative. Received: {value!r}")
    return number


def pair(operation: str, name: str, value: int | Sequence[int], minimum: int) -> tuple[int, int]:
    """`value`, an integer or two of them, as (vertical, horizontal).

    Raises:
        TypeError: not integers.
        ValueError: not one or two, or less than `minimum`.
    """
    if type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int and min(value) >= minimum:
        return value  # as layers keep it
    try:
        numbers = (operator.index(value),) * 2  # type: ignore[arg-type]
    except TypeError:
        if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
            raise TypeError(f"{operation}: {name} must be an integer or two of them. Received: {value!r}") from None
        numbers = tuple(operator.index(item) for item in value)  # type: ignore[assignment]
    if len(numbers) != 2 or min(numbers) < minimum:
        raise ValueError(f"{operation}: {name} must be one or two integers >= {minimum}. Received: {value!r}")
    return numbers


def integer(operation: str, name: str, value: Any, minimum: int) -> int:
    """`value` as an int of at least `minimum`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{operation}: {name} must be an integer. Received: {value!r}") from None
    if number < minimum:
        raise ValueError(f"{operation}: {name} must be >= {minimum}. Received: {number}")
    return number


def shown(value: Any) -> str:
    """`value` in an error: its repr, cut to one line of at most 100 characters; an array's shape and dtype."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    try:
        lines = repr(value).splitlines() or [""]
    except Exception:  # whatever a foreign __repr__ raises, the error to tell is another
        return f"an object of type {type(value).__name__}"
    return lines[0] if len(lines) == 1 and len(lines[0]) <= 100 else f"{lines[0][:97]}..."


def real_number(operation: str, name: str, value: Any, minimum: float = 0.0, below: float = math.inf) -> float:
    """`value`, a number or an array of one without dimensions, as a finite float in [minimum, below).

    Raises:
        TypeError: not a real number.
        ValueError: outside the interval, infinite or NaN.
    """
    if type(value) is float and minimum <= value < below and value != -math.inf:
        return value
    number = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if isinstance(number, bool | np.bool_) or not isinstance(number, numbers_abc.Real):
        raise TypeError(f"{operation}: {name} must be a number. Received: {shown(value)}")
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not minimum <= number < below or number == -math.inf:
        reason = f"in [{minimum:g}, {below:g})" if below < math.inf else f">= {minimum:g}"
        if not math.isfinite(minimum) or number == math.inf == below:
            reason = "finite"
        raise ValueError(f"{operation}: {name} must be {reason}. Received: {shown(value)}")
    return number


def several(operation: str, name: str, values: Any, n: int, check: Callable[[str, str, Any], Any]) -> tuple[Any, ...]:
    """`values`, a list of n, each as `check(operation, name, value)` gives it."""
    is_list = isinstance(values, list | tuple) or (isinstance(values, np.ndarray) and values.ndim == 1)
    if not is_list or len(values) != n:
        kind = ValueError if is_list else TypeError
        raise kind(f"{operation}: {name} must be {_WORDS[n]} numbers. Received: {shown(values)}")
    return tuple(check(operation, name, value) for value in values)


_WORDS = {2: "two", 3: "three"}


def boolean(operation: str, name: str, value: Any) -> bool:
    """`value`, True, False, 1 or 0, as a bool."""
    if isinstance(value, bool | np.bool_) or (isinstance(value, int | np.integer) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{operation}: {name} must be True or False. Received: {shown(value)}")


def mapping(operation: str, name: str, value: Any, *keys: str) -> Mapping[str, Any]:
    """`value` if it is a mapping that has these keys.

    Raises:
        TypeError: no mapping.
        KeyError: a key is missing.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{operation}: {name} must be a dict. Received: {type(value).__name__}")
    missing = [key for key in keys if key not in value]
    if missing:
        raise KeyError(f"{operation}: {name} lacks {', '.join(missing)}")
    return value
