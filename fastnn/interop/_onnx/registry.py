"""The table of converters: for each operation of the tape, the function that writes it into a graph."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.autograd.elementwise import name_of_ufunc
from fastnn.functional.activation import FromInput, FromResult
from fastnn.functional.hard_activation import Hard
from fastnn.functional.softmax import Softmax

__all__ = ["CONVERTERS", "NOT_CONVERTED", "Converter", "converts", "load", "stem_of", "stem_of_ufunc"]

# A converter gets a `Call`, and gives the name of the result in the graph, or several in a tuple.
Converter = Callable[[Any], Any]

# Stem of an operation -> its converter. The files of `_FAMILIES` fill it.
CONVERTERS: dict[str, Converter] = {}

_FAMILIES = (
    "activation", "arithmetic", "attention", "convolution", "elementwise", "indexing", "modules", "normalisation",
    "pooling", "recurrent", "reductions", "resampling", "shapes",
)  # fmt: skip

# Operations that ONNX has no form for here, with what to do instead.
NOT_CONVERTED: dict[str, str] = {
    "cross_entropy.CrossEntropy": "a loss is not part of what is exported: export the network alone",
    "_loss.LossOf": "a loss is not part of what is exported: export the network alone",
}

# Operations that say by a name what they compute.
_NAMED = (FromInput, FromResult, Hard, Softmax)


def stem_of(op: Any) -> str:
    """What the table knows an operation by: its file and its class, or the name of what it computes."""
    file = type(op).__module__.rpartition(".")[2]
    return f"{file}.{op.name if isinstance(op, _NAMED) else type(op).__name__}"


def stem_of_ufunc(ufunc: np.ufunc) -> str:
    """What the table knows a ufunc of NumPy by."""
    return f"elementwise.{name_of_ufunc(ufunc)}"


def converts(*stems: str) -> Callable[[Converter], Converter]:
    """Decorate the converter of these operations."""

    def register(function: Converter) -> Converter:
        for stem in stems:
            CONVERTERS[stem] = function
        return function

    return register


def load() -> dict[str, Converter]:
    """The full table."""
    for family in _FAMILIES:
        importlib.import_module(f"fastnn.interop._onnx.{family}")
    return CONVERTERS
