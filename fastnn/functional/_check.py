"""The checks of all functions, and the words of their errors: the operation, the reason, the shapes received."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout

# Of strides, paddings, sizes: the product of two fits into 64 bits with room for sums, here and in C.
MOST_SETTING = 2**31 - 1
# Elements of a result beyond which no machine has memory; their bytes still fit into 64 bits.
MOST_ELEMENTS = 2**48

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


def array_size(operation: str, name: str, shape: Sequence[int], **settings: Any) -> None:
    """Raise ValueError if no memory could hold an array of this shape, which `settings` made so large."""
    if math.prod(shape) > MOST_ELEMENTS:
        raise fail(operation, f"no memory holds {name} of shape {tuple(shape)}", **settings)


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
        ValueError: not one or two, less than `minimum`, or more than MOST_SETTING.
    """
    if (
        type(value) is tuple
        and len(value) == 2
        and type(value[0]) is type(value[1]) is int
        and minimum <= value[0] <= MOST_SETTING
        and minimum <= value[1] <= MOST_SETTING
    ):
        return value  # as layers keep it
    try:
        numbers = (operator.index(value),) * 2  # type: ignore[arg-type]
    except TypeError:
        if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
            raise TypeError(f"{operation}: {name} must be an integer or two of them. Received: {value!r}") from None
        numbers = tuple(operator.index(item) for item in value)  # type: ignore[assignment]
    if len(numbers) != 2 or min(numbers) < minimum:
        raise ValueError(f"{operation}: {name} must be one or two integers >= {minimum}. Received: {value!r}")
    if max(numbers) > MOST_SETTING:
        raise ValueError(f"{operation}: {name} must be at most {MOST_SETTING}. Received: {value!r}")
    return numbers


def integer(operation: str, name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """`value` as an int of at least `minimum`, and of at most `maximum`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{operation}: {name} must be an integer. Received: {value!r}") from None
    if number < minimum:
        raise ValueError(f"{operation}: {name} must be >= {minimum}. Received: {number}")
    if maximum is not None and number > maximum:
        raise ValueError(f"{operation}: {name} must be at most {maximum}. Received: {number}")
    return number
