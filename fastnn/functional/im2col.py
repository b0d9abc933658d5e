"""Patches of images as columns of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.tape import Op, run

__all__ = ["col2im", "im2col"]

Pair = tuple[int, int]


def _patches(
    operation: str,
    planes: int,
    image: tuple[int, ...],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int],
    padding: int | Sequence[int],
    dilation: int | Sequence[int],
) -> tuple[Pair, Pair, Pair, Pair, Pair]:
    """The checked (kernel, stride, padding, dilation, positions along each axis) for so many planes of an image."""
    kernel = _check.pair(operation, "kernel_size", kernel_size, 1)
    steps = _check.pair(operation, "stride", stride, 1)
    pad = _check.pair(operation, "padding", padding, 0)
    dilations = _check.pair(operation, "dilation", dilation, 1)
    room = [image[a] + 2 * pad[a] - dilations[a] * (kernel[a] - 1) - 1 for a in (0, 1)]
    if min(room) < 0 or min(image) < 1:
        raise ValueError(
            f"{operation}: the patches are larger than the padded image. Received: image={tuple(image)}, "
            f"kernel_size={kernel_size!r}, stride={stride!r}, padding={padding!r}, dilation={dilation!r}"
        )
    out = room[0] // steps[0] + 1, room[1] // steps[1] + 1
    shown = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    _check.fits_memory(operation, "patches", (planes, *kernel, *out), image=tuple(image), **shown)
    return kernel, steps, pad, dilations, out


class Im2col(Op):
    """`im2col`."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, *settings: Any) -> None:
        self.settings = settings

    def forward(self, x: Any) -> NDArray:
        x = _check.floats("im2col", "x", x, 4)
        self.image = x.shape[2:]
        settings = _patches("im2col", x.shape[0] * x.shape[1], self.image, *self.settings)
        if _runtime.uses_reference():
            return reference.im2col(x, *settings)
        kernel, steps, pad, dilations, out = settings
        columns = _memory.empty((len(x), x.shape[1] * kernel[0] * kernel[1], out[0] * out[1]), x.dtype)
        if columns.size:
            planes = _layout.to_nchw(x)
            _runtime._native.im2col(
                planes.reshape(-1), columns.reshape(-1), x.shape, out, kernel, steps, pad, dilations,
                _runtime.num_threads(),
            )  # fmt: skip
            kernel_ran("im2col")
        return columns

    def backward(self, dy: NDArray) -> NDArray:
        return Col2im(self.image, *self.settings).forward(dy)


class Col2im(Op):
    """`col2im`."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, output_size: Any, *settings: Any) -> None:
        self.output_size, self.settings = output_size, settings

    def forward(self, columns: Any) -> NDArray:
        columns = _check.floats("col2im", "columns", columns, 3)
        image = _check.pair("col2im", "output_size", self.output_size, 1)
        settings = _patches("col2im", len(columns), image, *self.settings)
        kernel, steps, pad, dilations, out = settings
        taps, positions = kernel[0] * kernel[1], out[0] * out[1]
        if columns.shape[1] % taps or columns.shape[2] != positions:
            shown = {"output_size": self.output_size, "kernel_size": self.settings[0]}
            raise _check.fail(
                "col2im", f"columns must have shape (N, C * {taps}, {positions})", columns=columns, **shown
            )
        shape = (len(columns), columns.shape[1] // taps, *image)
        _check.fits_memory("col2im", "images", shape, output_size=self.output_size)
        if _runtime.uses_reference():
            return reference.col2im(columns, image, *settings)
        x = _memory.empty(shape, columns.dtype)
        if x.size:
            dense = _layout.contiguous(columns)
            _runtime._native.col2im(
                dense.reshape(-1), x.reshape(-1), shape, out, kernel, steps, pad, dilations,
                _runtime.num_threads(),
            )  # fmt: skip
            kernel_ran("col2im")
        return x

    def backward(self, dy: NDArray) -> NDArray:
        return Im2col(*self.settings).forward(dy)


def im2col(
    x: ArrayLike,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> Any:
    """Copy every patch of the images into a column of a matrix.

    columns[n, (c, p, q), (i, j)] = x_padded[n, c, i * stride_h + p * dilation_h, j * stride_w + q * dilation_w]

    Args:
        x: images.
        kernel_size: height and width of a patch, one number or two.
        stride: pixels between two patches.
        padding: rows and columns of zeros around the image.
        dilation: pixels between two taps of a patch.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: (N, C * kernel_h * kernel_w, L), L the number of patches of an image
    Raises:
        ValueError: shapes or hyper-parameters do not fit; the message shows them.
        TypeError: another dtype.
    Example:
        >>> im2col(np.arange(6.0).reshape(1, 1, 2, 3), 2)[0]
        array([[0., 1.],
               [1., 2.],
               [3., 4.],
               [4., 5.]])

    Source: Chellapilla et al., 2006, "High performance convolutional neural networks for document processing"; the
    result is that of PyTorch's `unfold`.
    """
    return run(Im2col(kernel_size, stride, padding, dilation), x)


def col2im(
    columns: ArrayLike,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> Any:
    """Add every column of the matrix to the patch of the images that `im2col` would have copied there.

    It is the gradient of `im2col`, not its inverse: pixels in several patches get the sum.

    Args:
        columns: the patches.
        output_size: height and width of the images.
        kernel_size, stride, padding, dilation: as in `im2col`.
    Shape:
        - columns: (N, C * kernel_h * kernel_w, L), float32 or float64
        - Result: (N, C, H, W)
    Raises:
        ValueError: shapes or hyper-parameters do not fit; the message shows them.
        TypeError: another dtype.
    Example:
        >>> col2im(np.ones((1, 4, 2)), (2, 3), 2)[0, 0]
        array([[1., 2., 1.],
               [1., 2., 1.]])

    Source: PyTorch's `fold`.
    """
    return run(Col2im(output_size, kernel_size, stride, padding, dilation), columns)
