"""Ctrl-C that waits for the end of a training step."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["InterruptFlag", "Interrupted"]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C stopped a training, after its state was saved if it has a folder."""


class InterruptFlag:
    """Within the block the first SIGINT only sets `raised`; a second one raises KeyboardInterrupt at once.

    Does nothing in threads other than the main one, where Python allows no signal handlers, nor in processes that
    ignore SIGINT, as those do that a shell started in the background.
    """

    def __init__(self) -> None:
        self.raised = False
        self._previous: Any = None
        self._installed = False

    def __enter__(self) -> Self:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
            self._previous = signal.signal(signal.SIGINT, self._on_sigint)
            self._installed = True
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)
            self._installed = False

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True
