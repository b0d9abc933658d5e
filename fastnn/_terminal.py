"""Words for whoever watches: standard error may be missing, closed, or no terminal, and work goes on all the same."""

import contextlib
import sys
from typing import Any

__all__ = ["is_terminal", "say"]


def say(text: str) -> None:
    """Print a line on standard error, if there is one.

    `print(file=None)` would print on standard output, which is what a process gets that was started with `2>&-`.
    """
    if sys.stderr is not None:
        # A pipe that nobody reads, a file that is closed, something that is hardly a stream.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            print(text, file=sys.stderr, flush=True)


def is_terminal(stream: Any) -> bool:
    """Whether a person sees what is written there at once; whatever a program has put there instead, does not."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False
