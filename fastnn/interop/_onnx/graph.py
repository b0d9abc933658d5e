"""Nodes, initializers and names of an ONNX graph that is being written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Dims", "Graph", "Times"]


class Times(NamedTuple):
    """A size that is a multiple of the size of the batch."""

    factor: int


# The sizes of an array.
Dims = tuple[int | Times, ...]


class Graph:
    """An ONNX graph that is being written. All that goes in and comes out of nodes is known by its name, a text.

    Args:
        batch: the name of the size of the batch in shapes, or None if all sizes are fixed.
        batch_input: the name of the input that has this size, and the axis of it.
    """

    def __init__(self, batch: str | None, batch_input: tuple[str, int]) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._numpy = helper, numpy_helper
        self.batch, self._batch_input = batch, batch_input
        self.nodes: list[Any] = []
        self.initializers: dict[str, NDArray] = {}
        self._taken: set[str] = set()
        self._constants: dict[Any, str] = {}
        self._sizes: dict[Any, str] = {}

    # ---- names -------------------------------------------------------------------------------------------------------
    def take_name(self, wanted: str) -> str:
        """`wanted`, or with a number if it is taken."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    # ---- nodes -------------------------------------------------------------------------------------------------------
    def add(self, kind: str, *inputs: Any, path: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """Add a node.

        Args:
            kind: the operator of ONNX, for example 'Conv'.
            *inputs: names; arrays, which become constants; or None for an optional input that is left out.
            path: the module that it belongs to.
            outputs: the number of outputs.
            **attributes: those of the operator. Those that are None are left out.
        Returns:
            The name of the output, or a tuple of names.
        """
        names = ["" if x is None else self.constant(x) if isinstance(x, np.ndarray) else x for x in inputs]
        while names and not names[-1]:
            names.pop()
        name = self.take_name(f"{path}/{kind}" if path else kind)
        results = [name] if outputs == 1 else [f"{name}:{i}" for i in range(outputs)]
        self._taken.update(results)
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(self._helper.make_node(kind, names, results, name=name, **given))
        return results[0] if outputs == 1 else tuple(results)

    # ---- constants ---------------------------------------------------------------------------------------------------
    def initializer(self, wanted: str, array: NDArray) -> str:
        """An initializer of this name, such as a parameter."""
        name = self.take_name(wanted)
        self.initializers[name] = array
        return name

    def constant(self, array: Any, dtype: DTypeLike | None = None) -> str:
        """An initializer for what is neither parameter nor buffer; equal ones are one."""
        array = np.asarray(array, dtype)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self.initializer("constant", array)
        return self._constants[key]

    def whole(self, *numbers: int) -> str:
        """A vector of whole numbers, as axes and shapes are given."""
        return self.constant(numbers, np.int64)

    # ---- sizes -------------------------------------------------------------------------------------------------------
    def size(self, size: int | Times) -> str:
        """A size as a vector of one whole number."""
        if not isinstance(size, Times):
            return self.whole(size)
        if size not in self._sizes:
            name, axis = self._batch_input
            if size.factor == 1:
                self._sizes[size] = self.add("Shape", name, start=axis, end=axis + 1, path="batch")
            else:
                self._sizes[size] = self.add("Mul", self.size(Times(1)), self.whole(size.factor), path="batch")
        return self._sizes[size]

    def shape(self, dims: Sequence[int | Times]) -> str:
        """A shape as a vector of whole numbers."""
        fixed = [size for size in dims if not isinstance(size, Times)]
        if len(fixed) == len(dims):
            return self.whole(*fixed)
        key = tuple(dims)
        if key not in self._sizes:
            parts = [self.size(size) for size in dims]
            self._sizes[key] = parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=0, path="shape")
        return self._sizes[key]

    def target(self, dims: Sequence[int | Times]) -> str:
        """A shape for `Reshape`, which finds one size by itself."""
        moving = [isinstance(size, Times) for size in dims]
        if sum(moving) == 1 and 0 not in dims:
            return self.whole(*(-1 if isinstance(size, Times) else size for size in dims))
        return self.shape(dims)

    # ---- the whole ---------------------------------------------------------------------------------------------------
    def type_of(self, dtype: np.dtype) -> int:
        """ONNX's number for a dtype."""
        try:
            return self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        except (KeyError, ValueError):
            raise ValueError(f"export_onnx: ONNX has no numbers of dtype {np.dtype(dtype)}: use float32") from None

    def described(self, name: str, dtype: np.dtype, dims: Sequence[int | Times]) -> Any:
        """An input or output of the graph, with its type and shape."""
        sizes = [
            size if not isinstance(size, Times) else self.batch if size.factor == 1 else f"{size.factor}*{self.batch}"
            for size in dims
        ]
        return self._helper.make_tensor_value_info(name, self.type_of(dtype), sizes)

    def finish(self, name: str, inputs: Sequence[Any], outputs: dict[str, str], described: Sequence[Any]) -> Any:
        """The graph, without what no output needs.

        Args:
            name: of the graph.
            inputs, described: inputs and outputs with their types.
            outputs: name of an output -> the name within the graph of what it is.
        """
        self._name_outputs(outputs)
        needed = set(outputs)
        kept: list[Any] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        initializers = [
            self._numpy.from_array(np.ascontiguousarray(array).reshape(array.shape), key)
            for key, array in self.initializers.items()
            if key in needed
        ]
        return self._helper.make_graph(kept[::-1], name, list(inputs), list(described), initializers)

    def _name_outputs(self, outputs: dict[str, str]) -> None:
        """Give what nodes compute the names of the outputs; what is an input, or is given twice, is copied."""
        made_by = {name: node for node in self.nodes for name in node.output}
        renamed: dict[str, str] = {}
        for wanted, name in outputs.items():
            if name in renamed or name not in made_by:
                self.nodes.append(
                    self._helper.make_node("Identity", [name], [wanted], name=self.take_name(f"{wanted}/Identity"))
                )
            else:
                renamed[name] = wanted
        for node in self.nodes:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]
