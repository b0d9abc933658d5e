"""Modules whose author wrote the backward: among tensors, a call of one is one operation of the tape."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from fastnn.autograd.modes import LOST
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor, tensors_in

__all__ = ["alone", "as_operation", "lay_aside"]


def alone(forward: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call a forward whose author deals in arrays, as if no other were running."""
    outer = LOST.get()
    try:  # before the change, so that no interrupt comes between
        LOST.set(None)
        return forward(*arguments, **keywords)
    finally:
        LOST.set(outer)


class HandWritten(Op):
    """The call of a module whose author wrote its backward.

    Such a module keeps what it needs on itself. If it is called again before it went back, what it kept is laid aside.
    """

    keeps: ClassVar = {}  # its author's affair
    is_hidden = True  # observers see the module

    def __init__(self, owner: Any, forward: Callable[..., Any], n_arrays: int, fill: Callable[..., Any]) -> None:
        self.owner, self.call, self.n_arrays, self.fill = owner, forward, n_arrays, fill
        self.kept: dict[Any, dict[str, Any]] | None = None

    @property
    def author(self) -> Any:
        return self.owner

    def forward(self, *inputs: Any) -> Any:
        lay_aside(self.owner)
        y = self._call(inputs)
        if self.needs_grad:
            self.owner.__dict__["_last_operation"] = weakref.ref(self)
        return y

    def _call(self, inputs: tuple[Any, ...]) -> Any:
        arguments, keywords = self.fill(inputs[: self.n_arrays])
        return alone(self.call, self.owner, *arguments, **keywords)

    def backward(self, *gradients: Any) -> Any:
        owner, now, before = self.owner, None, self.owner.input_grad
        if self.kept is not None:
            now = _state_of(owner)
            _put_back(self.kept)
        try:
            object.__setattr__(owner, "input_grad", any(self.needs_grad[: self.n_arrays]))
            dx = owner.backward(gradients if len(gradients) > 1 else gradients[0])
        finally:
            object.__setattr__(owner, "input_grad", before)
            if now is not None:
                _put_back(now)
        found = dx if isinstance(dx, tuple) else (dx,)
        # Its parameters, which are inputs of the operation, have their gradients already.
        return (*found, *(None,) * (len(self.needs_grad) - len(found)))


def lay_aside(module: Any) -> None:
    """Before a call, whether recorded or not: copy what a recorded one has kept and still needs."""
    last = module.__dict__.get("_last_operation")
    last = None if last is None else last()
    if last is not None and last.number >= 0 and last.kept is None:
        last.kept = _state_of(module)


_REGISTRIES = {"_parameters", "_buffers", "_modules", "training", "input_grad", "_last_operation", "_hooks"}


def _state_of(module: Any) -> dict[Any, dict[str, Any]]:
    """What this module and those below it keep, copied."""
    return {
        part: {name: _copied(value) for name, value in vars(part).items() if name not in _REGISTRIES}
        for part in module.modules()
    }


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy("K")
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    if type(value) is dict:
        return {name: _copied(item) for name, item in value.items()}
    return value


def _put_back(state: dict[Any, dict[str, Any]]) -> None:
    for part, values in state.items():
        vars(part).update(values)


def as_operation(module: Any, forward: Callable[..., Any], arguments: tuple[Any, ...], keywords: Any) -> Any:
    """Run a module with a backward of its own on tensors."""
    given = list(tensors_in((arguments, keywords)))

    def fill(arrays: Sequence[Any]) -> tuple[Any, Any]:
        left = iter(arrays)
        return _filled(arguments, left), _filled(keywords, left)

    operation = HandWritten(module, forward, len(given), fill)
    return run(operation, *given, *module.parameters())


def _filled(value: Any, arrays: Any) -> Any:
    """`value` with the next array in the place of each tensor."""
    if isinstance(value, Tensor):
        return next(arrays)
    if isinstance(value, tuple | list):
        return type(value)(_filled(item, arrays) for item in value)
    if isinstance(value, dict):
        return {name: _filled(item, arrays) for name, item in value.items()}
    return value
