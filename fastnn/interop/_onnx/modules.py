"""Modules that compute with arrays, and whose authors wrote the backward: they are converted as a whole."""

from __future__ import annotations

from typing import Any

from fastnn.interop._onnx.program import Call
from fastnn.interop._onnx.registry import converts
from fastnn.models.airbench import Scale

__all__ = ["KINDS"]

# These.
KINDS = frozenset((Scale,))


@converts("airbench.Scale")
def _scale(call: Call) -> Any:
    return call.add("Mul", call.inputs[0], call.number(call.same(lambda module: module.factor, "the factor")))
