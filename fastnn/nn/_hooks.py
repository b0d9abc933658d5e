"""Functions that are called with each call of a module: before it, after it, and when its gradients are there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from numpy.typing import NDArray

from fastnn.autograd.observer import observers
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor

__all__ = ["has_gradient", "hooked"]


def has_gradient(y: Any) -> bool:
    """Whether it is a tensor through which gradients go."""
    return isinstance(y, Tensor) and y._requires_grad


class _PassOn(Op):
    """y = x for several arrays, with a function that sees the gradients."""

    is_exact = is_view = is_hidden = True
    keeps: ClassVar = {}

    def __init__(self, see: Callable[[tuple[Any, ...]], Any]) -> None:
        self.see = see

    def forward(self, *inputs: NDArray) -> Any:
        return inputs if len(inputs) > 1 else inputs[0].view()

    def backward(self, *gradients: NDArray) -> Any:
        seen = self.see(gradients)
        return gradients if seen is None else tuple(seen)


def hooked(enter: Callable[..., Any], hooks: Any, has_own_backward: bool) -> Callable[..., Any]:
    """A forward of tensors, `enter(module, arguments, keywords)`, between its hooks."""

    def run_hooked(module: Any, *arguments: Any, **keywords: Any) -> Any:
        for hook in list(hooks.forward_pre.values()) if hooks else ():
            if getattr(hook, "takes_keywords", False):
                changed = hook(module, arguments, keywords)
                arguments, keywords = (arguments, keywords) if changed is None else changed
                continue
            changed = hook(module, arguments)
            if changed is not None:
                arguments = changed if isinstance(changed, tuple) else (changed,)
        seen: dict[str, Any] = {}
        call_hooks = functools.partial(_call_backward_hooks, module, hooks, has_own_backward, seen)
        sees_gradients = (hooks is not None and (hooks.backward or hooks.backward_pre)) or (
            not has_own_backward and any(observer.sees_gradients for observer in observers())
        )
        if sees_gradients:
            arguments = _pass_on(arguments, call_hooks)
        try:
            y = enter(module, arguments, keywords)
        except Exception:
            for hook in list(hooks.forward.values()) if hooks else ():
                if getattr(hook, "is_always_called", False):
                    hook(module, arguments, *([keywords] if getattr(hook, "takes_keywords", False) else []), None)
            raise
        if sees_gradients:
            ends_here = not any(map(has_gradient, arguments))  # nothing will come to the arguments

            def see(gradients: tuple[Any, ...]) -> tuple[Any, ...]:
                for hook in list(hooks.backward_pre.values()) if hooks else ():
                    changed = hook(module, gradients)
                    gradients = gradients if changed is None else changed
                seen.update(output=gradients)
                if ends_here:
                    call_hooks(())
                return gradients

            y = _pass_on(y, see)
        for hook in list(hooks.forward.values()) if hooks else ():
            takes_keywords = getattr(hook, "takes_keywords", False)
            changed = hook(module, arguments, keywords, y) if takes_keywords else hook(module, arguments, y)
            if changed is not None:
                y = changed
        return y

    return run_hooked


def _pass_on(values: Any, see: Callable[[tuple[Any, ...]], Any]) -> Any:
    several = values if isinstance(values, tuple) else (values,)
    tensors = [value for value in several if has_gradient(value)]
    if not tensors:
        return values
    passed = run(_PassOn(see), *tensors)
    left = iter(passed if isinstance(passed, tuple) else (passed,))
    result = tuple(next(left) if has_gradient(value) else value for value in several)
    return result if isinstance(values, tuple) else result[0]


def _call_backward_hooks(
    module: Any, hooks: Any, has_own_backward: bool, seen: dict[str, Any], gradients: tuple[Any, ...]
) -> Any:
    current = gradients
    for observer in observers():
        if observer.sees_gradients and not has_own_backward:
            observer.module(module, "backward", seen.get("output", ()), gradients, 0.0)
    for hook in list(hooks.backward.values()) if hooks else ():
        changed = hook(module, current, seen.get("output", ()))
        if changed is not None:
            current = changed if isinstance(changed, tuple) else (changed,)
    return current
