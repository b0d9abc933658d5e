"""Sums, means, extremes, products and norms along axes."""

from __future__ import annotations

import math
from typing import Any

from fastnn.autograd.broadcasting import axes_of
from fastnn.interop._onnx.graph import Times
from fastnn.interop._onnx.program import Call, Value
from fastnn.interop._onnx.registry import converts


def _settings(call: Call) -> tuple[Value, tuple[int, ...], bool]:
    x = call.given(0)
    axis, keepdims = call.same(lambda op: (op.axis, op.keepdims), "axis or keepdims")
    return x, axes_of(axis, x.ndim), bool(keepdims)


def _reduced(call: Call, kind: str, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if not axes:
        return call.add("Identity", x)
    return call.add(kind, x, call.whole(*axes), keepdims=int(keepdims))


def _by(kind: str) -> Any:
    def convert(call: Call) -> Any:
        x, axes, keepdims = _settings(call)
        return _reduced(call, kind, call.cast(x, call.results[0].dtype), axes, keepdims)

    return convert


for _stem, _kind in (
    ("Sum", "ReduceSum"), ("Mean", "ReduceMean"), ("Max", "ReduceMax"), ("Min", "ReduceMin"), ("Prod", "ReduceProd"),
    ("Norm", "ReduceL2"),
):  # fmt: skip
    converts(f"reductions.{_stem}")(_by(_kind))


@converts("reductions.Var", "reductions.Std")
def _var(call: Call) -> Any:
    x, axes, keepdims = _settings(call)
    ddof = call.same(lambda op: op.ddof, "ddof")
    given = call.cast(x, call.results[0].dtype)
    distance = call.add("Sub", given, _reduced(call, "ReduceMean", given, axes, True))
    y = _reduced(call, "ReduceMean", call.add("Mul", distance, distance), axes, keepdims)
    if ddof:
        moving = [x.dims[axis] for axis in axes if isinstance(x.dims[axis], Times)]
        if moving:
            raise call.fail(f"a variance over the batch with ddof={ddof} has no form in ONNX here: use ddof=0")
        count = math.prod(size for axis in axes if not isinstance(size := x.dims[axis], Times))
        y = call.add("Mul", y, call.number(count / (count - ddof)))
    return call.add("Sqrt", y) if call.stem == "reductions.Std" else y


@converts("reductions.Cumsum")
def _cumsum(call: Call) -> Any:
    x = call.given(0)
    axis = call.same(lambda op: op.axis, "axis")
    return call.add("CumSum", call.cast(x, call.results[0].dtype), call.graph.constant(axis, "int64"))


@converts("reductions.Cumprod")
def _cumprod(call: Call) -> Any:
    """A product for every place along the axis, since ONNX has no operator for it."""
    x = call.given(0)
    axis = call.same(lambda op: op.axis, "axis") % x.ndim
    size = x.dims[axis]
    if isinstance(size, Times):
        raise call.fail("a cumulative product along the batch has no form in ONNX here")
    if size < 2:
        return call.add("Identity", x)
    parts = call.add("Split", call.cast(x, call.results[0].dtype), axis=axis, num_outputs=size, outputs=size)
    products = [parts[0]]
    for part in parts[1:]:
        products.append(call.add("Mul", products[-1], part))
    return call.add("Concat", *products, axis=axis)
