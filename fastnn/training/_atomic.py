"""Writing a file so that its name always holds a whole one: the old one or the new one."""

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fastnn._system import BINARY, IS_WINDOWS

if sys.platform != "win32":
    import fcntl

__all__ = ["atomic_write"]

_LONGEST_NAME = 255  # bytes, of every usual file system
_SUFFIX = ".part"
# Of Windows, which locks what is open: how often, in a second, to ask for a name that a virus scanner, say, looks at;
# and the age at which what nobody has open counts as left over.
_TRIES = 20
_LEFT_ALONE = 60.0
# Errors of the disk come without a name; the user wants to know which file was not written.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb", **kwargs: Any) -> Iterator[IO[Any]]:
    """A file that takes the name `path` when the block ends without an error, and is on disk by then.

    It is written beside its name and renamed. A file that was there passes on its permissions, and its owner where the
    system allows that; a symbolic link stays, and the file that it names is replaced. What a killed process has left
    beside the name is removed by the next writing of that name.

    Args:
        path: the file.
        mode, **kwargs: as of `open`, for writing. Text is written as UTF-8 with "\\n" at the ends of lines, on all
            systems, unless `encoding` and `newline` say otherwise.
    Raises:
        OSError: the file cannot be written, or `path` is a folder, a FIFO, a socket or a device; on Windows also if a
            program has it open. The file that was there is whole, and nothing else is left.
    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from fastnn.training import atomic_write
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(f"{folder}/a.txt", "w") as file:
        ...         _ = file.write("whole")
        ...     Path(folder, "a.txt").read_text(encoding="utf-8")
        'whole'
    """
    if "b" not in mode:
        kwargs = {"encoding": "utf-8", "newline": "\n", **kwargs}
    target = Path(os.path.realpath(path))
    with _errors_named(path, everything=True):
        before = _status(target)
        if before is not None and not stat.S_ISREG(before.st_mode):
            kind = next((name for is_kind, name in _KINDS if is_kind(before.st_mode)), "no file")
            number = errno.EISDIR if stat.S_ISDIR(before.st_mode) else errno.EINVAL
            raise OSError(number, f"cannot be written: it is {kind}", os.fspath(path))
        _remove_leftovers(target)
        descriptor, temporary = _create(target, private=before is not None)
    try:
        with _errors_named(path), open(descriptor, mode, **kwargs) as file:
            yield file
            file.flush()
            if before is not None and not IS_WINDOWS:  # there, a file has the rights of its folder
                with contextlib.suppress(OSError):  # only root may give files away
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            _sync(file.fileno())
            if not IS_WINDOWS:  # while it is open, and therefore locked: nobody takes it for a leftover
                os.replace(temporary, target)
        if IS_WINDOWS:
            _replace_closed(temporary, target, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(target.parent)


@contextlib.contextmanager
def _errors_named(path: str | os.PathLike[str], everything: bool = False) -> Iterator[None]:
    """Let an OSError say the name that the caller knows."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (everything or (error.filename is None and error.errno in _DISK_ERRORS)):
            error.filename = os.fspath(path)
            if error.filename2 is not None:
                del error.filename2  # None would be shown
        raise


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _prefix(target: Path) -> str:
    """What the names of its unfinished files begin with; of a long name the beginning, so that there is room."""
    return os.fsdecode(b"." + os.fsencode(target.name)[: _LONGEST_NAME - len(".") - len(".12345678.part")] + b".")


def _create(target: Path, private: bool) -> tuple[int, Path]:
    """A new file beside `target`, open for writing and locked as long as it is open."""
    if len(os.fsencode(target.name)) > _LONGEST_NAME:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    if IS_WINDOWS and ":" in target.name:  # it would be written to a hidden part of another file
        raise OSError(errno.EINVAL, "cannot be written: there are no colons in names on Windows")
    while True:
        path = target.parent / f"{_prefix(target)}{secrets.token_hex(4)}{_SUFFIX}"
        try:
            # The kernel takes the umask off. What replaces a private file is private from its first byte.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY
            descriptor = os.open(path, flags, 0o600 if private else 0o666)
        except FileExistsError:
            continue
        if IS_WINDOWS:  # what is open is locked
            return descriptor, path
        with contextlib.suppress(OSError):  # a file system without locks: its leftovers stay
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # another process took it for a leftover before it was locked


def _remove_leftovers(target: Path) -> None:
    """Unfinished files of this name that no living process holds a lock on.

    A process number in the name would not do: the writer may run in another container, where its number is another.
    """
    name = re.compile(re.escape(_prefix(target)) + r"[a-z0-9_]{8}" + re.escape(_SUFFIX))
    leftovers = []
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        leftovers = [entry.path for entry in entries if name.fullmatch(entry.name)]
    for path in leftovers:
        with contextlib.suppress(OSError):
            if IS_WINDOWS:
                # It cannot be removed while it is open. Between closing and renaming it is young.
                if time.time() - os.lstat(path).st_mtime > _LEFT_ALONE:
                    os.unlink(path)
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path)
            finally:
                os.close(descriptor)


def _replace_closed(temporary: Path, target: Path, path: str | os.PathLike[str]) -> None:
    """Rename a file as Windows wants it: closed, and onto a name that nobody has open."""
    for left in reversed(range(_TRIES)):
        try:
            os.replace(temporary, target)
            return
        except PermissionError as error:
            if not left:
                words = "cannot be replaced: a program has it open, or it is marked as read-only"
                raise PermissionError(error.errno, words, os.fspath(path)) from error
        time.sleep(1 / _TRIES)


def _sync(descriptor: int) -> None:
    """Put a file on disk. What macOS calls fsync leaves it in the disk's own cache."""
    if sys.platform == "darwin":
        with contextlib.suppress(OSError):  # a file system that cannot
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Put the renaming on disk, where the system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
