"""Patches of images as columns of a matrix, and convolution as one product with it."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._kernels import kernel_ran
from fastnn.functional._conv2d_geometry import Geometry

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


def im2col(
    x: ArrayLike,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> NDArray:
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
    x = _check.floats("im2col", "x", x, 4)
    settings = _patches("im2col", x.shape[0] * x.shape[1], x.shape[2:], kernel_size, stride, padding, dilation)
    if _runtime.uses_reference():
        return reference.im2col(x, *settings)
    kernel, steps, pad, dilations, out = settings
    columns = _memory.empty((len(x), x.shape[1] * kernel[0] * kernel[1], out[0] * out[1]), x.dtype)
    if columns.size:
        planes = _layout.to_nchw(x)
        _runtime._native.im2col(
            True, planes.reshape(-1), columns.reshape(-1), x.shape, out, kernel, steps, pad, dilations,
            _runtime.num_threads(),
        )  # fmt: skip
        kernel_ran("im2col")
    return columns


def col2im(
    columns: ArrayLike,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> NDArray:
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
    columns = _check.floats("col2im", "columns", columns, 3)
    image = _check.pair("col2im", "output_size", output_size, 1)
    settings = _patches("col2im", len(columns), image, kernel_size, stride, padding, dilation)
    kernel, steps, pad, dilations, out = settings
    taps, positions = kernel[0] * kernel[1], out[0] * out[1]
    if columns.shape[1] % taps or columns.shape[2] != positions:
        raise _check.fail(
            "col2im",
            f"columns must have shape (N, C * {taps}, {positions})",
            columns=columns,
            output_size=output_size,
            kernel_size=kernel_size,
        )
    shape = (len(columns), columns.shape[1] // taps, *image)
    _check.fits_memory("col2im", "images", shape, output_size=output_size)
    if _runtime.uses_reference():
        return reference.col2im(columns, image, *settings)
    x = _memory.empty(shape, columns.dtype)
    if x.size:
        dense = _layout.contiguous(columns)
        _runtime._native.col2im(
            True,
            dense.reshape(-1),
            x.reshape(-1),
            shape,
            out,
            kernel,
            steps,
            pad,
            dilations,
            _runtime.num_threads(),
        )
        kernel_ran("col2im")
    return x


# ---- convolution -----------------------------------------------------------------------------------------------------
# The patches are the rows of one matrix, in the order of the pixel-major layout: (pixels * n) rows of (groups, taps,
# channels of a group). As images they have one pixel and one tap, and so the matrix kernels of conv2d multiply them.
_STRIDE_PAD_DILATION = ((1, 1), (0, 0), (1, 1))


def _product(g: Geometry) -> tuple:
    """The settings of that product: `groups` of them in one, as they are."""
    return *_STRIDE_PAD_DILATION, g.groups, "direct"


def _weight_matrix(weight: NDArray) -> NDArray:
    """A weight as the (1, 1, taps * c_in / groups, c_out) filter of that product."""
    return _layout.contiguous(weight.transpose(2, 3, 1, 0)).reshape(1, 1, -1, len(weight))


def _patch_arguments(shape: tuple[int, ...], weight: NDArray, g: Geometry) -> tuple:
    """What native.im2col needs to know: `groups` images of one group's channels are as good as one of all."""
    n, c, h, w = shape
    return (n * g.groups, c // g.groups, h, w), g.out, weight.shape[2:], g.stride, g.pad, g.dilation


def _patch_rows(x: NDArray, weight: NDArray, g: Geometry) -> NDArray:
    """The patches of x, as an image (1, 1, pixels * n, groups * taps * c_in / groups)."""
    rows = _memory.empty((1, 1, g.out[0] * g.out[1] * len(x), x.shape[1] * weight[0, 0].size), x.dtype)
    arguments = _patch_arguments(x.shape, weight, g)
    _runtime._native.im2col(False, _layout.pixels(x).reshape(-1), rows.reshape(-1), *arguments, _runtime.num_threads())
    kernel_ran("im2col")
    return rows


def conv2d_im2col(x: NDArray, weight: NDArray, g: Geometry, run: Callable[..., None]) -> NDArray:
    """`conv2d` of checked arguments through the matrix of patches: run(patches, weight, y, settings) multiplies it."""
    y = _layout.empty_images((len(x), len(weight), *g.out), x.dtype)
    if not len(x):
        return y
    y_rows = _layout.pixels(y).reshape(1, 1, -1, len(weight))
    run(_patch_rows(x, weight, g), _weight_matrix(weight), y_rows, _product(g))
    return y


def conv2d_im2col_backward(
    dy: NDArray, x: NDArray, weight: NDArray, g: Geometry, need_dx: bool, need_dweight: bool, need_dbias: bool
) -> tuple[NDArray | None, NDArray | None, NDArray | None]:
    """`conv2d_backward` of checked arguments, with at least one image, through the matrix of patches."""
    native, settings, threads = _runtime._native, _product(g), _runtime.num_threads()
    dy_rows, matrix = _layout.pixels(dy).reshape(1, 1, -1, len(weight)), _weight_matrix(weight)
    dx = dweight = dbias = None
    if need_dx:
        dx = _layout.empty_images(x.shape, x.dtype)
        drows = _memory.empty((1, 1, dy_rows.shape[2], x.shape[1] * weight[0, 0].size), x.dtype)
        n_bytes = native.conv2d_workspace("backward_data", drows, matrix, dy_rows, *settings, threads)
        workspace = _memory.workspace(n_bytes)
        native.conv2d_backward_data(dy_rows, matrix, None, drows, *settings, workspace, threads)
        kernel_ran("conv2d_backward_data", matrix, settings)
        arguments = _patch_arguments(x.shape, weight, g)
        native.col2im(False, drows.reshape(-1), _layout.pixels(dx).reshape(-1), *arguments, threads)
        kernel_ran("col2im")
    if need_dweight or need_dbias:
        rows = _patch_rows(x, weight, g)
        dmatrix = _memory.empty(matrix.shape, x.dtype)
        dbias = np.empty(len(weight), x.dtype) if need_dbias else None
        n_bytes = native.conv2d_workspace("backward_weight", rows, dmatrix, dy_rows, *settings, threads)
        workspace = _memory.workspace(n_bytes)
        native.conv2d_backward_weight(rows, dy_rows, dmatrix, dbias, *settings, workspace, threads)
        kernel_ran("conv2d_backward_weight", matrix, settings)
        kernel_h, kernel_w = weight.shape[2:]
        dtaps = dmatrix.reshape(kernel_h, kernel_w, weight.shape[1], len(weight))
        dweight = dtaps.transpose(3, 2, 0, 1) if need_dweight else None
    return dx, dweight, dbias
