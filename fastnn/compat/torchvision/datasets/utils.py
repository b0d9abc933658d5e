"""Files of data sets: fetching, unpacking, and whether they are what they should be."""

import gzip
import hashlib
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from fastnn.compat.torch._missing import missing

__all__ = [
    "calculate_md5",
    "check_integrity",
    "check_md5",
    "download_and_extract_archive",
    "download_url",
    "extract_archive",
    "list_dir",
    "list_files",
    "verify_str_arg",
]

__getattr__ = missing(
    __name__, {"download_file_from_google_drive": "fetch the file by a browser, and let the script find it there"}
)

_SECONDS = 30  # without a byte


def calculate_md5(fpath: Any, chunk_size: int = 1024 * 1024) -> str:
    """The MD5 sum of a file."""
    with open(fpath, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def check_md5(fpath: Any, md5: str, **_: Any) -> bool:
    """Whether a file has this MD5 sum."""
    return calculate_md5(fpath) == md5


def check_integrity(fpath: Any, md5: str | None = None) -> bool:
    """Whether a file is there, and has this MD5 sum if one is given."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


def download_url(url: str, root: Any, filename: Any = None, md5: str | None = None, max_redirect_hops: int = 3) -> None:
    """Fetch a file into the folder `root`, unless it is there.

    Raises:
        RuntimeError: it has another MD5 sum.
        OSError: it cannot be fetched.
    """
    import pooch

    folder = os.path.expanduser(root)
    name = filename or os.path.basename(url)
    if check_integrity(os.path.join(folder, name), md5):
        return
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=_SECONDS)
    try:
        pooch.retrieve(url, None if md5 is None else f"md5:{md5}", name, folder, downloader=downloader)
    except ValueError as error:  # another sum
        raise RuntimeError(f"File not found or corrupted: {error}") from None


def extract_archive(from_path: Any, to_path: Any = None, remove_finished: bool = False) -> Any:
    """Unpack a .tar (.gz, .bz2, .xz), .zip or .gz file into a folder, by default its own, and nothing outside of it."""
    source = Path(from_path)
    folder = source.parent if to_path is None else Path(to_path)
    name = source.name.lower()
    if name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
        made = folder
    elif name.endswith(".zip"):
        with zipfile.ZipFile(source) as zipped:
            zipped.extractall(folder)
        made = folder
    elif name.endswith(".gz"):
        made = folder / source.stem if to_path is None or folder.is_dir() else folder
        with gzip.open(source) as content, open(made, "wb") as file:
            shutil.copyfileobj(content, file)
    else:
        raise RuntimeError(f"extract_archive: the file must end with .tar, .tar.gz, .zip or .gz. Received: {source}")
    if remove_finished:
        source.unlink()
    return os.fspath(made)


def download_and_extract_archive(
    url: str,
    download_root: Any,
    extract_root: Any = None,
    filename: Any = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """Fetch an archive into a folder, and unpack it there or into another one."""
    folder = os.path.expanduser(download_root)
    name = filename or os.path.basename(url)
    download_url(url, folder, name, md5)
    extract_archive(os.path.join(folder, name), extract_root or folder, remove_finished)


def list_dir(root: Any, prefix: bool = False) -> list[str]:
    """The folders in a folder."""
    root = os.path.expanduser(root)
    names = [name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name))]
    return [os.path.join(root, name) for name in names] if prefix else names


def list_files(root: Any, suffix: Any, prefix: bool = False) -> list[str]:
    """The files in a folder whose names end with `suffix`."""
    root = os.path.expanduser(root)
    names = [name for name in os.listdir(root) if name.endswith(suffix) and os.path.isfile(os.path.join(root, name))]
    return [os.path.join(root, name) for name in names] if prefix else names


def verify_str_arg(value: Any, arg: str | None = None, valid_values: Any = None, custom_msg: str | None = None) -> str:
    """The value, if it is one of these texts.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str):
        raise ValueError(f"Expected type str{f' for argument {arg}' if arg else ''}, but got type {type(value)}.")
    if valid_values is not None and value not in valid_values:
        known = ", ".join(map(repr, valid_values))
        raise ValueError(custom_msg or f"Unknown value '{value}' for argument {arg}. Valid values are {known}.")
    return value
