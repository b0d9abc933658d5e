"""What Linux, macOS and Windows do differently, or not at all. The rest of the package asks here.

Where a system cannot tell something, the answer is None or an empty text, never a guess.
"""

import contextlib
import ctypes
import errno
import os
import re
import sys
from pathlib import Path

__all__ = [
    "BINARY",
    "IS_WINDOWS",
    "check_integers",
    "cpu_name",
    "is_closed_pipe",
    "is_in_folder",
    "load_average",
    "open_without_waiting",
    "physical_memory",
    "usable_cpus",
    "user_folder_name",
]

IS_WINDOWS = sys.platform == "win32"
# For `os.open`: without it, Windows changes line ends in what is written. Other systems have no such flag.
BINARY: int = getattr(os, "O_BINARY", 0)


def check_integers(size: int) -> None:
    """Refuse NumPy 1 on Windows, where its integers have 32 bits unless told otherwise: counts would overflow.

    Args:
        size: bytes of NumPy's default integers.
    Raises:
        ImportError: they have less than 8 on Windows.
    """
    if IS_WINDOWS and size < 8:
        raise ImportError("fastnn needs NumPy 2 on Windows: pip install --upgrade numpy", name="numpy")


# ---- files -----------------------------------------------------------------------------------------------------------
def open_without_waiting(path: str | os.PathLike[str], flags: int) -> int:
    """An opener for `open`: a FIFO that nobody writes to would wait for ever. Regular files are read as always."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def is_in_folder(path: str, folder: str) -> bool:
    """Whether an absolute path is that of the folder or of something in it, by the system's rules for capitals."""
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def user_folder_name(name: str) -> str:
    """A name for a folder among the temporary files, which users share unless they have Windows."""
    return f"{name}-{os.getuid()}" if hasattr(os, "getuid") else name


def is_closed_pipe(error: OSError) -> bool:
    """Whether an error says that nobody reads what was written; Windows calls it an invalid argument."""
    return isinstance(error, BrokenPipeError) or (IS_WINDOWS and error.errno == errno.EINVAL and error.filename is None)


# ---- the machine -----------------------------------------------------------------------------------------------------
def usable_cpus() -> int:
    """Processors that this process may run on, whatever its container grants. macOS has no way to restrict them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    if IS_WINDOWS:
        from fastnn import _windows

        return _windows.affinity() or os.cpu_count() or 1
    return os.cpu_count() or 1


def cpu_name() -> str:
    """The model name of the processor; empty if the system does not tell it."""
    if IS_WINDOWS:
        from fastnn import _windows

        return _windows.cpu_name()
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string")
    with contextlib.suppress(OSError):
        content = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        if found := re.search(r"^model name\s*:\s*(.*)$", content, re.MULTILINE):
            return found[1]
    return ""


def load_average() -> float | None:
    """Processes that ran or waited to run in the last minute; None on Windows, which does not count them."""
    if not hasattr(os, "getloadavg"):
        return None
    with contextlib.suppress(OSError):
        return os.getloadavg()[0]
    return None


def _sysctl(name: str) -> str:
    """A text that the kernel of macOS tells under this name."""
    buffer = ctypes.create_string_buffer(256)
    size = ctypes.c_size_t(len(buffer))
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        if libc.sysctlbyname(name.encode(), buffer, ctypes.byref(size), None, ctypes.c_size_t(0)) == 0:
            return buffer.value.decode("utf-8", "replace").strip()
    return ""


def physical_memory() -> int:
    """Bytes of memory of this machine."""
    if IS_WINDOWS:
        from fastnn import _windows

        return _windows.physical_memory()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
