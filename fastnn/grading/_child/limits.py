"""The fences around a submission, put up by its own process before it is read; what the system lacks is told."""

import contextlib
import ctypes
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any

from . import audit, landlock, seccomp

__all__ = ["apply"]

_SET_PDEATHSIG, _SET_KEEPCAPS, _SET_DUMPABLE, _SET_NO_NEW_PRIVS = 1, 8, 4, 38
_CAPABILITY_VERSION, _DAC_READ_SEARCH = 0x20080522, 2
_FIRST_USER, _N_USERS = 61_200, 300  # of numbers that systems leave to programs; none needs a name
_FILES = 64


def apply(settings: dict[str, Any]) -> list[str]:
    """Put up all fences that this system has; returns the names of those that it lacks, with the reason.

    Args:
        settings: `folder`, of the copy of the submission; `packages`, the folder on `sys.path` with links to packages,
            `real_packages`, what these links mean; `memory` in bytes; `cpu` in seconds; `parent`, a process.
    """
    missing: list[str] = []
    folders, files, listed = _readable(settings)
    needs_root = sys.platform == "linux" and not _can_be_read_by_others([*folders, *files])

    def layer(name: str, put_up: Any, *arguments: Any) -> None:
        try:
            put_up(*arguments)
        except (OSError, AttributeError, ValueError, ImportError) as error:
            missing.append(f"{name} ({getattr(error, 'strerror', None) or error})")

    layer("limits of resources", _limit_resources, settings)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        layer("a user without rights", _become_nobody, needs_root)
    layer("ending with the grader", _end_with_parent, settings["parent"])
    layer("no new privileges", _prctl, _SET_NO_NEW_PRIVS, 1)
    layer("Landlock", landlock.restrict, folders, files, listed)
    layer("seccomp", seccomp.restrict)
    readable = (*(f"{folder}/" for folder in [*folders, *settings["links"]]), *files)
    audit.install(readable, tuple(folder.rstrip("/") for folder in listed))
    return missing


def _limit_resources(settings: dict[str, Any]) -> None:
    import resource

    # What the interpreter and NumPy take already is not the submission's.
    used = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    seconds, memory = settings["cpu"], used + settings["memory"]
    wanted = {
        "CORE": (0, 0),
        "FSIZE": (0, 0),
        "NOFILE": (_FILES, _FILES),
        "CPU": (seconds, seconds + 1),
        "NPROC": (0, 0),
        "AS": (memory, memory),
    }
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    refused = []
    for name, values in wanted.items():
        if name == "AS" and sys.platform == "darwin":  # macOS takes this limit and does not keep it
            refused.append("memory")
            continue
        try:
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), values)
        except (AttributeError, OSError, ValueError):
            refused.append("memory" if name == "AS" else name)
    if refused:
        raise OSError(f"not of {', '.join(refused)}")


def _become_nobody(needs_root: bool) -> None:
    """Give up root: limits of processes do not bind it.

    Args:
        needs_root: whether Python's own files are where only root may look. Then the right to read stays, and Landlock
            says what.
    """
    user = _FIRST_USER + os.getpid() % _N_USERS
    if needs_root:
        _prctl(_SET_KEEPCAPS, 1)
    os.setgroups([])
    if hasattr(os, "setresuid"):
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    else:  # macOS; for root these set the saved ones as well
        os.setgid(user)
        os.setuid(user)
    if needs_root:
        _keep_capabilities(1 << _DAC_READ_SEARCH)
    if sys.platform == "linux":
        _prctl(_SET_DUMPABLE, 0)


def _keep_capabilities(kept: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    head = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    if libc.capset(head, struct.pack("=6I", low, low, 0, high, high, 0)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _end_with_parent(parent: int) -> None:
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        raise OSError("only Linux has it")
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _readable(settings: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Folders and files that may be read, and folders whose names may be listed."""
    folders = [settings["folder"], *settings["real_packages"]]
    files: list[str] = []
    listed = [settings["packages"]]
    for place in settings["standard"]:
        if os.path.isfile(place):
            files.append(place)
            continue
        if not os.path.isdir(place):
            continue
        listed.append(place)
        # Installed packages lie in a folder within the standard library's.
        for entry in os.scandir(place):
            if entry.name not in ("site-packages", "dist-packages", "test", "idlelib", "ensurepip"):
                (folders if entry.is_dir() else files).append(os.path.join(place, entry.name))
    with contextlib.suppress(OSError):  # libraries of modules that are loaded already
        for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].startswith("/") and ".so" in fields[5]:
                files.append(fields[5])
    return folders, sorted({*files, "/etc/ld.so.cache"}), listed


def _can_be_read_by_others(paths: list[str]) -> bool:
    seen: set[str] = set()
    for path in paths:
        folder = os.path.dirname(os.path.realpath(path))
        while folder not in seen:
            seen.add(folder)
            if not os.stat(folder).st_mode & 0o001:
                return False
            folder = os.path.dirname(folder)
    return True
