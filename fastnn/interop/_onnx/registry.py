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

__all__ = [
    "CONVERTERS",
    "NOT_CONVERTED",
    "Converter",
    "converts",
    "is_own",
    "is_transparent",
    "load",
    "stem_of",
    "stem_of_ufunc",
]

# A converter gets a `Call`, and gives the name of the result in the graph, or several in a tuple.
Converter = Callable[[Any], Any]

# Stem of an operation -> its converter. The files of `_FAMILIES` fill it.
CONVERTERS: dict[str, Converter] = {}

_FAMILIES = (
    "activation", "arithmetic", "attention", "convolution", "elementwise", "indexing", "modules", "normalisation",
    "pooling", "recurrent", "reductions", "resampling", "shapes",
)  # fmt: skip

# Classes of operations that are made of others, which are noted instead.
_TRANSPARENT = frozenset(("fastnn.compat.torch.autograd.function._Call",))

_LOSS = "a loss is not part of what is exported: export the network alone"
_WRITING = "writing into a part of a tensor has no form in ONNX here: join the parts with torch.cat, or use torch.where"
# Operations that ONNX has no form for here, with what to do instead.
NOT_CONVERTED: dict[str, str] = {
    "cross_entropy.CrossEntropy": _LOSS,
    "_loss.LossOf": _LOSS,
    "_writing.WriteInto": _WRITING,
    "_writing.WriteIntoView": _WRITING,
    "_writing.View": _WRITING,
    "_indexing._Put": _WRITING,
    "_functional_pooling._PutAt": "ONNX has no form of max_unpool here: use nn.Upsample or nn.ConvTranspose2d",
    "_special._Digamma": "ONNX has no digamma function",
    "_special._Lgamma": "ONNX has no gamma function",
    "_special._Erfinv": "ONNX has no inverse of the error function",
}

# Operations that say by a name what they compute.
_NAMED = (FromInput, FromResult, Hard, Softmax)


def stem_of(op: Any) -> str:
    """What the table knows an operation by: its file and its class, or the name of what it computes."""
    file = type(op).__module__.rpartition(".")[2]
    return f"{file}.{op.name if isinstance(op, _NAMED) else type(op).__name__}"


def is_own(op: Any) -> bool:
    """Whether the table means this operation, and not one of somebody's file that has the name of one of fastnn's."""
    return type(op).__module__.startswith("fastnn.")


def is_transparent(op: Any) -> bool:
    """Whether an operation is made of others, which are noted instead."""
    kinds = (f"{kind.__module__}.{kind.__name__}" for kind in type(op).__mro__)
    return not _TRANSPARENT.isdisjoint(kinds)


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
