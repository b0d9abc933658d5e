"""The checks of all functions, and the words of their errors: the operation, the reason, the shapes received."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import _layout
from fastnn._watching import copied

# Of strides, paddings, sizes: the product of two fits into 64 bits with room for sums, here and in C.
MOST_SETTING = 2**31 - 1
# Elements of a result beyond which no machine has memory; their bytes still fit into 64 bits.
MOST_ELEMENTS = 2**48

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def shown(value: Any) -> str:
    """`value` in an error: its repr, in one line and not too long; an array as what it is."""
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # of somebody else's __repr__; the error that is being told matters more
        return f"an object of type {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:97]}..."


def received(**arrays: Any) -> str:
    """The closing words of an error: `Received: x.shape=(2, 3), weight.shape=(4, 5)`."""
    words = [
        f"{name}.shape={value.shape}" if hasattr(value, "shape") else f"{name}={shown(value)}"
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
    array = value if type(value) is np.ndarray else _converted(operation, name, value)
    is_native = array.dtype in FLOATS
    if not is_native and array.dtype.newbyteorder("=") not in FLOATS:
        is_real = array.dtype.kind in "fiub"
        cure = f"cast it with {name}.astype(numpy.float32)" if is_real else "it must hold real numbers"
        raise TypeError(f"{operation}: {name} has dtype {array.dtype}, float32 or float64 is needed; {cure}")
    if ndim is not None and array.ndim not in (ndim if isinstance(ndim, tuple) else (ndim,)):
        wanted = " or ".join(map(str, ndim if isinstance(ndim, tuple) else (ndim,)))
        raise fail(operation, f"{name} has {array.ndim} dimensions, {wanted} are needed", **{name: array})
    if is_native:
        return array
    return copied("in native byte order", array.astype(array.dtype.newbyteorder("=")))


def _converted(operation: str, name: str, value: Any) -> NDArray:
    """What NumPy makes of `value`, of any dtype; it makes nothing of lists of different lengths."""
    try:
        return np.asarray(value)
    except Exception as error:  # NumPy's own, or that of a foreign __array__
        raise ValueError(f"{operation}: {name} cannot be made an array ({error}). Received: {shown(value)}") from error


def array(operation: str, name: str, value: Any) -> NDArray:
    """`value` as an array of any dtype but object.

    Raises:
        ValueError: lists whose parts differ in shape, say.
        TypeError: an array of Python objects.
    """
    result = value if type(value) is np.ndarray else _converted(operation, name, value)
    if result.dtype == object:
        raise TypeError(f"{operation}: {name} must be an array of numbers. Received: {shown(value)}")
    return result


def reals(operation: str, name: str, value: Any) -> NDArray:
    """`value`, numbers of any real dtype, as an array."""
    result = value if type(value) is np.ndarray else _converted(operation, name, value)
    if result.dtype.kind not in "fiu":
        raise TypeError(f"{operation}: {name} must hold numbers. Received: dtype={result.dtype}")
    return result


def float_dtype(operation: str, value: DTypeLike) -> np.dtype[Any]:
    """`value` as the dtype float32 or float64."""
    try:
        dtype = None if value is None else np.dtype(value)
    except (TypeError, ValueError, SyntaxError):  # NumPy parses texts
        dtype = None
    if dtype is None or dtype not in FLOATS:
        raise TypeError(f"{operation}: dtype must be float32 or float64. Received: {shown(value)}")
    return dtype


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


def channels(operation: str, x: Any, ndim: tuple[int, ...], name: str, wanted: int) -> NDArray:
    """The array of `x`, an array or a tensor, if it has as many channels as the setting `name` says."""
    array = floats(operation, "x", getattr(x, "_data", x), ndim)
    if array.shape[1] != wanted:
        raise fail(operation, f"x has {array.shape[1]} channels, {name} is {wanted}", x=array)
    return array


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
    return np.require(reals(operation, name, value), np.float64, ("C", "A"))


def number(
    operation: str,
    name: str,
    value: Any,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    *,
    finite: bool = False,
) -> float:
    """`value` as a float in [minimum, maximum], with `finite` no infinity; never NaN.

    Raises:
        TypeError: not a real number: a text, None, a boolean, a complex number, an array with axes.
        ValueError: outside of the interval.
    """
    if type(value) is float and minimum <= value <= maximum and not (finite and math.isinf(value)):
        return value
    is_real = not isinstance(value, str | bytes | bytearray | bool | np.bool_ | complex | np.complexfloating)
    if isinstance(value, np.ndarray):
        is_real = value.ndim == 0 and value.dtype.kind in "fiu"
    try:
        if not is_real:
            raise TypeError
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{operation}: {name} must be a number. Received: {shown(value)}") from None
    except OverflowError:  # an integer of hundreds of digits
        result = math.nan
    if not minimum <= result <= maximum or (finite and math.isinf(result)):
        bounds = [f">= {minimum:g}"] * (minimum > -math.inf) + [f"<= {maximum:g}"] * (maximum < math.inf)
        words = " and ".join([*bounds, *["finite"] * (finite or not bounds)])
        raise ValueError(f"{operation}: {name} must be {words}. Received: {shown(value)}")
    return result


def epsilon(operation: str, value: Any) -> float:
    """`value` as a finite number that is not negative."""
    if type(value) is float and 0 <= value < math.inf:
        return value
    return number(operation, "eps", value, 0, finite=True)


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
        and minimum <= min(value)
        and max(value) <= MOST_SETTING
    ):
        return value  # as layers keep it
    single, numbers = _index(value), _indices(value)
    if single is not None:
        numbers = single, single
    if numbers is None:
        raise TypeError(f"{operation}: {name} must be an integer or two of them. Received: {shown(value)}")
    if len(numbers) != 2 or min(numbers) < minimum:
        raise ValueError(f"{operation}: {name} must be one or two integers >= {minimum}. Received: {shown(value)}")
    if max(numbers) > MOST_SETTING:
        raise ValueError(f"{operation}: {name} must be <= {MOST_SETTING}. Received: {shown(value)}")
    return numbers[0], numbers[1]


def integers(operation: str, name: str, value: Any, minimum: int) -> tuple[int, ...]:
    """`value`, an integer or several of at least `minimum`, as a tuple that is not empty."""
    if type(value) is tuple and len(value) == 1 and type(value[0]) is int and minimum <= value[0] < 2**63:
        return value  # as a layer keeps it
    single, numbers = _index(value), _indices(value)
    if single is not None:
        numbers = (single,)
    if numbers is None:
        raise TypeError(f"{operation}: {name} must be an integer or several. Received: {shown(value)}")
    if not numbers or min(numbers) < minimum or max(numbers) >= 2**63:
        kind = "positive integers" if minimum == 1 else f"integers >= {minimum}"
        raise ValueError(f"{operation}: {name} must be one or more {kind}. Received: {shown(value)}")
    return numbers


def _index(value: Any) -> int | None:
    """An integer, of Python or NumPy, as an int; None for anything else, which True is, too."""
    try:
        return None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        return None


def _indices(value: Any) -> tuple[int, ...] | None:
    """A sequence of integers as a tuple; None for anything else."""
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.ndim == 1 else None
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
        return None
    numbers = [_index(item) for item in value]
    return None if None in numbers else tuple(number for number in numbers if number is not None)


def integer(operation: str, name: str, value: Any, minimum: int, maximum: int = 2**63 - 1) -> int:
    """`value` as an int in [minimum, maximum]."""
    if type(value) is int and minimum <= value <= maximum:
        return value
    result = _index(value)
    if result is None:
        raise TypeError(f"{operation}: {name} must be an integer. Received: {shown(value)}")
    if result < minimum:
        raise ValueError(f"{operation}: {name} must be >= {minimum}. Received: {shown(value)}")
    if result > maximum:
        raise ValueError(f"{operation}: {name} must be <= {maximum}. Received: {shown(value)}")
    return result


def boolean(operation: str, name: str, value: Any) -> bool:
    """`value`, True, False, 1 or 0, as a bool: a text or an array would mean True by accident."""
    if value is True or value is False:
        return value
    if isinstance(value, np.bool_) or (isinstance(value, int | np.integer) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{operation}: {name} must be True or False. Received: {shown(value)}")


def one_of(operation: str, name: str, value: Any, known: Sequence[str | None]) -> Any:
    """`value` if it is among these words.

    Raises:
        ValueError: it is not; the message lists them.
    """
    # Only a text is compared: an array would give an array of answers.
    if not ((value is None or isinstance(value, str)) and value in known):
        *first, last = map(repr, known)
        words = f"{', '.join(first)} or {last}" if first else last
        raise ValueError(f"{operation}: {name} must be {words}. Received: {shown(value)}")
    return value


def fits_memory(operation: str, name: str, shape: Sequence[int], **settings: Any) -> None:
    """Raise ValueError if no memory could hold an array of this shape, which `settings` made so large."""
    if math.prod(shape) > MOST_ELEMENTS:
        reason = f"no memory holds {name} of shape {tuple(shape)}"
        raise fail(operation, reason, **settings) if settings else ValueError(f"{operation}: {reason}")


def mapping(operation: str, name: str, value: Any, *keys: str) -> Mapping[str, Any]:
    """`value` if it is a mapping that has these keys.

    Raises:
        TypeError: no mapping.
        KeyError: a key is missing.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{operation}: {name} must be a dict. Received: {shown(value)}")
    missing = [key for key in keys if key not in value]
    if missing:
        raise KeyError(f"{operation}: {name} lacks {', '.join(missing)}")
    return value


def several(operation: str, name: str, values: Any, n: int, check: Callable[[str, str, Any], Any]) -> tuple[Any, ...]:
    """`values`, a list of n numbers, each as `check(operation, name, value)` gives it."""
    is_list = isinstance(values, list | tuple) or (isinstance(values, np.ndarray) and values.ndim == 1)
    if not is_list or len(values) != n:
        kind = ValueError if is_list else TypeError
        raise kind(f"{operation}: {name} must be {_WORDS[n]} numbers. Received: {shown(values)}")
    return tuple(check(operation, name, value) for value in values)


_WORDS = {2: "two", 3: "three"}
