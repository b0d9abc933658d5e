"""Pooling layers with a result of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.module import Module

__all__ = ["AdaptiveAvgPool2d", "AdaptiveMaxPool2d"]


def _output_size(operation: str, value: Any) -> Any:
    """`value` if it is one integer or two, where None may stand for one."""
    items = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value, value)
    _check.pair(operation, "output_size", tuple(1 if item is None else item for item in items), 1)
    return value


class AdaptiveAvgPool2d(Module):
    """The mean of each of output_size parts of the images; AdaptiveAvgPool2d(1) is global average pooling.

    Args:
        output_size: height and width of the result, one number or two; None for that of the images.
    Shape:
        - Input: (N, C, H, W), float32 or float64
        - Output: (N, C, H_out, W_out)
    Raises:
        ValueError: the input does not fit; the message shows the shapes.
    Example:
        >>> nn.AdaptiveAvgPool2d(1)(np.arange(6.0).reshape(1, 1, 2, 3))[0, 0]
        array([[2.5]])

    Source: PyTorch's definition.
    """

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = _output_size("AdaptiveAvgPool2d", output_size)

    def forward(self, x: NDArray) -> NDArray:
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(Module):
    """The largest value of each of output_size parts of the images.

    Args:
        output_size: height and width of the result, one number or two; None for that of the images.
        return_indices: also return the positions of the maxima in the H * W pixels of an image.
    Shape:
        - Input: (N, C, H, W), float32 or float64
        - Output: (N, C, H_out, W_out)
    Raises:
        ValueError: the input does not fit; the message shows the shapes.
    Example:
        >>> nn.AdaptiveMaxPool2d((1, 3))(np.arange(6.0).reshape(1, 1, 2, 3))[0, 0]
        array([[3., 4., 5.]])

    Source: PyTorch's definition.
    """

    def __init__(self, output_size: int | Sequence[int | None] | None, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = _output_size("AdaptiveMaxPool2d", output_size)
        self.return_indices = _check.boolean("AdaptiveMaxPool2d", "return_indices", return_indices)

    def forward(self, x: NDArray) -> NDArray | tuple[NDArray, NDArray[np.int64]]:
        return F.adaptive_max_pool2d(x, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
