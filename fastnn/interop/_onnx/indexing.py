"""Parts of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.interop._onnx.graph import Times
from fastnn.interop._onnx.program import Call, Value
from fastnn.interop._onnx.registry import converts

_FAR = 2**63 - 1  # beyond any end


@converts("indexing.Slice")
def _slice(call: Call) -> Any:
    x = call.given(0)
    first, second = (_entries(step.what.index, x.ndim) for step in (call._first, call._second))
    starts, ends, axes, steps, dropped, added = [], [], [], [], [], []
    axis, place = 0, 0
    for one, other in zip(first, second, strict=True):
        if one is None:
            added.append(place)
            place += 1
            continue
        if isinstance(one, slice):
            start, end, step = _bounds(call, axis, one, other, x.dims[axis])
            place += 1
        else:
            if one != other:
                raise call.fail(f"the index {one} differs from run to run: it depends on the size of the batch")
            start, end, step = int(one), int(one) + 1 or _FAR, 1
            dropped.append(axis)
        if (start, end, step) != (0, _FAR, 1):
            starts.append(start)
            ends.append(end)
            axes.append(axis)
            steps.append(step)
        axis += 1
    y = x.name
    if axes:
        y = call.add("Slice", y, *(call.whole(*numbers) for numbers in (starts, ends, axes, steps)))
    if dropped:
        y = call.add("Squeeze", y, call.whole(*dropped))
    return call.add("Unsqueeze", y, call.whole(*added)) if added else y


def _entries(index: Any, ndim: int) -> list[Any]:
    """One entry for every axis, with None for those that are new."""
    entries = list(index) if isinstance(index, tuple) else [index]
    given = sum(entry is not None and entry is not Ellipsis for entry in entries)
    rest = [slice(None)] * (ndim - given)
    if not any(entry is Ellipsis for entry in entries):
        return entries + rest
    dots = next(place for place, entry in enumerate(entries) if entry is Ellipsis)
    return [*entries[:dots], *rest, *entries[dots + 1 :]]


def _bounds(call: Call, axis: int, one: slice, other: slice, size: int | Times) -> tuple[int, int, int]:
    """Start, end and step for ONNX, which reads negative numbers and those beyond the end as Python does."""
    sizes = [step.inputs[0].shape[axis] for step in (call._first, call._second)]
    found = []
    for part, length in zip((one, other), sizes, strict=True):
        step = 1 if part.step is None else int(part.step)
        start = (0 if step > 0 else _FAR) if part.start is None else int(part.start)
        end = (_FAR if step > 0 else -_FAR) if part.stop is None else int(part.stop)
        if step > 0 and end >= length:
            end = _FAR
        found.append((start, end, step))
    if found[0] != found[1]:
        raise call.fail(f"the slice {one} differs from run to run: it depends on the size of the batch")
    if isinstance(size, Times) and found[0][1] not in (_FAR, -_FAR) and found[0][1] > min(sizes):
        raise call.fail(f"the slice {one} of the batch is cut off by its size")
    return found[0]


@converts("indexing.Unbind")
def _unbind(call: Call) -> Any:
    x = call.given(0)
    if isinstance(x.dims[0], Times):
        raise call.fail("a loop over the batch has no form in ONNX: compute all examples at once")
    return tuple(call.add("Gather", x, call.graph.constant(i, np.int64), axis=0) for i in range(len(call.results)))


def _indices(call: Call, read: Callable[[Any], Any]) -> Any:
    """Indices as whole numbers, in which negative ones count from the end."""
    return call.cast(call.known(read), np.int64)


@converts("embedding.Embedding")
def _embedding(call: Call) -> Any:
    def read(op: Any) -> Any:
        return op.given if isinstance(op.given, np.ndarray) else op.indices

    return call.add("Gather", call.inputs[0], _indices(call, read), axis=0)


@converts("indexing.Take")
def _take(call: Call) -> Any:
    return call.add(
        "Gather", call.inputs[0], _indices(call, lambda op: op.given), axis=call.same(lambda op: op.axis, "axis")
    )


@converts("indexing.TakeAlongAxis")
def _take_along_axis(call: Call) -> Any:
    axis, keepdims = call.same(lambda op: (op.axis, op.keepdims), "axis or keepdims")
    x, indices = call.given(0), call.known(lambda op: op.given)
    own = call.cast(indices, np.int64)
    wide = (
        [call.results[0].dims[other] if other != axis else indices.dims[axis] for other in range(x.ndim)]
        if keepdims
        else None
    )
    if wide is not None and tuple(wide) != indices.dims:
        own = call.add("Expand", own, call.graph.shape(wide))
    if wide is not None and any(x.dims[other] != size for other, size in enumerate(wide) if other != axis):
        x_dims = [size if other != axis else x.dims[axis] for other, size in enumerate(wide)]
        given: Any = call.add("Expand", x, call.graph.shape(x_dims))
    else:
        given = x
    y = call.add("GatherElements", given, own, axis=axis)
    return y if keepdims else call.add("Squeeze", y, call.whole(axis))


@converts("indexing.Pick")
def _pick(call: Call) -> Any:
    """Of several axes at once: places of the axes as one."""
    x, index = call.given(0), call.op.index
    entries = index if isinstance(index, tuple) else (index,)
    given = call.op.given if isinstance(call.op.given, tuple) else (call.op.given,)
    if any(call.is_result(one) for one in given):
        raise call.fail("an index that is computed has no form in ONNX here: use np.where for masks, and np.take or "
                        "np.take_along_axis for places")  # fmt: skip
    call.same(lambda op: op.index, "an index")
    if any(isinstance(size, Times) for size in x.dims):
        return _pick_of_examples(call, x, entries)
    places = np.arange(math.prod([int(s) for s in x.dims if not isinstance(s, Times)]))
    picked = places.reshape([int(s) for s in x.dims if not isinstance(s, Times)])[index]
    flat = call.add("Reshape", x, call.whole(-1))
    return call.add("Gather", flat, call.graph.constant(picked, np.int64), axis=0)


def _pick_of_examples(call: Call, x: Value, entries: tuple[Any, ...]) -> Any:
    """The same from every example: all of the first axis, and of the others what a constant index says."""
    whole = slice(None)
    if not entries or entries[0] != whole or any(isinstance(size, Times) for size in x.dims[1:]):
        raise call.fail("an index into the batch has no form in ONNX here: index other axes, or use np.take")
    sizes = [int(size) for size in x.dims[1:] if not isinstance(size, Times)]
    picked = np.arange(math.prod(sizes)).reshape(sizes)[entries[1:]]
    rows = call.reshape(x, (x.dims[0], math.prod(sizes)))
    return call.add("Gather", rows, call.graph.constant(picked, np.int64), axis=1)


@converts("indexing.Pad")
def _pad(call: Call) -> Any:
    widths, values = call.same(lambda op: (op.widths, op.values), "a width or a value")
    if np.ndim(values):
        raise call.fail("several constants in one np.pad have no form in ONNX here: pad each axis by itself")
    pads = [width[side] for side in (0, 1) for width in widths]
    return call.add("Pad", call.inputs[0], call.whole(*pads), call.number(values), mode="constant")
