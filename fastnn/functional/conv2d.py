"""Two-dimensional convolution (cross-correlation, as in all neural-network libraries)."""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._kernels import kernel_ran
from fastnn.autograd.tape import Op, run
from fastnn.functional import _conv2d_plan
from fastnn.functional._conv2d_algorithm import WINOGRAD_OUTPUTS, check_algorithm, choose
from fastnn.functional._conv2d_geometry import geometry
from fastnn.functional._conv2d_plan import Norm
from fastnn.functional.add import add
from fastnn.functional.im2col import conv2d_im2col, conv2d_im2col_backward

__all__ = ["conv2d", "conv2d_backward"]


def _taps(weight: NDArray) -> NDArray:
    """The C-contiguous (kernel_h, kernel_w, c_in / groups, c_out) array of a weight: a view if that is how it lies."""
    return _layout.contiguous(weight.transpose(2, 3, 1, 0))


def conv2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> NDArray:
    """Cross-correlate a batch of images with filters.

    y[n, k, i, j] = bias[k] + sum over c, p, q of
        weight[k, c, p, q] * x_padded[n, c, i * stride_h + p * dilation_h, j * stride_w + q * dilation_w]

    Args:
        x: images.
        weight: filters.
        bias: one value for each filter, or None.
        stride: pixels between two positions of the filter, one number or (vertical, horizontal).
        padding: rows and columns of zeros around the image; 'valid' for none; 'same' for as many as keep the size
            (needs stride 1; an odd one goes below and to the right).
        dilation: pixels between two taps of the filter.
        groups: channels are cut into so many groups, each with filters of its own.
        algorithm: 'direct' sums small matrix products over the taps of the filter; 'winograd' computes tiles of 2 x 2
            outputs with 16 multiplications instead of 36, for 3 x 3 filters with stride 1, dilation 1, one group and
            padding 0 to 2; 'winograd24' takes tiles of 2 x 4, with 24 instead of 72 multiplications and about the
            rounding error of 'direct'; 'winograd4' takes tiles of 4 x 4, with 36 instead of 144 multiplications and two
            to four times the rounding error of 'direct'; 'im2col' copies every patch into the column of a matrix and
            makes one product of it. 'auto' takes the one that `fastnn.conv2d_algorithm` or FASTNN_CONV2D_ALGORITHM
            prefers, or else the cheapest for these shapes, but never 'winograd4'; they differ by rounding.
    Shape:
        - x: (N, C_in, H, W), float32 or float64
        - weight: (C_out, C_in / groups, kernel_h, kernel_w), the dtype of x
        - bias: (C_out,)
        - Result: (N, C_out, H_out, W_out), H_out = (H + 2 pad_h - dilation_h (kernel_h - 1) - 1) // stride_h + 1
    Raises:
        ValueError: shapes or hyper-parameters do not fit, or the algorithm cannot do them; the message shows them.
        TypeError: another dtype, or several.
    Example:
        >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
        >>> conv2d(x, weight, padding=1)[0, 0]
        array([[1., 2., 2., 1.],
               [2., 4., 4., 2.],
               [2., 4., 4., 2.],
               [1., 2., 2., 1.]])

    Source: LeCun et al., 1998, "Gradient-based learning applied to document recognition"; Lavin and Gray, 2016, "Fast
    algorithms for convolutional neural networks".
    """
    return run(Conv2d(stride, padding, dilation, groups, algorithm), x, weight, bias)


class Conv2d(Op):
    keeps = {0: "x", 1: "weight"}
    is_exact = is_fresh = adds = True

    def __init__(self, stride, padding, dilation, groups, algorithm, norm=None):
        self.settings, self.norm = (stride, padding, dilation, groups, algorithm), norm

    def forward(self, x, weight, bias=None, residual=None):
        self.x = x = _layout.pixel_major(x)
        self.weight = weight
        y = _conv2d_plan.forward(x, weight, bias, self.settings, self.norm, residual)
        return convolve(x, weight, bias, *self.settings, norm=self.norm, residual=residual) if y is None else y

    def backward(self, dy, addend=None):
        g = _conv2d_plan.backward(dy, self.x, self.weight, self.settings, self.needs_grad, addend)
        if g is None:
            g = conv2d_backward(dy, self.x, self.weight, *self.settings, *self.needs_grad, addend=addend)
        return g


