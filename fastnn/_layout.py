"""Where an activation lies in memory.

Its public shape is (N, C, H, W). In memory it is pixel-major: H, W, N, C ("HWNC"), for every pixel a dense matrix of N
images by C channels. `pixels(x)` is that view, (H, W, N, C) and C-contiguous; `images(buffer)` turns one back into the
(N, C, H, W) array that users see. Other layouts are accepted everywhere, converted once, and counted.
"""

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import _memory, _runtime
from fastnn._watching import copied

TO_PIXELS = (2, 3, 0, 1)
TO_TAPS, FROM_TAPS = (2, 3, 1, 0), (3, 2, 0, 1)  # weights of a convolution as its kernels read them
_TO_IMAGES = (2, 3, 0, 1)  # the permutation is its own inverse

_conversions = 0


def contiguous(x: NDArray) -> NDArray:
    """`x` itself if it is C-contiguous and aligned, else a copy."""
    if x.flags.c_contiguous and x.flags.aligned:
        return x
    out = _memory.empty(x.shape, x.dtype)
    _fill(out, x)
    return copied("C-contiguous", out)


def _fill(out: NDArray, x: NDArray) -> None:
    """out = x; a matrix that lies transposed on all threads, without a walk through memory in long steps."""
    native = _runtime._native
    if x.ndim == 2 and native is not None and _has_kernel(x) and x.dtype == out.dtype and x.size:
        for to, source in ((out, x), (out.T, x.T)):
            if to.flags.carray and source.T.flags.c_contiguous and source.flags.aligned:
                rows, columns = to.shape
                threads = _runtime.num_threads()
                native.layout_transpose(source.T.reshape(columns, rows, 1), to.reshape(rows, columns, 1), threads)
                return
    out[...] = x


def conversions() -> int:
    """The number of activations that were copied to the pixel-major memory layout since the process started.

    A network made of fastnn's layers copies at most its input. Other copies cost time; `fastnn.profile` shows where
    they are made.

    Example:
        >>> import fastnn
        >>> before = fastnn.conversions()
        >>> y = nn.Conv2d(3, 8, 3)(np.ones((2, 3, 8, 8), np.float32))  # copied once: it is not pixel-major
        >>> fastnn.conversions() >= before
        True
    """
    return _conversions


