"""Export to ONNX, the format that most runtimes for neural networks read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import __version__, _arguments, _check, nn
from fastnn.insight._state import frozen_randomness, preserved
from fastnn.training import atomic_write

__all__ = ["export_onnx"]

# LayerNormalization needs 17, axes as inputs and `num_outputs` of Split 18. Of later ones, these are tested.
OPSETS = range(18, 24)
# What a file of protocol buffers can hold.
_MOST_BYTES = 2**31 - 1
# Batches of the two runs: half or a third of the one cannot be taken for half or a third of the other.
_BATCHES = (3, 5)


def export_onnx(
    model: nn.Module,
    path: str | os.PathLike[str],
    input_shape: Any,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    batch_axis: int | None = 0,
    batch_name: str = "batch",
    dtype: DTypeLike | None = None,
    opset: int = 18,
    converters: dict[type, Callable[..., Any]] | None = None,
    description: str = "",
) -> None:
    """Write a model as an ONNX file, for ONNX Runtime and other programs that run networks.

    The model runs twice in evaluation mode, with batches of different sizes. Every operation that runs becomes nodes of
    the graph: branches, layers that are used twice, several inputs and outputs included. Parameters and buffers are
    initializers under their own names. The graph takes batches of any size. A graph has one way only: an `if` on
    values of the inputs, and numbers that are taken out of tensors, are errors. The file is checked before it is
    written. The model, its mode and all random generators stay as they were.

    Args:
        model: the network.
        path: the file to write, usually named `.onnx`.
        input_shape: the shape of a batch, as the model takes it: (N, C, H, W) for images. Where not any number will do,
            an example: an array with at least two different rows, such as token numbers. For several inputs, a tuple
            of these, or a dict by the names of the arguments.
        input_names: names of the inputs in the graph. Default: 'input', or 'input_0', 'input_1', ...; for a dict its
            keys.
        output_names: names of the outputs. Default: 'output', or 'output_0', ...
        batch_axis: the axis of the inputs along which examples lie, whose size is left open. None: the sizes are those
            of `input_shape`. Default 0.
        batch_name: the name of the open size. Default 'batch'.
        dtype: float32 or float64, of inputs that are given as shapes. Default: that of the parameters.
        opset: the version of ONNX's operators, 18 to 23. The default, 18, is the first that has all operators that are
            needed; runtimes read it since early 2023.
        converters: for classes of a user's own operations (`fastnn.Op`), or of modules with a hand-written backward, a
            function that is given a `Call` and returns the name of the result: `lambda call: call.add("Erf",
            call.inputs[0])`.
        description: a text that is kept in the file.
    Raises:
        ImportError: the package `onnx` is missing.
        TypeError: an argument has the wrong type; and all errors of the model.
        ValueError: an operation has no form in ONNX, or the model depends on its inputs in a way that a graph cannot
            say: the message names the module and what to do. Or an argument is out of its range, or the weights exceed
            2 GB.
        OSError: the file cannot be written. A file that was there is whole.
    Example:
        >>> import onnxruntime
        >>> from fastnn.interop import export_onnx
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 10))
        >>> export_onnx(model, "net.onnx", (1, 3, 6, 6))
        >>> session = onnxruntime.InferenceSession("net.onnx")
        >>> x = np.random.default_rng(0).standard_normal((4, 3, 6, 6), np.float32)
        >>> (y,) = session.run(None, {"input": x})
        >>> np.allclose(y, model(x), atol=1e-5)
        True
    """
    operation = "export_onnx"
    _arguments.model(operation, "model", model)
    path = _arguments.path(operation, "path", path)
    opset = _check.integer(operation, "opset", opset, OPSETS.start, OPSETS.stop - 1)
    batch_name = _arguments.text(operation, "batch_name", batch_name)
    description = _arguments.text(operation, "description", description)
    own = _checked_converters(converters)
    kind = _float_dtype(model, dtype)
    examples = _examples(input_shape, kind)
    batch_axis = _checked_axis(batch_axis, examples)
    parts = examples if isinstance(examples, dict) else dict(enumerate(examples))
    names = _names("input", input_names, list(examples) if isinstance(examples, dict) else len(parts))
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError('export_onnx needs the package onnx: pip install "fastnn[onnx]"') from error

    proto = _proto(model, examples, names, output_names, (batch_axis, batch_name), opset, own, description)
    content = proto.SerializeToString(deterministic=True)
    with atomic_write(path) as file:
        file.write(content)


# ---- arguments -------------------------------------------------------------------------------------------------------
def _float_dtype(model: nn.Module, dtype: DTypeLike | None) -> np.dtype:
    if dtype is None:
        return next((parameter.dtype for parameter in model.parameters()), np.dtype(np.float32))
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind not in _check.FLOATS:
        raise TypeError(f"export_onnx: dtype must be float32 or float64. Received: {_check.shown(dtype)}")
    return kind


def _checked_converters(given: Any) -> dict[Any, Callable[..., Any]]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(
        isinstance(kind, type) and callable(convert) for kind, convert in given.items()
    ):
        raise TypeError(
            f"export_onnx: converters must be a dict of classes and functions. Received: {_check.shown(given)}"
        )
    return dict(given)


def _examples(given: Any, kind: np.dtype) -> Any:
    """For every input an array, or a shape and a dtype; a list, or a dict."""
    if isinstance(given, dict):
        if not given or not all(isinstance(name, str) for name in given):
            raise TypeError("export_onnx: input_shape as a dict needs the names of the arguments as keys. "
                            f"Received: {_check.shown(given)}")  # fmt: skip
        return {name: _example(f"input_shape[{name!r}]", part, kind) for name, part in given.items()}
    several = isinstance(given, tuple | list) and any(
        isinstance(part, tuple | list | np.ndarray | np.floating) for part in given
    )
    if several:
        return [_example(f"input_shape[{index}]", part, kind) for index, part in enumerate(given)]
    return [_example("input_shape", given, kind)]


def _example(name: str, given: Any, kind: np.dtype) -> Any:
    if isinstance(given, np.ndarray | np.generic):
        array = _check.array("export_onnx", name, given)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"export_onnx: {name} must hold numbers. Received: dtype={array.dtype}")
        return array
    if isinstance(given, int):
        raise TypeError(f"export_onnx: {name} must be several integers, (N, C, H, W). Received: {given!r}")
    shape = _check.integers("export_onnx", name, given, 1)
    _check.fits_memory("export_onnx", "an input", shape)
    return np.broadcast_to(np.zeros((), kind), shape)  # only its shape and dtype count


def _checked_axis(axis: int | None, examples: Any) -> int | None:
    if axis is None:
        return None
    axis = _check.integer("export_onnx", "batch_axis", axis, -(2**31), 2**31)
    for array in examples.values() if isinstance(examples, dict) else examples:
        if not -array.ndim <= axis < array.ndim:
            raise ValueError(
                f"export_onnx: batch_axis={axis} is no axis of an input. Received: input_shape={array.shape}"
            )
    return axis


def _names(word: str, given: Sequence[str] | None, default: Any) -> list[str]:
    """The names of inputs or outputs: those given, or of a list of names or a number of them."""
    usual = [str(name) for name in default] if isinstance(default, list) else (
        [word] if default == 1 else [f"{word}_{index}" for index in range(default)]
    )  # fmt: skip
    if given is None:
        return usual
    names = [_arguments.text("export_onnx", f"{word}_names", name)
             for name in _arguments.sequence("export_onnx", f"{word}_names", given)]  # fmt: skip
    if len(names) != len(usual) or len(set(names)) < len(names) or not all(names):
        raise ValueError(
            f"export_onnx: {word}_names must be {len(usual)} different names. Received: {_check.shown(given)}"
        )
    return names


# ---- the file --------------------------------------------------------------------------------------------------------
def _arrays(example: NDArray, axis: int | None, size: int, rng: np.random.Generator) -> NDArray:
    """An input of one run: noise, or rows of what the user gave."""
    is_shape = not any(example.strides) and example.size > 1
    if axis is None:
        if is_shape:
            return rng.standard_normal(example.shape).astype(example.dtype)
        return rng.permutation(example.reshape(-1)).reshape(example.shape)
    axis %= example.ndim
    if is_shape or (example.size == 1 and example.dtype.kind == "f"):
        shape = (*example.shape[:axis], size, *example.shape[axis + 1 :])
        return rng.standard_normal(shape).astype(example.dtype)
    return np.take(example, rng.integers(0, example.shape[axis], size), axis)


def _proto(
    model: nn.Module,
    examples: Any,
    names: list[str],
    output_names: Sequence[str] | None,
    batch: tuple[int | None, str],
    opset: int,
    own: dict[Any, Callable[..., Any]],
    description: str,
) -> Any:
    """The checked model of ONNX."""
    from onnx import checker, helper

    from fastnn.interop._onnx import registry
    from fastnn.interop._onnx.graph import Graph
    from fastnn.interop._onnx.modules import KINDS
    from fastnn.interop._onnx.program import Program
    from fastnn.interop._onnx.trace import run_of

    axis, batch_name = batch
    sizes = _BATCHES if axis is not None else (1, 1)
    runs = []
    with preserved(model), frozen_randomness(model):
        model.eval()
        for number, size in enumerate(sizes):
            rng = np.random.default_rng(number)
            arrays: Any
            if isinstance(examples, dict):
                arrays = {name: _arrays(array, axis, size, rng) for name, array in examples.items()}
            else:
                arrays = [_arrays(array, axis, size, rng) for array in examples]
            runs.append(run_of(model, arrays, KINDS.union(own)))
        first = runs[0].inputs[0]
        graph = Graph(batch_name, (names[0], 0 if axis is None else axis % first.ndim))
        found = _names("output", output_names, len(runs[0].outputs))
        clash = set(found) & set(names)
        if clash:
            raise ValueError(f"export_onnx: inputs and outputs need different names. Received: {sorted(clash)}")
        for name in found:
            graph.take_name(name)
        program = Program(model, graph, (runs[0], runs[1]), sizes, names, {**registry.load(), **own})
        values = program.write()
        inputs = [graph.described(name, x.dtype, program.dims(x, y, name))
                  for name, x, y in zip(names, runs[0].inputs, runs[1].inputs, strict=True)]  # fmt: skip
        described = [graph.described(name, value.dtype, value.dims)
                     for name, value in zip(found, values, strict=True)]  # fmt: skip
        n_bytes = sum(array.nbytes for array in graph.initializers.values())
        if n_bytes > _MOST_BYTES:
            raise ValueError(f"export_onnx: the weights have {n_bytes:,} bytes, but a file can hold {_MOST_BYTES:,}: "
                             "export parts of the network")  # fmt: skip
        outputs = {name: value.name for name, value in zip(found, values, strict=True)}
        written = graph.finish(type(model).__name__, inputs, outputs, described)
    opsets = [helper.make_opsetid("", opset)]
    proto = helper.make_model(
        written, opset_imports=opsets, producer_name="fastnn", producer_version=__version__, doc_string=description,
        ir_version=helper.find_min_ir_version_for(opsets),
    )  # fmt: skip
    checker.check_model(proto, full_check=True)
    return proto