def convolve(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    stride: int | Sequence[int],
    padding: int | Sequence[int] | str,
    dilation: int | Sequence[int],
    groups: int,
    algorithm: str,
    norm: Norm | None = None,
    residual: NDArray | None = None,
) -> NDArray:
    """`conv2d`, and `norm` of its result plus `residual` where it is stored, to the bits of `batch_norm_activation`.

    The arrays of `norm` have C_out values each, are C-contiguous, of the dtype of x. Not with the reference backend.
    """
    x = _check.floats("conv2d", "x", x, 4)
    weight = _check.floats("conv2d", "weight", weight, 4)
    bias = None if bias is None else _check.floats("conv2d", "bias", bias, 1)
    _check.same_dtype("conv2d", x=x, weight=weight, bias=bias)
    g = geometry("conv2d", x, weight, stride, padding, dilation, groups)
    check_algorithm("conv2d", algorithm, weight.shape[2:], g.stride, g.pad, g.dilation, g.groups)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise _check.fail("conv2d", f"bias needs one value for each of {len(weight)} filters", bias=bias, weight=weight)
    if residual is not None:
        _check.same_dtype("conv2d", residual=residual, x=x)
        if residual.shape != (len(x), len(weight), *g.out):
            reason = f"the residual must have the shape of the result, {(len(x), len(weight), *g.out)}"
            raise _check.fail("conv2d", reason, residual=residual, x=x, weight=weight)
        residual = _layout.pixels(residual)
    if _runtime.uses_reference():
        if algorithm in WINOGRAD_OUTPUTS:
            return reference.conv2d_winograd(x, weight, bias, g.pad, WINOGRAD_OUTPUTS[algorithm])
        return reference.conv2d(x, weight, bias, g.stride, g.pad, g.dilation, g.groups, g.out)
    chosen = choose("forward", algorithm, x, weight, g)
    bias = None if bias is None else _layout.contiguous(bias)
    if chosen == "im2col":
        return conv2d_im2col(x, weight, g, functools.partial(_run_forward, bias=bias, norm=norm, residual=residual))
    y = _layout.empty_images((len(x), len(weight), *g.out), x.dtype)
    if not len(x):
        return y
    settings = g.stride, g.pad, g.dilation, g.groups, chosen
    _run_forward(_layout.pixels(x), _taps(weight), _layout.pixels(y), settings, bias, norm, residual)
    return y


def _run_forward(
    x: NDArray,
    taps: NDArray,
    y: NDArray,
    settings: tuple,
    bias: NDArray | None,
    norm: Norm | None,
    residual: NDArray | None,
) -> None:
    """Fill the pixels y."""
    native, threads = _runtime._native, _runtime.num_threads()
    workspace = _memory.workspace(native.conv2d_workspace("forward", x, taps, y, *settings, threads))
    if norm is None:
        native.conv2d_forward(x, taps, bias, y, *settings, workspace, threads)
        kernel_ran("conv2d_forward", taps, settings)
        return
    residual = None if residual is None else residual.reshape(y.shape)
    native.conv2d_norm_forward(x, taps, bias, *norm, residual, y, *settings, workspace, threads)
    kernel_ran("conv2d_norm_forward", taps, settings)


