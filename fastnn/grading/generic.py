"""Mistakes that any operation can suffer: of the result, of a factor, and of an argument that is not used rightly."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.grading.operation import Inputs

__all__ = ["changed_inputs", "changed_results", "named_factor"]

# (words, from the inputs to changed ones)
InputMistake = tuple[str, Callable[[Inputs], Inputs]]


# ---- factors ---------------------------------------------------------------------------------------------------------
def named_factor(factors: Sequence[float], quantities: Sequence[Mapping[str, float]], what: str) -> str | None:
    """What a factor is that has these values in cases with these quantities; None if it has no name.

    Args:
        factors: how many times too large the result is in each case.
        quantities: of each case, by name.
        what: the subject of the sentence, such as "the result".
    """
    if not factors:
        return None

    def fits(values: Sequence[float]) -> bool:
        return all(math.isclose(f, v, rel_tol=2e-5, abs_tol=1e-9) for f, v in zip(factors, values, strict=True))

    if fits([0.0] * len(factors)):
        return f"{what} is missing"
    names = [name for name in quantities[0] if all(name in case for case in quantities)]
    for sign, prefix in ((1.0, ""), (-1.0, "the sign is flipped, and ")):
        if sign < 0 and fits([-1.0] * len(factors)):
            return f"{what} has the wrong sign (the sign is flipped)"
        for value, words in _CONSTANTS:
            if fits([sign * value] * len(factors)):
                return f"{prefix}{what} is {words}"
        for name in names:
            numbers = [float(case[name]) for case in quantities]
            if all(number == numbers[0] for number in numbers) and len(numbers) > 2:
                pass  # the same number everywhere still is a name
            for formula, words in _OF_ONE:
                try:
                    values = [sign * formula(number) for number in numbers]
                except (ZeroDivisionError, ValueError, OverflowError):
                    continue
                if any(value != sign for value in values) and fits(values):
                    return f"{prefix}{what} is {words.format(q=name)}"
    for a, b in itertools.permutations(names, 2):
        pairs = [(float(case[a]), float(case[b])) for case in quantities]
        if a < b and fits([p * q for p, q in pairs]):
            return f"{what} is {a} times {b} too large: not divided by them"
        if a < b and all(p * q for p, q in pairs) and fits([1 / (p * q) for p, q in pairs]):
            return f"{what} is {a} times {b} too small: divided by them once too often"
        if all(q for _, q in pairs) and fits([p / q for p, q in pairs]):
            return f"{what} is divided by {b} instead of {a}"
    return None


_CONSTANTS: tuple[tuple[float, str], ...] = (
    (2.0, "2 times too large (a factor 1/2 is missing, or there is a factor 2 too many)"),
    (0.5, "2 times too small (a factor 2 is missing, or there is a factor 1/2 too many)"),
    (4.0, "4 times too large"),
    (0.25, "4 times too small"),
    (3.0, "3 times too large"),
    (1 / 3, "3 times too small"),
    (1.5, "1.5 times too large"),
    (100.0, "100 times too large"),
    (10.0, "10 times too large"),
    (0.1, "10 times too small"),
)
_OF_ONE: tuple[tuple[Callable[[float], float], str], ...] = (
    (lambda q: q, "not divided by {q}: it is {q} times too large (a sum where a mean is right?)"),
    (lambda q: 1 / q, "divided by {q} once too often (a mean where a sum is right, or divided twice?)"),
    (lambda q: 1 / (q * q), "divided by the square of {q}"),
    (lambda q: q * q, "too large by the square of {q}"),
    (math.sqrt, "too large by the root of {q}"),
    (lambda q: 1 / math.sqrt(q), "divided by the root of {q}"),
    (lambda q: 1 - q, "multiplied by (1 - {q}) once too often"),
    (lambda q: 1 / (1 - q), "divided by (1 - {q}) once too often, or not multiplied by it"),
    (lambda q: q / (1 - q), "multiplied by {q} where 1 - {q} is right"),
    (lambda q: (1 - q) / q, "multiplied by 1 - {q} where {q} is right"),
    (lambda q: q / (q - 1), "divided by {q} - 1 instead of {q}"),
    (lambda q: (q - 1) / q, "divided by {q} instead of {q} - 1"),
    (lambda q: q / (q + 1), "divided by {q} + 1 instead of {q}"),
    (lambda q: q / 2, "half of {q} times too large"),
    (lambda q: 2 / q, "divided by half of {q} once too often"),
)


# ---- results ---------------------------------------------------------------------------------------------------------
def changed_results(value: NDArray, inputs: Inputs) -> Iterator[tuple[str, NDArray]]:
    """(words, wrong result) for changes of a right result."""
    value = np.asarray(value)
    if value.ndim >= 2:
        for a, b in itertools.combinations(range(value.ndim), 2):
            where = "" if value.ndim == 2 else f": axes {a} and {b} are exchanged"
            yield f"the result is transposed{where}", value.swapaxes(a, b)
        if value.ndim == 4:
            yield "rotated by 180 degrees: the filter is flipped", value[..., ::-1, ::-1]
    for n in range(1, value.ndim + 1):
        for axes in itertools.combinations(range(value.ndim), n):
            yield f"the result is reversed along axis {' and '.join(map(str, axes))}", np.flip(value, axes)
    for axis in range(value.ndim):
        for shift in (1, -1):
            moved = np.roll(value, shift, axis)
            edge = [slice(None)] * value.ndim
            edge[axis] = slice(0, 1) if shift > 0 else slice(-1, None)
            yield f"the result is shifted by one along axis {axis}", moved
            moved = moved.copy()
            moved[tuple(edge)] = 0
            yield f"the result is shifted by one along axis {axis}", moved
    yield "it is all zeros: nothing is computed, or the result is never filled in", np.zeros_like(value)
    yield "it is all ones", np.ones_like(value)
    yield "the absolute value is taken", np.abs(value)
    yield "negative numbers are cut off", np.maximum(value, 0)
    yield "it is rounded to integers (is it written into an array of integers?)", np.trunc(value)
    yield "it is rounded to integers", np.round(value)
    yield "it is rounded down to integers", np.floor(value)
    yield "it is squared", np.square(value)
    yield "it is the reciprocal of the right one", 1 / value
    yield "it is the root of the right one", np.sqrt(value)
    yield "it is the exponential of the right one", np.exp(value)
    yield "it is the logarithm of the right one", np.log(value)
    if value.ndim >= 1 and value.size > 1:
        yield "it is summed over all entries", np.asarray(value.sum())
        yield "it is averaged over all entries", np.asarray(value.mean())
        for axis in range(value.ndim):
            yield f"it is summed over axis {axis}, which must stay", value.sum(axis)
            yield f"it is averaged over axis {axis}, which must stay", value.mean(axis)
            yield f"it is summed over axis {axis}, which must stay", value.sum(axis, keepdims=True)
    if value.ndim == 2:
        yield "the result is flattened", value.reshape(-1)
    elif value.ndim == 1:
        yield "the result has an axis too many (keepdims=True?)", value[None]
        yield "the result has an axis too many", value[:, None]
    elif value.ndim == 4:
        yield "the axes are in another order: channels last", value.transpose(0, 2, 3, 1)
        yield "the result is flattened", value.reshape(len(value), -1)
    for name, array in inputs.items():
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and not name.startswith("_"):
            array = array.astype(np.float64)
            if array.shape == value.shape:
                yield f"{name} is returned as it came", array
                yield (
                    f"{name} is added to the right result (added to the old value instead of replacing it?)",
                    value + array,
                )
                yield f"{name} is subtracted from the right result", value - array
                yield f"the right result is multiplied by {name} once too often", value * array
                yield (
                    f"the right result is not multiplied by {name}",
                    np.divide(value, array, where=array != 0, out=np.zeros_like(value)),
                )


# ---- arguments -------------------------------------------------------------------------------------------------------
def changed_inputs(inputs: Inputs, batched: Sequence[str]) -> list[InputMistake]:
    """Ways in which an argument may be used wrongly: ignored, negative, transposed, only partly used, exchanged."""
    found: list[InputMistake] = []
    arrays = [
        name
        for name, value in inputs.items()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not name.startswith("_")
    ]
    for name in arrays:
        found += [(words.format(name=name), _replaced(name, change)) for words, change in _OF_ARRAY]
    for name in batched:
        found += [
            (f"only the first sample is used: {name} of the others is ignored", _replaced(name, _only(0))),
            (
                f"only the last sample is used: {name} of the others is ignored (assigned instead of added)",
                _replaced(name, _only(-1)),
            ),
            (f"the first sample is left out: {name}[0] is ignored", _replaced(name, _without(0))),
            (f"the last sample is left out: {name}[-1] is ignored", _replaced(name, _without(-1))),
        ]
    for a, b in itertools.combinations(arrays, 2):
        if inputs[a].shape == inputs[b].shape or {a, b} <= {"weight", "bias"}:
            found.append((f"{a} and {b} are exchanged", _exchanged(a, b)))
            found.append((f"{a} is used in the place of {b}", _replaced_by(b, a)))
            found.append((f"{b} is used in the place of {a}", _replaced_by(a, b)))
    scalars = [n for n, value in inputs.items() if isinstance(value, float) and not isinstance(value, bool)]
    for name in scalars:
        found += [(words.format(name=name), _replaced(name, change)) for words, change in _OF_NUMBER]
        for fixed in _FIXED:
            if fixed != inputs[name]:
                found.append(
                    (f"{name} is not used: {fixed:g} is taken, whatever it is", _replaced(name, _constant(fixed)))
                )
    for a, b in itertools.combinations(scalars, 2):
        found.append((f"{a} and {b} are exchanged", _exchanged(a, b)))
    for name, value in inputs.items():
        if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int) for v in value):
            found += [(words.format(name=name), _replaced(name, change)) for words, change in _OF_PAIR]
    return found


_OF_ARRAY: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("{name} is ignored (taken as ones)", np.ones_like),
    ("{name} is not used (taken as zeros)", np.zeros_like),
    ("{name} has the wrong sign", np.negative),
    ("the absolute value of {name} is taken", np.abs),
    ("{name} is squared", np.square),
    ("{name} is transposed", lambda a: np.swapaxes(a, 0, 1)),
    ("{name} is transposed: its last two axes are exchanged", lambda a: np.swapaxes(a, -2, -1)),
    (
        "{name} is flipped in both directions: a convolution in the place of a cross-correlation",
        lambda a: a[..., ::-1, ::-1],
    ),
    ("{name} is flipped along its last axis", lambda a: a[..., ::-1]),
    ("{name} is flipped along its rows", lambda a: a[..., ::-1, :]),
    ("{name} is averaged over the samples first", lambda a: np.broadcast_to(a.mean(0), a.shape)),
    ("only the first entry of {name} is used", lambda a: np.broadcast_to(a[:1], a.shape)),
    ("{name} is divided by the batch size first", lambda a: a / len(a)),
    ("the sign of {name} is taken", np.sign),
    ("negative entries of {name} are ignored", lambda a: np.maximum(a, 0)),
    ("{name} is rounded to integers", np.trunc),
)
_OF_NUMBER: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("{name} is not used (taken as 0)", lambda v: 0.0),
    ("{name} is not used (taken as 1)", lambda v: 1.0),
    ("1 - {name} is used in the place of {name}", lambda v: 1 - v),
    ("{name} has the wrong sign", lambda v: -v),
    ("{name} is squared", lambda v: v * v),
    ("{name} is doubled", lambda v: 2 * v),
    ("{name} is halved", lambda v: v / 2),
    ("the root of {name} is used", math.sqrt),
)
_OF_PAIR: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("{name} is ignored (taken as 1)", lambda v: (1, 1)),
    ("{name} is ignored (taken as 0)", lambda v: (0, 0)),
    ("the two numbers of {name} are exchanged", lambda v: v[::-1]),
    ("the vertical {name} is used for both directions", lambda v: (v[0], v[0])),
    ("the horizontal {name} is used for both directions", lambda v: (v[1], v[1])),
)


_FIXED = (1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def _constant(value: float) -> Callable[[Any], Any]:
    return lambda ignored: value


def _replaced(name: str, change: Callable[[Any], Any]) -> Callable[[Inputs], Inputs]:
    return lambda inputs: {**inputs, name: change(inputs[name])}


def _replaced_by(name: str, other: str) -> Callable[[Inputs], Inputs]:
    return lambda inputs: {**inputs, name: inputs[other]}


def _exchanged(a: str, b: str) -> Callable[[Inputs], Inputs]:
    return lambda inputs: {**inputs, a: inputs[b], b: inputs[a]}


def _only(row: int) -> Callable[[Any], Any]:
    def change(array: NDArray) -> NDArray:
        result = np.zeros_like(array)
        result[row] = array[row]
        return result

    return change


def _without(row: int) -> Callable[[Any], Any]:
    def change(array: NDArray) -> NDArray:
        result = np.array(array)
        result[row] = 0
        return result

    return change
