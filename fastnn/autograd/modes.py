"""Whether operations are recorded: a setting of each thread."""

import contextvars
from collections.abc import Callable
from typing import Any

from fastnn import _check
from fastnn._runtime import set_within

__all__ = ["LOST", "RECORDING", "enable_grad", "is_grad_enabled", "no_grad"]

RECORDING: contextvars.ContextVar[bool] = contextvars.ContextVar("fastnn_recording", default=True)


# Within the call of a module with arrays: where a forward has left the tape. Its result is right, its gradient is not,
# which the module's backward says.
LOST: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("fastnn_lost", default=None)


def _mode(operation: str, on: bool, function: Callable[..., Any] | None) -> Any:
    if function is None:
        return set_within(RECORDING, on)
    if not callable(function):
        raise TypeError(f"{operation}: what it decorates must be a function. Received: {_check.shown(function)}")
    return set_within(RECORDING, on)(function)


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """Within the block, operations leave nothing behind: results carry no gradient, and nothing is kept for one.

    It holds for the running thread, and can also decorate a function.

    Example:
        >>> import numpy as np, fastnn
        >>> w = fastnn.tensor(np.ones(3), requires_grad=True)
        >>> with fastnn.no_grad():
        ...     y = w * 2
        >>> y.requires_grad
        False
    """
    return _mode("no_grad", False, function)


def enable_grad(function: Callable[..., Any] | None = None) -> Any:
    """Within the block, operations are recorded again, as they are outside of `no_grad`.

    Example:
        >>> import numpy as np, fastnn
        >>> w = fastnn.tensor(np.ones(3), requires_grad=True)
        >>> with fastnn.no_grad(), fastnn.enable_grad():
        ...     y = w * 2
        >>> y.requires_grad
        True
    """
    return _mode("enable_grad", True, function)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return RECORDING.get()
