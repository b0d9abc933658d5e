"""Ctrl-C, and the signals that end a process, wait for the end of a training step."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["InterruptFlag", "Interrupted"]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or on Windows Ctrl-Break stopped a training, after its state was saved if it has a folder.

    Attributes:
        signal_number: which signal it was.
    """

    def __init__(self, message: str = "", signal_number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def _nothing() -> None:
    pass


class InterruptFlag:
    """Within the block the first SIGINT or SIGTERM only sets `raised`; a second one raises KeyboardInterrupt at once.

    On Windows, where no process can send SIGTERM to another, SIGBREAK (Ctrl-Break, a window that closes) does the same.
    Does nothing in threads other than the main one, where Python allows no signal handlers, nor to SIGINT in processes
    that ignore it, as those do that a shell started in the background. A program that handles SIGTERM itself goes on
    doing so.

    Attributes:
        raised: whether there was one.
        signal_number: which.
        on_raised: called by the first one.
    """

    def __init__(self) -> None:
        self.raised = False
        self.on_raised: Callable[[], object] = _nothing
        self.signal_number: int = signal.SIGINT
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread:
            if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
                self._previous[signal.SIGINT] = signal.signal(signal.SIGINT, self._on_signal)
            for name in ("SIGTERM", "SIGBREAK"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                    self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised, self.signal_number = True, number
        self.on_raised()
