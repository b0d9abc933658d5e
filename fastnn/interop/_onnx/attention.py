"""Attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.interop._onnx.graph import Times
from fastnn.interop._onnx.program import Call
from fastnn.interop._onnx.registry import converts


@converts("attention.Attention")
def _attention(call: Call) -> Any:
    query, key, value = (call.given(index) for index in range(3))
    scale, is_causal = call.same(lambda op: (op.scale, op.is_causal), "the scale")
    axes = [*range(key.ndim - 2), key.ndim - 1, key.ndim - 2]
    scores = call.add("MatMul", call.add("Mul", query, call.number(scale)), call.add("Transpose", key, perm=axes))
    if is_causal:
        sizes = query.dims[-2], key.dims[-2]
        if any(isinstance(size, Times) for size in sizes):
            raise call.fail("causal attention along the batch has no form in ONNX here")
        allowed = np.tri(*(int(size) for size in sizes if not isinstance(size, Times)), dtype=np.bool_)
        scores = call.add("Where", allowed, scores, call.number(-np.inf))
    return call.add("MatMul", call.add("Softmax", scores, axis=-1), value)
