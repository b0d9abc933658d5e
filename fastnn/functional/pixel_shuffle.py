"""Channels to pixels, and pixels to channels."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn.autograd.tape import Op, run

__all__ = ["pixel_shuffle", "pixel_shuffle_backward", "pixel_unshuffle", "pixel_unshuffle_backward"]


def check_factor(operation: str, name: str, value: Any) -> int:
    return _check.integer(operation, name, value, 1, _check.MOST_SETTING)


def _shuffle(operation: str, name: str, x: ArrayLike, r: int) -> NDArray:
    """From (N, C r^2, H, W) to (N, C, H r, W r), in one copy."""
    x = _check.floats(operation, name, x, 4)
    n, c, h, w = x.shape
    if c % r**2:
        raise _check.fail(operation, f"the channels must be a multiple of {r}^2", **{name: x})
    if _runtime.uses_reference():
        return reference.pixel_shuffle(x, r)
    y = _memory.empty((h, r, w, r, n, c // r**2), x.dtype)
    y[...] = x.reshape(n, c // r**2, r, r, h, w).transpose(4, 2, 5, 3, 0, 1)
    return _layout.images(y.reshape(h * r, w * r, n, c // r**2))


def _unshuffle(operation: str, name: str, x: ArrayLike, r: int) -> NDArray:
    """From (N, C, H r, W r) to (N, C r^2, H, W), in one copy."""
    x = _check.floats(operation, name, x, 4)
    n, c, h, w = x.shape
    if h % r or w % r:
        raise _check.fail(operation, f"height and width must be multiples of {r}", **{name: x})
    h, w = h // r, w // r
    if _runtime.uses_reference():
        return reference.pixel_unshuffle(x, r)
    _check.fits_memory(operation, "a result", (n, c * r**2, h, w))  # which may have no pixels, but channels
    y = _memory.empty((h, w, n, c, r, r), x.dtype)
    y[...] = x.reshape(n, c, h, r, w, r).transpose(2, 4, 0, 1, 3, 5)
    return _layout.images(y.reshape(h, w, n, c * r**2))


class PixelShuffle(Op):
    """`pixel_shuffle` by this factor."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, r: int) -> None:
        self.r = r

    def forward(self, x: ArrayLike) -> NDArray:
        return _shuffle("pixel_shuffle", "x", x, self.r)

    def backward(self, dy: NDArray) -> NDArray:
        return _unshuffle("pixel_shuffle_backward", "dy", dy, self.r)


class PixelUnshuffle(Op):
    """`pixel_unshuffle` by this factor."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, r: int) -> None:
        self.r = r

    def forward(self, x: ArrayLike) -> NDArray:
        return _unshuffle("pixel_unshuffle", "x", x, self.r)

    def backward(self, dy: NDArray) -> NDArray:
        return _shuffle("pixel_unshuffle_backward", "dy", dy, self.r)


def pixel_shuffle(x: ArrayLike, upscale_factor: int) -> NDArray:
    """Make blocks of r x r pixels of every r^2 channels, r being upscale_factor.

    y[n, c, h * r + i, w * r + j] = x[n, c * r^2 + i * r + j, h, w]

    Args:
        x: images.
        upscale_factor: r, how many times larger height and width become.
    Shape:
        - x: (N, C r^2, H, W), float32 or float64
        - Result: (N, C, H r, W r)
    Raises:
        ValueError: the channels are no multiple of r^2; the message shows the shape.
        TypeError: another dtype.
    Example:
        >>> pixel_shuffle(np.arange(4.0).reshape(1, 4, 1, 1), 2)[0, 0]
        array([[0., 1.],
               [2., 3.]])

    Source: Shi et al., 2016, "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network".
    """
    return run(PixelShuffle(check_factor("pixel_shuffle", "upscale_factor", upscale_factor)), x)


def pixel_shuffle_backward(dy: ArrayLike, upscale_factor: int) -> NDArray:
    """The gradient of `pixel_shuffle`, which is `pixel_unshuffle` of dy.

    Args:
        dy: gradient of the loss with respect to the result.
        upscale_factor: as in `pixel_shuffle`.
    Shape:
        - dy: (N, C, H r, W r)
        - Result: (N, C r^2, H, W)
    """
    operation = "pixel_shuffle_backward"
    return _unshuffle(operation, "dy", dy, check_factor(operation, "upscale_factor", upscale_factor))


def pixel_unshuffle(x: ArrayLike, downscale_factor: int) -> NDArray:
    """Make r^2 channels of every block of r x r pixels, r being downscale_factor: what undoes `pixel_shuffle`.

    y[n, c * r^2 + i * r + j, h, w] = x[n, c, h * r + i, w * r + j]

    Args:
        x: images.
        downscale_factor: r, how many times smaller height and width become.
    Shape:
        - x: (N, C, H r, W r), float32 or float64
        - Result: (N, C r^2, H, W)
    Raises:
        ValueError: height or width is no multiple of r; the message shows the shape.
        TypeError: another dtype.
    Example:
        >>> pixel_unshuffle(np.arange(4.0).reshape(1, 1, 2, 2), 2).ravel()
        array([0., 1., 2., 3.])

    Source: Shi et al., 2016, "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network".
    """
    return run(PixelUnshuffle(check_factor("pixel_unshuffle", "downscale_factor", downscale_factor)), x)


def pixel_unshuffle_backward(dy: ArrayLike, downscale_factor: int) -> NDArray:
    """The gradient of `pixel_unshuffle`, which is `pixel_shuffle` of dy.

    Args:
        dy: gradient of the loss with respect to the result.
        downscale_factor: as in `pixel_unshuffle`.
    Shape:
        - dy: (N, C r^2, H, W)
        - Result: (N, C, H r, W r)
    """
    operation = "pixel_unshuffle_backward"
    return _shuffle(operation, "dy", dy, check_factor(operation, "downscale_factor", downscale_factor))
