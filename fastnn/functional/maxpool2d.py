"""Two-dimensional max pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.tape import Op, run
from fastnn.functional import _pooling

__all__ = ["max_pool2d", "max_pool2d_backward", "max_pool2d_indices", "max_pool2d_taps"]

_NO_TAPS = np.zeros((1, 1, 1, 1), np.uint8)


def _is_around(windows: _pooling.Windows) -> bool:
    """Whether the taps lie on padding only. Padding is at most half a window, so this takes a dilated window of two
    taps along an axis, one on either side of the image; then there is no other window along this axis.
    """
    return windows.h.has_empty or windows.w.has_empty


def forward(
    x: NDArray,
    windows: _pooling.Windows,
    twin: Callable[..., tuple[NDArray, NDArray]],
    want_taps: bool = True,
) -> tuple[NDArray, NDArray]:
    """The maximum of every window, and which tap it was (an unused array unless `want_taps`)."""
    if _runtime.uses_reference():
        y, taps = twin(x, *windows.settings)
        return y, taps.astype(windows.tap_dtype)
    if _is_around(windows):
        y, taps = (_layout.empty_images((*x.shape[:2], *windows.out), t) for t in (x.dtype, windows.tap_dtype))
        y.fill(-np.inf)
        taps.fill(0)
        return y, taps
    y = _layout.empty_images((*x.shape[:2], *windows.out), x.dtype)
    taps = _layout.empty_images(y.shape, windows.tap_dtype) if want_taps else _NO_TAPS
    if y.size:
        h, w = windows.h, windows.w
        _runtime._native.maxpool2d_forward(
            _layout.pixels(x), _layout.pixels(y), _layout.pixels(taps) if want_taps else None,
            *h.forward, *w.forward, w.taps, _runtime.num_threads(),
        )  # fmt: skip
        kernel_ran("maxpool2d_forward")
    return y, taps


def backward(
    operation: str,
    dy: ArrayLike,
    taps: ArrayLike,
    shape: tuple[int, ...],
    windows: _pooling.Windows,
    twin: Callable[..., NDArray],
) -> NDArray:
    """The gradient with respect to images of this shape."""
    dy = _check.floats(operation, "dy", dy, 4)
    taps = _check.array(operation, "taps", taps)
    windows.check_result(operation, "dy", dy, shape)
    windows.check_taps(operation, taps, shape)
    if _runtime.uses_reference():
        return twin(dy, taps, shape, *windows.settings)
    dx = _layout.empty_images(shape, dy.dtype)
    if _is_around(windows):
        dx.fill(0)
    elif dx.size:
        h, w = windows.h, windows.w
        _runtime._native.maxpool2d_backward(
            _layout.pixels(dy), _tap_pixels(taps), _layout.pixels(dx),
            *h.backward, *w.backward, w.taps, _runtime.num_threads(),
        )  # fmt: skip
        kernel_ran("maxpool2d_backward")
    return dx


def _tap_pixels(taps: NDArray) -> NDArray:
    """The (H, W, N, C) array of taps: a view of those that a forward function returned, else a copy."""
    view = taps.transpose(2, 3, 0, 1)
    if view.flags.c_contiguous and view.flags.aligned and view.dtype.isnative:
        return view
    out = _memory.empty(view.shape, taps.dtype.newbyteorder("="))
    out[...] = view
    return out


def max_pool2d(
    x: ArrayLike,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> NDArray | tuple[NDArray, NDArray[np.int64]]:
    """The largest value of each window.

    y[n, c, i, j] = max over p, q of x_padded[n, c, i * stride_h + p * dilation_h, j * stride_w + q * dilation_w]

    Padding is never the largest; of equal values the first one in the order of rows, then columns, counts; a NaN is
    larger than everything. A window that lies on padding only, as dilation can bring about, gives -inf, no gradient,
    and the index -1.

    Args:
        x: images.
        kernel_size: height and width of a window, one number or two.
        stride: pixels between two windows; None for kernel_size.
        padding: rows and columns around the image, at most half a window.
        dilation: pixels between two taps of a window.
        ceil_mode: also take windows that reach over the padding at the far end, if they start on the image.
        return_indices: also return where the maxima are.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: (N, C, H_out, W_out), H_out = (H + 2 pad_h - dilation_h (kernel_h - 1) - 1) // stride_h + 1 (rounded
          up with ceil_mode); with return_indices also int64 positions in the H * W pixels of an image
    Raises:
        ValueError: shapes or hyper-parameters do not fit; the message shows them.
        TypeError: another dtype.
    Example:
        >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
        >>> max_pool2d(x, 2)[0, 0]
        array([[ 5.,  7.],
               [13., 15.]])

    Source: Zhou and Chellappa, 1988, "Computation of optical flow using a neural network"; PyTorch's definition.
    """
    return_indices = _check.boolean("max_pool2d", "return_indices", return_indices)
    return run(MaxPool2d(return_indices, kernel_size, stride, padding, dilation, ceil_mode), x)


class MaxPool2d(Op):
    """`max_pool2d` with these settings; with `return_indices`, the second result has no gradient."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, return_indices: bool, *settings: Any) -> None:
        self.return_indices, self.settings = return_indices, settings

    def forward(self, x: ArrayLike) -> NDArray | tuple[NDArray, NDArray[np.int64]]:
        x = _check.floats("max_pool2d", "x", x, 4)
        self.shape, self.windows = x.shape, _pooling.sliding("max_pool2d", x.shape, *self.settings)
        wants_taps = self.return_indices or bool(self.needs_grad)
        y, self.taps = forward(x, self.windows, reference.max_pool2d_taps, wants_taps)
        return (y, _indices("max_pool2d", self.taps, self.windows, x.shape)) if self.return_indices else y

    def backward(self, dy: NDArray, _: Any = None) -> NDArray:
        twin = reference.max_pool2d_backward
        return backward("max_pool2d_backward", dy, self.taps, self.shape, self.windows, twin)


