"""Transposed convolution: what a convolution's backward does to dy, as a layer that makes images larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, reference
from fastnn.autograd.tape import Op, run
from fastnn.functional._conv2d_plan import Gradients, Plan, are_ready, kept, plan_for
from fastnn.functional.conv2d import with_pixels, with_taps

__all__ = ["conv_transpose2d", "conv_transpose2d_backward"]

Pair = tuple[int, int]


class Settings(NamedTuple):
    """The checked arguments of one transposed convolution."""

    stride: Pair
    pad: Pair
    output_padding: Pair
    dilation: Pair
    groups: int


def check_settings(
    operation: str,
    stride: int | Sequence[int],
    padding: int | Sequence[int],
    output_padding: int | Sequence[int],
    groups: int,
    dilation: int | Sequence[int],
) -> Settings:
    """All of them as a transposed convolution takes them, whatever its shapes are."""
    checked = Settings(
        _check.pair(operation, "stride", stride, 1),
        _check.pair(operation, "padding", padding, 0),
        _check.pair(operation, "output_padding", output_padding, 0),
        _check.pair(operation, "dilation", dilation, 1),
        _check.integer(operation, "groups", groups, 1, _check.MOST_SETTING),
    )
    for more, step, reach in zip(checked.output_padding, checked.stride, checked.dilation, strict=True):
        if more >= max(step, reach):
            raise ValueError(
                f"{operation}: output_padding must be smaller than stride or dilation. Received: "
                f"output_padding={output_padding!r}, stride={stride!r}, dilation={dilation!r}"
            )
    return checked


def _size_of_result(operation: str, x: Any, weight: Any, s: Settings) -> Pair:
    """Height and width of the result, after checking that the shapes and the settings fit together."""
    c_in, c_out_group, *kernel = weight.shape

    def fail(reason: str) -> ValueError:
        return _check.fail(operation, reason, x=x, weight=weight, **s._asdict())

    if min(weight.shape) < 1:
        raise fail("weight must not be empty")
    if x.shape[1] != c_in:
        raise fail(f"x has {x.shape[1]} channels, weight expects {c_in}")
    if c_in % s.groups:
        raise fail(f"{c_in} input channels cannot be cut into {s.groups} groups")
    if min(x.shape[2:]) < 1:
        raise fail("the images have no pixels")
    h, w = (
        (size - 1) * step - 2 * pad + reach * (taps - 1) + more + 1
        for size, taps, step, pad, reach, more in zip(
            x.shape[2:], kernel, s.stride, s.pad, s.dilation, s.output_padding, strict=True
        )
    )
    if min(h, w) < 1:
        raise fail(f"padding leaves nothing: the result would have {h} x {w} pixels")
    _check.fits_memory(operation, "a result", (len(x), c_out_group * s.groups, h, w), x=x, weight=weight, **s._asdict())
    return h, w


class ConvTranspose2d(Op):
    """`conv_transpose2d` of (x, weight, bias).

    Its plan is that of the convolution whose backward it is: x is that one's dy, the result its dx.
    """

    keeps: ClassVar = {0: "x", 1: "weight"}
    is_exact = is_fresh = True

    x: Any = None
    weight: Any = None
    plan: Plan

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def forward(self, given_x: Any, given_weight: Any, bias: Any) -> NDArray:
        x, weight = given_x, given_weight
        if not (are_ready(x, weight, bias, 4) and x.ndim == 4):
            x = _check.floats("conv_transpose2d", "x", x, 4)
            weight = _check.floats("conv_transpose2d", "weight", weight, 4)
            bias = None if bias is None else _check.floats("conv_transpose2d", "bias", bias, 1)
            _check.same_dtype("conv_transpose2d", x=x, weight=weight, bias=bias)
        self.make_plan("conv_transpose2d", x, weight)
        c_out = weight.shape[1] * self.settings.groups
        if bias is not None and len(bias) != c_out:
            reason = f"bias needs one value for each of {c_out} output channels"
            raise _check.fail("conv_transpose2d", reason, bias=bias, weight=weight)
        own_x, own_weight = x, weight
        if self.plan.uses_reference:
            s = self.settings
            y = reference.conv_transpose2d(x, weight, bias, s.stride, s.pad, s.dilation, s.groups, self.out)
        else:
            (own_x, pixels), (own_weight, taps) = with_pixels(x), with_taps(weight)
            y_pixels = self.plan.backward_data(self._with_zeros(pixels), taps)
            if bias is not None:
                rows = y_pixels.reshape(self.out[0] * self.out[1], -1)
                rows += np.tile(bias, len(x))  # long rows, which NumPy adds faster than one pixel at a time
            y = _layout.images(y_pixels)
        if self.needs_grad:
            need_dx, need_dweight, _ = self.needs_grad
            if need_dx:
                self.weight = kept(given_weight, weight, own_weight)
            if need_dweight:
                self.x = kept(given_x, x, own_x)
        return y

    def make_plan(self, operation: str, x: NDArray, weight: NDArray) -> None:
        """Check the shapes, and find the plan for them."""
        s = self.settings
        self.out = _size_of_result(operation, x, weight, s)
        self.x_shape, self.weight_shape, self.dtype = x.shape, weight.shape, x.dtype
        y_shape = (len(x), weight.shape[1] * s.groups, *self.out)
        convolution = s.stride, s.pad, s.dilation, s.groups, "auto"
        self.plan = plan_for(operation, y_shape, weight.shape, x.dtype, convolution)

    def _with_zeros(self, pixels: NDArray) -> NDArray:
        """The pixels of x, with zeros below and to the right if output_padding is a stride or more.

        The convolution then has more positions than x has pixels.
        """
        if pixels.shape == self.plan.y:
            return pixels
        larger = _memory.empty(self.plan.y, self.dtype)
        h, w = pixels.shape[:2]
        larger[:h, :w], larger[h:], larger[:h, w:] = pixels, 0, 0
        return larger

    def backward(self, dy: NDArray) -> Gradients:
        plan = self.plan.now()
        if plan.uses_reference:
            return self._backward_by_reference(dy)
        need_dx, need_dweight, need_dbias = self.needs_grad
        dx = dweight = dbias = None
        dy_pixels = _layout.pixels(dy)
        if need_dx:
            h, w = self.x_shape[2:]
            dx_pixels = plan.forward(dy_pixels, with_taps(self.weight)[1], None)
            dx = _layout.images(dx_pixels)[:, :, :h, :w]
        if need_dweight:
            dtaps, _ = plan.backward_weight(dy_pixels, self._with_zeros(_layout.pixels(self.x)), False)
            dweight = dtaps.transpose(_layout.FROM_TAPS)
        if need_dbias:
            dbias = dy_pixels.sum(axis=0).sum(axis=0).sum(axis=0)  # short sums round less than one over all
        return dx, dweight, dbias

    def _backward_by_reference(self, dy: NDArray) -> Gradients:
        s = self.settings
        # What was not kept is needed for what is not wanted.
        x = np.zeros(self.x_shape, self.dtype) if self.x is None else self.x
        weight = np.zeros(self.weight_shape, self.dtype) if self.weight is None else self.weight
        found = reference.conv_transpose2d_backward(dy, x, weight, s.stride, s.pad, s.dilation, s.groups)
        dx, dweight, dbias = (d if need else None for d, need in zip(found, self.needs_grad, strict=True))
        return dx, dweight, dbias


def conv_transpose2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Any:
    """Put a copy of the filters, weighted by the pixel, around every pixel of x, and add them all up.

    y[n, k, i', j'] = bias[k] + sum over c and all (i, p) with i * stride_h + p * dilation_h - pad_h = i', (j, q) alike,
        of  x[n, c, i, j] * weight[c, k, p, q]

    It is the gradient of `conv2d` with respect to its images, and makes them larger where that makes them smaller.

    Args:
        x: images.
        weight: filters.
        bias: one value for each output channel, or None.
        stride: pixels of y between two pixels of x, one number or (vertical, horizontal).
        padding: rows and columns that are cut off all around y.
        output_padding: rows and columns of y that are kept below and to the right in spite of it, fewer than stride or
            dilation; it chooses among the sizes that a convolution with this stride maps to that of x.
        groups: channels are cut into so many groups, each with filters of its own.
        dilation: pixels of y between two taps of a filter.
    Shape:
        - x: (N, C_in, H, W), float32 or float64
        - weight: (C_in, C_out / groups, kernel_h, kernel_w), the dtype of x
        - bias: (C_out,)
        - Result: (N, C_out, H_out, W_out),
          H_out = (H - 1) stride_h - 2 pad_h + dilation_h (kernel_h - 1) + output_padding_h + 1
    Raises:
        ValueError: shapes or hyper-parameters do not fit; the message shows them.
        TypeError: another dtype, or several.
    Example:
        >>> x, weight = np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 1, 3))
        >>> conv_transpose2d(x, weight, stride=(1, 2))[0, 0]
        array([[1., 1., 3., 2., 2.]])

    Source: Zeiler et al., 2010, "Deconvolutional networks"; Dumoulin and Visin, 2016, "A guide to convolution
    arithmetic for deep learning".
    """
    settings = check_settings("conv_transpose2d", stride, padding, output_padding, groups, dilation)
    return run(ConvTranspose2d(settings), x, weight, bias)


def conv_transpose2d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
    need_dx: bool = True,
    need_dweight: bool = True,
    need_dbias: bool = True,
) -> Gradients:
    """Gradients of `conv_transpose2d`; dx is `conv2d` of dy with the same filters.

    dx[n, c, i, j]       = sum over k, p, q of  weight[c, k, p, q] * dy[n, k, i', j']
    dweight[c, k, p, q]  = sum over n, i, j of  x[n, c, i, j] * dy[n, k, i', j']
    dbias[k]             = sum over n, i', j' of  dy[n, k, i', j']
    with i' = i * stride_h + p * dilation_h - pad_h, and j' alike

    Args:
        dy: gradient of the loss with respect to the result.
        x, weight, stride, padding, output_padding, groups, dilation: as in `conv_transpose2d`.
        need_dx, need_dweight, need_dbias: whether to compute these gradients; a gradient that is not needed is None.
    Shape:
        - dy: (N, C_out, H_out, W_out)
        - Result: (dx, dweight, dbias) with the shapes of x, weight, bias; None where it is not needed
    """
    operation = "conv_transpose2d_backward"
    x = _check.floats(operation, "x", x, 4)
    weight = _check.floats(operation, "weight", weight, 4)
    dy = _check.floats(operation, "dy", dy, 4)
    _check.same_dtype(operation, dy=dy, x=x, weight=weight)
    op = ConvTranspose2d(check_settings(operation, stride, padding, output_padding, groups, dilation))
    op.make_plan(operation, x, weight)
    expected = (len(x), weight.shape[1] * op.settings.groups, *op.out)
    if dy.shape != expected:
        raise _check.fail(operation, f"dy must have shape {expected}", dy=dy, x=x, weight=weight)
    needs = {"need_dx": need_dx, "need_dweight": need_dweight, "need_dbias": need_dbias}
    op.needs_grad = tuple(_check.boolean(operation, name, value) for name, value in needs.items())
    op.x, op.weight = x, weight
    return op.backward(dy)
