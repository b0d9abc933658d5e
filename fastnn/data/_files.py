"""Where data sets are looked for, how they get there, and what is said when they are missing or broken."""

import os
import stat
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from fastnn._errors import FileError
from fastnn._system import open_without_waiting, user_folder_name


class Readable(Protocol):
    """A file open for reading bytes, as far as it is needed here."""

    def read(self, size: int, /) -> bytes: ...


_CHUNK = 1 << 16
_SECONDS = 30  # without a single byte, after which a mirror counts as dead


class DataError(FileError):
    """A file of a data set is truncated, in another format, or contains what it should not. See `fastnn.FileError`."""


class DataNotFoundError(FileNotFoundError):
    """A data set was not found on this machine, or could not be downloaded."""


def _pooch() -> Any:
    """The package; it warns where a notebook has no widgets for tqdm, which matters to nobody here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pooch
    return pooch


def cache_folder() -> Path:
    """The folder that downloads go to: `fastnn` in the user's cache folder of this platform.

    A user without a home, as in many containers, has a folder of their own among the temporary files.
    """
    try:
        folder = Path(_pooch().os_cache("fastnn"))
    except RuntimeError:  # so do new versions of platformdirs; old ones return "~/.cache"
        folder = Path("~")
    return folder if folder.is_absolute() else Path(tempfile.gettempdir()) / user_folder_name("fastnn")


def expanded(path: str | os.PathLike[str]) -> Path:
    """`path` with the home folder in the place of '~', if there is one."""
    return Path(os.path.expanduser(path))  # Path.expanduser raises RuntimeError for a user without a home


def places(root: str | os.PathLike[str] | None) -> Iterator[Path]:
    """Where to look, in order: `root`, the folder that FASTNN_DATA names, the cache folder."""
    if root is not None:
        yield expanded(root)
    if os.environ.get("FASTNN_DATA"):
        yield expanded(os.environ["FASTNN_DATA"])
    yield cache_folder()


def not_found(name: str, wanted: Sequence[str], root: str | os.PathLike[str] | None) -> DataNotFoundError:
    """The error that tells where `name` was looked for, and what to do."""
    return DataNotFoundError(
        f"{name} was not found: there is none of {', '.join(wanted)} in {', '.join(map(str, places(root)))}. "
        "Pass download=True, or let root or the environment variable FASTNN_DATA name the folder that has it"
    )


@dataclass(frozen=True)
class Source:
    """One file that can be downloaded, and the checksum that makes every mirror as good as the original."""

    filename: str
    url: str
    sha256: str


def download(sources: Sequence[Source], root: str | os.PathLike[str] | None = None) -> Path:
    """Fetch the first source that answers with the right content into the folder `root`, or into the cache folder.

    The file is written under another name and takes its own only when complete and verified, so that a file
    there is never half of one.

    Raises:
        DataNotFoundError: no source could be used; the message has the reason for each.
    """
    import requests

    pooch = _pooch()
    folder = cache_folder() if root is None else expanded(root)
    reasons = []
    for source in sources:
        try:
            return Path(
                pooch.retrieve(
                    url=source.url,
                    known_hash=f"sha256:{source.sha256}",
                    fname=source.filename,
                    path=folder,
                    downloader=pooch.HTTPDownloader(progressbar=True, timeout=_SECONDS),
                )
            )
        except (
            requests.RequestException,
            OSError,
            ValueError,
        ) as error:  # ValueError: pooch's wrong checksum
            reasons.append(f"{source.url}: {error}")
    raise DataNotFoundError("download failed: " + "; ".join(reasons))


def open_file(path: Path, largest: int) -> IO[bytes]:
    """A regular file of at most `largest` bytes, open for reading.

    Raises:
        DataError: it is a FIFO, a device or too large.
        OSError: it cannot be opened.
    """
    file = open(path, "rb", opener=open_without_waiting)  # noqa: SIM115
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise DataError("not a regular file", path)
        if status.st_size > largest:
            raise DataError(f"{status.st_size:,} bytes, at most {largest:,} are expected", path)
    except BaseException:
        file.close()
        raise
    return file


def read_file(path: Path, smallest: int, largest: int) -> bytes:
    """The content of a regular file that must have so many bytes."""
    with open_file(path, largest) as file:
        content = file.read(largest + 1)
    try:
        check_size(len(content), smallest, largest)
    except DataError as error:
        raise DataError(str(error), path) from None
    return content


def check_size(size: int, smallest: int, largest: int) -> None:
    """Raise DataError if it is another one."""
    if not smallest <= size <= largest:
        expected = f"{largest:,}" if smallest == largest else f"{smallest:,} to {largest:,}"
        raise DataError(f"{size:,} bytes, {expected} are expected")


def read_exactly(file: Readable, size: int) -> bytes:
    """The next `size` bytes.

    Raises:
        DataError: there are fewer, or the compressed data is damaged.
    """
    content = file.read(size)
    if len(content) != size:
        raise DataError(f"truncated, {len(content):,} of {size:,} bytes are there")
    return content


class GzipReader:
    """What a gzip file expands to, up to `limit` bytes: no decompression bomb gets past it.

    Not `gzip.open`, which goes through any number of empty parts one after the other, and takes hours for a file of
    nothing else. Here there is one part and nothing behind it, as in all files of data sets.
    """

    def __init__(self, file: Readable, limit: int) -> None:
        self._file, self._left = file, limit
        self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end, where the checksum has been compared."""
        parts, wanted = [], size
        while wanted > 0 and not self._stream.eof:
            compressed = self._stream.unconsumed_tail or self._file.read(_CHUNK)
            try:
                part = self._stream.decompress(compressed, wanted)
            except zlib.error as error:
                raise DataError(f"damaged ({error})") from None
            if not part and not compressed:
                raise DataError("truncated, the compressed data has no end")
            self._left -= len(part)
            if self._left < 0:
                raise DataError("expands to more than such a file can hold")
            wanted -= len(part)
            parts.append(part)
        return b"".join(parts)

    def check_end(self) -> None:
        """Read what is left, and refuse whatever stands behind it."""
        while self.read(_CHUNK):
            pass
        if self._stream.unused_data or self._file.read(1):
            raise DataError("there is something behind the compressed data")
