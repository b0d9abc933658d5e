"""Looking at what runs: every operation, and every module."""

import contextlib
import contextvars
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from fastnn._runtime import joined_layers
from fastnn._setting import set_within
from fastnn._watching import OBSERVERS

__all__ = ["Observer", "observed", "observers", "observing", "running_in", "running_module"]


class Observer:
    """Sees what runs within `observing`; a subclass defines what it wants to see.

    Attributes:
        lets_join: whether containers may compute neighbours together while it looks.
        sees_gradients: whether `module` is also called in the backward of every module.
    Example:
        >>> from fastnn import nn
        >>> from fastnn.autograd import Observer, observing
        >>> class Names(Observer):
        ...     def operation(self, op, phase, inputs, results, seconds):
        ...         print(type(op).__name__, phase, results[0].shape)
        >>> model, x = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), np.ones((3, 1, 2, 2), np.float32)
        >>> with observing(Names()):
        ...     dx = model.backward(model(x))
        Flatten forward (4,)
        Linear forward (2,)
        Linear backward (3, 4)
        Flatten backward (1, 2, 2)
    """

    lets_join: ClassVar[bool] = False
    sees_gradients: ClassVar[bool] = False

    def begins(self, what: Any, phase: str, inputs: tuple[Any, ...]) -> None:
        """Before whatever `operation` or `module` tells of, an operation or a module; what failed has no end.

        Only of modules that write their own backward is there a beginning of that.
        """

    def operation(self, op: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        """After each forward of an operation, with the arrays that came in and out, and after each backward.

        `phase` is 'forward' or 'backward'; in a backward, `inputs` are the gradients with respect to the results, and
        `results` those with respect to the inputs. `op.module` is the module that ran it, or None.
        """

    def module(self, module: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        """After each forward of a module, with its arguments and its result, tensors as arrays.

        In a backward, `inputs` are the gradients with respect to its results, and `results` those with respect to its
        arguments: what a backward that a module writes itself got and gave; of any other, which is in its operations,
        only if `sees_gradients`, as a tuple, and seconds are 0.
        """

    def kernel(self, name: str, *details: Any) -> None:
        """After each run of a function of the compiled module.

        Of a convolution, `details` are the filters as they lie, (kernel_h, kernel_w, C_in / groups, C_out), and its
        settings, (stride, padding, dilation, groups, algorithm).
        """

    def copied(self, purpose: str, copy: Any) -> None:
        """After each copy of an array that was made because of how it lay; `purpose` says what it was copied to."""


@contextlib.contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Within the block, `observer` sees every operation and every module of this thread. Observers nest."""
    seeing = (*OBSERVERS.get(), observer)
    # No ExitStack: after an interrupt it can be part of a cycle, and its blocks end when that is found.
    with joined_layers(joined_layers() and observer.lets_join), set_within(OBSERVERS, seeing):
        yield


def observers() -> tuple[Observer, ...]:
    """Those that look now."""
    return OBSERVERS.get()


_running: contextvars.ContextVar[Any] = contextvars.ContextVar("fastnn_running_module", default=None)


def running_in(module: Any) -> contextlib.AbstractContextManager[None]:
    """Within the block, `module` is what runs operations, for observers."""
    return set_within(_running, module)


def running_module() -> Any:
    """The module whose forward is running, while somebody observes."""
    return _running.get()


def observed(op: Any, phase: str, function: Callable[..., Any], inputs: Sequence[Any], **keywords: Any) -> Any:
    """The results of `function(*inputs)`, the forward or backward of `op`, after telling whoever looks."""
    if op.is_hidden:
        return function(*inputs, **keywords)
    if phase == "forward":
        op.module = running_module()
    given, seeing = tuple(inputs), OBSERVERS.get()
    for observer in seeing:
        observer.begins(op, phase, given)
    start = time.perf_counter()
    results = function(*inputs, **keywords)
    seconds = time.perf_counter() - start
    for observer in seeing:
        observer.operation(op, phase, given, results, seconds)
    return results
