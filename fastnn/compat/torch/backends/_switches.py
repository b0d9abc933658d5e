"""Settings of libraries that are not there: they are kept, and change nothing."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["no_version", "not_there", "switched"]


def not_there() -> bool:
    """Whether the library is used: no."""
    return False


def no_version() -> None:
    """The library's version: there is none."""


@contextlib.contextmanager
def switched(module: str, **values: Any) -> Iterator[None]:
    """Within the block the module's settings are these; None leaves one as it is."""
    settings = vars(sys.modules[module])
    given = {name: value for name, value in values.items() if value is not None}
    before = {name: settings[name] for name in given}
    settings.update(given)
    try:
        yield
    finally:
        settings.update(before)
