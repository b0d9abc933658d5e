"""The memory of this process, now and at its peak."""

import contextlib
import re
import resource
from pathlib import Path

__all__ = ["peak", "reset_peak", "resident"]

_STATUS = Path("/proc/self/status")


def _status(name: str) -> int:
    """Bytes that Linux tells under this name; 0 if it does not."""
    found = None
    with contextlib.suppress(OSError):
        found = re.search(rf"^{name}:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def resident() -> int:
    """The bytes of this process in memory now."""
    return _status("VmRSS")


def reset_peak() -> None:
    """Reset `peak` to the present value. Where the system forbids it, `peak` stays that of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """The largest number of bytes of this process in memory since `reset_peak`.

    Example:
        >>> from fastnn.benchmark import memory
        >>> memory.peak() > 1_000_000
        True
    """
    return _status("VmHWM") or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
