"""Who looks at what runs. `autograd.observing` lets an observer look; here stands what the lowest layers tell."""

import contextvars
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

__all__ = ["ACCUMULATING", "OBSERVERS", "copied", "kernel_ran"]

# Of each thread.
OBSERVERS: contextvars.ContextVar[tuple[Any, ...]] = contextvars.ContextVar("fastnn_observers", default=())
# Functions of a leaf, called each time a part of its gradient has been added to `grad`. Of each thread.
ACCUMULATING: contextvars.ContextVar[tuple[Callable[[Any], Any], ...]] = contextvars.ContextVar(
    "fastnn_accumulating", default=()
)


def kernel_ran(name: str, *details: Any) -> None:
    """Tell whoever looks that a function of the compiled module ran.

    Of a convolution, `details` is its plan, a `_native.Conv2dPlan`.
    """
    for observer in OBSERVERS.get():
        observer.kernel(name, *details)


def copied(purpose: str, copy: NDArray) -> NDArray:
    """`copy`, after telling whoever looks that an array was copied, to be `purpose`."""
    for observer in OBSERVERS.get():
        observer.copied(purpose, copy)
    return copy
