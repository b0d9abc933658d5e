"""The windows of a pooling, as lists: which pixels each result is computed from, along each axis.

Padding, stride, dilation, `ceil_mode` and adaptive windows are settled here; the C side reads the lists and knows none
of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _check

# Taps are numbered in float registers, which hold every integer up to here.
_MOST_TAPS = 2**24
# Pairs of a window and one of its pixels, along one axis: their lists take 2 GB.
MOST_PAIRS = 2**26


class Sources(NamedTuple):
    """Destination d is computed from entries[begin[d] : begin[d + 1]], rows of (source, tap)."""

    begin: NDArray[np.intp]
    entries: NDArray[np.intp]


@dataclass(frozen=True)
class Axis:
    """One axis of a pooling: window o covers the pixels start[o] + tap * step that lie in the image."""

    size: int  # pixels of x
    out: int  # pixels of y
    taps: int  # of the largest window
    step: int
    start: NDArray[np.intp]
    divisor: NDArray[np.intp]  # of an average over this axis
    forward: Sources  # destinations are pixels of y
    backward: Sources  # destinations are pixels of x
    has_empty: bool  # a window without a pixel


class Windows(NamedTuple):
    """A checked pooling: its two axes, and the same as the arguments of the NumPy twin."""

    h: Axis
    w: Axis
    settings: tuple[Any, ...]

    @property
    def out(self) -> tuple[int, int]:
        return self.h.out, self.w.out

    @property
    def tap_dtype(self) -> np.dtype:
        """The type of tap numbers: one byte for all but huge windows."""
        return np.dtype(np.uint8 if self.h.taps * self.w.taps <= 256 else np.int32)

    def check_result(self, operation: str, name: str, array: NDArray, shape: tuple[int, ...]) -> None:
        """Raise ValueError unless `array` has the shape of the result for images of this shape."""
        expected = (*shape[:2], *self.out)
        if array.shape != expected:
            raise ValueError(
                f"{operation}: {name} must have shape {expected}. "
                f"Received: {name}.shape={array.shape}, input_size={shape}"
            )

    def check_taps(self, operation: str, taps: NDArray, shape: tuple[int, ...]) -> None:
        """Raise an exception unless `taps` may come from pooling images of this shape."""
        self.check_result(operation, "taps", taps, shape)
        if taps.dtype.newbyteorder("=") != self.tap_dtype:
            raise TypeError(f"{operation}: taps must have dtype {self.tap_dtype}. Received: {taps.dtype}")

    def flat_indices(self, operation: str, taps: NDArray, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Tap numbers as PyTorch's indices into the H * W pixels of an image."""
        self.check_taps(operation, taps, shape)
        tap_h, tap_w = np.divmod(taps.astype(np.int64), self.w.taps)
        row = self.h.start[:, None] + self.h.step * tap_h
        return row * self.w.size + self.w.start + self.w.step * tap_w


def _sources(destination: NDArray, source: NDArray, tap: NDArray, length: int) -> Sources:
    order = np.lexsort((source, destination))
    begin = np.searchsorted(destination[order], np.arange(length + 1))
    entries = np.stack([source[order], tap[order]], axis=1)
    return Sources(begin.astype(np.intp), np.ascontiguousarray(entries, np.intp))


