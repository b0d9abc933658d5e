"""Two-dimensional convolution (cross-correlation, as in all neural-network libraries)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, reference
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import AnyArray
from fastnn.functional._conv2d_algorithm import WINOGRAD_OUTPUTS
from fastnn.functional._conv2d_plan import Gradients, Norm, Plan, are_ready, kept, plan_for

__all__ = ["conv2d", "conv2d_backward"]


def with_pixels(x: NDArray) -> tuple[NDArray, NDArray]:
    """`x` and its pixels; of a copy, if it does not lie as the kernels read it."""
    pixels = x.transpose(_layout.TO_PIXELS)
    flags = pixels.flags
    if flags.c_contiguous and flags.aligned:
        return x, pixels
    pixels = _layout.pixels(x)
    return _layout.images(pixels), pixels


def with_taps(weight: NDArray) -> tuple[NDArray, NDArray]:
    """`weight` and its taps; of a copy, if it does not lie as the kernels read it."""
    taps = weight.transpose(_layout.TO_TAPS)
    flags = taps.flags
    if flags.c_contiguous and flags.aligned:
        return weight, taps
    taps = _layout.contiguous(taps)
    return taps.transpose(_layout.FROM_TAPS), taps


class Conv2d(Op):
    """`conv2d` of (x, weight, bias); with `norm`, that of its result plus a fourth input where it is stored.

    The bits are those of `batch_norm_activation` after `conv2d`. A norm runs on the native backend, and forward only.
    """

    keeps: ClassVar = {0: "x", 1: "weight"}
    is_exact = is_fresh = adds = True

    x: Any = None
    weight: Any = None
    plan: Plan

    def __init__(
        self,
        stride: int | Sequence[int],
        padding: int | Sequence[int] | str,
        dilation: int | Sequence[int],
        groups: int,
        algorithm: str,
        norm: Norm | None = None,
    ) -> None:
        self.settings = stride, padding, dilation, groups, algorithm
        self.norm = norm

    def forward(self, given_x: Any, given_weight: Any, bias: Any, residual: NDArray | None = None) -> NDArray:
        x, weight = given_x, given_weight
        if not (are_ready(x, weight, bias, 4) and x.ndim == 4):
            x = _check.floats("conv2d", "x", x, 4)
            weight = _check.floats("conv2d", "weight", weight, 4)
            bias = None if bias is None else _check.floats("conv2d", "bias", bias, 1)
            _check.same_dtype("conv2d", x=x, weight=weight, bias=bias)
        plan = self.plan = plan_for("conv2d", x.shape, weight.shape, x.dtype, self.settings)
        if bias is not None and len(bias) != len(weight):
            reason = f"bias needs one value for each of {len(weight)} filters"
            raise _check.fail("conv2d", reason, bias=bias, weight=weight)
        if residual is not None:
            residual = _checked_residual(residual, x, weight, plan)
        if not plan.uses_reference:
            (own_x, pixels), (own_weight, taps) = with_pixels(x), with_taps(weight)
            bias = None if bias is None else _layout.contiguous(bias)
            y = _layout.images(plan.forward(pixels, taps, bias, self.norm, residual))
        else:
            own_x, own_weight = x, weight
            y = self._forward_by_reference(x, weight, bias)
        if self.needs_grad:
            need_dx, need_dweight, need_dbias = self.needs_grad[:3]
            if need_dx:
                self.weight = kept(given_weight, weight, own_weight)
            if need_dweight or need_dbias:
                self.x = kept(given_x, x, own_x)
        return y

    def _forward_by_reference(self, x: NDArray, weight: NDArray, bias: NDArray | None) -> NDArray:
        g, algorithm = self.plan.geometry, self.plan.algorithm
        if self.norm is not None:
            raise RuntimeError("conv2d: the reference backend has no norm within: call batch_norm_activation after it")
        if algorithm in WINOGRAD_OUTPUTS:
            return reference.conv2d_winograd(x, weight, bias, g.pad, WINOGRAD_OUTPUTS[algorithm])
        return reference.conv2d(x, weight, bias, g.stride, g.pad, g.dilation, g.groups, g.out)

    def backward(self, dy: NDArray, addend: NDArray | None = None) -> Gradients:
        if self.norm is not None:
            raise RuntimeError("Conv2d: with a norm it goes forward only: run the convolution and the norm apart")
        plan = self.plan.now()
        if plan.uses_reference:
            return self._backward_by_reference(plan, dy, addend)
        need_dx, need_dweight, need_dbias = self.needs_grad
        dx = dweight = dbias = None
        dy_pixels = _layout.pixels(dy)
        if need_dx:
            addend = None if addend is None else _layout.pixels(addend)
            dx = _layout.images(plan.backward_data(dy_pixels, with_taps(self.weight)[1], addend))
        if need_dweight or need_dbias:
            dtaps, dbias = plan.backward_weight(_layout.pixels(self.x), dy_pixels, need_dbias)
            dweight = dtaps.transpose(_layout.FROM_TAPS) if need_dweight else None
        return dx, dweight, dbias

    def _backward_by_reference(self, plan: Plan, dy: NDArray, addend: NDArray | None) -> Gradients:
        (x_shape, weight_shape, dtype, *_), g = plan.key, plan.geometry
        # What was not kept is needed for what is not wanted.
        x = np.zeros(x_shape, dtype) if self.x is None else self.x
        weight = np.zeros(weight_shape, dtype) if self.weight is None else self.weight
        if plan.algorithm in WINOGRAD_OUTPUTS:
            found = reference.conv2d_winograd_backward(dy, x, weight, g.pad, WINOGRAD_OUTPUTS[plan.algorithm])
        else:
            found = reference.conv2d_backward(dy, x, weight, g.stride, g.pad, g.dilation, g.groups)
        dx, dweight, dbias = (d if need else None for d, need in zip(found, self.needs_grad, strict=True))
        return dx if dx is None or addend is None else reference.add(dx, addend), dweight, dbias


def _checked_residual(residual: NDArray, x: NDArray, weight: NDArray, plan: Plan) -> NDArray:
    """The pixels of a residual."""
    _check.same_dtype("conv2d", residual=residual, x=x)
    expected = (len(x), len(weight), *plan.geometry.out)
    if residual.shape != expected:
        reason = f"the residual must have the shape of the result, {expected}"
        raise _check.fail("conv2d", reason, residual=residual, x=x, weight=weight)
    return _layout.pixels(residual)


def conv2d(
    x: AnyArray,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> AnyArray:
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
        algorithm: how to compute it. Results differ by rounding only. With Winograd the rounding error is a fraction
            of the largest value in a tile: for images with a few huge values take 'direct'.
            - 'auto': the one that `fastnn.conv2d_algorithm` or FASTNN_CONV2D_ALGORITHM prefers, or else the cheapest
              for these shapes, but never 'winograd4'
            - 'direct': sums of small matrix products over the taps of the filter
            - 'im2col': every patch is copied into the row of a matrix, some hundred at a time, and one product is made
              of it; the gradient of the weights is as with 'direct'
            - 'winograd': tiles of 2 x 2 outputs with 16 multiplications instead of 36, for 3 x 3 filters with
              stride 1, dilation 1, one group and padding 0 to 2
            - 'winograd24': tiles of 2 x 4, with 24 instead of 72 multiplications and about the rounding error of
              'direct'
            - 'winograd4': tiles of 4 x 4, with 36 instead of 144 multiplications and two to four times the rounding
              error of 'direct'
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
) -> Gradients:
    """Gradients of `conv2d`.

    dx[n, c, i', j']     = sum over k and the taps (p, q) that read this pixel of  weight[k, c, p, q] * dy[n, k, i, j]
    dweight[k, c, p, q]  = sum over n, i, j of  dy[n, k, i, j] * x_padded[n, c, i * stride_h + p * dilation_h, ...]
    dbias[k]             = sum over n, i, j of  dy[n, k, i, j]

    Args:
        dy: gradient of the loss with respect to the result.
        x, weight, stride, padding, dilation, groups, algorithm: as in `conv2d`; 'auto' chooses for dx and for dweight.
        need_dx, need_dweight, need_dbias: whether to compute these gradients; a gradient that is not needed is None.
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
    if not x.dtype is weight.dtype is dy.dtype or addend is not None:
        _check.same_dtype("conv2d_backward", dy=dy, x=x, weight=weight, addend=addend)
    if addend is not None:
        _check.same_shape("conv2d_backward", addend=addend, x=x)
    op = Conv2d(stride, padding, dilation, groups, algorithm)
    op.plan = plan_for("conv2d_backward", x.shape, weight.shape, x.dtype, op.settings)
    expected = (len(x), len(weight), *op.plan.geometry.out)
    if dy.shape != expected:
        raise _check.fail("conv2d_backward", f"dy must have shape {expected}", dy=dy, x=x, weight=weight)
    op.x, op.weight, op.needs_grad = x, weight, (need_dx, need_dweight, need_dbias)
    return op.backward(dy, addend)
