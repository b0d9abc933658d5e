"""The average-pooling layer."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.module import Module

__all__ = ["AvgPool2d"]


class AvgPool2d(Module):
    """The mean of each window.

    Args:
        kernel_size: height and width of a window, one number or two.
        stride: pixels between two windows; None for kernel_size.
        padding: rows and columns of zeros around the image, at most half a window.
        ceil_mode: also take windows that reach over the padding at the far end, if they start on the image.
        count_include_pad: whether the mean counts the padding too, or only pixels of the image.
    Shape:
        - Input: (N, C, H, W), float32 or float64
        - Output: (N, C, H_out, W_out), H_out = (H + 2 pad_h - kernel_h) // stride_h + 1 (rounded up with ceil_mode)
    Raises:
        ValueError: the input does not fit; the message shows the shapes.
    Example:
        >>> nn.AvgPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))[0, 0]
        array([[ 2.5,  4.5],
               [10.5, 12.5]])

    Source: LeCun et al., 1998, "Gradient-based learning applied to document recognition"; PyTorch's definition.
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _check.pair("AvgPool2d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else _check.pair("AvgPool2d", "stride", stride, 1)
        self.padding = _check.pair("AvgPool2d", "padding", padding, 0)
        self.ceil_mode = _check.boolean("AvgPool2d", "ceil_mode", ceil_mode)
        self.count_include_pad = _check.boolean("AvgPool2d", "count_include_pad", count_include_pad)

    def forward(self, x: NDArray) -> NDArray:
        return F.avg_pool2d(x, *self._settings())

    def _settings(self) -> tuple:
        return self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
