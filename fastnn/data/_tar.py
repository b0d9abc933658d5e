"""Reading a few members of a tar archive whose names and sizes are known.

Python's `tarfile` keeps every member that it passes, and believes extended headers of any number and size. An archive
of a data set has a dozen members with short names, so that a plain header tells all that is needed.
"""

from collections.abc import Collection, Iterator

from fastnn.data._files import DataError, GzipReader, check_size, read_exactly

_BLOCK = 512
_MOST_MEMBERS = 1000
_LARGEST_EXTENSION = 1 << 16  # of a header for long names, owners and the like, which are passed over
_EXTENSIONS = b"xgLKXAVN"
_FILE = b"0\0"
_SKIPPED = 1 << 20  # bytes at once


def read_members(
    stream: GzipReader, wanted: Collection[str], smallest: int, largest: int
) -> Iterator[tuple[str, bytes]]:
    """The wanted files and their content, in the order of the archive.

    Raises:
        DataError: the archive is damaged, a file is missing, is no file, or has another size.
    """
    left = set(wanted)
    for _ in range(_MOST_MEMBERS):
        header = read_exactly(stream, _BLOCK)
        if not header.strip(b"\0"):  # the end of the archive
            break
        name, size, kind = _parse(header)
        padding = -size % _BLOCK
        if name in left:
            if kind not in _FILE:
                raise DataError(f"{name}: not a regular file")
            try:
                check_size(size, smallest, largest)
            except DataError as error:
                raise DataError(f"{name}: {error}") from None
            yield name, read_exactly(stream, size)
            left.remove(name)
            if not left:
                break
            read_exactly(stream, padding)
            continue
        if kind in _EXTENSIONS and size > _LARGEST_EXTENSION:
            raise DataError(f"an extended header of {size:,} bytes, {_LARGEST_EXTENSION:,} are allowed")
        for _ in range((size + padding) // _SKIPPED):
            read_exactly(stream, _SKIPPED)
        read_exactly(stream, (size + padding) % _SKIPPED)
    else:
        raise DataError(f"more than {_MOST_MEMBERS:,} members")
    if left:
        raise DataError(f"{', '.join(sorted(left))} is missing")
    stream.check_end()  # the checksum of the whole stands there


def _parse(header: bytes) -> tuple[str, int, bytes]:
    """Name, size and kind.

    Source: POSIX.1-1988, the format "ustar", and its forerunner without a prefix.
    """
    # The sum of all bytes, those of its own field counted as blanks.
    if _octal(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise DataError("damaged, a header of the archive has another checksum")
    name = header[:100].split(b"\0")[0]
    if header[257:263] == b"ustar\0":  # GNU's variant "ustar  " has other things in the place of the prefix
        prefix = header[345:500].split(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    return name.decode("utf-8", "replace").rstrip("/"), _octal(header[124:136]), header[156:157]


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0") or b"0"
    if digits.strip(b"01234567"):
        raise DataError(f"damaged, {field!r} in a header of the archive is no octal number")
    return int(digits, 8)