def empty_images(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """An uninitialised array of `shape` (N, C, H, W), pixel-major in memory."""
    n, c, h, w = shape
    return images(_memory.empty((h, w, n, c), dtype))


def images(buffer: NDArray) -> NDArray:
    """The (N, C, H, W) view of an (H, W, N, C) array."""
    return buffer.transpose(_TO_IMAGES)


def as_images(x: NDArray) -> NDArray:
    """The (N, C, H, W) view of an (N, C), (N, C, L) or (N, C, H, W) array: missing axes have length 1."""
    return x if x.ndim == 4 else x[(..., *(None,) * (4 - x.ndim))]


def _has_kernel(x: NDArray) -> bool:
    """Whether C can transpose it: float32 and float64."""
    return x.dtype.isnative and x.dtype.char in "fd"


def pixels(x: NDArray) -> NDArray:
    """The C-contiguous (H, W, N, C) array of an (N, C, H, W) one: a view if `x` is pixel-major, else a copy."""
    global _conversions
    view = x.transpose(TO_PIXELS)
    if view.flags.c_contiguous and view.flags.aligned and view.dtype.isnative:
        return view
    _conversions += 1
    h, w, n, c = view.shape
    out = _memory.empty((h, w, n, c), x.dtype.newbyteorder("="))
    native = _runtime._native
    if native is not None and _has_kernel(x) and x.flags.aligned and x.size:
        if x.flags.c_contiguous:  # NCHW is a (N * C, H * W) matrix, HWNC its transpose
            native.layout_transpose(x.reshape(n * c, h * w, 1), out.reshape(h * w, n * c, 1), _runtime.num_threads())
            return copied("pixel-major", out)
        channels_last = x.transpose(0, 2, 3, 1)
        if channels_last.flags.c_contiguous:
            rows = channels_last.reshape(n, h * w, c)
            native.layout_transpose(rows, out.reshape(h * w, n, c), _runtime.num_threads())
            return copied("pixel-major", out)
    out[...] = view
    return copied("pixel-major", out)


def pixel_major(x: NDArray) -> NDArray:
    """An (N, C, H, W) array of floats, copied if it is not pixel-major; anything else as it is."""
    is_batch = isinstance(x, np.ndarray) and x.ndim == 4 and x.dtype.kind == "f"
    return images(pixels(x)) if is_batch else x


def to_nchw(x: NDArray) -> NDArray:
    """A C-contiguous, aligned, native copy of an (N, C, H, W) array, or `x` itself if it is one."""
    if x.flags.c_contiguous and x.flags.aligned and x.dtype.isnative:
        return x
    view = x.transpose(TO_PIXELS)
    n, c, h, w = x.shape
    out = _memory.empty((n, c, h, w), x.dtype.newbyteorder("="))
    if _runtime._native is not None and view.flags.c_contiguous and view.flags.aligned and _has_kernel(x) and x.size:
        rows, columns = view.reshape(h * w, n * c, 1), out.reshape(n * c, h * w, 1)
        _runtime._native.layout_transpose(rows, columns, _runtime.num_threads())
    else:
        out[...] = x
    return copied("NCHW", out)


def flat(x: NDArray, order: tuple[int, ...] | None = None) -> NDArray:
    """The elements of a dense array in memory order (`order`, if it is known), as a one-dimensional view."""
    return x.transpose(memory_order(x) if order is None else order).reshape(-1)


def memory_order(x: NDArray) -> tuple[int, ...]:
    """The axes of `x` from the slowest to the fastest in memory; axes of length 1 keep their place."""
    if x.ndim == 4 and x.transpose(TO_PIXELS).flags.c_contiguous:
        return TO_PIXELS
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    if x.ndim == 4 and x.transpose(TO_TAPS).flags.c_contiguous:
        return TO_TAPS
    return tuple(sorted(range(x.ndim), key=lambda axis: (-abs(x.strides[axis]), axis)))


def empty_in(order: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """An uninitialised array whose axes lie in memory in the order that `memory_order` gave of another."""
    return unordered(_memory.empty(tuple([shape[axis] for axis in order]), dtype), order)


def dense(x: NDArray) -> NDArray:
    """`x` itself if its elements fill one aligned, native block of memory in any order of axes, else a copy.

    A four-dimensional copy is pixel-major, any other one is C-contiguous.
    """
    x_ordered = x.transpose(memory_order(x))
    if x_ordered.flags.c_contiguous and x.flags.aligned and x.dtype.isnative:
        return x
    if x.ndim == 4:
        return images(pixels(x))
    out = _memory.empty(x.shape, x.dtype.newbyteorder("="))
    out[...] = x
    return copied("dense", out)


def empty_like(x: NDArray) -> NDArray:
    """An uninitialised array with the shape, dtype and memory order of the dense array `x`."""
    order = memory_order(x)
    buffer = _memory.empty(tuple(x.shape[axis] for axis in order), x.dtype)
    return buffer.transpose(sorted(range(x.ndim), key=order.__getitem__))


def flat_pair(x: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The elements of x as they lie in memory, an uninitialised array like x, and its elements in the same order."""
    if x.flags.carray and x.dtype.isnative:
        y = _memory.empty(x.shape, x.dtype)
        return x.reshape(-1), y, y.reshape(-1)
    if x.ndim == 4:
        view = x.transpose(TO_PIXELS)
        if view.flags.carray and x.dtype.isnative:
            buffer = _memory.empty(view.shape, x.dtype)
            return view.reshape(-1), images(buffer), buffer.reshape(-1)
    x = dense(x)
    y = empty_like(x)
    return flat(x), y, flat(y)


def copy(x: NDArray) -> NDArray:
    """A copy in the memory order of `x`, as far as it is dense."""
    if x.nbytes <= 4096:
        return x.copy("K")
    order = memory_order(x)
    buffer = _memory.empty(tuple(x.shape[axis] for axis in order), x.dtype)
    buffer[...] = x.transpose(order)
    return unordered(buffer, order)


def as_ordered(x: NDArray, like: NDArray) -> NDArray:
    """`x`, copied if its memory order is not that of the dense array `like`, whose shape it has."""
    if x.dtype == like.dtype and x.flags.aligned:
        # The stride of an axis of length 1 says nothing.
        steps = zip(x.shape, x.strides, like.strides, strict=True)
        if x.strides == like.strides or all(a == b for size, a, b in steps if size > 1):
            return x
    out = empty_like(like)
    _fill(out, x)
    return copied("in the memory order of its partner", out)


def axis_last(x: NDArray, axis: int) -> tuple[int, ...]:
    """The axes of `x` as they lie in memory, except that `axis` comes last."""
    order = (*(other for other in memory_order(x) if other != axis), axis)
    if x.ndim == 4 and axis == 1 and not x.transpose(order).flags.c_contiguous:
        return TO_PIXELS  # it must be copied anyway
    return order


def row_order(x: NDArray, features: int) -> tuple[int, ...] | None:
    """The axes of `x` as they lie in memory, if its last ones, `features` of them, come last there.

    Any order of rows will do for what takes each by itself. None: that of its axes, in which it may have to be copied.
    """
    if x.ndim - features < 2 or x.flags.c_contiguous:
        return None
    axes = range(x.ndim - features)
    order = (*sorted(axes, key=lambda axis: -x.strides[axis]), *range(x.ndim - features, x.ndim))
    return order if x.transpose(order).flags.carray and x.dtype.isnative else None


def ordered(x: NDArray, order: tuple[int, ...] | None) -> NDArray:
    """`x.transpose(order)`, or `x` for None, C-contiguous, aligned and native: a view if it lies so, else a copy."""
    if order is None:
        return to_nchw(x) if x.ndim == 4 else contiguous(x)
    view = x.transpose(order)
    if view.flags.c_contiguous and view.flags.aligned and view.dtype.isnative:
        return view
    if order == TO_PIXELS:
        return pixels(x)
    out = _memory.empty(view.shape, x.dtype.newbyteorder("="))
    _fill(out, view)
    return copied("in the order of the kernel", out)


def in_rows(matrix: NDArray, shape: tuple[int, ...], order: tuple[int, ...] | None) -> NDArray:
    """The array of this shape whose rows, in the order that `row_order` gave, are those of `matrix`."""
    if order is None:
        return matrix.reshape(shape)
    return unordered(matrix.reshape([shape[axis] for axis in order]), order)


def unordered(buffer: NDArray, order: tuple[int, ...]) -> NDArray:
    """The array whose `transpose(order)` is `buffer`."""
    return buffer.transpose(sorted(range(buffer.ndim), key=order.__getitem__))
