"""Pieces of large blocks of memory, by first fit, joined again when they come back.

A training step asks for the same sizes in the same order each time, but not for one after it has dropped the other of
its size: an allocator that keeps blocks whole ends with nearly twice the memory in use, or gives blocks back to the
system and takes page faults for new ones. Pieces that are cut to size and joined with free neighbours need up to two
fifths more than is in use, and for most networks next to nothing.

Not safe with threads; `fastnn._memory` is.
"""

import bisect
import mmap

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arena", "Piece"]

PAGE = 4096
# Of address space: a page that was never touched takes no memory.
_LEAST_SEGMENT = 256 << 20

Piece = tuple[int, int, int]  # the number of its segment, offset and size in bytes


class _Segment:
    """A block from the system, and its free pieces ("holes"), no two of which touch."""

    def __init__(self, size: int) -> None:
        # Private, so that a forked process has its own.
        flags = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
        try:
            self._block = mmap.mmap(-1, size, **flags)
        except (OSError, OverflowError) as error:
            raise MemoryError(f"the system has no block of {size} bytes") from error
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._block.madvise(mmap.MADV_HUGEPAGE)
        self.memory: NDArray[np.uint8] = np.frombuffer(self._block, np.uint8)
        self.size = size
        self.holes: dict[int, tuple[int, int]] = {}  # by where they begin: size, and how much of its end is untouched
        self.begin_of: dict[int, int] = {}  # of the hole that ends there

    def return_pages(self, begin: int, size: int) -> None:
        """Let the system have the memory of a hole, where it can be told so. The addresses stay."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._block.madvise(mmap.MADV_DONTNEED, begin, size)


class Arena:
    """Memory in pieces.

    Attributes:
        used: bytes of the pieces that are out.
        touched: bytes that the system may have given memory for: those that are out, and what was used before.
    """

    def __init__(self) -> None:
        self.used = 0
        self.touched = 0
        self._segments: dict[int, _Segment] = {}
        self._next_number = 0
        self._holes: list[tuple[int, int, int]] = []  # segment, offset and size, in this order

    def take(self, n_bytes: int) -> tuple[Piece, NDArray[np.uint8]]:
        """A piece and its first `n_bytes`: the beginning of the first hole in which it fits.

        Raises:
            MemoryError: the system has no more.
        """
        size = -(-n_bytes // PAGE) * PAGE
        hole = self._first_hole(size)
        if hole is None:
            self._grow(size)
            hole = self._first_hole(size)
            assert hole is not None  # the new segment is one
        number, begin, length = hole
        untouched = self._remove_hole(number, begin)
        if length > size:
            self._add_hole(number, begin + size, length - size, min(untouched, length - size))
        self.used += size
        self.touched += max(0, size - (length - untouched))
        return (number, begin, size), self._segments[number].memory[begin : begin + n_bytes]

    def give_back(self, piece: Piece) -> None:
        """Make a hole of the piece and of the holes on its two sides."""
        number, begin, size = piece
        segment = self._segments[number]
        self.used -= size
        end, untouched = begin + size, 0
        if end in segment.holes:
            length = segment.holes[end][0]
            untouched = self._remove_hole(number, end)
            end += length
        if begin in segment.begin_of:
            begin = segment.begin_of[begin]
            self.touched += self._remove_hole(number, begin)  # no longer at an end: counted, though it may be free
        self._add_hole(number, begin, end - begin, untouched)

    def release(self) -> None:
        """Return what is not in use to the system."""
        for number, begin, size in list(self._holes):
            segment = self._segments[number]
            self.touched -= size - self._remove_hole(number, begin)
            if size == segment.size:
                del self._segments[number]
            else:
                segment.return_pages(begin, size)
                self._add_hole(number, begin, size, size)

    def _first_hole(self, size: int) -> tuple[int, int, int] | None:
        for hole in self._holes:
            if hole[2] >= size:
                return hole
        return None

    def _grow(self, size: int) -> None:
        """Another segment, as large as all others together, so that there are few and large pieces fit."""
        wanted = max(size, _LEAST_SEGMENT, sum(segment.size for segment in self._segments.values()))
        try:
            segment = _Segment(wanted)
        except MemoryError:
            self.release()
            segment = _Segment(size)
        number, self._next_number = self._next_number, self._next_number + 1
        self._segments[number] = segment
        self._add_hole(number, 0, segment.size, segment.size)

    def _add_hole(self, number: int, begin: int, size: int, untouched: int) -> None:
        bisect.insort(self._holes, (number, begin, size))
        self._segments[number].holes[begin] = size, untouched
        self._segments[number].begin_of[begin + size] = begin

    def _remove_hole(self, number: int, begin: int) -> int:
        """Take it off the books; how many bytes at its end are untouched."""
        size, untouched = self._segments[number].holes.pop(begin)
        del self._holes[bisect.bisect_left(self._holes, (number, begin))]
        del self._segments[number].begin_of[begin + size]
        return untouched