def _indices(operation: str, taps: NDArray, windows: _pooling.Windows, shape: tuple[int, ...]) -> NDArray[np.int64]:
    indices = windows.flat_indices(operation, taps, shape)
    return np.full_like(indices, -1) if _is_around(windows) else indices


def max_pool2d_taps(
    x: ArrayLike,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> tuple[NDArray, NDArray]:
    """`max_pool2d`, with the taps that `max_pool2d_backward` needs: p * kernel_w + q of each maximum.

    Args:
        x, kernel_size, stride, padding, dilation, ceil_mode: as in `max_pool2d`.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: (y, taps), both (N, C, H_out, W_out); taps are uint8, or int32 if a window has more than 256 pixels
    Raises:
        ValueError, TypeError: as `max_pool2d`.
    Example:
        >>> y, taps = max_pool2d_taps(np.array([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)
        >>> float(y[0, 0, 0, 0]), int(taps[0, 0, 0, 0])
        (4.0, 2)
    """
    x = _check.floats("max_pool2d", "x", x, 4)
    windows = _pooling.sliding("max_pool2d", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    return forward(x, windows, reference.max_pool2d_taps)


def max_pool2d_indices(
    taps: ArrayLike,
    input_size: Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> NDArray[np.int64]:
    """The positions in the H * W pixels of an image that the taps of `max_pool2d_taps` stand for.

    Args:
        taps: from `max_pool2d_taps`.
        input_size: the shape of x.
        kernel_size, stride, padding, dilation, ceil_mode: as in `max_pool2d_taps`.
    Shape:
        - taps, result: (N, C, H_out, W_out)
    Raises:
        ValueError: shapes do not fit; the message shows them.
        TypeError: the taps have another dtype than those of such a pooling.
    Example:
        >>> y, taps = max_pool2d_taps(np.arange(16.0).reshape(1, 1, 4, 4), 2)
        >>> max_pool2d_indices(taps, (1, 1, 4, 4), 2)[0, 0]
        array([[ 5,  7],
               [13, 15]])
    """
    operation = "max_pool2d_indices"
    shape = _pooling.image_shape(operation, input_size)
    windows = _pooling.sliding(operation, shape, kernel_size, stride, padding, dilation, ceil_mode)
    return _indices(operation, _check.array(operation, "taps", taps), windows, shape)


def max_pool2d_backward(
    dy: ArrayLike,
    taps: ArrayLike,
    input_size: Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> NDArray:
    """The gradient of `max_pool2d`: each dy goes to the pixel that was the largest of its window.

    Args:
        dy: gradient of the loss with respect to the result.
        taps: from `max_pool2d_taps`.
        input_size: the shape of x.
        kernel_size, stride, padding, dilation, ceil_mode: as in `max_pool2d`.
    Shape:
        - dy, taps: (N, C, H_out, W_out)
        - Result: input_size, (N, C, H, W)
    Example:
        >>> y, taps = max_pool2d_taps(np.array([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)
        >>> max_pool2d_backward(np.ones_like(y), taps, (1, 1, 2, 2), 2)[0, 0]
        array([[0., 0.],
               [1., 0.]])
    """
    operation = "max_pool2d_backward"
    shape = _pooling.image_shape(operation, input_size)
    windows = _pooling.sliding(operation, shape, kernel_size, stride, padding, dilation, ceil_mode)
    return backward(operation, dy, taps, shape, windows, reference.max_pool2d_backward)
