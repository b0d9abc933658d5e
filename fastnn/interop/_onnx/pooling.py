"""Pooling: with windows that slide, and with a given number of windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.functional._pooling import Windows
from fastnn.interop._onnx.program import Call, Value
from fastnn.interop._onnx.registry import converts


def _reach(windows: Windows) -> tuple[Any, Any, list[int], list[int]]:
    """Kernel, strides, and what is added before and after so that the windows are as many as they are."""
    kernel, strides, pad, dilations, out = windows.settings[:5]
    after = []
    for axis, k, s, p, d, n in zip((windows.h, windows.w), kernel, strides, pad, dilations, out, strict=True):
        after.append(max(p, (n - 1) * s + d * (k - 1) + 1 - axis.size - p))
    return kernel, strides, list(pad), after


def _padded(call: Call, x: Value, before: list[int], after: list[int], value: float) -> str:
    """x with a border of this value."""
    if not any(before) and not any(after):
        return x.name
    return call.add("Pad", x, call.whole(0, 0, *before, 0, 0, *after), call.number(value, x.dtype))


@converts("maxpool2d.MaxPool2d")
def _max_pool2d(call: Call) -> Any:
    x = call.given(0)
    call.same(lambda op: op.settings, "a setting")
    windows = call.op.windows
    kernel, strides, before, after = _reach(windows)
    has_indices = call.op.return_indices
    settings: dict[str, Any] = {
        "kernel_shape": list(kernel), "strides": list(strides), "dilations": list(windows.settings[3]),
        "outputs": 2 if has_indices else 1,
    }  # fmt: skip
    # A border as large as a window is not allowed within the operator.
    if all(size < k for sizes in (before, after) for size, k in zip(sizes, kernel, strict=True)):
        found = call.add("MaxPool", x, pads=[*before, *after], **settings)
    elif has_indices:
        raise call.fail("places of maxima in windows that reach far over the border have no form in ONNX here")
    else:
        found = call.add("MaxPool", _padded(call, x, before, after, -np.inf), **settings)
    if not has_indices:
        return found
    y, places = found
    return y, call.add("Mod", places, call.graph.constant(windows.h.size * windows.w.size, np.int64))


@converts("avgpool2d.AvgPool2d")
def _avg_pool2d(call: Call) -> Any:
    x = call.given(0)
    call.same(lambda op: op.settings, "a setting")
    windows = call.op.windows
    kernel, strides, before, after = _reach(windows)
    full = kernel[0] * kernel[1]
    divisor = windows.h.divisor[:, None] * windows.w.divisor[None, :]
    given = _padded(call, x, before, after, 0)
    y = call.add("AveragePool", given, kernel_shape=list(kernel), strides=list(strides))
    if (divisor == full).all():
        return y
    return call.add("Mul", y, (full / np.maximum(divisor, 1)).astype(x.dtype))


@converts("adaptive_pool2d.AdaptiveAvgPool2d")
def _adaptive_avg_pool2d(call: Call) -> Any:
    x = call.given(0)
    windows = call.op.windows
    if windows.out == (1, 1):
        return call.add("ReduceMean", x, call.whole(2, 3), keepdims=1)
    if _are_even(windows):
        return call.add("AveragePool", x, **_even(windows))
    rows, columns = (_means(axis, x.dtype) for axis in (windows.h, windows.w))
    return call.add("MatMul", call.add("MatMul", rows, x), columns.T)


@converts("adaptive_pool2d.AdaptiveMaxPool2d")
def _adaptive_max_pool2d(call: Call) -> Any:
    x = call.given(0)
    windows = call.op.windows
    if _are_even(windows):
        if not call.op.return_indices:
            return call.add("MaxPool", x, **_even(windows))
        y, places = call.add("MaxPool", x, outputs=2, **_even(windows))
        return y, call.add("Mod", places, call.graph.constant(windows.h.size * windows.w.size, np.int64))
    if call.op.return_indices:
        raise call.fail("places of maxima in windows of different sizes have no form in ONNX here")
    y = x.name
    for place, axis in ((2, windows.h), (3, windows.w)):
        parts = []
        for start, end in _ranges(axis):
            part = call.add("Slice", y, call.whole(start), call.whole(end), call.whole(place))
            parts.append(call.add("ReduceMax", part, call.whole(place), keepdims=1))
        y = call.add("Concat", *parts, axis=place)
    return y


def _are_even(windows: Windows) -> bool:
    """Whether all windows have one size and lie side by side."""
    return not (windows.h.size % windows.h.out or windows.w.size % windows.w.out)


def _even(windows: Windows) -> dict[str, Any]:
    kernel = [windows.h.size // windows.h.out, windows.w.size // windows.w.out]
    return {"kernel_shape": kernel, "strides": kernel}


def _ranges(axis: Any) -> list[tuple[int, int]]:
    """Where each window begins and ends."""
    return [(int(start), int(start + count)) for start, count in zip(axis.start, axis.divisor, strict=True)]


def _means(axis: Any, dtype: np.dtype) -> np.ndarray:
    """A matrix that gives the mean of each window."""
    matrix = np.zeros((axis.out, axis.size))
    for row, (start, end) in zip(matrix, _ranges(axis), strict=True):
        row[start:end] = 1 / (end - start)
    return matrix.astype(dtype)
