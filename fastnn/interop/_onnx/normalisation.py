"""Batch, layer, group and local norms, and dropout, which does nothing in evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.interop._onnx.activation import activated
from fastnn.interop._onnx.program import Call, Value
from fastnn.interop._onnx.registry import converts

__all__ = ["with_running_statistics"]


def standardised(call: Call, x: Any, axes: Sequence[int], eps: float) -> str:
    """(x - mean) / sqrt(variance + eps), over some axes."""
    places = call.whole(*axes)
    distance = call.add("Sub", x, call.add("ReduceMean", x, places, keepdims=1))
    variance = call.add("ReduceMean", call.add("Mul", distance, distance), places, keepdims=1)
    return call.add("Div", distance, call.add("Sqrt", call.add("Add", variance, call.number(eps))))


def scaled(call: Call, y: str, weight: Value | None, bias: Value | None, ndim: int) -> str:
    """With a scale and an offset for every channel, axis 1 of `ndim`."""
    for kind, values in (("Mul", weight), ("Add", bias)):
        if values is not None:
            y = call.add(kind, y, call.reshape(values, (-1, *(1,) * (ndim - 2))) if ndim > 2 else values)
    return y


def with_running_statistics(call: Call, x: Any, like: Value, values: Sequence[Value | None], eps: float) -> str:
    """Batch norm of x by scale, offset, mean and variance; without scale or offset, they are 1 and 0."""
    channels = like.dims[1]
    assert isinstance(channels, int)
    scale, offset, mean, variance = values
    names = [
        np.full(channels, default, like.dtype) if value is None else call.cast(value, like.dtype)
        for value, default in ((scale, 1), (offset, 0), (mean, 0), (variance, 1))
    ]
    return call.add("BatchNormalization", x, *names, epsilon=float(eps))


@converts("batchnorm.BatchNorm")
def _batch_norm(call: Call) -> Any:
    x, (weight, bias, residual) = call.given(0), call.inputs[1:]
    training, activation, eps = call.same(lambda op: (bool(op.training), op.activation, op.settings[3]), "a setting")
    if training:  # by the statistics of the batch, of a layer that keeps none
        y = standardised(call, x, [0, *range(2, x.ndim)], eps)
        y = scaled(call, y, weight, bias, x.ndim)
    else:
        running = [call.known(lambda op, i=i: op.settings[i]) for i in (0, 1)]  # type: ignore[misc]
        y = with_running_statistics(call, x, call.results[0], (weight, bias, *running), eps)
    if residual is not None:
        y = call.add("Add", y, residual)
    return activated(call, activation, y)


@converts("layernorm.LayerNorm")
def _layer_norm(call: Call) -> Any:
    x, (weight, bias) = call.given(0), call.inputs[1:]
    shape, eps = call.same(lambda op: (op.normalized_shape, op.eps), "a setting")
    count = 1 if isinstance(shape, int | np.integer) else len(shape)
    scale: Any = weight
    if weight is None:
        scale = np.ones(call.raw(0).shape[x.ndim - count :], x.dtype)
    return call.add("LayerNormalization", x, scale, bias, axis=-count, epsilon=float(eps))


@converts("groupnorm.GroupNorm")
def _group_norm(call: Call) -> Any:
    x, (weight, bias) = call.given(0), call.inputs[1:]
    groups, eps = call.same(lambda op: (op.num_groups, op.eps), "a setting")
    count = math.prod(call.raw(0).shape[1:]) // groups
    rows = call.reshape(x, (x.dims[0], groups, count))
    y = call.reshape(standardised(call, rows, [2], eps), x.dims)
    return scaled(call, y, weight, bias, x.ndim)


@converts("rms_norm.RMSNorm")
def _rms_norm(call: Call) -> Any:
    x, weight = call.given(0), call.input(1)
    features, eps = call.same(lambda op: (op.features, op.eps), "a setting")
    shape, count, size = call.raw(0).shape, 0, 1
    while size < features:
        count += 1
        size *= shape[-count]
    axes = call.whole(*range(-max(count, 1), 0))
    mean = call.add("ReduceMean", call.add("Mul", x, x), axes, keepdims=1)
    y = call.add("Div", x, call.add("Sqrt", call.add("Add", mean, call.number(eps))))
    return y if weight is None else call.add("Mul", y, weight)


@converts("local_response_norm.LocalResponseNorm")
def _local_response_norm(call: Call) -> Any:
    x = call.given(0)
    size, alpha, beta, k = call.same(lambda op: op.settings, "a setting")
    size, channels = int(size), call.raw(0).shape[1]
    # Sums of neighbouring channels: a matrix of zeros and ones.
    places = np.arange(channels)
    distance = places[None, :] - places[:, None]
    near = ((distance >= -(size // 2)) & (distance <= (size - 1) // 2)).astype(x.dtype)
    rows = call.reshape(call.add("Mul", x, x), (x.dims[0], channels, math.prod(call.raw(0).shape[2:])))
    sums = call.reshape(call.add("MatMul", near, rows), x.dims)
    base = call.add("Add", call.add("Mul", sums, call.number(alpha / size)), call.number(k))
    return call.add("Div", x, call.add("Pow", base, call.number(beta)))


@converts("dropout.Dropout", "dropout.Dropout2d")
def _dropout(call: Call) -> Any:
    x = call.given(0)
    if call.same(lambda op: bool(op.training) and op.p > 0, "p"):
        raise call.fail("dropout drops elements in evaluation too: pass training=self.training, or use nn.Dropout")
    return x.name
