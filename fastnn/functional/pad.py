"""Images with more rows and columns around them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _runtime, reference
from fastnn.autograd.tape import Op, run
from fastnn.functional import _pooling, avgpool2d

__all__ = ["pad", "pad_backward"]

MODES = ("constant", "reflect", "replicate")

Pair = tuple[int, int]
Padding = tuple[Pair, Pair, Pair, Pair]  # before and after the elements of each axis (N, C, H, W)


def check_padding(operation: str, name: str, value: Any, axes: int = 4) -> Padding:
    """`value`, two numbers for the last axis, two more for the one before it, and so on, for up to `axes` of them."""
    numbers = _check.integers(operation, name, value, 0)
    if len(numbers) % 2 or len(numbers) > 2 * axes:
        words = "left, right, top, bottom"
        raise ValueError(f"{operation}: {name} must be {words}. Received: {name}={_check.shown(value)}")
    if max(numbers) > _check.MOST_SETTING:
        raise ValueError(f"{operation}: {name} must be <= {_check.MOST_SETTING}. Received: {_check.shown(value)}")
    pairs = [(numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2)]
    w, h, c, n = pairs + [(0, 0)] * (4 - len(pairs))
    return n, c, h, w


def check_value(operation: str, mode: str, value: Any) -> float:
    """`value` as a number, which only 'constant' takes."""
    number = _check.number(operation, "value", value)
    if mode != "constant" and number:
        raise ValueError(f"{operation}: value is for mode='constant'. Received: mode={mode!r}, value={value!r}")
    return number


@lru_cache(maxsize=256)
def _border(size: int, before: int, after: int, mode: str) -> _pooling.Axis:
    """Which pixel of x each one of y is."""
    place = np.arange(-before, size + after)
    if mode == "replicate":
        return _pooling.picking(size, np.clip(place, 0, size - 1))
    place = np.abs(place)  # reflected at the outermost pixels
    return _pooling.picking(size, np.where(place < size, place, 2 * (size - 1) - place))


def _windows(operation: str, shape: tuple[int, ...], padding: Padding, mode: str) -> _pooling.Windows:
    axes = []
    for size, (before, after) in zip(shape[2:], padding[2:], strict=True):
        words = f"Received: x.shape={tuple(shape)}, padding={(*padding[3], *padding[2])}"
        if size < 1:
            raise ValueError(f"{operation}: the images have no pixels. {words}")
        if mode == "reflect" and max(before, after) >= size:
            raise ValueError(f"{operation}: a reflected padding must be smaller than the image. {words}")
        if size + before + after > _pooling.MOST_PAIRS:
            raise ValueError(f"{operation}: images may have {_pooling.MOST_PAIRS} pixels along one axis. {words}")
        axes.append(_border(size, before, after, mode))
    h, w = axes
    return _pooling.Windows(h, w, (padding, mode))


class Pad(Op):
    """`pad` by this much; `operation` is who asks for it, for errors."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, padding: Padding, mode: str, value: float = 0.0, operation: str = "pad") -> None:
        self.padding, self.mode, self.value, self.operation = padding, mode, value, operation

    def forward(self, x: ArrayLike) -> NDArray:
        x = _check.floats(self.operation, "x", x, 4)
        self.shape = x.shape
        shape = tuple(size + before + after for size, (before, after) in zip(x.shape, self.padding, strict=True))
        _check.fits_memory(self.operation, "a result", shape, x=x, padding=self.padding)
        if self.mode != "constant":
            windows = _windows(self.operation, x.shape, self.padding, self.mode)
            return avgpool2d.forward(x, windows, _twin_of_pad)
        if _runtime.uses_reference():
            return reference.pad(x, self.padding, self.mode, self.value)
        return _with_border(x, shape, self.padding, self.value)

    def backward(self, dy: NDArray) -> NDArray:
        return _backward(f"{self.operation}_backward", dy, self.shape, self.padding, self.mode)


