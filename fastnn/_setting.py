"""A setting: from an environment variable, for the process, or within a block; checked when it is given."""

import contextlib
import contextvars
import os
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

__all__ = ["NOW", "Setting", "check_environment", "set_within"]

_T = TypeVar("_T")


class _Now:
    """The argument of a setting that is asked for, rather than given."""

    def __repr__(self) -> str:
        return "now"


NOW: Any = _Now()

_environment_error: ValueError | RuntimeError | None = None


def check_environment() -> None:
    """Raise the error, if there is one, of the environment variables at the time of import.

    Raises:
        ValueError: a variable is not what it can be.
        RuntimeError: it asks for what is not there.
    """
    if _environment_error is not None:
        raise _environment_error.with_traceback(None)  # else it would grow with every call


def from_environment(read: Callable[[], _T], otherwise: _T) -> _T:
    """What `read` makes of the environment; `otherwise` if it makes no sense, which `check_environment` will tell."""
    global _environment_error
    try:
        return read()
    except (ValueError, RuntimeError) as error:
        _environment_error = _environment_error or error
        return otherwise


@contextlib.contextmanager
def set_within(variable: contextvars.ContextVar[_T], value: _T) -> Iterator[None]:
    """Within the block, `variable` has this value in this thread. Whoever calls has checked it.

    An interrupt can come between any two calls. There is none between `try` and `set`, nor between `finally` and the
    other one; and if it comes in contextlib, the generator is closed when it is dropped.
    """
    before = variable.get()
    try:
        variable.set(value)
        yield
    finally:
        variable.set(before)


class Setting(Generic[_T]):
    """A choice of how things are computed.

    Args:
        name: of the public function, for errors.
        variable: of the environment; empty is unset.
        check: gives the value that `check(where, given)` stands for, or raises; texts of the environment, too.
        default: where the environment does not say.
    Attributes:
        process: the value wherever no block has another one.
        block: that of the running block of the thread, or None.
    """

    def __init__(self, name: str, variable: str, check: Callable[[str, Any], _T], default: _T) -> None:
        self.name, self._check = name, check
        text = os.environ.get(variable, "").strip()
        self.process = from_environment(lambda: check(f"{variable}={text!r}", text), default) if text else default
        self.block: contextvars.ContextVar[_T | None] = contextvars.ContextVar(f"fastnn_{name}", default=None)

    def get(self) -> _T:
        """The value now."""
        value = self.block.get()
        return self.process if value is None else value

    def within(self, value: Any) -> contextlib.AbstractContextManager[None]:
        """Checks the value, and sets it within the block, or within a function that it decorates."""
        return set_within(self.block, self._check(self.name, value))
