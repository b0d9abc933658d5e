"""One call of a student's function: what it was given, what came back, and what is wrong with that beside numbers."""

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn.grading.operation import ANY, Case, Form, Misfit, Results
from fastnn.grading.signatures import Binding

__all__ = ["Fatal", "Outcome", "as_array", "call", "covers", "first_of", "quiet", "same", "values_of_roles"]


# Far above the numbers in any result of a case.
_MOST_NUMBERS = 1 << 18


class Fatal(Exception):
    """Nothing more can be run: the student's process died or ran out of time."""


@dataclass
class Outcome:
    """What a call came to.

    Attributes:
        results: name -> array in the terms of the operation, as far as there are any.
        problem: what is wrong beside the numbers: an exception, no result, a wrong kind of result; or ''.
        raised: whether there was an exception.
        changed: the parameters that were written into and may not be.
        cache: what came with the result of `forward`.
        arguments: what was passed, as text.
        forward: the results of the forward pass whose cache was passed.
    """

    results: Results = field(default_factory=dict)
    problem: str = ""
    raised: bool = False
    changed: tuple[str, ...] = ()
    cache: Any = None
    has_cache: bool = False
    arguments: str = ""
    forward: Results = field(default_factory=dict)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Warnings of NumPy say nothing about who is right."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def values_of_roles(form: Form, case: Case) -> dict[str, Any]:
    """Fresh values for all parameters that a function of this form may have."""
    values = {**case.inputs, **form.arguments(case.inputs)}
    for name in form.transposed & values.keys():
        values[name] = np.ascontiguousarray(np.asarray(values[name]).T)
    return {role: copy.deepcopy(value) if not callable(value) else value for role, value in values.items()}


