"""Python's own events: what a submission may not do is refused with a sentence, before the kernel refuses it.

This is the layer with the words. Code that changes the interpreter's memory can pass it; the kernel's layers stay.
"""

import os
import sys
from typing import Any

__all__ = ["install"]

# The beginnings of the names of events.
_FORBIDDEN = (
    ("subprocess.", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty."),
    ("os.kill", "os.killpg", "signal.pthread_kill", "os.startfile", "_posixsubprocess.", "_winapi."),
    ("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "imaplib.", "poplib.", "telnetlib.", "webbrowser."),
    ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.utime"),
    ("os.chmod", "os.chown", "os.chflags", "os.lchmod", "os.lockf", "os.setxattr", "os.removexattr", "os.chdir"),
    ("shutil.", "tempfile.", "resource.", "fcntl.", "ctypes.", "_thread.start", "winreg.", "msvcrt.", "sqlite3."),
    ("gc.get_", "sys.addaudithook", "sys.setprofile", "sys.settrace", "syslog.", "mmap."),
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def install(readable: tuple[str, ...], listed: tuple[str, ...]) -> None:
    """From here on this interpreter opens for reading what lies in `readable`, and refuses what is forbidden.

    Args:
        readable: folders that end with a separator, and files; without links of which the target could change.
        listed: folders of which the names may be read, as imports do.
    """
    forbidden = tuple(name for names in _FORBIDDEN for name in names)
    # The hook holds what it uses: names of modules could be given another meaning.
    sys.addaudithook(_make_hook(readable, listed, forbidden, _WRITES, os.getcwd, str, int, bytes, PermissionError))


def _make_hook(
    readable: tuple[str, ...],
    listed: tuple[str, ...],
    forbidden: tuple[str, ...],
    writes: int,
    where: Any,
    text: Any,
    number: Any,
    octets: Any,
    refusal: Any,
) -> Any:
    starts_with, splits, joins, contains = str.startswith, str.split, str.join, tuple.__contains__
    kind_of, listing, writing = (
        type,
        ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "glob.glob"),
        frozenset("wax+"),
    )

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if kind_of(path) is number:
                return  # a stream that is open already
            if kind_of(path) is octets:
                path = octets.decode(path, "utf-8", "surrogateescape")
            if (kind_of(mode) is text and not writing.isdisjoint(mode)) or (
                kind_of(flags) is number and flags & writes and mode is None
            ):
                raise refusal(f"a submission may not write files: {path!s:.200}")
            if kind_of(path) is not text:
                raise refusal("a submission may not open this")
        elif contains(listing, event):
            path = arguments[0]
            if kind_of(path) is not text:
                path = where() if path is None else ""
            path = f"{path}/"
        elif starts_with(event, forbidden):
            raise refusal(f"a submission may not use {event}")
        else:
            return
        if not starts_with(path, "/"):
            path = f"{where()}/{path}"
        parts = [part for part in splits(path, "/") if part and part != "."]
        for part in parts:
            if part == "..":
                raise refusal(f"a submission may not read this file: {path!s:.200}")
        plain = "/" + joins("/", parts)
        if event != "open" and contains(listed, plain):
            return
        if not starts_with(plain, readable) and not starts_with(f"{plain}/", readable):
            raise refusal(f"a submission may not read this file: {path!s:.200}")

    return hook
