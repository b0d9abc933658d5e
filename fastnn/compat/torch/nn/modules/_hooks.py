"""Hooks of scripts, as fastnn calls them."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._tensor import new
from fastnn.nn.module import _Hooks

__all__ = ["HookMethods"]


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


def forget_if_none(module: Any) -> None:
    """Let a module without any hook be as one that never had any: those can be joined with their neighbours."""
    if not any(vars(module.__dict__["_hooks"]).values()):
        del module.__dict__["_hooks"]


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


class HookMethods:
    """The methods of modules that add hooks."""

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Any:
        """Call `hook(module, args)` before each forward; what it returns, unless None, replaces the arguments."""
        return add(self, "forward_pre", marked(hook, takes_keywords=with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> Any:
        """Call `hook(module, args, output)` after each forward; what it returns, unless None, is the output."""
        call = marked(hook, takes_keywords=with_kwargs, is_always_called=always_call)
        return add(self, "forward", call, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Any:
        """Call `hook(module, grad_input, grad_output)` when the gradients of a call are there."""
        return add(self, "backward", of_tensors(hook), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Any:
        """Call `hook(module, grad_output)` before the backward of a call; what it returns, unless None, replaces it."""
        return add(self, "backward_pre", of_results(hook), prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> Any:
        """`register_full_backward_hook`, by its old name."""
        return self.register_full_backward_hook(hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` reads the module."""
        return add_to(self, "_state_dict_pre_hooks", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(module, state_dict, prefix, local_metadata)` after it; it may change the state in place."""
        return add_to(self, "_state_dict_hooks", hook)

    _register_state_dict_hook = register_state_dict_post_hook

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`
        before `load_state_dict` reads the part of the module."""
        return self._register_load_state_dict_pre_hook(hook, True)

    def _register_load_state_dict_pre_hook(self, hook: Callable[..., Any], with_module: bool = False) -> Any:
        call = functools.partial(hook, self) if with_module else hook
        return add_to(self, "_load_state_dict_pre_hooks", call)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(module, incompatible_keys)` after it; the hook may change the two lists in place."""
        return add_to(self, "_load_state_dict_post_hooks", hook)
