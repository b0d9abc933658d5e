"""One run of a model, as the list of the operations that ran."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import nn
from fastnn.autograd.modes import enable_grad
from fastnn.autograd.observer import Observer, observing
from fastnn.autograd.tensor import Tensor, array_of, kind_of, new_tensor
from fastnn.interop._onnx import registry
from fastnn.interop._onnx.watched import watched

__all__ = ["Run", "Step", "key_of", "run_of"]


class Step(NamedTuple):
    """One operation that ran, or one module that is converted as a whole."""

    what: Any
    path: str
    inputs: tuple[Any, ...]
    results: tuple[NDArray, ...]


class Run(NamedTuple):
    """One run of a model."""

    inputs: list[NDArray]
    steps: list[Step]
    outputs: list[tuple[str, NDArray]]  # with their places: '', '[0]', "['left']"
    held: dict[Any, NDArray]  # every array that a tensor held which was computed from an input


def key_of(array: NDArray) -> Any:
    """What tells arrays apart, of which none is freed: where they lie in memory, and how."""
    if not array.size:
        return id(array)
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


class _Recorder(Observer):
    def __init__(self, model: nn.Module, kinds: frozenset[type]) -> None:
        self.paths: dict[int, str] = {id(module): path for path, module in model.named_modules()}
        self.kinds = kinds
        self.steps: list[Step] = []
        self.contents: dict[Any, NDArray] = {}  # of every result, when it was computed
        self.began: dict[int, int] = {}  # how many steps there were when an operation or module began

    def begins(self, what: Any, phase: str, inputs: tuple[Any, ...]) -> None:
        self.began[id(what)] = len(self.steps)

    def operation(self, op: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if phase == "forward" and not registry.is_transparent(op):
            self._add(op, self.paths.get(id(op.module), ""), inputs, results)

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if phase == "forward" and type(module) in self.kinds:
            self._add(module, self.paths.get(id(module), ""), inputs, results)

    def _add(self, what: Any, path: str, inputs: tuple[Any, ...], results: Any) -> None:
        for within in self.steps[self.began[id(what)] :]:  # what it is made of is not asked for
            for array in within.results:
                if isinstance(array, np.ndarray):
                    self.contents.pop(key_of(array), None)
        del self.steps[self.began[id(what)] :]
        for value in inputs:
            self.check_unchanged(value, path)
        arrays = tuple(array_of(y) for y in (results if type(results) is tuple else (results,)))
        self.steps.append(Step(what, path, inputs, arrays))
        for array in arrays:
            if isinstance(array, np.ndarray):
                self.contents[key_of(array)] = array.copy()

    def check_unchanged(self, value: Any, path: str) -> None:
        if not isinstance(value, np.ndarray):
            return
        before = self.contents.get(key_of(value))
        if before is not None and not np.array_equal(before, value, equal_nan=value.dtype.kind == "f"):
            where = f" in {path}" if path else ""
            raise ValueError(
                f"export_onnx: a result was written into after it was computed{where}, which a graph cannot say: "
                f"make a new one, with a = a + b or np.where. Received: shape={value.shape}"
            )


def run_of(model: nn.Module, inputs: Any, kinds: frozenset[type]) -> Run:
    """Run `model` on arrays, several in a tuple or by name in a dict, and note what runs.

    Args:
        model: in evaluation mode.
        inputs: the arrays.
        kinds: modules of these classes are noted as a whole.
    """
    held: list[Any] = []
    kind = watched(kind_of(*model.parameters()), held)

    def as_tensor(array: NDArray) -> Tensor:
        # Results that are recorded are never written into: `a += b` makes a new one.
        x = new_tensor(array, None, kind)
        x._requires_grad = array.dtype.kind == "f"
        return x

    recorder = _Recorder(model, kinds)
    arrays = list(inputs.values() if isinstance(inputs, dict) else inputs)
    tensors = [as_tensor(array) for array in arrays]
    for array in arrays:
        recorder.contents[key_of(array)] = array.copy()
    with enable_grad(), observing(recorder):
        y = model(**dict(zip(inputs, tensors, strict=True))) if isinstance(inputs, dict) else model(*tensors)
    outputs = list(_places(y))
    for place, value in outputs:
        if not isinstance(value, Tensor | np.ndarray):
            raise TypeError(
                f"export_onnx: the model must give arrays or tensors, or tuples, lists and dicts of them. Received: "
                f"{type(value).__name__}{f' at output{place}' if place else ''}"
            )
    if not outputs:
        raise TypeError("export_onnx: the model must give an array or a tensor. Received: None")
    found = [(place, array_of(value)) for place, value in outputs]
    for _, array in found:
        recorder.check_unchanged(array, "")
    # Tensors hold the arrays; these stay as long as the steps do.
    del y, tensors
    return Run(arrays, recorder.steps, found, {key_of(array): array for array in held if isinstance(array, np.ndarray)})


def _places(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The parts of an output with their places, without those that are None."""
    if value is None:
        return
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _places(part, f"{place}[{name!r}]")
    elif isinstance(value, Sequence) and not isinstance(value, Tensor | str):
        for index, part in enumerate(value):
            yield from _places(part, f"{place}[{index}]")
    else:
        yield place, value