def conv2d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
    need_dx: bool = True,
    need_dweight: bool = True,
    need_dbias: bool = True,
    addend: ArrayLike | None = None,
) -> tuple[NDArray | None, NDArray | None, NDArray | None]:
    """Gradients of `conv2d`.

    dx[n, c, i', j']     = sum over k and the taps (p, q) that read this pixel of  weight[k, c, p, q] * dy[n, k, i, j]
    dweight[k, c, p, q]  = sum over n, i, j of  dy[n, k, i, j] * x_padded[n, c, i * stride_h + p * dilation_h, ...]
    dbias[k]             = sum over n, i, j of  dy[n, k, i, j]

    Args:
        dy: gradient of the loss with respect to the result.
        x, weight, stride, padding, dilation, groups, algorithm: as in `conv2d`; 'auto' chooses for dx and for dweight.
        need_dx, need_dweight, need_dbias: what to compute.
        addend: added to dx where it is stored: a gradient of x that comes on another way, as at a residual block.
    Shape:
        - dy: (N, C_out, H_out, W_out)
        - addend: that of x
        - Result: (dx, dweight, dbias) with the shapes of x, weight, bias; None where it is not needed
    """
    x = _check.floats("conv2d_backward", "x", x, 4)
    weight = _check.floats("conv2d_backward", "weight", weight, 4)
    dy = _check.floats("conv2d_backward", "dy", dy, 4)
    addend = None if addend is None else _check.floats("conv2d_backward", "addend", addend)
    _check.same_dtype("conv2d_backward", dy=dy, x=x, weight=weight, addend=addend)
    if addend is not None:
        _check.same_shape("conv2d_backward", addend=addend, x=x)
    g = geometry("conv2d_backward", x, weight, stride, padding, dilation, groups)
    check_algorithm("conv2d_backward", algorithm, weight.shape[2:], g.stride, g.pad, g.dilation, g.groups)
    if dy.shape != (len(x), len(weight), *g.out):
        expected = (len(x), len(weight), *g.out)
        raise _check.fail("conv2d_backward", f"dy must have shape {expected}", dy=dy, x=x, weight=weight)
    n, c_in, h, w = x.shape
    dx: NDArray | None = None
    dweight: NDArray | None = None
    dbias: NDArray | None = None
    if _runtime.uses_reference():
        if algorithm in WINOGRAD_OUTPUTS:
            all_of_them = reference.conv2d_winograd_backward(dy, x, weight, g.pad, WINOGRAD_OUTPUTS[algorithm])
        else:
            all_of_them = reference.conv2d_backward(dy, x, weight, g.stride, g.pad, g.dilation, g.groups)
        needed = need_dx, need_dweight, need_dbias
        dx, dweight, dbias = (d if need else None for d, need in zip(all_of_them, needed, strict=True))
        return dx if dx is None or addend is None else add(dx, addend), dweight, dbias
    if not len(x):
        empty_dx = _layout.empty_images((n, c_in, h, w), x.dtype) if need_dx else None
        zeros = np.zeros_like(weight) if need_dweight else None
        return empty_dx, zeros, np.zeros(len(weight), x.dtype) if need_dbias else None
    for_data, for_weight = (choose(f"backward_{of}", algorithm, x, weight, g) for of in ("data", "weight"))
    if for_data == "im2col":  # which is never chosen for one of them alone
        dx, dweight, dbias = conv2d_im2col_backward(dy, x, weight, g, need_dx, need_dweight, need_dbias)
        return dx if dx is None or addend is None else add(dx, addend), dweight, dbias
    native, threads = _runtime._native, _runtime.num_threads()
    dy_pixels, taps = _layout.pixels(dy), _taps(weight)
    if need_dx:
        dx = _layout.empty_images((n, c_in, h, w), x.dtype)
        dx_pixels = _layout.pixels(dx)
        settings = (g.stride, g.pad, g.dilation, g.groups, for_data)
        n_bytes = native.conv2d_workspace("backward_data", dx_pixels, taps, dy_pixels, *settings, threads)
        workspace, addend_pixels = _memory.workspace(n_bytes), None if addend is None else _layout.pixels(addend)
        native.conv2d_backward_data(dy_pixels, taps, addend_pixels, dx_pixels, *settings, workspace, threads)
        kernel_ran("conv2d_backward_data", taps, settings)
    if need_dweight or need_dbias:
        x_pixels = _layout.pixels(x)
        dtaps = _memory.empty(taps.shape, x.dtype)
        settings = (g.stride, g.pad, g.dilation, g.groups, for_weight)
        dbias = np.empty(len(weight), x.dtype) if need_dbias else None
        n_bytes = native.conv2d_workspace("backward_weight", x_pixels, dtaps, dy_pixels, *settings, threads)
        workspace = _memory.workspace(n_bytes)
        native.conv2d_backward_weight(x_pixels, dy_pixels, dtaps, dbias, *settings, workspace, threads)
        kernel_ran("conv2d_backward_weight", taps, settings)
        dweight = dtaps.transpose(3, 2, 0, 1) if need_dweight else None
    return dx, dweight, dbias
