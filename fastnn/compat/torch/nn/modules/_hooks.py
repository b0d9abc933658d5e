"""Hooks of scripts, as fastnn calls them."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._tensor import new
from fastnn.nn.module import _Hooks

__all__ = ["add", "add_to", "marked", "of_results", "of_tensors"]


class _Handle:
    """Removes a hook."""

    def __init__(self, hooks: dict[int, Any], key: int) -> None:
        self._hooks, self.id = hooks, key

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> "_Handle":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def add(module: Any, kind: str, hook: Callable[..., Any], prepend: bool) -> _Handle:
    """Add a hook of the calls of a module, after the others or before them."""
    hooks: dict[int, Any] = getattr(module.__dict__.setdefault("_hooks", _Hooks()), kind)
    key = max(hooks, default=-1) + 1
    others = dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[key] = hook
    hooks.update(others)
    return _Handle(hooks, key)


def add_to(module: Any, kind: str, hook: Callable[..., Any]) -> _Handle:
    """Add a hook of the state of a module."""
    hooks: dict[int, Any] = module.__dict__.setdefault(kind, {})
    key = max(hooks, default=-1) + 1
    hooks[key] = hook
    return _Handle(hooks, key)


def marked(hook: Callable[..., Any], **marks: bool) -> Callable[..., Any]:
    """The hook, with marks that fastnn looks at."""
    if not any(marks.values()):
        return hook
    call = functools.partial(hook)
    for name, value in marks.items():
        setattr(call, name, value)
    return call


def of_tensors(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook of gradients, which fastnn calls with arrays."""

    def call(module: Any, dx: tuple[Any, ...], dy: tuple[Any, ...]) -> Any:
        changed = hook(module, _tensors(dx) or (None,), _tensors(dy))
        if changed is None or not dx:
            return None
        several = changed if isinstance(changed, tuple | list) else (changed,)
        return tuple(value._data if isinstance(value, NumPyTensor) else value for value in several)

    return call


def of_results(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook of the gradients with respect to the results, which fastnn calls with arrays."""

    def call(module: Any, dy: tuple[Any, ...]) -> Any:
        changed = hook(module, _tensors(dy))
        if changed is None:
            return None
        several = changed if isinstance(changed, tuple | list) else (changed,)
        return tuple(value._data if isinstance(value, NumPyTensor) else value for value in several)

    return call


def _tensors(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(new(value) if isinstance(value, np.ndarray) else value for value in values)
