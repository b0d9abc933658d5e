"""Arrays whose memory is used again.

The first touch of fresh memory costs the system a page fault for every 4 KB, which takes longer than many a layer. So
large results come from an arena: when an array and all its views are gone, its piece goes back and the next array
takes it. Ownership stays with NumPy's reference counts; an array that a caller keeps is never reused.

The arena grows to what was in use at once and what lies idle between; `empty_cache()` frees what no array uses.
"""

import math
import os
import threading
from collections import deque

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import _arena, _runtime

# Arrays up to this size come from the C allocator, which keeps them at hand itself.
_SMALL = 64 * 1024

_lock = threading.Lock()
_pieces = _arena.Arena()
_most_used_bytes = 0

# Pieces whose last array is gone. An array can die at any moment, also while this very thread holds the lock (when the
# garbage collector runs in there), so a dying one only appends here, which needs no lock; the next who holds it sorts
# them in.
_returned: deque[_arena.Piece] = deque()


def _renew_lock() -> None:
    """In a forked child the lock may be held by a thread that was not copied."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _sort_in_returned() -> None:
    while _returned:
        _pieces.give_back(_returned.popleft())


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """An uninitialised C-contiguous array, aligned to 64 bytes, of memory that was used before if possible.

    Raises:
        MemoryError: so much memory is not there.
    """
    global _most_used_bytes
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    native = _runtime._native
    if native is None:
        return np.empty(shape, dtype)
    if n_bytes <= _SMALL:
        return np.ndarray(shape, dtype, buffer=native.Block(n_bytes))
    with _lock:
        if _returned:
            _sort_in_returned()
        piece, memory = _pieces.take(n_bytes)
        if _pieces.used > _most_used_bytes:
            _most_used_bytes = _pieces.used
    lease = native.Lease(memory, piece, _returned.append)
    return np.ndarray(shape, dtype, buffer=lease)


# Scratch memory up to this size stays with its thread: looking for it would take longer than a small operation.
_KEPT_WORKSPACE = 1 << 20
_of_thread = threading.local()


def workspace(n_bytes: int) -> NDArray[np.uint8]:
    """Scratch memory for one operation, which must be done with it before the next one of its thread asks."""
    if n_bytes > _KEPT_WORKSPACE or _runtime._native is None:
        return empty((max(n_bytes, 1),), np.uint8)
    kept: NDArray[np.uint8] | None = getattr(_of_thread, "workspace", None)
    if kept is None:
        block = _runtime._native.Block(_KEPT_WORKSPACE)
        kept = _of_thread.workspace = np.ndarray((_KEPT_WORKSPACE,), np.uint8, buffer=block)
    return kept


def empty_cache() -> None:
    """Free the memory that no array uses."""
    global _most_used_bytes
    with _lock:
        _sort_in_returned()
        _pieces.release()
        _most_used_bytes = _pieces.used


def memory_info() -> dict[str, int]:
    """Bytes `used` by arrays of this cache, `cached` for the next ones, and the `most_used` at once."""
    with _lock:
        _sort_in_returned()
        used = _pieces.used
        return {"used": used, "cached": _pieces.touched - used, "most_used": _most_used_bytes}
