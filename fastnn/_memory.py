"""Arrays whose memory is used again.

The first touch of fresh memory costs the system a page fault for every 4 KB, which takes longer than many a layer. So
large results come from an arena: when an array and all its views are gone, its piece goes back and the next array
takes it. Ownership stays with NumPy's reference counts; an array that a caller keeps is never reused.

A training step asks for the same sizes in the same order each time, but not for one after it has dropped the other of
its size: an allocator that keeps blocks whole ends with nearly twice the memory in use, or gives blocks back to the
system and takes page faults for new ones. Pieces that are cut to size and joined with free neighbours need up to two
fifths more than is in use, and for most networks next to nothing. The arena grows to what was in use at once and what
lies idle between; `empty_cache()` frees what no array uses.

The arena's books are written in C (`_bindings/arena.pxi`), where neither an interrupt nor a fork finds them half done.
"""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import _runtime

# Arrays up to this size are NumPy's own: that takes 0.2 us instead of 0.8, and where they lie says little.
_TINY = 4 * 1024
# Arrays up to this size come from the C allocator, which keeps them at hand itself.
_SMALL = 64 * 1024
# Of address space: a page that was never touched takes no memory.
_LEAST_SEGMENT = 256 << 20

_arena: Any = None if _runtime._native is None else _runtime._native.Arena(_LEAST_SEGMENT)


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """An uninitialised C-contiguous array, of memory that was used before if possible; aligned to 64 bytes unless it
    is tiny.

    Raises:
        MemoryError: so much memory is not there.
        ValueError: a size is negative.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    native = _runtime._native
    if native is None or 0 <= n_bytes <= _TINY:
        return np.empty(shape, dtype)
    if n_bytes <= _SMALL:
        return np.ndarray(shape, dtype, buffer=native.Block(n_bytes))
    return np.ndarray(shape, dtype, buffer=native.Lease(_arena, n_bytes))


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
    """Return memory that no array uses to the operating system.

    Large results come from a cache of memory that is used again and again. Call this after a large network is deleted.

    Example:
        >>> import fastnn
        >>> before = fastnn.memory_info()["cached"]
        >>> fastnn.empty_cache()
        >>> fastnn.memory_info()["cached"] <= before
        True
    """
    if _arena is not None:
        _arena.release()


def memory_info() -> dict[str, int]:
    """The state of the memory cache from which large results come, in bytes.

    Returns:
        "used": bytes in use by arrays; "cached": bytes kept for later arrays; "most_used": the largest value of "used"
        so far.
    Example:
        >>> import fastnn
        >>> sorted(fastnn.memory_info())
        ['cached', 'most_used', 'used']
    """
    used, touched, most_used = (0, 0, 0) if _arena is None else _arena.counts()
    return {"used": used, "cached": touched - used, "most_used": most_used}