def _twin_of_pad(x: NDArray, padding: Padding, mode: str) -> NDArray:
    return reference.pad(x, padding, mode, 0.0)


def _twin_of_backward(dy: NDArray, shape: tuple[int, ...], padding: Padding, mode: str) -> NDArray:
    return reference.pad_backward(dy, padding, mode)


def _with_border(x: NDArray, shape: tuple[int, ...], padding: Padding, value: float) -> NDArray:
    """`x` in the middle of an array of this shape, pixel-major."""
    y = _layout.empty_images(shape, x.dtype)
    middle: list[slice] = []
    for axis in (2, 3, 0, 1):  # as they lie in memory; each border is written once
        before, _ = padding[axis]
        end = before + x.shape[axis]
        index: list[Any] = [slice(None)] * 4
        for done, chosen in zip((2, 3, 0, 1), middle, strict=False):
            index[done] = chosen
        for border in (slice(before), slice(end, None)):
            index[axis] = border
            y[tuple(index)] = value
        middle.append(slice(before, end))
    y[(middle[2], middle[3], middle[0], middle[1])] = x
    return y


def _backward(operation: str, dy: NDArray, shape: tuple[int, ...], padding: Padding, mode: str) -> NDArray:
    if mode != "constant":
        return avgpool2d.backward(operation, dy, shape, _windows(operation, shape, padding, mode), _twin_of_backward)
    if _runtime.uses_reference():
        return reference.pad_backward(dy, padding, mode)
    dx = _layout.empty_images(shape, dy.dtype)
    dx[...] = dy[tuple(slice(first, first + size) for size, (first, _) in zip(shape, padding, strict=True))]
    return dx


def pad(x: ArrayLike, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> NDArray:
    """Put rows and columns around images.

    y[n, c, i + top, j + left] = x[n, c, i, j], and beyond the borders of x:
    constant:   value
    reflect:    x mirrored at its outermost pixels, which are not repeated
    replicate:  the nearest pixel of x

    Args:
        x: images.
        pad: how many: left, right, top, bottom. With mode 'constant', four more numbers go on with the channels and the
            images: before, after, before, after.
        mode: 'constant', 'reflect' or 'replicate'.
        value: what 'constant' puts there.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: (N, C, top + H + bottom, left + W + right)
    Raises:
        ValueError: pad does not fit: it is odd or negative, or with 'reflect' as large as the image.
        TypeError: another dtype.
    Example:
        >>> x = np.array([[[[1.0, 2.0, 3.0]]]])
        >>> pad(x, (1, 2, 0, 1))[0, 0]
        array([[0., 1., 2., 3., 0., 0.],
               [0., 0., 0., 0., 0., 0.]])
        >>> pad(x, (2, 1, 0, 0), "reflect")[0, 0]
        array([[3., 2., 1., 2., 3., 2.]])

    Source: PyTorch's definition.
    """
    mode = _check.one_of("pad", "mode", mode, MODES)
    padding = check_padding("pad", "pad", pad, 4 if mode == "constant" else 2)
    return run(Pad(padding, mode, check_value("pad", mode, value)), x)


def pad_backward(dy: ArrayLike, pad: Sequence[int], mode: str = "constant") -> NDArray:
    """The gradient of `pad`: every pixel of x gets the sum of dy over all places that it stands at.

    Args:
        dy: gradient of the loss with respect to the result.
        pad, mode: as in `pad`.
    Shape:
        - dy: (N, C, top + H + bottom, left + W + right)
        - Result: (N, C, H, W)
    """
    operation = "pad_backward"
    mode = _check.one_of(operation, "mode", mode, MODES)
    padding = check_padding(operation, "pad", pad, 4 if mode == "constant" else 2)
    dy = _check.floats(operation, "dy", dy, 4)
    shape = tuple(size - before - after for size, (before, after) in zip(dy.shape, padding, strict=True))
    if min(shape) < 0:
        raise _check.fail(operation, "pad is larger than dy", dy=dy, pad=pad)
    return _backward(operation, dy, shape, padding, mode)
