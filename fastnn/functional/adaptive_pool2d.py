"""Pooling to a given size, whatever the size of the images.

Result i of `out` is computed from pixels floor(i * size / out) to ceil((i + 1) * size / out) - 1 along each axis.
Windows overlap where `out` does not divide `size`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, reference
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import AnyArray
from fastnn.functional import _pooling, avgpool2d, maxpool2d

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool2d_indices",
    "adaptive_max_pool2d_taps",
]

OutputSize = int | Sequence[int | None] | None


def adaptive_avg_pool2d(x: AnyArray, output_size: OutputSize) -> AnyArray:
    """The mean of each of output_size parts of the images.

    Args:
        x: images.
        output_size: height and width of the result, one number or two; None for that of the images.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: (N, C, H_out, W_out)
    Raises:
        ValueError: shapes do not fit; the message shows them.
        TypeError: another dtype.
    Example:
        >>> adaptive_avg_pool2d(np.arange(6.0).reshape(1, 1, 2, 3), (1, 2))[0, 0]
        array([[2., 3.]])

    Source: PyTorch's definition.
    """
    return run(AdaptiveAvgPool2d(output_size), x)


class AdaptiveAvgPool2d(Op):
    """`adaptive_avg_pool2d` to this size."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, output_size: OutputSize) -> None:
        self.output_size = output_size

    def forward(self, x: ArrayLike) -> NDArray:
        x = _check.floats("adaptive_avg_pool2d", "x", x, 4)
        self.shape, self.windows = x.shape, _pooling.adaptive("adaptive_avg_pool2d", x.shape, self.output_size)
        return avgpool2d.forward(x, self.windows, reference.adaptive_avg_pool2d)

    def backward(self, dy: NDArray) -> NDArray:
        twin = reference.adaptive_avg_pool2d_backward
        return avgpool2d.backward("adaptive_avg_pool2d_backward", dy, self.shape, self.windows, twin)


def adaptive_avg_pool2d_backward(dy: ArrayLike, input_size: Sequence[int]) -> NDArray:
    """The gradient of `adaptive_avg_pool2d` with respect to images of shape `input_size`.

    Args:
        dy: gradient of the loss with respect to the result.
        input_size: shape of the images.
    Shape:
        - dy: (N, C, H_out, W_out)
        - Result: input_size, (N, C, H, W)
    """
    operation = "adaptive_avg_pool2d_backward"
    dy = _check.floats(operation, "dy", dy, 4)
    shape = _pooling.image_shape(operation, input_size)
    windows = _pooling.adaptive(operation, shape, dy.shape[2:])
    return avgpool2d.backward(operation, dy, shape, windows, reference.adaptive_avg_pool2d_backward)


def adaptive_max_pool2d(
    x: ArrayLike, output_size: OutputSize, return_indices: bool = False
) -> NDArray | tuple[NDArray, NDArray[np.int64]]:
    """The largest value of each of output_size parts of the images; ties and NaN as in `max_pool2d`.

    Args:
        x: images.
        output_size: height and width of the result, one number or two; None for that of the images.
        return_indices: also return where the maxima are.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: (N, C, H_out, W_out); with return_indices also int64 positions in the H * W pixels of an image
    Raises:
        ValueError: shapes do not fit; the message shows them.
        TypeError: another dtype.
    Example:
        >>> adaptive_max_pool2d(np.arange(6.0).reshape(1, 1, 2, 3), (1, 2))[0, 0]
        array([[4., 5.]])

    Source: PyTorch's definition.
    """
    return_indices = _check.boolean("adaptive_max_pool2d", "return_indices", return_indices)
    return run(AdaptiveMaxPool2d(return_indices, output_size), x)


