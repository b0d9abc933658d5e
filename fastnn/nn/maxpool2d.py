"""The max-pooling layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn.autograd.tape import run
from fastnn.functional.maxpool2d import MaxPool2d as Operation
from fastnn.nn.module import Module

__all__ = ["MaxPool2d"]


class MaxPool2d(Module):
    """The largest value of each window.

    Padding is never the largest; of equal values the first one in the order of rows, then columns, counts; a NaN is
    larger than everything.

    Args:
        kernel_size: height and width of a window, one number or two.
        stride: pixels between two windows; None for kernel_size.
        padding: rows and columns around the image, at most half a window.
        dilation: pixels between two taps of a window.
        return_indices: also return the positions of the maxima in the H * W pixels of an image.
        ceil_mode: also take windows that reach over the padding at the far end, if they start on the image.
    Shape:
        - Input: (N, C, H, W), float32 or float64
        - Output: (N, C, H_out, W_out), H_out = (H + 2 pad_h - dilation_h (kernel_h - 1) - 1) // stride_h + 1 (rounded
          up with ceil_mode)
    Raises:
        ValueError: the input does not fit; the message shows the shapes.
    Example:
        >>> nn.MaxPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))[0, 0]
        array([[ 5.,  7.],
               [13., 15.]])

    Source: Zhou and Chellappa, 1988, "Computation of optical flow using a neural network"; PyTorch's definition.
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = _check.pair("MaxPool2d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else _check.pair("MaxPool2d", "stride", stride, 1)
        self.padding = _check.pair("MaxPool2d", "padding", padding, 0)
        self.dilation = _check.pair("MaxPool2d", "dilation", dilation, 1)
        self.return_indices = _check.boolean("MaxPool2d", "return_indices", return_indices)
        self.ceil_mode = _check.boolean("MaxPool2d", "ceil_mode", ceil_mode)

    def forward(self, x: NDArray) -> NDArray | tuple[NDArray, NDArray[np.int64]]:
        return run(Operation(self.return_indices, *self.settings()), x)

    def settings(self) -> tuple[Any, ...]:
        """What `functional.max_pool2d` takes after x."""
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )
