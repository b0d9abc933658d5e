"""Whether operations are recorded: a setting of each thread."""

import contextvars
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, overload

from fastnn import _check
from fastnn._setting import set_within

__all__ = ["LOST", "RECORDING", "STRICT", "enable_grad", "is_grad_enabled", "no_grad"]

RECORDING: contextvars.ContextVar[bool] = contextvars.ContextVar("fastnn_recording", default=True)


# Within the forward of a module, or None: with arrays, a list of where it has left the tape (its result is right, its
# gradient is not, which the module's backward says); with tensors STRICT, and leaving the tape is an error at once.
STRICT = ()
LOST: contextvars.ContextVar[Any] = contextvars.ContextVar("fastnn_lost", default=None)


_Function = TypeVar("_Function", bound=Callable[..., Any])


class Mode(AbstractContextManager[None], Protocol):
    """A setting that holds within a `with` block, or within a function that it decorates."""

    def __call__(self, function: _Function, /) -> _Function: ...


def _mode(operation: str, on: bool, function: Callable[..., Any] | None) -> Any:
    if function is None:
        return set_within(RECORDING, on)
    if not callable(function):
        raise TypeError(f"{operation}: what it decorates must be a function. Received: {_check.shown(function)}")
    return set_within(RECORDING, on)(function)


@overload
def no_grad() -> Mode: ...
@overload
def no_grad(function: _Function) -> _Function: ...
def no_grad(function: Any = None) -> Any:
    """A context manager that turns recording off: results carry no gradient, and nothing is kept for a backward pass.

    It holds for the calling thread. As a decorator, `@no_grad` or `@no_grad()`, it holds within a function.

    Example:
        >>> import numpy as np, fastnn
        >>> w = fastnn.tensor(np.ones(3), requires_grad=True)
        >>> with fastnn.no_grad():
        ...     y = w * 2
        >>> y.requires_grad
        False

    Source: PyTorch's definition.
    """
    return _mode("no_grad", False, function)


@overload
def enable_grad() -> Mode: ...
@overload
def enable_grad(function: _Function) -> _Function: ...
def enable_grad(function: Any = None) -> Any:
    """A context manager that turns recording on again within a `no_grad` block.

    It holds for the calling thread. As a decorator, `@enable_grad` or `@enable_grad()`, it holds within a function.

    Example:
        >>> import numpy as np, fastnn
        >>> w = fastnn.tensor(np.ones(3), requires_grad=True)
        >>> with fastnn.no_grad(), fastnn.enable_grad():
        ...     y = w * 2
        >>> y.requires_grad
        True

    Source: PyTorch's definition.
    """
    return _mode("enable_grad", True, function)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in the calling thread.

    Example:
        >>> import fastnn
        >>> with fastnn.no_grad():
        ...     fastnn.is_grad_enabled()
        False
    """
    return RECORDING.get()
