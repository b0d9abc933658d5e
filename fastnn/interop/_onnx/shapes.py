"""Other shapes and orders; arrays joined and cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn.interop._onnx.graph import Times
from fastnn.interop._onnx.program import Call
from fastnn.interop._onnx.registry import converts


@converts("shapes.Reshape", "flatten.Flatten")
def _reshape(call: Call) -> Any:
    x, dims = call.given(0), call.results[0].dims
    if x.dims == dims:
        return x.name
    if call.stem == "flatten.Flatten" and len(dims) == 2 and dims[0] == x.dims[0]:
        return call.add("Flatten", x)
    return call.reshape(x, dims)


@converts("_tensor._Hooked", "_hooks._PassOn", "_shapes._Contiguous")
def _passed_on(call: Call) -> Any:
    names = tuple(x.name for x in call.inputs if x is not None)
    return names if len(names) > 1 else names[0]


@converts("shapes.Transpose")
def _transpose(call: Call) -> Any:
    x, axes = call.given(0), call.same(lambda op: op.axes, "axes")
    order = range(x.ndim)[::-1] if axes is None else [axis % x.ndim for axis in axes]
    return call.add("Transpose", x, perm=list(order))


@converts("shapes.BroadcastTo")
def _broadcast_to(call: Call) -> Any:
    return call.add("Expand", call.inputs[0], call.graph.shape(call.results[0].dims))


@converts("shapes.Astype")
def _astype(call: Call) -> Any:
    x = call.given(0)
    return call.cast(x, call.results[0].dtype)


@converts("shapes.Triangle")
def _triangle(call: Call) -> Any:
    function, k = call.same(lambda op: (op.function, op.k), "k")
    return call.add("Trilu", call.inputs[0], call.graph.constant(k, np.int64), upper=int(function is np.triu))


@converts("shapes.Diagonal")
def _diagonal(call: Call) -> Any:
    x = call.given(0)
    offset, first, second = call.same(lambda op: op.places, "offset or axes")
    first, second = first % x.ndim, second % x.ndim
    sizes = x.dims[first], x.dims[second]
    if any(isinstance(size, Times) for size in sizes):
        raise call.fail("a diagonal along the batch has no form in ONNX here")
    h, w = (int(size) for size in sizes if not isinstance(size, Times))
    order = [axis for axis in range(x.ndim) if axis not in (first, second)]
    turned = call.add("Transpose", x, perm=[*order, first, second])
    rows = call.reshape(turned, (*(x.dims[axis] for axis in order), h * w))
    places = np.diagonal(np.arange(h * w).reshape(h, w), offset)
    return call.add("Gather", rows, call.graph.constant(places, np.int64), axis=len(order))


@converts("shapes.DiagonalMatrix")
def _diagonal_matrix(call: Call) -> Any:
    """A column times a matrix of zeros and ones, row by row."""
    x, offset = call.given(0), call.same(lambda op: op.offset, "offset")
    if isinstance(x.dims[0], Times):
        raise call.fail("a diagonal along the batch has no form in ONNX here")
    size, whole = int(x.dims[0]), int(x.dims[0]) + abs(offset)
    rows = call.add("Mul", call.add("Unsqueeze", x, call.whole(1)), np.eye(size, whole, max(offset, 0), x.dtype))
    return call.add("MatMul", np.eye(whole, size, min(offset, 0), x.dtype), rows) if offset else rows


@converts("shapes.Roll")
def _roll(call: Call) -> Any:
    x = call.given(0)
    shift, axis = call.same(lambda op: (op.shift, op.axis), "shift or axis")
    y = x.name
    if axis is None:
        y, axis = call.add("Reshape", y, call.whole(-1)), 0
    shifts, axes = np.broadcast_arrays(shift, axis)
    for step, along in zip(shifts.reshape(-1).tolist(), axes.reshape(-1).tolist(), strict=True):
        size = None if call.op.axis is None else x.dims[along]
        if not isinstance(size, int):
            if call.op.axis is not None or any(isinstance(one, Times) for one in x.dims):
                raise call.fail("elements that are shifted along the batch have no form in ONNX here")
            size = math.prod([int(one) for one in x.dims if not isinstance(one, Times)])
        cut = -step % size if size else 0
        if cut:
            place = call.whole(along)
            parts = [
                call.add("Slice", y, call.whole(start), call.whole(end), place)
                for start, end in ((cut, size), (0, cut))
            ]
            y = call.add("Concat", *parts, axis=along)
    return call.reshape(y, x.dims) if call.op.axis is None else y


# ---- joined and cut --------------------------------------------------------------------------------------------------
@converts("joining.Concatenate")
def _concatenate(call: Call) -> Any:
    dtype = call.results[0].dtype
    parts = [call.cast(x, dtype) for x in call.inputs if x is not None]
    return call.add("Concat", *parts, axis=call.same(lambda op: op.axis, "axis"))


@converts("joining.Stack")
def _stack(call: Call) -> Any:
    axis, dtype = call.same(lambda op: op.axis, "axis"), call.results[0].dtype
    axis %= call.results[0].ndim
    parts = [call.add("Unsqueeze", call.cast(x, dtype), call.whole(axis)) for x in call.inputs if x is not None]
    return call.add("Concat", *parts, axis=axis)


@converts("joining.Split")
def _split(call: Call) -> Any:
    """Cut into sizes that follow each other; the batch into equal parts only."""
    x = call.given(0)
    axis = call.same(lambda op: op.axis, "axis") % x.ndim
    sizes = [y.dims[axis] for y in call.results]
    sections = np.asarray(call.op.sections)
    if sections.ndim and not np.array_equal(np.sort(sections), sections):
        raise call.fail("places of a split that are not in order have no form in ONNX here")
    if len(sizes) == 1:
        return (x.name,)
    return call.add("Split", x, call.graph.shape(sizes), axis=axis, outputs=len(sizes))
