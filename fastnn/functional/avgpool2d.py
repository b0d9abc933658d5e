"""Two-dimensional average pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import AnyArray
from fastnn.functional import _pooling

__all__ = ["avg_pool2d", "avg_pool2d_backward"]


def forward(x: NDArray, windows: _pooling.Windows, twin: Callable[..., NDArray]) -> NDArray:
    """The mean of every window."""
    if _runtime.uses_reference():
        return twin(x, *windows.settings)
    y = _layout.empty_images((*x.shape[:2], *windows.out), x.dtype)
    if y.size:
        h, w = windows.h, windows.w
        _runtime._native.avgpool2d_forward(
            _layout.pixels(x),
            _layout.pixels(y),
            *h.forward,
            *w.forward,
            h.divisor,
            w.divisor,
            _runtime.num_threads(),
        )
        kernel_ran("avgpool2d_forward")
    return y


def backward(
    operation: str,
    dy: ArrayLike,
    shape: tuple[int, ...],
    windows: _pooling.Windows,
    twin: Callable[..., NDArray],
) -> NDArray:
    """The gradient with respect to images of this shape."""
    dy = _check.floats(operation, "dy", dy, 4)
    windows.check_result(operation, "dy", dy, shape)
    if _runtime.uses_reference():
        return twin(dy, shape, *windows.settings)
    dx = _layout.empty_images(shape, dy.dtype)
    if dx.size:
        h, w = windows.h, windows.w
        _runtime._native.avgpool2d_backward(
            _layout.pixels(dy), _layout.pixels(dx), *h.backward, *w.backward, h.divisor, w.divisor,
            _runtime.num_threads(),
        )  # fmt: skip
        kernel_ran("avgpool2d_backward")
    return dx


def avg_pool2d(
    x: AnyArray,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> AnyArray:
    """The mean of each window.

    y[n, c, i, j] = 1 / divisor * sum over p, q of x_padded[n, c, i * stride_h + p, j * stride_w + q]

    Args:
        x: images.
        kernel_size: height and width of a window, one number or two.
        stride: pixels between two windows; None for kernel_size.
        padding: rows and columns of zeros around the image, at most half a window.
        ceil_mode: also take windows that reach over the padding at the far end, if they start on the image.
        count_include_pad: whether the divisor counts the padding too, or only pixels of the image.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: (N, C, H_out, W_out), H_out = (H + 2 pad_h - kernel_h) // stride_h + 1 (rounded up with ceil_mode)
    Raises:
        ValueError: shapes or hyper-parameters do not fit; the message shows them.
        TypeError: another dtype.
    Example:
        >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
        >>> avg_pool2d(x, 2)[0, 0]
        array([[ 2.5,  4.5],
               [10.5, 12.5]])

    Source: LeCun et al., 1998, "Gradient-based learning applied to document recognition"; PyTorch's definition.
    """
    return run(AvgPool2d(kernel_size, stride, padding, ceil_mode, count_include_pad), x)


class AvgPool2d(Op):
    """`avg_pool2d` with these settings."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, *settings: Any) -> None:
        self.settings = settings

    def forward(self, x: ArrayLike) -> NDArray:
        x = _check.floats("avg_pool2d", "x", x, 4)
        kernel_size, stride, padding, *mode = self.settings
        self.shape = x.shape
        self.windows = _pooling.sliding("avg_pool2d", x.shape, kernel_size, stride, padding, 1, *mode)
        return forward(x, self.windows, reference.avg_pool2d)

    def backward(self, dy: NDArray) -> NDArray:
        return backward("avg_pool2d_backward", dy, self.shape, self.windows, reference.avg_pool2d_backward)


def avg_pool2d_backward(
    dy: ArrayLike,
    input_size: Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> NDArray:
    """The gradient of `avg_pool2d`: every pixel gets dy / divisor from each window that it lies in.

    Args:
        dy: gradient of the loss with respect to the result.
        input_size: the shape of x.
        kernel_size, stride, padding, ceil_mode, count_include_pad: as in `avg_pool2d`.
    Shape:
        - dy: (N, C, H_out, W_out)
        - Result: input_size, (N, C, H, W)
    """
    operation = "avg_pool2d_backward"
    shape = _pooling.image_shape(operation, input_size)
    windows = _pooling.sliding(operation, shape, kernel_size, stride, padding, 1, ceil_mode, count_include_pad)
    return backward(operation, dy, shape, windows, reference.avg_pool2d_backward)
