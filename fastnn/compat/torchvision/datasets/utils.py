"""Files of data sets: what is there of the functions by which they are fetched."""

import hashlib
import os
from typing import Any

from fastnn.compat.torch._missing import missing

__all__ = ["calculate_md5", "check_integrity", "check_md5", "list_dir", "list_files"]

_FETCH = "fetch and unpack the file yourself, with wget and tar; fastnn's own sets are fetched by download=True"
__getattr__ = missing(
    __name__,
    dict.fromkeys(
        (
            "download_and_extract_archive",
            "download_file_from_google_drive",
            "download_url",
            "extract_archive",
        ),
        _FETCH,
    ),
)


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
