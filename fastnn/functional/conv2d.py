"""Two-dimensional convolution (cross-correlation, as in all neural-network libraries)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _layout, _memory, _runtime, reference
from fastnn.functional import _check
from fastnn.functional.im2col import conv2d_im2col, conv2d_im2col_backward

__all__ = ["conv2d", "conv2d_backward"]

ALGORITHMS = ("auto", "direct", "im2col")


@dataclass(frozen=True)
class Geometry:
    """The checked arguments of one convolution."""

    stride: tuple[int, int]
    pad: tuple[int, int]  # above, to the left
    dilation: tuple[int, int]
    groups: int
    out: tuple[int, int]  # height, width of the result


def geometry(
    operation: str,
    x: NDArray,
    weight: NDArray,
    stride: int | Sequence[int],
    padding: int | Sequence[int] | str,
    dilation: int | Sequence[int],
    groups: int,
) -> Geometry:
    """Check that x, weight and the hyper-parameters fit together."""
    stride_hw = _check.pair(operation, "stride", stride, 1)
    dilation_hw = _check.pair(operation, "dilation", dilation, 1)
    groups = _check.integer(operation, "groups", groups, 1)
    c_out, c_in_group, kernel_h, kernel_w = weight.shape
    if min(weight.shape) < 1:
        raise _check.fail(operation, "weight must not be empty", weight=weight)
    if x.shape[1] != c_in_group * groups:
        expected = f"{c_in_group * groups}" + (f" ({groups} groups of {c_in_group})" if groups > 1 else "")
        raise _check.fail(operation, f"x has {x.shape[1]} channels, weight expects {expected}", x=x, weight=weight)
    if c_out % groups:
        raise _check.fail(operation, f"{c_out} output channels cannot be cut into {groups} groups", weight=weight)
    reach = [d * (k - 1) for d, k in zip(dilation_hw, (kernel_h, kernel_w), strict=True)]
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"{operation}: padding must be integers, 'same' or 'valid'. Received: {padding!r}")
        if padding == "same" and stride_hw != (1, 1):
            raise ValueError(f"{operation}: padding='same' needs stride 1. Received: stride={stride!r}")
        total = reach if padding == "same" else [0, 0]
        pad = [t // 2 for t in total]
    else:
        pad = list(_check.pair(operation, "padding", padding, 0))
        total = [2 * p for p in pad]
    out = [(size + t - r - 1) // s + 1 if size + t > r else 0
           for size, t, r, s in zip(x.shape[2:], total, reach, stride_hw, strict=True)]  # fmt: skip
    if min(out) < 1 or min(x.shape[2:]) < 1:
        raise _check.fail(
            operation,
            f"the kernel reaches over {reach[0] + 1} x {reach[1] + 1} pixels, the padded image has only "
            f"{x.shape[2] + total[0]} x {x.shape[3] + total[1]}",
            x=x,
            weight=weight,
            padding=padding,
        )
    return Geometry(stride_hw, (pad[0], pad[1]), dilation_hw, groups, (out[0], out[1]))


def _taps(weight: NDArray) -> NDArray:
    """The C-contiguous (kernel_h, kernel_w, c_in / groups, c_out) array of a weight: a view if that is how it lies."""
    return _layout.contiguous(weight.transpose(2, 3, 1, 0))


def chosen_algorithm(algorithm: str) -> tuple[str, str]:
    """The algorithm that runs, 'direct' or 'im2col', and the reason in words.

    Raises:
        ValueError: there is no algorithm of that name.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"conv2d: algorithm must be one of {', '.join(ALGORITHMS)}. Received: {algorithm!r}")
    if algorithm == "auto":
        return "direct", "'auto' always takes it: it needs no matrix of patches and skips taps on padding"
    return algorithm, f"algorithm={algorithm!r} was asked for"


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
        algorithm: 'direct' sums small matrix products over the taps of the filter; 'im2col' copies every patch into
            the column of a matrix and makes one product of it; 'auto' takes the faster one, which is 'direct'.
    Shape:
        - x: (N, C_in, H, W), float32 or float64
        - weight: (C_out, C_in / groups, kernel_h, kernel_w), the dtype of x
        - bias: (C_out,)
        - Result: (N, C_out, H_out, W_out), H_out = (H + 2 pad_h - dilation_h (kernel_h - 1) - 1) // stride_h + 1
    Raises:
        ValueError: shapes or hyper-parameters do not fit; the message shows them.
        TypeError: another dtype, or several.
    Example:
        >>> x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
        >>> conv2d(x, weight, padding=1)[0, 0]
        array([[1., 2., 2., 1.],
               [2., 4., 4., 2.],
               [2., 4., 4., 2.],
               [1., 2., 2., 1.]])

    Source: LeCun et al., 1998, "Gradient-based learning applied to document recognition".
    """
    x = _check.floats("conv2d", "x", x, 4)
    weight = _check.floats("conv2d", "weight", weight, 4)
    bias = None if bias is None else _check.floats("conv2d", "bias", bias, 1)
    _check.same_dtype("conv2d", x=x, weight=weight, bias=bias)
    method, _ = chosen_algorithm(algorithm)
    g = geometry("conv2d", x, weight, stride, padding, dilation, groups)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise _check.fail("conv2d", f"bias needs one value for each of {len(weight)} filters", bias=bias, weight=weight)
    if _runtime.uses_reference():
        return reference.conv2d(x, weight, bias, g.stride, g.pad, g.dilation, g.groups, g.out)
    if method == "im2col":
        return conv2d_im2col(x, weight, bias, g)
    y = _layout.empty_images((len(x), len(weight), *g.out), x.dtype)
    if not len(x):
        return y
    native = _runtime._native
    x_pixels, taps, y_pixels = _layout.pixels(x), _taps(weight), _layout.pixels(y)
    n_bytes = native.conv2d_workspace("forward", x_pixels, taps, y_pixels, g.stride, g.pad, g.dilation, g.groups)
    native.conv2d_forward(
        x_pixels, taps, None if bias is None else _layout.contiguous(bias), y_pixels,
        g.stride, g.pad, g.dilation, g.groups, _memory.workspace(n_bytes), _runtime.num_threads(),
    )  # fmt: skip
    return y


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
) -> tuple[NDArray | None, NDArray | None, NDArray | None]:
    """Gradients of `conv2d`.

    dx[n, c, i', j']     = sum over k and the taps (p, q) that read this pixel of  weight[k, c, p, q] * dy[n, k, i, j]
    dweight[k, c, p, q]  = sum over n, i, j of  dy[n, k, i, j] * x_padded[n, c, i * stride_h + p * dilation_h, ...]
    dbias[k]             = sum over n, i, j of  dy[n, k, i, j]

    Args:
        dy: gradient of the loss with respect to the result.
        x, weight, stride, padding, dilation, groups, algorithm: as in `conv2d`.
        need_dx, need_dweight, need_dbias: what to compute.
    Shape:
        - dy: (N, C_out, H_out, W_out)
        - Result: (dx, dweight, dbias) with the shapes of x, weight, bias; None where it is not needed
    """
    x = _check.floats("conv2d_backward", "x", x, 4)
    weight = _check.floats("conv2d_backward", "weight", weight, 4)
    dy = _check.floats("conv2d_backward", "dy", dy, 4)
    _check.same_dtype("conv2d_backward", dy=dy, x=x, weight=weight)
    method, _ = chosen_algorithm(algorithm)
    g = geometry("conv2d_backward", x, weight, stride, padding, dilation, groups)
    if dy.shape != (len(x), len(weight), *g.out):
        expected = (len(x), len(weight), *g.out)
        raise _check.fail("conv2d_backward", f"dy must have shape {expected}", dy=dy, x=x, weight=weight)
    n, c_in, h, w = x.shape
    dx: NDArray | None = None
    dweight: NDArray | None = None
    dbias: NDArray | None = None
    if _runtime.uses_reference():
        all_of_them = reference.conv2d_backward(dy, x, weight, g.stride, g.pad, g.dilation, g.groups)
        needed = need_dx, need_dweight, need_dbias
        dx, dweight, dbias = (d if need else None for d, need in zip(all_of_them, needed, strict=True))
        return dx, dweight, dbias
    if not len(x):
        empty_dx = _layout.empty_images((n, c_in, h, w), x.dtype) if need_dx else None
        zeros = np.zeros_like(weight) if need_dweight else None
        return empty_dx, zeros, np.zeros(len(weight), x.dtype) if need_dbias else None
    if method == "im2col":
        return conv2d_im2col_backward(dy, x, weight, g, need_dx, need_dweight, need_dbias)
    native, threads = _runtime._native, _runtime.num_threads()
    settings = (g.stride, g.pad, g.dilation, g.groups)
    dy_pixels, taps = _layout.pixels(dy), _taps(weight)
    if need_dx:
        dx = _layout.empty_images((n, c_in, h, w), x.dtype)
        dx_pixels = _layout.pixels(dx)
        n_bytes = native.conv2d_workspace("backward_data", dx_pixels, taps, dy_pixels, *settings)
        native.conv2d_backward_data(dy_pixels, taps, dx_pixels, *settings, _memory.workspace(n_bytes), threads)
    if need_dweight or need_dbias:
        x_pixels = _layout.pixels(x)
        dtaps = _memory.empty(taps.shape, x.dtype)
        dbias = np.empty(len(weight), x.dtype) if need_dbias else None
        n_bytes = native.conv2d_workspace("backward_weight", x_pixels, dtaps, dy_pixels, *settings)
        workspace = _memory.workspace(n_bytes)
        native.conv2d_backward_weight(x_pixels, dy_pixels, dtaps, dbias, *settings, workspace, threads)
        dweight = dtaps.transpose(3, 2, 0, 1) if need_dweight else None
    return dx, dweight, dbias
