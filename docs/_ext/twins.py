"""Links from a class to its base, and between a layer, its function and the NumPy twin, whose source is on its page."""

import ast
import functools
import importlib
import inspect
import re
from types import FunctionType
from typing import Any

import public_names

# Layers whose function has another name.
_FUNCTIONS = {
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "GRUCell": "gru",
    "LSTMCell": "lstm",
    "MultiheadAttention": "scaled_dot_product_attention",
    "RNNCell": "rnn",
    "ReflectionPad2d": "pad",
    "ReplicationPad2d": "pad",
    "Upsample": "interpolate",
    "ZeroPad2d": "pad",
}


def _key(name: str) -> str:
    return re.sub(r"[12]d$", "", name.replace("_", "").lower())


@functools.cache
def _functional() -> dict[str, str]:
    functions = importlib.import_module("fastnn.functional")
    return {_key(name): name for name in public_names.names_in(functions) if name[0].islower()}


def function_of(layer: str) -> str | None:
    """The full name of the function that a layer of `fastnn.nn` calls, or None."""
    functions = _functional()
    name = _FUNCTIONS.get(layer) or functions.get(_key(layer)) or functions.get(_key(layer.removesuffix("Loss")))
    return f"fastnn.functional.{name}" if name else None


def source_of(function: Any) -> str:
    """The source of a function, after that of the functions of its module that it needs."""
    module = inspect.getmodule(function)
    found: dict[str, str] = {}

    def add(f: Any) -> None:
        source = inspect.getsource(f)
        for node in ast.walk(ast.parse(source)):
            needed = getattr(module, node.id, None) if isinstance(node, ast.Name) else None
            if (
                isinstance(needed, FunctionType)
                and needed is not f
                and needed.__module__ == f.__module__
                and needed.__name__ not in found
            ):
                found[needed.__name__] = ""
                add(needed)
        found.pop(f.__name__, None)
        found[f.__name__] = source

    add(function)
    return "\n\n".join(found.values())


def _bases(described: type) -> list[str]:
    """The public classes that a class is derived from."""
    public = public_names.classes()
    found = [public[base] for base in described.__mro__[1:] if base in public]
    links = ", ".join(f":py:obj:`~{name}`" for name in found)
    return [f":Base class: {links}", ""] if found else []


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    module, _, last = name.rpartition(".")
    if inspect.isclass(obj):
        lines += _bases(obj)
    if module == "fastnn.nn" and inspect.isclass(obj):
        function = function_of(last)
        if function:
            lines += [f":Function: :py:obj:`{function}`", ""]
    elif module == "fastnn.functional" and f"fastnn.reference.{last}" in public_names.all_names():
        lines += [f":NumPy twin: :py:obj:`fastnn.reference.{last}`, which is its definition", ""]
    elif module == "fastnn.reference" and inspect.isfunction(obj):
        if f"fastnn.functional.{last}" in public_names.all_names():
            lines += [f":Twin of: :py:obj:`fastnn.functional.{last}`, where arguments and shapes are explained", ""]
        lines += [".. code-block:: python", "", *(f"   {line}" for line in source_of(obj).splitlines()), ""]


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process, priority=200)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
