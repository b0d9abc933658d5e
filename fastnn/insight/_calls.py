"""The calls of layers, watched: with what they were made, and what a layer did to arrays that are not its own."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import nn
from fastnn.autograd import Observer, Op

__all__ = ["Call", "Record", "copied", "copies", "faults_of", "misfits_of"]


@dataclass
class Call:
    """The last run of a layer within a network.

    Attributes:
        path: the path of the layer.
        module: the layer.
        arguments: copies of the arguments of forward.
        dy: a copy of the argument of backward.
        faults: what it did that a layer must not do, each once.
        misfit: why the layer before may refuse the result of backward, or ''.
    """

    path: str
    module: nn.Module
    arguments: tuple[Any, ...] = ()
    dy: NDArray | None = None
    faults: dict[str, None] = field(default_factory=dict)
    misfit: str = ""
    given: tuple[Any, ...] = ()  # the very arguments of forward, which backward may write into

    @property
    def writes_parameters(self) -> bool:
        return any(fault.startswith(_PARAMETER) for fault in self.faults)


_PARAMETER = "forward changes the parameter"
_X_FORWARD = "forward changes its input in place: work on a copy, x.copy()"
_X_BACKWARD = "backward changes x in place: it belongs to the caller, so work on a copy, x.copy()"
_DY = "backward changes dy in place: others may need it, so work on a copy, dy.copy()"

Check = tuple[str, Callable[[], tuple[Any, ...]]]  # a fault, and what must not change


class Record(Observer):
    """Lets each call know of the runs of its module."""

    sees_gradients = True

    def __init__(self, calls: list[Call]) -> None:
        self._calls = {id(call.module): call for call in calls}
        self._running: list[tuple[Any, list[tuple[Check, tuple[Any, ...]]]]] = []  # with copies from before

    def begins(self, what: Any, phase: str, inputs: tuple[Any, ...]) -> None:
        checks: list[Check] = []
        call = self._calls.get(id(what))
        if isinstance(what, Op):
            given = "its input" if phase == "forward" else "dy"
            fault = f"{phase} of the operation {type(what).__name__} changes {given} in place: work on a copy"
            checks = [(fault, lambda: inputs)]
        elif call is not None and phase == "forward":
            call.arguments, call.given = copies(inputs), inputs
            checks = [(_X_FORWARD, lambda: inputs)]
            for name, parameter in what._parameters.items():
                if parameter is not None:
                    checks.append((f"{_PARAMETER} {name!r}", lambda p=parameter: (p.data,)))  # type: ignore[misc]
        elif call is not None:
            call.dy = _copy_of_first(inputs)
            checks = [(_DY, lambda: inputs), (_X_BACKWARD, lambda: call.given)]
        self._running.append((what, [(check, copies(check[1]())) for check in checks]))

    def _ends(self, what: Any, call: Call | None) -> None:
        while self._running:
            begun, checks = self._running.pop()
            if begun is not what:
                continue  # it failed, and somebody caught that
            for (fault, now), before in checks:
                if call is not None and _changed(before, now()):
                    call.faults[fault] = None
            return

    def operation(self, op: Op, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        self._ends(op, self._calls.get(id(op.module)))

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        call = self._calls.get(id(module))
        if phase == "backward" and getattr(module.backward, "is_derived", False):  # it has not begun
            if call is not None:
                call.dy = _copy_of_first(inputs)
            return
        self._ends(module, call)
        if phase == "backward" and call is not None:
            call.misfit = _misfit(call.given, results)


def _copy_of_first(gradients: tuple[Any, ...]) -> NDArray | None:
    return np.array(gradients[0]) if gradients and isinstance(gradients[0], np.ndarray) else None


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


def copies(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """These values, arrays copied."""
    return tuple(np.array(value) if isinstance(value, np.ndarray | np.generic) else value for value in values)


def _changed(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    return any(isinstance(a, np.ndarray) and not _equal(a, b) for a, b in zip(before, now, strict=False))


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
