"""Export to ONNX, the format that most runtimes for neural networks read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import __version__, _arguments, _check, nn
from fastnn.autograd.tensor import array_of
from fastnn.data.preprocessing import Preprocessing
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
    batch_axis: int | Sequence[int | None] | None = 0,
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

    `model.preprocessing`, which `training.fit` sets, is kept in the file's metadata as JSON, `fastnn_preprocessing`:
    the size, the mean and the standard deviation of images, and the names of classes.

    Args:
        model: the network.
        path: the file to write, usually named `.onnx`.
        input_shape: the shape of a batch, as the model takes it: (N, C, H, W) for images. Where not any number will do,
            an example: an array with at least two different rows, such as token numbers. For several inputs, a tuple
            of these, or a dict by the names of the arguments.
        input_names: names of the inputs in the graph. Default: 'input', or 'input_0', 'input_1', ...; for a dict its
            keys.
        output_names: names of the outputs. Default: 'output', or 'output_0', ...
        batch_axis: the axis of the inputs along which examples lie, whose size is left open; for inputs that differ,
            one for each. None: the sizes are those of `input_shape`. Default 0.
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
    axes = _axes(batch_axis, list(examples.values()) if isinstance(examples, dict) else examples)
    names = _names("input", input_names, list(examples) if isinstance(examples, dict) else len(examples))
    try:
        import onnx
    except ImportError as error:
        raise ImportError('export_onnx needs the package onnx: pip install "fastnn[onnx]"') from error
    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        raise ValueError(
            f"export_onnx: the installed package onnx knows opsets up to {newest}. Received: opset={opset}"
        )

    proto = _proto(model, examples, names, output_names, (axes, batch_name), opset, own, description)
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
    given = array_of(given)
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


def _axes(given: Any, examples: list[NDArray]) -> list[int | None]:
    """For every input the axis along which examples lie."""
    several = list(given) if isinstance(given, tuple | list) else [given] * len(examples)
    if len(several) != len(examples):
        raise ValueError(
            f"export_onnx: batch_axis needs one axis for each of {len(examples)} inputs. Received: {given!r}"
        )
    return [_axis(axis, example) for axis, example in zip(several, examples, strict=True)]


def _axis(given: Any, example: NDArray) -> int | None:
    if given is None:
        return None
    axis = _check.integer("export_onnx", "batch_axis", given, -(2**31), 2**31)
    if not -example.ndim <= axis < example.ndim:
        raise ValueError(
            f"export_onnx: batch_axis={axis} is no axis of an input. Received: input_shape={example.shape}"
        )
    axis %= example.ndim
    rows = np.moveaxis(example, axis, 0)
    if not _is_shape(example) and (len(rows) < 2 or all(np.array_equal(row, rows[0]) for row in rows[1:])):
        raise ValueError(
            "export_onnx: an example needs at least two different rows along batch_axis, so that what depends on them "
            f"shows; if any numbers will do, pass the shape instead. Received: shape={example.shape}"
        )
    return axis


def _is_shape(example: NDArray) -> bool:
    """Whether only the shape and the dtype of an example count."""
    return not example.flags.writeable and not any(example.strides)


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
def _array(example: NDArray, axis: int | None, size: int, number: int) -> NDArray:
    """An input of one of the runs: noise, or what the user gave in another order."""
    rng = np.random.default_rng(number)
    if _is_shape(example):
        shape = list(example.shape)
        if axis is not None:
            shape[axis] = size
        return rng.standard_normal(shape).astype(example.dtype)
    if axis is None:
        return rng.permutation(example.reshape(-1)).reshape(example.shape)
    return np.take(example, (number + np.arange(size)) % example.shape[axis], axis)


def _proto(
    model: nn.Module,
    examples: Any,
    names: list[str],
    output_names: Sequence[str] | None,
    batch: tuple[list[int | None], str],
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

    axes, batch_name = batch
    with_batch = [index for index, axis in enumerate(axes) if axis is not None]
    sizes = _BATCHES if with_batch else (1, 1)
    runs = []
    with preserved(model), frozen_randomness(model):
        model.eval()
        for number, size in enumerate(sizes):
            given = examples.values() if isinstance(examples, dict) else examples
            arrays = [_array(example, axis, size, number) for example, axis in zip(given, axes, strict=True)]
            inputs = dict(zip(examples, arrays, strict=True)) if isinstance(examples, dict) else arrays
            runs.append(run_of(model, inputs, KINDS.union(own)))
        first = with_batch[0] if with_batch else 0
        graph = Graph(batch_name, (names[first], axes[first] or 0))
        found = _names("output", output_names, len(runs[0].outputs))
        clash = set(found) & set(names)
        if clash:
            raise ValueError(f"export_onnx: inputs and outputs need different names. Received: {sorted(clash)}")
        for name in found:
            graph.take_name(name)
        program = Program(model, graph, (runs[0], runs[1]), sizes, names, {**registry.load(), **own})
        values = program.write()
        goes_in = [graph.described(name, x.dtype, program.dims(x, y, name))
                   for name, x, y in zip(names, runs[0].inputs, runs[1].inputs, strict=True)]  # fmt: skip
        comes_out = [graph.described(name, value.dtype, value.dims)
                     for name, value in zip(found, values, strict=True)]  # fmt: skip
        n_bytes = sum(array.nbytes for array in graph.initializers.values())
        if n_bytes > _MOST_BYTES:
            raise ValueError(f"export_onnx: the weights have {n_bytes:,} bytes, but a file can hold {_MOST_BYTES:,}: "
                             "export parts of the network")  # fmt: skip
        outputs = {name: value.name for name, value in zip(found, values, strict=True)}
        written = graph.finish(type(model).__name__, goes_in, outputs, comes_out)
    opsets = [helper.make_opsetid("", opset)]
    proto = helper.make_model(
        written, opset_imports=opsets, producer_name="fastnn", producer_version=__version__, doc_string=description,
        ir_version=helper.find_min_ir_version_for(opsets),
    )  # fmt: skip
    preprocessing = getattr(model, "preprocessing", None)
    if isinstance(preprocessing, Preprocessing):
        helper.set_model_props(proto, {"fastnn_preprocessing": json.dumps(preprocessing.to_dict(), sort_keys=True)})
    checker.check_model(proto, full_check=True)
    return proto
