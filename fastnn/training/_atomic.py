"""Writing a file so that its name always holds a whole one: the old one or the new one."""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

__all__ = ["atomic_write"]

_LONGEST_NAME = 255  # bytes, of every usual file system
_SUFFIX = ".part"
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
        mode, **kwargs: as of `open`, for writing.
    Raises:
        OSError: the file cannot be written, or `path` is a folder, a FIFO, a socket or a device. The file that was
            there is whole, and nothing else is left.
    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from fastnn.training import atomic_write
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(f"{folder}/a.txt", "w") as file:
        ...         _ = file.write("whole")
        ...     Path(folder, "a.txt").read_text()
        'whole'
    """
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
            if before is not None:
                with contextlib.suppress(OSError):  # only root may give files away
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            os.fsync(file.fileno())
            # While it is open, and therefore locked: nobody takes it for a leftover.
            os.replace(temporary, target)
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
            error.filename, error.filename2 = os.fspath(path), None
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
    while True:
        path = target.parent / f"{_prefix(target)}{secrets.token_hex(4)}{_SUFFIX}"
        try:
            # The kernel takes the umask off. What replaces a private file is private from its first byte.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600 if private else 0o666)
        except FileExistsError:
            continue
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
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path)
            finally:
                os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Put the renaming on disk, where the system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
