"""Zip archives, as far as PyTorch's files need them: names, places and lengths, all checked before memory is taken.

Python's `zipfile` makes an object of whatever a directory lists and looks for archives in front of, behind and within
other content. Here an archive fills its file, its members do not overlap, and no name comes twice.
"""

import itertools
import struct
import zlib
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.training._pth.errors import Unreadable

__all__ = ["Archive", "read_exactly"]

_LONGEST_COMMENT = 0xFFFF
_MOST_MEMBERS = 200_000
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_IN_64_BITS, _ZIP64 = 0xFFFFFFFF, 1
_CHUNK = 1 << 20
# PyTorch compresses nothing, and trained weights hardly get shorter. What is all zeros does, a thousand times.
_EXPANSION, _LEAST_EXPANDED = 8, 16 << 20

_END = struct.Struct("<4s4H2IH")
_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")


def read_exactly(file: IO[bytes], size: int) -> NDArray[np.uint8]:
    """The next `size` bytes, of which the caller knows that the file has them."""
    content = np.empty(size, np.uint8)
    view, filled = content.data, 0
    readinto: Any = getattr(file, "readinto", None)  # which some objects that stand for files lack
    while filled < size:
        if readinto is not None:
            length = readinto(view[filled:])
        else:
            part = file.read(min(size - filled, _CHUNK))
            length = len(part)
            view[filled : filled + length] = part
        if not length:
            raise Unreadable("truncated, it became shorter while it was read")
        filled += length
    return content


@dataclass(frozen=True, slots=True)
class _Member:
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