class AdaptiveMaxPool2d(Op):
    """`adaptive_max_pool2d` to this size; with `return_indices`, the second result has no gradient."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, return_indices: bool, output_size: OutputSize) -> None:
        self.return_indices, self.output_size = return_indices, output_size

    def forward(self, x: ArrayLike) -> NDArray | tuple[NDArray, NDArray[np.int64]]:
        x = _check.floats("adaptive_max_pool2d", "x", x, 4)
        self.shape, self.windows = x.shape, _pooling.adaptive("adaptive_max_pool2d", x.shape, self.output_size)
        wants_taps = self.return_indices or bool(self.needs_grad)
        y, self.taps = maxpool2d.forward(x, self.windows, reference.adaptive_max_pool2d_taps, wants_taps)
        return (y, self.windows.flat_indices("adaptive_max_pool2d", self.taps, x.shape)) if self.return_indices else y

    def backward(self, dy: NDArray, _: Any = None) -> NDArray:
        twin = reference.adaptive_max_pool2d_backward
        return maxpool2d.backward("adaptive_max_pool2d_backward", dy, self.taps, self.shape, self.windows, twin)


def adaptive_max_pool2d_taps(x: ArrayLike, output_size: OutputSize) -> tuple[NDArray, NDArray]:
    """`adaptive_max_pool2d`, with the taps that `adaptive_max_pool2d_backward` needs.

    Args:
        output_size: as in `adaptive_max_pool2d`.
        x: images.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: (y, taps), both (N, C, H_out, W_out); taps are uint8, or int32 if a window has more than 256 pixels
    Raises:
        ValueError, TypeError: as `adaptive_max_pool2d`.
    Example:
        >>> y, taps = adaptive_max_pool2d_taps(np.array([[[[1.0, 2.0], [4.0, 3.0]]]]), 1)
        >>> float(y[0, 0, 0, 0]), int(taps[0, 0, 0, 0])
        (4.0, 2)
    """
    x = _check.floats("adaptive_max_pool2d", "x", x, 4)
    windows = _pooling.adaptive("adaptive_max_pool2d", x.shape, output_size)
    return maxpool2d.forward(x, windows, reference.adaptive_max_pool2d_taps)


def adaptive_max_pool2d_indices(taps: ArrayLike, input_size: Sequence[int]) -> NDArray[np.int64]:
    """The positions in the H * W pixels of an image that the taps of `adaptive_max_pool2d_taps` stand for.

    Args:
        taps: those of `adaptive_max_pool2d_taps`.
        input_size: shape of the images.
    Shape:
        - taps, result: (N, C, H_out, W_out); input_size: (N, C, H, W)
    Raises:
        ValueError: shapes do not fit; the message shows them.
        TypeError: the taps have another dtype than those of such a pooling.
    Example:
        >>> y, taps = adaptive_max_pool2d_taps(np.arange(6.0).reshape(1, 1, 2, 3), (1, 2))
        >>> adaptive_max_pool2d_indices(taps, (1, 1, 2, 3))[0, 0]
        array([[4, 5]])
    """
    operation = "adaptive_max_pool2d_indices"
    taps = _check.array(operation, "taps", taps)
    if taps.ndim != 4:
        raise _check.fail(operation, f"taps has {taps.ndim} dimensions, 4 are needed", taps=taps)
    shape = _pooling.image_shape(operation, input_size)
    return _pooling.adaptive(operation, shape, taps.shape[2:]).flat_indices(operation, taps, shape)


def adaptive_max_pool2d_backward(dy: ArrayLike, taps: ArrayLike, input_size: Sequence[int]) -> NDArray:
    """The gradient of `adaptive_max_pool2d` with respect to images of shape `input_size`.

    Args:
        dy: gradient of the loss with respect to the result.
        taps: those of `adaptive_max_pool2d_taps`.
        input_size: shape of the images.
    Shape:
        - dy, taps (from `adaptive_max_pool2d_taps`): (N, C, H_out, W_out)
        - Result: input_size, (N, C, H, W)
    """
    operation = "adaptive_max_pool2d_backward"
    dy = _check.floats(operation, "dy", dy, 4)
    shape = _pooling.image_shape(operation, input_size)
    windows = _pooling.adaptive(operation, shape, dy.shape[2:])
    return maxpool2d.backward(operation, dy, taps, shape, windows, reference.adaptive_max_pool2d_backward)
