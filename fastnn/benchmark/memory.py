"""The memory of this process, now and at its peak."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from fastnn._system import IS_WINDOWS

__all__ = ["peak", "reset_peak", "resident"]

_STATUS = Path("/proc/self/status")
_UNKNOWN = "this system does not tell how much memory a process has"


def _status(name: str) -> int:
    """Bytes that Linux tells under this name; 0 if it does not."""
    found = None
    with contextlib.suppress(OSError):
        found = re.search(rf"^{name}:\s*(\d+) kB", _STATUS.read_text(encoding="utf-8"), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def resident() -> int:
    """The bytes of this process in memory now.

    Raises:
        OSError: the system does not tell.
    """
    if IS_WINDOWS:
        from fastnn import _windows

        return _windows.process_memory()[0]
    return _status("VmRSS") or _from_ps()


def _from_ps() -> int:
    """From the program `ps`, which macOS and other systems have."""
    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    try:
        return 1024 * int(subprocess.run(command, capture_output=True, check=True, timeout=10).stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise OSError(_UNKNOWN) from error


def reset_peak() -> None:
    """Reset `peak` to the present value. Only Linux can do so; elsewhere `peak` stays that of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def peak() -> int:
    """The largest number of bytes of this process in memory since `reset_peak`.

    Raises:
        OSError: the system does not tell.
    Example:
        >>> from fastnn.benchmark import memory
        >>> memory.peak() > 1_000_000
        True
    """
    if IS_WINDOWS:
        from fastnn import _windows

        return _windows.process_memory()[1]
    if most := _status("VmHWM"):
        return most
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
