"""torch.autograd.grad_mode: whether what is computed is recorded, in a block, in a function, or from now on."""

import contextvars
import functools
import inspect
from collections.abc import Callable
from typing import Any

from fastnn.autograd.modes import RECORDING
from fastnn.compat.torch._missing import missing

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]

_INFERENCE: contextvars.ContextVar[bool] = contextvars.ContextVar("fastnn_torch_inference", default=False)


class _Mode:
    """What holds within a block, which can be entered again, or within a function that it decorates."""

    _on: bool

    def _start(self) -> None:
        self._before: list[tuple[bool, bool]] = []

    def _new(self) -> "_Mode":
        """Another one like this, for a call of a decorated function."""
        return type(self)()

    def __enter__(self) -> None:
        self._before.append((RECORDING.get(), _INFERENCE.get()))
        RECORDING.set(self._on)

    def __exit__(self, *_: object) -> None:
        recording, inference = self._before.pop()
        RECORDING.set(recording)
        _INFERENCE.set(inference)

    def __call__(self, function: Any) -> Any:
        if inspect.isclass(function):
            raise RuntimeError(f"{type(self).__name__} decorates functions: {function.__name__} is a class")
        if inspect.isgeneratorfunction(function):
            return self._around_generator(function)

        @functools.wraps(function)
        def run(*arguments: Any, **keywords: Any) -> Any:
            with self._new():
                return function(*arguments, **keywords)

        return run

    def _around_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A generator is in the mode while it runs, and whoever takes from it is not."""

        @functools.wraps(function)
        def run(*arguments: Any, **keywords: Any) -> Any:
            generator = function(*arguments, **keywords)
            sent: Any = None
            try:
                while True:
                    with self._new():
                        value = generator.send(sent)
                    sent = yield value
            except StopIteration as end:
                return end.value
            finally:
                generator.close()

        return run


class _Plain(_Mode):
    """A mode without arguments: `@torch.no_grad` is the same as `@torch.no_grad()`."""

    def __new__(cls, orig_func: Any = None) -> Any:
        mode = super().__new__(cls)
        mode._start()
        return mode if orig_func is None else mode(orig_func)


class no_grad(_Plain):
    """Nothing is recorded: results have no gradient, and keep nothing for one."""

    _on = False


class enable_grad(_Plain):
    """What is computed is recorded, also within `no_grad`."""

    _on = True


class inference_mode(_Mode):
    """`no_grad`, or with mode=False, `enable_grad`: tensors are ordinary ones here."""

    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls)
        made._start()
        if isinstance(mode, bool):
            made._on = not mode
            return made
        made._on = False
        return made(mode)

    def _new(self) -> _Mode:
        return inference_mode(not self._on)

    def __enter__(self) -> None:
        super().__enter__()
        _INFERENCE.set(not self._on)


class set_grad_enabled(_Mode):
    """Record or not from now on; in a `with`, until its end."""

    def __init__(self, mode: bool) -> None:
        self._on = self.mode = bool(mode)
        self._start()
        self.prev = RECORDING.get()
        RECORDING.set(self._on)

    def _new(self) -> _Mode:
        return set_grad_enabled(self._on)

    def __call__(self, function: Any) -> Any:
        RECORDING.set(self.prev)  # it is the function that is meant
        return super().__call__(function)

    def __enter__(self) -> None:
        super().__enter__()
        self._before[-1] = (self.prev, self._before[-1][1])


def is_inference_mode_enabled() -> bool:
    """Whether this runs within `inference_mode`."""
    return _INFERENCE.get()


__getattr__ = missing(__name__)