def covers(binding: Binding, case: Case) -> bool:
    """Whether the function takes everything that the case varies."""
    if not binding.form.suits(case):
        return False
    values = values_of_roles(binding.form, case)
    for role, default in binding.form.optional.items():
        if role in binding.roles or role not in values or default is ANY:
            continue
        if not same(values[role], default):
            return False
    return True


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal arrays, or equal numbers, or the same object."""
    try:
        return bool(np.array_equal(a, b))
    except Exception:  # objects that cannot be compared
        return a is b


def call(function: Callable[..., Any], binding: Binding, case: Case, cache: Any = None) -> Outcome:
    """Call the function with the inputs of a case.

    Raises:
        Fatal: the exception of the student's process has `fatal = True`.
    """
    values = values_of_roles(binding.form, case)
    if binding.form.takes_cache:
        values["cache"] = cache
    for role, default in binding.form.optional.items():
        values.setdefault(role, default)
    before = {role: copy.deepcopy(values[role]) for role in binding.roles if role not in ("cache", "f")}
    outcome = Outcome(arguments=", ".join(f"{role}={_shown(before.get(role, '...'))}" for role in binding.order))
    try:
        with quiet():
            raw = binding.call(function, values)
    except (Exception, SystemExit) as error:
        if getattr(error, "fatal", False):
            raise Fatal(str(error)) from error
        outcome.problem, outcome.raised = _told(error), True
        return outcome
    outcome.changed = tuple(
        role
        for role, value in before.items()
        if role not in binding.form.may_change and not _unchanged(values[role], value)
    )
    try:
        outcome.results = _read(raw, binding.form, values, outcome)
    except Misfit as misfit:
        outcome.problem = outcome.problem or str(misfit)
    for name in binding.form.transposed & outcome.results.keys():
        outcome.results[name] = outcome.results[name].T
    return outcome


def _told(error: BaseException) -> str:
    name = str(getattr(error, "type_name", type(error).__name__))  # of an exception in another process
    try:
        words = str(error)
    except Exception:  # of somebody else's __str__
        words = ""
    if name == "NotImplementedError" or isinstance(error, NotImplementedError):
        return "not written yet: it raises NotImplementedError"
    if isinstance(error, SystemExit):
        return "it ends the program (SystemExit) instead of returning"
    line = " ".join(words.split())
    return f"it raises {name}: {line[:300]}" if line else f"it raises {name}"


def _unchanged(now: Any, before: Any) -> bool:
    if isinstance(before, np.ndarray):
        return (
            isinstance(now, np.ndarray)
            and now.shape == before.shape
            and np.array_equal(now, before, equal_nan=now.dtype.kind == "f")
        )
    if isinstance(before, dict):
        return all(key in now and _unchanged(now[key], value) for key, value in before.items())
    return True


def _read(raw: Any, form: Form, values: dict[str, Any], outcome: Outcome) -> Results:
    if form.read is not None:
        try:
            items = form.read(raw, values)
        except Misfit:
            raise
        except Exception as error:  # it is not known what it is
            raise Misfit(f"it returns {_shown(raw)}, which is not what is expected ({type(error).__name__})") from None
        if "cache" in items:
            outcome.cache, outcome.has_cache = items.pop("cache"), True
    elif len(form.results) == 1:
        name = form.results[0]
        raw, more = first_of(raw)
        outcome.cache, outcome.has_cache = more.get("cache"), bool(more)
        if isinstance(raw, dict) and name in raw:
            raw = raw[name]
        items = {name: raw}
    else:
        items = _several(raw, form, outcome)
    return {name: as_array(name, value) for name, value in items.items()}


def first_of(raw: Any) -> tuple[Any, dict[str, Any]]:
    """(the result, {"cache": what came with it}) of a function that returns either one result or a pair."""
    if isinstance(raw, tuple | list) and raw and not _is_numbers(raw):
        return raw[0], {"cache": raw[1] if len(raw) == 2 else raw[1:]} if len(raw) > 1 else {}
    return raw, {}


def _is_numbers(raw: Any) -> bool:
    """Whether a list or tuple is an array in disguise."""
    return isinstance(raw, list) and all(isinstance(item, int | float | list) for item in raw)


_RESULT_ALIASES = {
    "dweight": ("dweight", "dw", "dW", "dgamma", "grad_weight", "weight"),
    "dbias": ("dbias", "db", "dbeta", "grad_bias", "bias"),
    "dx": ("dx", "grad_x", "grad_input", "dX", "x"),
}


def _several(raw: Any, form: Form, outcome: Outcome) -> dict[str, Any]:
    names = form.results
    if isinstance(raw, dict):
        items = {n: raw[key] for n in names for key in _RESULT_ALIASES.get(n, (n,)) if key in raw}
        if len(items) < len(names):
            outcome.problem = (
                f"the dict that it returns has the keys {', '.join(map(str, raw))}; needed are {', '.join(names)}"
            )
        return items
    if raw is None:
        raise Misfit(f"it returns None: is a `return` missing? Expected are {len(names)} results: {', '.join(names)}")
    if not isinstance(raw, tuple | list):
        raise Misfit(f"it returns one result, {_shown(raw)}, instead of {len(names)}: ({', '.join(names)})")
    if len(raw) != len(names):
        outcome.problem = (
            f"wrong number of results: it returns {len(raw)} results instead of {len(names)}: ({', '.join(names)})"
        )
        return dict(zip(names, raw, strict=False)) if len(raw) < len(names) else {}
    return dict(zip(names, raw, strict=True))


def as_array(name: str, value: Any) -> NDArray:
    """A result as an array of numbers.

    Raises:
        Misfit: it is none.
    """
    if value is None:
        raise Misfit(f"it returns None{'' if name == 'y' else f' for {name}'}: is a `return` missing?")
    if not isinstance(value, np.ndarray) and (reason := _unfit(value)):
        raise Misfit(f"{name} is no array of numbers: it holds {reason}")
    try:
        # A copy: a function may return the same array in every call, or an argument that it changes later.
        array = np.array(value)
    except Exception as error:  # lists of different lengths; objects with an __array__ of their own
        raise Misfit(f"{name} is no array: {error}") from None
    if array.size > _MOST_NUMBERS:
        raise Misfit(f"{name} is too large: it has the shape {array.shape}")
    if array.dtype.kind == "c":
        raise Misfit(f"{name} holds complex numbers (dtype {array.dtype}); real ones are needed")
    if getattr(value, "type_name", "") == "ndarray":  # it could not be sent
        raise Misfit(
            f"{name} is no array of numbers of up to 64 bits: its dtype is another, such as object; use floats"
        )
    if array.dtype.kind not in "fiub":
        raise Misfit(f"{name} is no array of numbers but {_shown(value)}")
    return array


def _unfit(value: Any) -> str:
    """What makes a list no array before it takes memory: a text, or too many numbers; '' if nothing does."""
    left, found = _MOST_NUMBERS, [value]
    while found:
        item = found.pop()
        if isinstance(item, str | bytes):
            return "a text"
        if isinstance(item, list | tuple):
            found += item
        left -= max(getattr(item, "size", 1), 1) if isinstance(item, np.ndarray | np.generic) else 1
        if left < 0:
            return f"more than {_MOST_NUMBERS:,} numbers"
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array{value.shape}" if value.ndim else f"{value}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(item)}" for key, item in value.items()) + "}"
    return _check.shown(value)
