"""What two runs with batches of different sizes have in common: a program for batches of any size.

Sizes that differ are multiples of the size of the batch. Numbers that are the same in both runs are constants. Anything
else depends on the inputs in a way that was not recorded, and is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import nn
from fastnn.interop._onnx import registry
from fastnn.interop._onnx.graph import Dims, Graph, Times
from fastnn.interop._onnx.trace import Run, Step, key_of

__all__ = ["Call", "Program", "Value"]


class Value(NamedTuple):
    """An array of the program: its name in the graph, its sizes, its dtype."""

    name: str
    dims: Dims
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        return len(self.dims)


class Program:
    """Two runs of a model, and the graph that is written of them.

    Args:
        graph: the graph, which is written into.
        runs: the two runs, whose steps are the same.
        batches: the sizes of their batches.
        names: the names of the inputs.
        converters: the table.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: Graph,
        runs: tuple[Run, Run],
        batches: tuple[int, int],
        names: Sequence[str],
        converters: dict[Any, Callable[..., Any]],
    ) -> None:
        self.graph, self.runs, self.batches, self.converters = graph, runs, batches, converters
        self._known: tuple[dict[Any, Value], dict[Any, Value]] = ({}, {})
        self._weights: dict[Any, tuple[str, NDArray]] = {}
        self._used: dict[str, Value] = {}
        for name, parameter in model.named_parameters():
            self._weights.setdefault(key_of(parameter._data), (name, parameter._data))
        for name, buffer in model.named_buffers():
            if buffer is not None:
                self._weights.setdefault(key_of(np.asarray(buffer)), (name, np.asarray(buffer)))
        for name, first, second in zip(names, runs[0].inputs, runs[1].inputs, strict=True):
            self.learn(graph.take_name(name), first, second, "the inputs")

    # ---- values ------------------------------------------------------------------------------------------------------
    def learn(self, name: str, first: NDArray, second: NDArray, where: str) -> Value:
        """From now on these arrays of the two runs are the value `name`."""
        value = Value(name, self.dims(first, second, where), first.dtype)
        self._known[0][key_of(first)] = self._known[1][key_of(second)] = value
        return value

    def dims(self, first: NDArray, second: NDArray, where: str) -> Dims:
        """The sizes of an array with these forms in the two runs."""
        if first.ndim != second.ndim or first.dtype != second.dtype:
            raise ValueError(f"export_onnx: {where}: the number of axes or the dtype depends on the size of the batch. "
                             f"Received: {first.dtype} {first.shape}, {second.dtype} {second.shape}")  # fmt: skip
        return tuple(self._size(a, b, first, second, where) for a, b in zip(first.shape, second.shape, strict=True))

    def _size(self, a: int, b: int, first: NDArray, second: NDArray, where: str) -> int | Times:
        if a == b:
            return a
        n, m = self.batches
        if a % n == 0 and a // n * m == b:
            return Times(a // n)
        raise ValueError(
            f"export_onnx: {where}: a size depends on that of the batch without being a multiple of it: with batches "
            f"of {n} and {m} the shapes are {first.shape} and {second.shape}: compute each example by itself, or pass "
            "batch_axis=None for a graph of one size"
        )

    def value(self, first: Any, second: Any, where: str, dtype: DTypeLike | None = None) -> Value | None:
        """What an operation was given in the two runs: a known value, a parameter, or a constant.

        Args:
            first, second: arrays, numbers or None.
            where: for errors.
            dtype: of a Python number.
        """
        if first is None and second is None:
            return None
        if not isinstance(first, np.ndarray | np.generic) and not isinstance(second, np.ndarray | np.generic):
            return self._number(first, second, where, dtype)
        first, second = np.asarray(first), np.asarray(second)
        known = [self._known[run].get(key_of(array)) for run, array in enumerate((first, second))]
        if known[0] is not None and known[1] is not None and known[0].name == known[1].name:
            return known[0]
        key = key_of(first)
        if key in self._weights and key == key_of(second):
            return self._weight(*self._weights[key])
        if key in self.runs[0].held or key_of(second) in self.runs[1].held:
            raise self._depends(
                where, f"a tensor of shape {first.shape} was computed by a function that is not recorded"
            )
        return self._constant(first, second, where)

    def _weight(self, name: str, array: NDArray) -> Value:
        if name not in self._used:
            self._used[name] = Value(self.graph.initializer(name, array), array.shape, array.dtype)
        return self._used[name]

    def _number(self, first: Any, second: Any, where: str, dtype: DTypeLike | None) -> Value:
        kind = np.dtype(dtype) if dtype is not None else np.asarray(first).dtype
        if first == second or (first != first and second != second):
            return Value(self.graph.constant(first, kind), (), kind)
        n, m = self.batches
        if isinstance(first, int) and first % n == 0 and first // n * m == second:
            size = self.graph.add("Squeeze", self.graph.size(Times(first // n)), self.graph.whole(0))
            return Value(self.graph.add("Cast", size, to=self.graph.type_of(kind)), (), kind)
        raise self._depends(where, f"a number was {first} in one run and {second} in another")

    def _constant(self, first: NDArray, second: NDArray, where: str) -> Value:
        if first.shape == second.shape and first.dtype == second.dtype:
            if np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
                return Value(self.graph.constant(first), first.shape, first.dtype)
            raise self._depends(where, f"an array of shape {first.shape} was another one in another run")
        dims = self.dims(first, second, where)
        moving = [axis for axis, size in enumerate(dims) if isinstance(size, Times)]
        if first.dtype == np.bool_ and any(first.strides[axis] for axis in moving):  # no fixed one that is broadcast
            raise self._depends(where, f"a mask of shape {first.shape} has a row for each example")
        # One row for each example, which are all alike: the first states of a recurrent layer.
        rows = tuple(slice(0, 1) if isinstance(size, Times) else slice(None) for size in dims)
        row = first[rows]
        for array in (first, second):
            if not np.array_equal(np.broadcast_to(row, array.shape), array):
                raise self._depends(where, f"an array of shape {first.shape} differs from example to example")
        return Value(self.graph.add("Expand", self.graph.constant(row), self.graph.shape(dims)), dims, first.dtype)

    @staticmethod
    def _depends(where: str, what: str) -> ValueError:
        return ValueError(
            f"export_onnx: {where}: {what}: it depends on the inputs in a way that was not recorded: use functions "
            "that take tensors, instead of data, numpy(), item() or loops over values"
        )

    # ---- the steps ---------------------------------------------------------------------------------------------------
    def write(self) -> list[Value]:
        """Convert all steps; give the outputs."""
        for first, second in self._pairs():
            call = Call(self, first, second)
            names = call.convert()
            names = names if isinstance(names, tuple) else (names,)
            for name, y, z in zip(names, first.results, second.results, strict=True):
                if isinstance(y, np.ndarray) and name is not None:
                    self.learn(name, y, z, call.where)
        found = []
        for (place, first_array), (_, second_array) in zip(self.runs[0].outputs, self.runs[1].outputs, strict=True):
            where = f"output{place}"
            value = self.value(first_array, second_array, where)
            assert value is not None
            found.append(value)
        return found

    def _pairs(self) -> Iterator[tuple[Step, Step]]:
        """The steps of both runs, which must be the same."""
        steps = self.runs[0].steps, self.runs[1].steps
        for first, second in zip(*steps, strict=False):
            counts = [(len(step.inputs), len(step.results)) for step in (first, second)]
            if _described(first) != _described(second) or counts[0] != counts[1]:
                self._refuse_control_flow(_described(first), _described(second))
            yield first, second
        if len(steps[0]) != len(steps[1]) or len(self.runs[0].outputs) != len(self.runs[1].outputs):
            self._refuse_control_flow(f"{len(steps[0])} operations", f"{len(steps[1])} operations")

    def _refuse_control_flow(self, first: str, second: str) -> None:
        raise ValueError(
            "export_onnx: what the model runs depends on the values or on the number of its inputs: one run had "
            f"{first} where another had {second}. A graph holds one way only: use np.where instead of if, and loops "
            "whose length does not depend on the batch; or pass batch_axis=None if only the size of the batch matters"
        )


def _described(step: Step) -> str:
    return f"{registry.stem_of(step.what)}{f' in {step.path}' if step.path else ''}"


class Call:
    """One operation that is to be converted.

    Attributes:
        op: the operation, or the module, as it ran.
        path: the module that ran it.
        inputs: its inputs, `Value`s or None.
        results: the sizes and dtypes of its results, as `Value`s without a name.
        graph: where nodes go.
    """

    def __init__(self, program: Program, first: Step, second: Step) -> None:
        self.program, self.graph, self.op, self.path = program, program.graph, first.what, first.path
        self._first, self._second = first, second
        self.stem = registry.stem_of(first.what)
        self.where = _described(first)
        self.results = [
            Value("", program.dims(y, z, self.where), y.dtype)
            for y, z in zip(first.results, second.results, strict=True)
            if isinstance(y, np.ndarray)
        ]

    @property
    def inputs(self) -> list[Value | None]:
        return [self.input(index) for index in range(len(self._first.inputs))]

    def input(self, index: int, dtype: DTypeLike | None = None) -> Value | None:
        """One of the inputs. A Python number gets this dtype."""
        return self.program.value(self._first.inputs[index], self._second.inputs[index], self.where, dtype)

    def given(self, index: int, dtype: DTypeLike | None = None) -> Value:
        """One of the inputs, which may not be missing."""
        value = self.input(index, dtype)
        if value is None:
            raise self.fail(f"input {index} is missing")
        return value

    def raw(self, index: int) -> Any:
        """An input as it was given in the first run."""
        return self._first.inputs[index]

    def convert(self) -> Any:
        converter = self.program.converters.get(type(self.op))
        if converter is None and registry.is_own(self.op):
            converter = self.program.converters.get(self.stem)
        if converter is None:
            raise self._missing()
        return converter(self)

    def _missing(self) -> ValueError:
        advice = registry.NOT_CONVERTED.get(self.stem) if registry.is_own(self.op) else None
        if advice is None:
            advice = f"pass converters={{{type(self.op).__name__}: function}}, or write it with functions of NumPy"
        return ValueError(f"export_onnx: {self.where} has no form in ONNX here: {advice}")

    def fail(self, reason: str) -> ValueError:
        """An error for what cannot be exported."""
        return ValueError(f"export_onnx: {self.where}: {reason}")

    # ---- what converters use -----------------------------------------------------------------------------------------
    def add(self, kind: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node: `Graph.add`, for inputs that may be values."""
        names = [x.name if isinstance(x, Value) else x for x in inputs]
        return self.graph.add(kind, *names, path=self.path, outputs=outputs, **attributes)

    def same(self, read: Callable[[Any], Any], what: str) -> Any:
        """A setting of the operation, which must be the same in both runs."""
        first, second = read(self.op), read(self._second.what)
        if not _is_same(first, second):
            raise self.fail(f"{what} differs from run to run: it depends on the inputs or on the size of the batch")
        return first

    def known(self, read: Callable[[Any], Any]) -> Value:
        """An array that the operation holds, as a value."""
        value = self.program.value(read(self.op), read(self._second.what), self.where)
        if value is None:
            raise self.fail("an array is missing")
        return value

    def is_result(self, array: Any) -> bool:
        """Whether this array of the first run is a result of an operation, or an input of the model."""
        return isinstance(array, np.ndarray) and key_of(array) in self.program._known[0]

    def cast(self, value: Value, dtype: DTypeLike) -> str:
        """The name of a value in this dtype."""
        if value.dtype == dtype:
            return value.name
        return self.add("Cast", value, to=self.graph.type_of(np.dtype(dtype)))

    def number(self, value: Any, dtype: DTypeLike | None = None) -> str:
        """A constant without axes, of the dtype of the first result if none is given."""
        return self.graph.constant(value, self.results[0].dtype if dtype is None else dtype)

    def reshape(self, name: Any, dims: Sequence[int | Times]) -> str:
        """What has this name, in another shape."""
        return self.add("Reshape", name, self.graph.target(dims), allowzero=1 if 0 in dims else None)

    def whole(self, *numbers: int) -> str:
        """A constant vector of whole numbers."""
        return self.graph.whole(*numbers)


def _is_same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(np.asarray(first), np.asarray(second))
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return len(first) == len(second) and all(map(_is_same, first, second))
    return type(first) is type(second) and bool(first == second)
