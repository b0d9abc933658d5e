"""Arrays whose memory is used again.

The first touch of fresh memory costs the system a page fault for every 4 KB, which takes longer than many a layer. So
large results come from a cache: when an array and all its views are gone, its block goes back and the next array of
about its size takes it. Ownership stays with NumPy's reference counts; an array that a caller keeps is never reused.

The cache holds at most as much as was in use at once, and `empty_cache()` frees it.
"""

import math
import os
import threading
from collections import deque

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import _runtime

# Smaller arrays come from the C allocator, which keeps them at hand itself.
_SMALL = 64 * 1024
_ALIGNMENT = 64

_lock = threading.Lock()
_free: dict[int, list[NDArray[np.uint8]]] = {}
_cached_bytes = 0
_used_bytes = 0
_most_used_bytes = 0

# Blocks whose last array is gone. An array can die at any moment, also while this very thread holds the lock (when the
# garbage collector runs in there), so a dying one only appends here, which needs no lock; the next who holds it sorts
# them in.
_returned: deque[NDArray[np.uint8]] = deque()


def _renew_lock() -> None:
    """In a forked child the lock may be held by a thread that was not copied."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _size_class(n_bytes: int) -> int:
    """Round up to an eighth of a power of two: at most 12.5 % is wasted, and similar sizes share blocks."""
    step = max(4096, 1 << max(0, n_bytes.bit_length() - 4))
    return -(-n_bytes // step) * step


def _sort_in_returned() -> None:
    global _cached_bytes, _used_bytes
    while _returned:
        block = _returned.popleft()
        _used_bytes -= block.size
        _cached_bytes += block.size
        _free.setdefault(block.size, []).append(block)


def _drop_until(limit: int) -> None:
    """Free cached blocks, those of the sizes that appeared first, until at most `limit` bytes are cached."""
    global _cached_bytes
    for size in list(_free):
        while _cached_bytes > limit and _free[size]:
            _free[size].pop()
            _cached_bytes -= size
        if not _free[size]:
            del _free[size]


def _take(size: int) -> NDArray[np.uint8]:
    global _cached_bytes, _used_bytes, _most_used_bytes
    with _lock:
        _sort_in_returned()
        blocks = _free.get(size)
        if blocks:
            block = blocks.pop()
            _cached_bytes -= size
        else:
            most_used = max(_most_used_bytes, _used_bytes + size)
            _drop_until(most_used - _used_bytes - size)
            try:
                block = np.empty(size, np.uint8)
            except MemoryError:  # with what is cached it may fit
                _drop_until(0)
                block = np.empty(size, np.uint8)
        _used_bytes += size
        _most_used_bytes = max(_most_used_bytes, _used_bytes)
        return block


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """An uninitialised C-contiguous array, aligned to 64 bytes, of memory that was used before if possible.

    Raises:
        MemoryError: so much memory is not there.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes < _SMALL or _runtime._native is None:
        raw = np.empty(n_bytes + _ALIGNMENT, np.uint8)
        start = -raw.ctypes.data % _ALIGNMENT if n_bytes else 0
        return raw[start : start + n_bytes].view(dtype).reshape(shape)
    block = _take(_size_class(n_bytes + _ALIGNMENT))
    start = -block.__array_interface__["data"][0] % _ALIGNMENT
    lease = _runtime._native.Lease(block[start : start + n_bytes], block, _returned.append)
    return np.ndarray(shape, dtype, buffer=lease)


def workspace(n_bytes: int) -> NDArray[np.uint8]:
    """Scratch memory for one operation."""
    return empty((max(n_bytes, 1),), np.uint8)


def empty_cache() -> None:
    """Free the memory that no array uses."""
    global _most_used_bytes
    with _lock:
        _sort_in_returned()
        _drop_until(0)
        _most_used_bytes = _used_bytes


def memory_info() -> dict[str, int]:
    """Bytes `used` by arrays of this cache, `cached` for the next ones, and the `most_used` at once."""
    with _lock:
        _sort_in_returned()
        return {"used": _used_bytes, "cached": _cached_bytes, "most_used": _most_used_bytes}
