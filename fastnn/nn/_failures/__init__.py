"""What an error inside a network says besides its message: the layer, the way that led to it, and what to write.

Nothing of this runs before an exception travels. It then becomes notes of that exception (PEP 678), whose type and
message stay as they are.
"""

import contextlib
import sys
from types import CodeType, FrameType
from typing import Any

from fastnn.nn._failures.traces import is_foreign, modules_in

__all__ = ["ENTRIES", "in_backward", "in_forward"]

# The functions that every call of a module passes, and that call what is below when it fails.
ENTRIES: set[CodeType] = set()


def in_forward(module: Any, error: Exception, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    """Add notes to `error`, which the forward of `module` raises with these arguments, if no other module called it."""
    if _is_outermost(sys._getframe(1)) and not is_foreign(error):
        with contextlib.suppress(Exception):  # of users' code that is run again: the error itself matters more
            from fastnn.nn._failures.forward import notes

            _add(error, notes(module, error, arguments, keywords))


def in_backward(module: Any, error: Exception) -> None:
    """Add notes to `error`, which the backward of `module` raises, if no other module called it."""
    if _is_outermost(sys._getframe(1)) and not is_foreign(error):
        with contextlib.suppress(Exception):
            from fastnn.nn._failures.places import place

            chain = modules_in(error)
            if chain and chain[-1] is not module:
                _add(error, [f"in the backward of {place(module, chain[-1])}"])


def _add(error: Exception, notes: list[str]) -> None:
    for note in notes:
        error.add_note(note)


def _is_outermost(frame: FrameType) -> bool:
    """Whether no call of another module led to this frame of one."""
    caller = frame.f_back
    while caller is not None and caller.f_code not in ENTRIES:
        caller = caller.f_back
    return caller is None
