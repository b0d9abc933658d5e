"""The calls of layers, watched: with what they were made, and what a layer did to arrays that are not its own."""

import contextlib
import copy
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import nn
from fastnn.insight._state import wrapped

__all__ = ["Call", "copied", "faults_of", "misfits_of", "recorded"]


@dataclass
class Call:
    """The last run of a layer within a network.

    Attributes:
        path, module: of the layer.
        arguments: copies of what forward was given.
        dy: a copy of what backward was given.
        faults: what it did that a layer must not do, each once.
        writes_parameters: whether one of them is to write into a parameter.
        misfit: why the layer before may refuse what backward gave, or ''.
    """

    path: str
    module: nn.Module
    arguments: tuple[Any, ...] = ()
    dy: NDArray | None = None
    faults: dict[str, None] = field(default_factory=dict)
    writes_parameters: bool = False
    misfit: str = ""
    given: tuple[Any, ...] = ()  # the very arguments of forward, which backward may write into


@contextlib.contextmanager
def recorded(call: Call) -> Iterator[None]:
    """Within the block, `call` learns of each run of its module."""

    def forward(original: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        call.arguments, call.given = _copies(arguments), arguments
        own = {name: p.data.copy() for name, p in call.module._parameters.items() if p is not None}
        y = original(*arguments, **keywords)
        if _changed(call.arguments, arguments):
            call.faults["forward changes its input in place: work on a copy, x.copy()"] = None
        for name, before in own.items():
            parameter = call.module._parameters.get(name)
            if parameter is not None and not _equal(before, parameter.data):
                call.faults[f"forward changes the parameter {name!r}"] = None
                call.writes_parameters = True
        return y

    def backward(original: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        before, inputs = _copies(arguments), _copies(call.given)
        call.dy = before[0] if before and isinstance(before[0], np.ndarray) else None
        dx = original(*arguments, **keywords)
        if _changed(before, arguments):
            call.faults["backward changes dy in place: others may need it, so work on a copy, dy.copy()"] = None
        if _changed(inputs, call.given):
            call.faults["backward changes x in place: it belongs to the caller, so work on a copy, x.copy()"] = None
        call.misfit = _misfit(call.given, dx)
        return dx

    with wrapped(call.module, forward, backward):
        yield


def _misfit(given: tuple[Any, ...], dx: Any) -> str:
    x = given[0] if given else None
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or isinstance(dx, tuple):
        return ""
    if not isinstance(dx, np.ndarray | np.generic):
        return f"the gradient is of type {type(dx).__name__}, an array is needed"
    if dx.shape != x.shape:
        return f"the gradient has the shape {dx.shape}, {x.shape} is needed"
    if dx.dtype.kind != "f":
        return f"the gradient has the dtype {dx.dtype}, floating point is needed"
    return "" if dx.dtype == x.dtype else f"the gradient has the dtype {dx.dtype}, that of x is {x.dtype}"


def misfits_of(calls: list[Call]) -> tuple[str, ...]:
    """For each layer whose backward gave what the layer before may refuse, a line."""
    return tuple(
        f"layer {call.path!r} ({type(call.module).__name__}) is wrong on its own: input: {call.misfit}"
        for call in calls
        if call.misfit
    )


def faults_of(calls: list[Call]) -> tuple[str, ...]:
    """Those of all layers. What a layer does, those around it seem to do, too: only the innermost is named."""
    lines = []
    for call in calls:
        inner = [other for other in calls if other is not call and _is_within(other.path, call.path)]
        for fault in call.faults:
            if not any(fault in other.faults for other in inner):
                where = f"layer {call.path!r} ({type(call.module).__name__}): " if call.path else ""
                lines.append(f"{where}{fault}")
    return tuple(lines)


def _is_within(path: str, outer: str) -> bool:
    return not outer or path.startswith(f"{outer}.")


def _copies(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(np.array(value) if isinstance(value, np.ndarray | np.generic) else value for value in values)


def _changed(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    return any(isinstance(a, np.ndarray) and not _equal(a, b) for a, b in zip(before, now, strict=True))


def _equal(a: NDArray, b: Any) -> bool:
    """By bytes: NaN is NaN."""
    return a.tobytes() == np.asarray(b).tobytes()


def copied(module: nn.Module) -> nn.Module:
    """A deep copy. What cannot be copied, such as a Python module that a layer keeps (`self.np = numpy`), is shared."""
    try:
        return copy.deepcopy(module)
    except Exception:
        memo: dict[int, Any] = {}
        _share(module, memo, set())
        return copy.deepcopy(module, memo)


def _share(value: Any, memo: dict[int, Any], seen: set[int]) -> None:
    """Say in `memo`, for the parts of `value` that cannot be copied, that they are their own copies."""
    if id(value) in seen:
        return
    seen.add(id(value))
    parts = vars(value) if isinstance(value, nn.Module) else value
    if isinstance(parts, dict | list | tuple):
        for item in list(parts.values() if isinstance(parts, dict) else parts):
            _share(item, memo, seen)
    elif isinstance(value, types.ModuleType) or not _can_be_copied(value, memo):
        memo[id(value)] = value


def _can_be_copied(value: Any, memo: dict[int, Any]) -> bool:
    try:
        copy.deepcopy(value, dict(memo))
    except Exception:
        return False
    return True