def _axis(size: int, start: NDArray, count: NDArray, step: int, divisor: NDArray | None) -> Axis | str:
    """An axis of windows of count[o] taps; without `divisor`, that is the number of pixels inside the image.

    A text says why there is none.
    """
    first = np.maximum(0, -(start // step))  # the taps of each window that fall on the image
    inside = np.maximum(0, np.minimum(count - 1, (size - 1 - start) // step) - first + 1)
    pairs = int(inside.sum())
    if pairs > MOST_PAIRS:
        return f"the windows have {pairs} pixels along one axis, {MOST_PAIRS} are possible"
    window = np.repeat(np.arange(len(start)), inside)
    tap = np.arange(pairs) + np.repeat(first - (np.cumsum(inside) - inside), inside)
    pixel = start[window] + step * tap
    if divisor is None:
        divisor = inside
    forward = _sources(window, pixel, tap, len(start))
    return Axis(
        size,
        len(start),
        int(count.max()),
        step,
        start.astype(np.intp),
        divisor.astype(np.intp),
        forward,
        _sources(pixel, window, tap, size),
        bool((np.diff(forward.begin) == 0).any()),
    )


@lru_cache(maxsize=256)
def _sliding_axis(
    size: int, kernel: int, stride: int, pad: int, dilation: int, ceil_mode: bool, count_padding: bool
) -> Axis | str:
    reach = dilation * (kernel - 1) + 1
    room = size + 2 * pad - reach
    too_large = f"a window reaches over {reach} pixels, the padded image has only {size + 2 * pad}"
    if room < 0 and not (ceil_mode and room > -stride):
        return too_large
    out = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (out - 1) * stride >= size + pad:
        out -= 1  # the last window would start on the padding at the far end
    if out < 1:
        return too_large
    if max(size, out) > MOST_PAIRS:
        return f"images may have {MOST_PAIRS} pixels along one axis"
    start = np.arange(out) * stride - pad
    # Beyond the padding at the far end, where only ceil_mode reaches, nothing counts.
    divisor = np.minimum(start + kernel, size + pad) - start if count_padding else None
    return _axis(size, start, np.full(out, kernel), dilation, divisor)


@lru_cache(maxsize=256)
def _adaptive_axis(size: int, out: int) -> Axis | str:
    if max(size, out) > MOST_PAIRS:
        return f"images may have {MOST_PAIRS} pixels along one axis"
    index = np.arange(out)
    start = index * size // out
    end = -(-(index + 1) * size // out)
    return _axis(size, start, end - start, 1, None)


def picking(size: int, source: NDArray) -> Axis:
    """An axis of windows of one pixel each: pixel o of y is pixel source[o] of x."""
    out, taps = len(source), np.zeros(len(source), np.intp)
    forward = _sources(np.arange(out), source, taps, out)
    backward = _sources(source, np.arange(out), taps, size)
    return Axis(size, out, 1, 1, source.astype(np.intp), np.ones(out, np.intp), forward, backward, False)


def sliding(
    operation: str,
    shape: tuple[int, ...],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int],
    dilation: int | Sequence[int],
    ceil_mode: bool,
    count_padding: bool | None = None,
) -> Windows:
    """Windows that slide over images of this (N, C, H, W) shape; `count_padding` is for averages."""
    ceil_mode = _check.boolean(operation, "ceil_mode", ceil_mode)
    if count_padding is not None:
        count_padding = _check.boolean(operation, "count_include_pad", count_padding)
    kernel = _check.pair(operation, "kernel_size", kernel_size, 1)
    steps = kernel if stride is None else _check.pair(operation, "stride", stride, 1)
    pad = _check.pair(operation, "padding", padding, 0)
    dilations = _check.pair(operation, "dilation", dilation, 1)
    if 2 * pad[0] > kernel[0] or 2 * pad[1] > kernel[1]:
        raise ValueError(
            f"{operation}: padding must be at most half of kernel_size. "
            f"Received: padding={padding!r}, kernel_size={kernel_size!r}"
        )
    if kernel[0] * kernel[1] > _MOST_TAPS:
        raise ValueError(f"{operation}: a window may have {_MOST_TAPS} pixels. Received: kernel_size={kernel_size!r}")
    _check_image(operation, shape)
    axes = []
    for size, k, s, p, d in zip(shape[2:], kernel, steps, pad, dilations, strict=True):
        axis = _sliding_axis(size, k, s, p, d, bool(ceil_mode), bool(count_padding))
        if isinstance(axis, str):
            raise ValueError(
                f"{operation}: {axis}. Received: x.shape={tuple(shape)}, kernel_size={kernel_size!r}, "
                f"stride={stride!r}, padding={padding!r}, dilation={dilation!r}"
            )
        axes.append(axis)
    h, w = axes
    mode = () if count_padding is None else (bool(count_padding),)
    return Windows(h, w, (kernel, steps, pad, dilations, (h.out, w.out), *mode))


def adaptive(operation: str, shape: tuple[int, ...], output_size: Any) -> Windows:
    """Windows that cut images of this (N, C, H, W) shape into `output_size` parts."""
    _check_image(operation, shape)
    if output_size is None:
        output_size = shape[2:]
    elif isinstance(output_size, Sequence) and len(output_size) == 2:
        output_size = [size if o is None else o for o, size in zip(output_size, shape[2:], strict=True)]
    out_h, out_w = _check.pair(operation, "output_size", output_size, 1)
    h, w = _adaptive_axis(shape[2], out_h), _adaptive_axis(shape[3], out_w)
    if isinstance(h, str) or isinstance(w, str):
        reason = h if isinstance(h, str) else w
        raise ValueError(f"{operation}: {reason}. Received: x.shape={tuple(shape)}, output_size={output_size!r}")
    if h.taps * w.taps > _MOST_TAPS:
        raise ValueError(f"{operation}: a window may have {_MOST_TAPS} pixels. Received: x.shape={tuple(shape)}")
    return Windows(h, w, ((out_h, out_w),))


def _check_image(operation: str, shape: tuple[int, ...]) -> None:
    if min(shape[2:]) < 1:
        raise ValueError(f"{operation}: the images have no pixels. Received: x.shape={tuple(shape)}")


def image_shape(operation: str, input_size: Sequence[int]) -> tuple[int, int, int, int]:
    """`input_size` as four integers (N, C, H, W)."""
    if not isinstance(input_size, tuple | list | np.ndarray) or getattr(input_size, "ndim", 1) != 1:
        raise TypeError(f"{operation}: input_size must be (N, C, H, W). Received: {_check.shown(input_size)}")
    sizes = tuple(_check.integer(operation, "input_size", size, 0, _check.MOST_SETTING) for size in input_size)
    if len(sizes) != 4:
        raise ValueError(f"{operation}: input_size must be (N, C, H, W). Received: {input_size!r}")
    _check.fits_memory(operation, "an image", sizes)
    return sizes
