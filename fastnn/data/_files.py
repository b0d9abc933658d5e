"""Where data sets are looked for, how they get there, and what is said when they are missing or broken."""

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fastnn._errors import FileError


class Readable(Protocol):
    """A file open for reading bytes, as far as it is needed here."""

    def read(self, size: int, /) -> bytes: ...


_SECONDS = 30  # without a single byte, after which a mirror counts as dead


class DataError(FileError):
    """A file of a data set is not what it should be: truncated, of another format, or hostile."""


class DataNotFoundError(FileNotFoundError):
    """A data set is nowhere to be found, or could not be downloaded."""


def cache_folder() -> Path:
    """The folder that downloads go to: `fastnn` in the user's cache folder of this platform."""
    import pooch

    return Path(pooch.os_cache("fastnn"))


def places(root: str | os.PathLike[str] | None) -> Iterator[Path]:
    """Where to look, in order: `root`, the folder that FASTNN_DATA names, the cache folder."""
    if root is not None:
        yield Path(root).expanduser()
    if os.environ.get("FASTNN_DATA"):
        yield Path(os.environ["FASTNN_DATA"]).expanduser()
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


def download(sources: Sequence[Source]) -> Path:
    """Fetch the first source that answers with the right content into the cache folder.

    The file is written under another name and takes its own only when complete and verified, so that a file
    in the cache is never half of one.

    Raises:
        DataNotFoundError: no source could be used; the message has the reason for each.
    """
    import pooch
    import requests

    reasons = []
    for source in sources:
        try:
            return Path(
                pooch.retrieve(
                    url=source.url,
                    known_hash=f"sha256:{source.sha256}",
                    fname=source.filename,
                    path=cache_folder(),
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


def read_exactly(file: Readable, size: int, name: str) -> bytes:
    """The next `size` bytes.

    Raises:
        DataError: there are fewer, or the compressed data is damaged.
    """
    try:
        content = file.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name}: damaged ({error})") from error
    if len(content) != size:
        raise DataError(f"{name}: truncated, {len(content)} of {size} bytes are there")
    return content


def read_file(path: Path, size: int) -> bytes:
    """The content of a file that must have exactly `size` bytes."""
    found = path.stat().st_size
    if found != size:
        raise DataError(f"{path}: {found} bytes, {size} are expected")
    with path.open("rb") as file:
        return read_exactly(file, size, str(path))


class CappedReader:
    """A compressed stream that refuses to grow beyond `limit` bytes: no decompression bomb gets past it."""

    def __init__(self, file: Readable, limit: int, name: str) -> None:
        self._file, self._left, self._name = file, limit, name

    def read(self, size: int) -> bytes:
        content = self._file.read(min(size, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"{self._name}: expands to more than such a file can hold")
        return content
