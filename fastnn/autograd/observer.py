"""Observing what runs: every operation and every module."""

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
    """The base class of observers. Their methods are called for what runs within `observing`; subclasses define some.

    Attributes:
        lets_join: whether containers may still compute neighbouring layers in one pass while it observes.
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
        """Called before every operation or module that `operation` or `module` is called after.

        If it fails, there is no second call. In the backward pass it is called only for modules that write their own
        backward.

        Args:
            what: the operation or the module.
            phase: 'forward' or 'backward'.
            inputs: the arrays that go in.
        """

    def operation(self, op: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        """Called after each forward and each backward of an operation.

        Args:
            op: the operation. `op.module` is the module that ran it, or None.
            phase: 'forward' or 'backward'.
            inputs: the input arrays; in a backward, the gradients with respect to the results.
            results: the resulting arrays; in a backward, the gradients with respect to the inputs.
            seconds: the time that it took.
        """

    def module(self, module: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        """Called after each forward of a module, and after each backward that a module writes itself.

        With `sees_gradients` it is also called in the backward of other modules, which consists of their operations.

        Args:
            module: the module.
            phase: 'forward' or 'backward'.
            inputs: the arguments, with arrays in place of tensors; in a backward, the gradients with respect to the
                results.
            results: the result, likewise; in a backward, the gradients with respect to the arguments, a tuple if the
                module does not write its own backward.
            seconds: the time that it took; 0 in a backward that the module does not write itself.
        """

    def kernel(self, name: str, *details: Any) -> None:
        """Called after each run of a function of the compiled module.

        Args:
            name: the name of the function.
            details: for a convolution, the filters as they lie in memory, (kernel_h, kernel_w, C_in / groups, C_out),
                and the settings (stride, padding, dilation, groups, algorithm).
        """

    def copied(self, purpose: str, copy: Any) -> None:
        """Called after each copy that was made because of an array's memory layout or dtype.

        Args:
            purpose: the property that the copy has and the array did not, for instance 'pixel-major'.
            copy: the copy.
        """


@contextlib.contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """A context manager in which `observer` sees every operation and module of this thread. Blocks may be nested."""
    seeing = (*OBSERVERS.get(), observer)
    # No ExitStack: after an interrupt it can be part of a cycle, and its blocks end when that is found.
    with joined_layers(joined_layers() and observer.lets_join), set_within(OBSERVERS, seeing):
        yield


def observers() -> tuple[Observer, ...]:
    """The observers that are active now."""
    return OBSERVERS.get()


_running: contextvars.ContextVar[Any] = contextvars.ContextVar("fastnn_running_module", default=None)


def running_in(module: Any) -> contextlib.AbstractContextManager[None]:
    """A context manager in which observers see `module` as the one that runs operations."""
    return set_within(_running, module)


def running_module() -> Any:
    """The module whose forward is running. It is known only while there are observers."""
    return _running.get()


def observed(op: Any, phase: str, function: Callable[..., Any], inputs: Sequence[Any], **keywords: Any) -> Any:
    """Call `function(*inputs)`, the forward or backward of `op`, tell the observers, and return its results."""
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
