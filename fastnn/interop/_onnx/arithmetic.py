"""Sums of maps, and products of matrices."""

from __future__ import annotations

from typing import Any

from fastnn.interop._onnx.elementwise import operands
from fastnn.interop._onnx.program import Call
from fastnn.interop._onnx.registry import converts


@converts("add.Add")
def _add(call: Call) -> Any:
    return call.add("Add", *operands(call))


@converts("products.Matmul")
def _matmul(call: Call) -> Any:
    return call.add("MatMul", *operands(call))


@converts("linear.Linear")
def _linear(call: Call) -> Any:
    x, weight, bias = call.given(0), call.given(1), call.input(2)
    if x.ndim == 2:
        return call.add("Gemm", x, weight, bias, transB=1)
    y = call.add("MatMul", x, call.add("Transpose", weight, perm=[1, 0]))
    return y if bias is None else call.add("Add", y, bias)
