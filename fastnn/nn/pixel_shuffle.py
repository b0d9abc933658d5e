"""Layers that turn channels into pixels and back."""

from __future__ import annotations

from numpy.typing import NDArray

from fastnn import functional as F
from fastnn.functional.pixel_shuffle import check_factor
from fastnn.nn.module import Module

__all__ = ["PixelShuffle", "PixelUnshuffle"]


class PixelShuffle(Module):
    """Make blocks of r x r pixels of every r^2 channels, r being upscale_factor.

    y[n, c, h * r + i, w * r + j] = x[n, c * r^2 + i * r + j, h, w]

    Args:
        upscale_factor: r, how many times larger height and width become.
    Shape:
        - Input: (N, C r^2, H, W), float32 or float64
        - Output: (N, C, H r, W r)
    Raises:
        ValueError: the channels are no multiple of r^2; the message shows the shape.
    Example:
        >>> nn.PixelShuffle(2)(np.zeros((2, 12, 8, 8), np.float32)).shape
        (2, 3, 16, 16)

    Source: Shi et al., 2016, "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network".
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = check_factor("PixelShuffle", "upscale_factor", upscale_factor)

    def forward(self, x: NDArray) -> NDArray:
        return F.pixel_shuffle(x, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Make r^2 channels of every block of r x r pixels, r being downscale_factor: what undoes `PixelShuffle`.

    y[n, c * r^2 + i * r + j, h, w] = x[n, c, h * r + i, w * r + j]

    Args:
        downscale_factor: r, how many times smaller height and width become.
    Shape:
        - Input: (N, C, H r, W r), float32 or float64
        - Output: (N, C r^2, H, W)
    Raises:
        ValueError: height or width is no multiple of r; the message shows the shape.
    Example:
        >>> nn.PixelUnshuffle(2)(np.zeros((2, 3, 16, 16), np.float32)).shape
        (2, 12, 8, 8)

    Source: Shi et al., 2016, "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network".
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = check_factor("PixelUnshuffle", "downscale_factor", downscale_factor)

    def forward(self, x: NDArray) -> NDArray:
        return F.pixel_unshuffle(x, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
