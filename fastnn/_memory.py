"""Arrays whose memory is used again.

The first touch of fresh memory costs the system a page fault for every 4 KB, which takes longer than many a layer. So
large results come from a cache: when an array and all its views are gone, its block goes back and the next array of
about its size takes it. Ownership stays with NumPy's reference counts; an array that a caller keeps is never reused.

The cache holds at most as much as was in use at once, and `empty_cache()` frees it.
"""

import math
import threading

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


def _size_class(n_bytes: int) -> int:
    """Round up to an eighth of a power of two: at most 12.5 % is wasted, and similar sizes share blocks."""
    step = max(4096, 1 << max(0, n_bytes.bit_length() - 4))
    return -(-n_bytes // step) * step


def _give_back(block: NDArray[np.uint8]) -> None:
    global _cached_bytes, _used_bytes
    with _lock:
        _used_bytes -= block.size
        if _cached_bytes + _used_bytes + block.size <= _most_used_bytes:
            _free.setdefault(block.size, []).append(block)
            _cached_bytes += block.size


def _take(size: int) -> NDArray[np.uint8]:
    global _cached_bytes, _used_bytes, _most_used_bytes
    with _lock:
        blocks = _free.get(size)
        block = blocks.pop() if blocks else None
        if block is not None:
            _cached_bytes -= size
        _used_bytes += size
        _most_used_bytes = max(_most_used_bytes, _used_bytes)
        while _cached_bytes and _cached_bytes + _used_bytes > _most_used_bytes:
            _drop_one()
    return np.empty(size, np.uint8) if block is None else block


def _drop_one() -> None:
    global _cached_bytes
    for size, blocks in list(_free.items()):
        if blocks:
            blocks.pop()
            _cached_bytes -= size
            return
        del _free[size]


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
    lease = _runtime._native.Lease(block[start : start + n_bytes], block, _give_back)
    return np.ndarray(shape, dtype, buffer=lease)


def workspace(n_bytes: int) -> NDArray[np.uint8]:
    """Scratch memory for one operation."""
    return empty((max(n_bytes, 1),), np.uint8)


def empty_cache() -> None:
    """Free the memory that no array uses."""
    global _cached_bytes, _most_used_bytes
    with _lock:
        _free.clear()
        _cached_bytes = 0
        _most_used_bytes = _used_bytes


def memory_info() -> dict[str, int]:
    """Bytes `used` by arrays of this cache, `cached` for the next ones, and the `most_used` at once."""
    with _lock:
        return {"used": _used_bytes, "cached": _cached_bytes, "most_used": _most_used_bytes}
