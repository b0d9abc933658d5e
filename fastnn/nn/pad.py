"""Layers that put rows and columns around images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from numpy.typing import NDArray

from fastnn import _check
from fastnn.autograd.tape import run
from fastnn.functional.pad import Pad, check_padding
from fastnn.nn.module import Module

__all__ = ["ReflectionPad2d", "ReplicationPad2d", "ZeroPad2d"]


class _Pad2d(Module):
    """What they share: the padding, one number or four."""

    _mode: ClassVar[str]

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        name = type(self).__name__
        numbers = _check.integers(name, "padding", padding, 0)
        if len(numbers) not in (1, 4):
            raise ValueError(
                f"{name}: padding must be one number or left, right, top, bottom. Received: {_check.shown(padding)}"
            )
        self.padding = numbers * 4 if len(numbers) == 1 else numbers
        check_padding(name, "padding", self.padding)

    def forward(self, x: NDArray) -> NDArray:
        name = type(self).__name__
        return run(Pad(check_padding(name, "padding", self.padding), self._mode, operation=name), x)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(_Pad2d):
    """Put rows and columns of zeros around images.

    y[n, c, i + top, j + left] = x[n, c, i, j], and 0 beyond its borders

    Args:
        padding: how many on each side, or four numbers: left, right, top, bottom.
    Shape:
        - Input: (N, C, H, W), float32 or float64
        - Output: (N, C, top + H + bottom, left + W + right)
    Raises:
        ValueError: padding is negative, or not one number or four; the message shows it.
    Example:
        >>> nn.ZeroPad2d((1, 2, 0, 1))(np.ones((1, 1, 1, 2)))[0, 0]
        array([[0., 1., 1., 0., 0.],
               [0., 0., 0., 0., 0.]])

    Source: PyTorch's definition.
    """

    _mode = "constant"


class ReflectionPad2d(_Pad2d):
    """Put rows and columns around images that mirror them at their outermost pixels, which are not repeated.

    y[n, c, i + top, j + left] = x[n, c, |i|, |j|], and at the far ends x[n, c, 2 (H - 1) - i, 2 (W - 1) - j]

    Args:
        padding: how many on each side, or four numbers: left, right, top, bottom; fewer than the image has.
    Shape:
        - Input: (N, C, H, W), float32 or float64
        - Output: (N, C, top + H + bottom, left + W + right)
    Raises:
        ValueError: the input is not larger than the padding; the message shows both.
    Example:
        >>> nn.ReflectionPad2d((2, 1, 0, 0))(np.array([[[[1.0, 2.0, 3.0]]]]))[0, 0]
        array([[3., 2., 1., 2., 3., 2.]])

    Source: PyTorch's definition.
    """

    _mode = "reflect"


class ReplicationPad2d(_Pad2d):
    """Put rows and columns around images that repeat their outermost pixels.

    y[n, c, i + top, j + left] = x[n, c, min(max(i, 0), H - 1), min(max(j, 0), W - 1)]

    Args:
        padding: how many on each side, or four numbers: left, right, top, bottom.
    Shape:
        - Input: (N, C, H, W), float32 or float64
        - Output: (N, C, top + H + bottom, left + W + right)
    Raises:
        ValueError: padding is negative, or not one number or four; the message shows it.
    Example:
        >>> nn.ReplicationPad2d((2, 1, 0, 0))(np.array([[[[1.0, 2.0, 3.0]]]]))[0, 0]
        array([[1., 1., 1., 2., 3., 3.]])

    Source: PyTorch's definition.
    """

    _mode = "replicate"
