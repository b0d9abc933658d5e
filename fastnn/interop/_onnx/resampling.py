"""Images with a border, in another size, and with channels as pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.functional.interpolate import _linear, _nearest
from fastnn.interop._onnx.program import Call
from fastnn.interop._onnx.registry import converts

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


@converts("pad.Pad")
def _pad(call: Call) -> Any:
    padding, mode, value = call.same(lambda op: (op.padding, op.mode, op.value), "a setting")
    pads = call.whole(*(side[0] for side in padding), *(side[1] for side in padding))
    filling = call.number(value) if mode == "constant" else None
    return call.add("Pad", call.inputs[0], pads, filling, mode=_PAD_MODES[mode])


@converts("interpolate.Interpolate")
def _interpolate(call: Call) -> Any:
    """Resize where the rule is ONNX's; else the pixels or the weights of every row and column as constants."""
    x = call.given(0)
    settings = call.same(lambda op: op.settings, "a setting")
    resized = call.op.resized
    sizes, out, scales = resized.shape[2:], resized.out, resized.scales
    if settings.mode == "nearest":
        y: Any = x
        for axis, size, length, scale in zip((2, 3), sizes, out, scales, strict=True):
            pixels = _nearest(size, length, scale).start
            if not np.array_equal(pixels, np.arange(size)):
                y = call.add("Gather", y, call.graph.constant(pixels, np.int64), axis=axis)
        return y if y is not x else x.name
    if not settings.align_corners and all(
        scale is None or size * scale == length for size, length, scale in zip(sizes, out, scales, strict=True)
    ):
        return call.add("Resize", x, None, None, call.whole(*out), mode="linear", axes=[2, 3],
                        coordinate_transformation_mode="half_pixel")  # fmt: skip
    rows, columns = (
        _weights(size, length, scale, settings.align_corners).astype(x.dtype)
        for size, length, scale in zip(sizes, out, scales, strict=True)
    )
    return call.add("MatMul", call.add("MatMul", rows, x), columns.T)


def _weights(size: int, length: int, scale: float | None, align_corners: bool) -> np.ndarray:
    """The matrix that interpolates along one axis."""
    matrix = np.zeros((length, size))
    for place, source, weight in _linear(size, length, scale, align_corners)[0]:
        matrix[np.arange(length) if isinstance(place, slice) else place, source] += weight
    return matrix


@converts("pixel_shuffle.PixelShuffle")
def _pixel_shuffle(call: Call) -> Any:
    return call.add("DepthToSpace", call.inputs[0], blocksize=call.same(lambda op: op.r, "the factor"), mode="CRD")


@converts("pixel_shuffle.PixelUnshuffle")
def _pixel_unshuffle(call: Call) -> Any:
    x, r = call.given(0), call.same(lambda op: op.r, "the factor")
    c, h, w = call.raw(0).shape[1:]
    cut = call.reshape(x, (x.dims[0], c, h // r, r, w // r, r))
    return call.reshape(call.add("Transpose", cut, perm=[0, 1, 3, 5, 2, 4]), call.results[0].dims)
