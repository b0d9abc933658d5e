"""Convolutions, and those with batch norm where they store."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.functional._conv2d_geometry import geometry, total_padding
from fastnn.functional.im2col import _patches
from fastnn.interop._onnx.activation import activated
from fastnn.interop._onnx.normalisation import with_running_statistics
from fastnn.interop._onnx.program import Call, Value
from fastnn.interop._onnx.registry import converts


def _convolution(call: Call, x: Value, weight: Value, bias: Value | None) -> Any:
    stride, padding, dilation, groups = call.same(lambda op: op.settings[:4], "a setting")
    shapes = call.raw(0).shape, call.raw(1).shape
    g = geometry("conv2d", *shapes, stride, padding, dilation, groups)
    kernel = shapes[1][2:]
    total = total_padding(padding if isinstance(padding, str) else g.pad, kernel, g.dilation)
    ends = [both - first for both, first in zip(total, g.pad, strict=True)]
    return call.add(
        "Conv", x, weight, bias, kernel_shape=list(kernel), strides=list(g.stride), pads=[*g.pad, *ends],
        dilations=list(g.dilation), group=g.groups,
    )  # fmt: skip


@converts("conv2d.Conv2d")
def _conv2d(call: Call) -> Any:
    x, weight, bias, *rest = call.given(0), call.given(1), *call.inputs[2:]
    if call.op.norm is not None or any(value is not None for value in rest):
        raise call.fail("a norm that is given to the operation itself has no form here: call batch_norm after it")
    return _convolution(call, x, weight, bias)


@converts("conv2d_norm.Conv2dNorm")
def _conv2d_norm(call: Call) -> Any:
    x, weight, (bias, scale, offset, residual) = call.given(0), call.given(1), call.inputs[2:]
    y = _convolution(call, x, weight, bias)
    mean, variance = (call.known(lambda op, i=i: op.statistics[i]) for i in (0, 1))  # type: ignore[misc]
    y = with_running_statistics(call, y, call.results[0], (scale, offset, mean, variance), call.op.eps)
    if residual is not None:
        y = call.add("Add", y, residual)
    return activated(call, call.op.activation, y)


@converts("conv_transpose2d.ConvTranspose2d")
def _conv_transpose2d(call: Call) -> Any:
    x, weight, bias = call.inputs
    s = call.same(lambda op: op.settings, "a setting")
    return call.add(
        "ConvTranspose", x, weight, bias, kernel_shape=list(call.raw(1).shape[2:]), strides=list(s.stride),
        pads=[*s.pad, *s.pad], output_padding=list(s.output_padding), dilations=list(s.dilation), group=s.groups,
    )  # fmt: skip


def _one_pixel_each(channels: int, kernel: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    """For every channel a filter for each pixel of the window, which picks it."""
    taps = kernel[0] * kernel[1]
    return np.tile(np.eye(taps, dtype=dtype), (channels, 1)).reshape(channels * taps, 1, *kernel)


@converts("im2col.Im2col")
def _im2col(call: Call) -> Any:
    n, channels, *image = call.raw(0).shape
    given = call.same(lambda op: op.settings, "a setting")
    kernel, steps, pad, dilations, _ = _patches("im2col", n * channels, tuple(image), *given)
    y = call.add(
        "Conv", call.inputs[0], _one_pixel_each(channels, kernel, call.results[0].dtype), kernel_shape=list(kernel),
        strides=list(steps), pads=[*pad, *pad], dilations=list(dilations), group=channels,
    )  # fmt: skip
    return call.reshape(y, call.results[0].dims)


@converts("im2col.Col2im")
def _col2im(call: Call) -> Any:
    columns = call.given(0)
    channels, *image = call._first.results[0].shape[1:]
    given = call.same(lambda op: op.settings, "a setting")
    kernel, steps, pad, dilations, out = _patches("col2im", 1, tuple(image), *given)
    maps = call.reshape(columns, (columns.dims[0], columns.dims[1], *out))
    more = [
        size - ((places - 1) * step - 2 * border + reach * (taps - 1) + 1)
        for size, places, step, border, reach, taps in zip(image, out, steps, pad, dilations, kernel, strict=True)
    ]
    return call.add(
        "ConvTranspose", maps, _one_pixel_each(channels, kernel, columns.dtype), kernel_shape=list(kernel),
        strides=list(steps), pads=[*pad, *pad], output_padding=more, dilations=list(dilations), group=channels,
    )  # fmt: skip