class Archive:
    """A zip archive that fills `size` bytes of a file.

    Raises:
        Unreadable: it is damaged, or built as no ordinary program builds one.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        count, start, length = self._end(size)
        if count > _MOST_MEMBERS:
            raise Unreadable(f"refused, a zip archive of {count:,} members, {_MOST_MEMBERS:,} are allowed")
        directory = self._bytes(start, length)
        self._members: dict[bytes, _Member] = {}
        position = 0
        for _ in range(count):
            position = self._add(directory, position)
        if position != length:
            raise Unreadable("damaged, the directory of its zip archive has another length")
        self._check_expansion(size)
        self._ends = self._checked_ends(start)

    def names(self) -> list[bytes]:
        return list(self._members)

    def size(self, name: bytes) -> int | None:
        """Bytes of a member's content, None if there is no such member."""
        return self._members[name].size if name in self._members else None

    def read(self, name: bytes) -> NDArray[np.uint8]:
        """The content of a member that is there."""
        member = self._members[name]
        header = _LOCAL.unpack(self._bytes(member.offset, _LOCAL.size))
        start = member.offset + _LOCAL.size + header[9] + header[10]
        if header[0] != b"PK\3\4" or self._bytes(member.offset + _LOCAL.size, len(name)) != name:
            raise Unreadable(f"damaged, its member {_shown(name)} is not where the directory says")
        if header[9] != len(name) or header[2] & _ENCRYPTED or header[3] != member.method:
            raise Unreadable(f"damaged, its member {_shown(name)} is not what the directory says")
        if start + member.packed > self._ends[member.offset]:
            raise Unreadable(f"damaged, its member {_shown(name)} overlaps with another")
        self._file.seek(start)
        content = read_exactly(self._file, member.size) if member.method == _STORED else self._inflated(member, name)
        # PyTorch leaves the checksum zero if it is told to compute none.
        if member.crc not in (0, zlib.crc32(content.data)):
            raise Unreadable(f"damaged, the checksum of its member {_shown(name)} does not fit to its content")
        return content

    # ---- parts -------------------------------------------------------------------------------------------------------
    def _bytes(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        content = self._file.read(length)
        if len(content) != length:
            raise Unreadable("truncated within its zip archive")
        return content

    def _end(self, size: int) -> tuple[int, int, int]:
        """Number of members, place and length of the directory."""
        searched = min(size, _END.size + _LONGEST_COMMENT)
        tail = self._bytes(size - searched, searched)
        place = tail.rfind(b"PK\5\6")
        while place >= 0 and len(tail) - place < _END.size:
            place = tail.rfind(b"PK\5\6", 0, place)
        if place < 0:
            raise Unreadable("truncated, its zip archive has no end")
        _, disk, first_disk, here, count, length, start, comment = _END.unpack_from(tail, place)
        if place + _END.size + comment != len(tail):
            raise Unreadable("damaged, there is something behind its zip archive")
        if (disk, first_disk) not in ((0, 0), (0xFFFF, 0xFFFF)) or here != count:
            raise Unreadable("refused, its zip archive is one of several parts")
        end = size - searched + place
        located = self._end64(end)
        if located is not None:
            narrow = ((count, 0xFFFF), (length, _IN_64_BITS), (start, _IN_64_BITS))
            wide = located[:3]
            if any(a not in (b, most) for (a, most), b in zip(narrow, wide, strict=True)):
                raise Unreadable("damaged, the two ends of its zip archive differ")
            (count, length, start), end = wide, located[3]
        if start + length != end:
            raise Unreadable("damaged, there is something before, behind or within its zip archive")
        if count * _ENTRY.size > length:
            raise Unreadable("damaged, the directory of its zip archive has another length")
        return count, start, length

    def _end64(self, end: int) -> tuple[int, int, int, int] | None:
        """Number of members, length and place of the directory, place of the 64-bit end; None if there is none."""
        if end < _LOCATOR.size + _END64.size:
            return None
        signature, _, place, _ = _LOCATOR.unpack(self._bytes(end - _LOCATOR.size, _LOCATOR.size))
        if signature != b"PK\6\7":
            return None
        if place + _END64.size != end - _LOCATOR.size:
            raise Unreadable("damaged, the 64-bit end of its zip archive is not where it should be")
        found = _END64.unpack(self._bytes(place, _END64.size))
        if found[0] != b"PK\6\6" or found[1] != _END64.size - 12 or found[4:6] != (0, 0) or found[6] != found[7]:
            raise Unreadable("damaged, the 64-bit end of its zip archive is not what it should be")
        return found[7], found[8], found[9], place

    def _add(self, directory: bytes, position: int) -> int:
        if position + _ENTRY.size > len(directory):
            raise Unreadable("damaged, the directory of its zip archive has another length")
        entry = _ENTRY.unpack_from(directory, position)
        flags, method, crc, packed, size, offset = entry[3], entry[4], *entry[7:10], entry[16]
        name_end = position + _ENTRY.size + entry[10]
        end = name_end + entry[11] + entry[12]
        if entry[0] != b"PK\1\2" or end > len(directory):
            raise Unreadable("damaged, the directory of its zip archive is not what it should be")
        name = directory[position + _ENTRY.size : name_end]
        if name in self._members:
            raise Unreadable(f"refused, its zip archive has the member {_shown(name)} twice")
        if flags & _ENCRYPTED:
            raise Unreadable("encrypted; decrypt it first")
        if method not in (_STORED, _DEFLATED):
            raise Unreadable(f"its member {_shown(name)} is compressed in a way that is not read")
        size, packed, offset = _widened(directory[name_end : name_end + entry[11]], size, packed, offset)
        if method == _STORED and size != packed:
            raise Unreadable(f"damaged, its member {_shown(name)} has two lengths")
        self._members[name] = _Member(flags, method, crc, packed, size, offset)
        return end

    def _check_expansion(self, size: int) -> None:
        expanded = sum(member.size for member in self._members.values())
        if expanded > max(_LEAST_EXPANDED, _EXPANSION * size):
            raise Unreadable(f"refused, its zip archive of {size:,} bytes would expand to {expanded:,}")

    def _checked_ends(self, directory: int) -> dict[int, int]:
        """Where the next member, or the directory, begins behind each member that begins at an offset."""
        members = sorted(self._members.items(), key=lambda item: item[1].offset)
        starts = [member.offset for _, member in members] + [directory]
        for (name, member), end in zip(members, starts[1:], strict=True):
            if member.offset + _LOCAL.size + len(name) + member.packed > end:
                raise Unreadable(f"damaged, its member {_shown(name)} overlaps with another")
        return dict(itertools.pairwise(starts))

    def _inflated(self, member: _Member, name: bytes) -> NDArray[np.uint8]:
        content, filled, left = np.empty(member.size, np.uint8), 0, member.packed
        stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        wrong = Unreadable(f"damaged, its member {_shown(name)} does not expand to its length")
        while not stream.eof:
            packed = stream.unconsumed_tail
            if not packed:
                packed = self._file.read(min(left, _CHUNK))
                left -= len(packed)
            try:
                part = stream.decompress(packed, min(_CHUNK, member.size - filled + 1))
            except zlib.error:
                raise wrong from None
            if filled + len(part) > member.size or not (part or packed):
                raise wrong
            content[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
            filled += len(part)
        if filled != member.size or left or stream.unused_data:
            raise wrong
        return content


def _widened(extra: bytes, *narrow: int) -> tuple[int, ...]:
    """Numbers of a directory's entry, those that do not fit into 32 bits from its extra fields."""
    wanted = [index for index, number in enumerate(narrow) if number == _IN_64_BITS]
    numbers, position = list(narrow), 0
    while wanted and position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        position += 4
        if kind == _ZIP64 and position + min(length, 8 * len(wanted)) <= len(extra) and length >= 8 * len(wanted):
            for number, index in enumerate(wanted):
                numbers[index] = int.from_bytes(extra[position + 8 * number : position + 8 * number + 8], "little")
            return tuple(numbers)
        position += length
    if wanted:
        raise Unreadable("damaged, a member of its zip archive has no length or place")
    return tuple(numbers)


def _shown(name: bytes) -> str:
    return repr(name[:80].decode("utf-8", "replace"))
