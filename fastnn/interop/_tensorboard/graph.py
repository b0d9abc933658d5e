"""The graph of what a network computes, from watching it run: operations, parameters, and what flows between them."""

import contextlib
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import nn
from fastnn.autograd import Observer, no_grad, observing
from fastnn.models._observe import arrays_in

__all__ = ["Graph", "Node", "evaluating", "graph_of"]


@dataclass
class Node:
    """An operation, a parameter, an input or the output.

    Attributes:
        name: unique; its parts, separated by slashes, are the layers that it lies in: 'Sequential/Conv2d[0]/weight'.
        kind: the class of the operation, or Input, Parameter, Buffer, Constant, Output.
        inputs: names of the nodes whose results go in; ':1' behind a name means its second result.
        shapes: of the results.
        notes: what else is known, texts by name.
    """

    name: str
    kind: str
    inputs: list[str] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)


class Graph(Observer):
    """Builds the graph of the first forward pass that runs within `watching`, and of the loss after it.

    Arrays tell where they came from: an operation whose input is the result of another one is joined with it. Layers
    that hand on the very array that they got, as `nn.Identity` and, in evaluation, `nn.Dropout`, are left out.

    Args:
        model: the network.
        criterion: the loss; None if there is none.

    Attributes:
        nodes: of the graph, each after those that go into it.

    Example:
        >>> import numpy as np
        >>> graph = Graph(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
        >>> with graph.watching():
        ...     y = graph.model(np.zeros((3, 1, 2, 2), np.float32))
        >>> for node in graph.nodes:
        ...     print(node.name, node.shapes, node.inputs)
        input [(3, 1, 2, 2)] []
        Sequential/Flatten[0]/Flatten [(3, 4)] ['input']
        Sequential/Linear[1]/weight [(2, 4)] []
        Sequential/Linear[1]/bias [(2,)] []
        Sequential/Linear[1]/Linear [(3, 2)] ['Sequential/Flatten[0]/Flatten', 'Sequential/Linear[1]/weight', 'Sequential/Linear[1]/bias']
        output [(3, 2)] ['Sequential/Linear[1]/Linear']
    """  # noqa: E501

    def __init__(self, model: nn.Module, criterion: Any = None) -> None:
        self.model = model
        self.nodes: list[Node] = []
        self._criterion = criterion
        self._names: dict[str, int] = {}  # how many nodes wanted this name
        self._origins: dict[int, tuple[Any, str]] = {}  # id of an array -> a reference to it, where it came from
        self._numbers: list[tuple[float, str]] = []  # results that are numbers, which have no identity
        self._scopes = _scopes(model)
        self._layers = {id(module): repr(module) for module in model.modules() if not module._modules}
        self._owned = {id(array): (name, kind, array) for name, kind, array in _owned(model, self._scopes)}
        if isinstance(criterion, nn.Module):
            self._scopes.update({id(module): "loss" for module in criterion.modules()})
        self._is_running, self._has_run = False, False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block, what this thread runs becomes part of the graph."""
        with observing(self):
            yield

    # ---- what runs ---------------------------------------------------------------------------------------------------
    def begins(self, what: Any, phase: str, inputs: tuple[Any, ...]) -> None:
        if phase != "forward":
            return
        if what is self.model and not self._has_run:
            self._is_running = True
            self._new_origins("input", "Input", inputs)
        elif what is self._criterion and self._has_run:
            self._new_origins("targets", "Input", inputs)

    def operation(self, op: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if phase == "forward" and (self._is_running or self._has_run):
            scope = self._scopes.get(id(op.module), "loss" if self._has_run else self._scopes[id(self.model)])
            self._add(scope, _kind_of(op), inputs, results, id(op.module))

    def module(self, module: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if phase != "forward" or not self._is_running:
            return
        # Modules whose backward is derived may copy a result for their caller, and consist of operations.
        may_copy = getattr(module.backward, "is_derived", False)
        unknown = [
            array
            for array in arrays_in(results)
            if self._origin(array) is None and not (may_copy and self._is_copy(array))
        ]
        if unknown:  # its author computes with NumPy
            self._add(self._scopes.get(id(module), ""), type(module).__name__, inputs, unknown, id(module))
        if module is self.model:
            self._is_running, self._has_run = False, True
            arrays = list(arrays_in(results))
            sources = [self._origin(array) or "" for array in arrays]
            self.nodes.append(Node(self._unique("output"), "Output", sources, [array.shape for array in arrays]))

    # ---- nodes -------------------------------------------------------------------------------------------------------
    def _add(self, scope: str, kind: str, inputs: Any, results: Any, module: int) -> None:
        given, arrays = list(arrays_in(inputs)), list(arrays_in(results))
        if arrays and all(any(array is one for one in given) for array in arrays):
            return
        sources = [self._source(array, scope) for array in given]
        name = self._unique(f"{scope}/{kind}" if scope else kind)
        shapes: list[tuple[int, ...]] = [array.shape for array in arrays] or [()]  # a loss is a number
        notes = {"layer": self._layers[module]} if module in self._layers else {}
        self.nodes.append(Node(name, kind, sources, shapes, notes))
        for index, array in enumerate(arrays):
            self._set_origin(array, f"{name}:{index}" if index else name)
        if not arrays and isinstance(results, float | np.floating | np.integer):
            self._numbers.append((float(results), name))

    def _source(self, array: NDArray, scope: str) -> str:
        """The name of the node that this array comes from; a new one for what no operation has computed."""
        known = self._origin(array)
        if known is not None:
            return known
        name, kind, _ = self._owned.get(id(array), (f"{scope}/constant" if scope else "constant", "Constant", array))
        self._new_origins(name, kind, (array,))
        return self._origin(array) or ""

    def _new_origins(self, name: str, kind: str, values: Any) -> None:
        for array in arrays_in(values):
            if self._origin(array) is None:
                node = Node(self._unique(name), kind, [], [array.shape], {"dtype": str(array.dtype)})
                self.nodes.append(node)
                self._set_origin(array, node.name)

    def _unique(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"

    # ---- where arrays come from --------------------------------------------------------------------------------------
    def _origin(self, array: NDArray) -> str | None:
        reference, name = self._origins.get(id(array), (None, ""))
        if reference is not None and reference() is array:
            return name
        if not array.ndim:  # a tensor of the last number of this value
            return next((name for number, name in reversed(self._numbers) if array.dtype.type(number) == array), None)
        return None

    def _set_origin(self, array: NDArray, name: str) -> None:
        self._origins[id(array)] = weakref.ref(array), name

    def _is_copy(self, array: NDArray) -> bool:
        """Whether this is a copy of a result that a module made for its caller; then it comes from there, too."""
        for reference, name in reversed(self._origins.values()):
            original = reference()
            if (
                original is not None
                and original.shape == array.shape
                and original.dtype == array.dtype
                and original.tobytes() == array.tobytes()
            ):
                self._set_origin(array, name)
                return True
        return False


def _kind_of(op: Any) -> str:
    """What an operation is called: activations and NumPy's functions share a class, and have a name of their own."""
    for name in (getattr(op, "name", None), getattr(getattr(op, "ufunc", None), "__name__", None)):
        if isinstance(name, str) and name.isidentifier():
            return name
    return type(op.author).__name__.lstrip("_")


def _scopes(model: nn.Module) -> dict[int, str]:
    """The scope of each module: the classes and names of those around it, as in 'Net/Sequential[body]/Conv2d[0]'."""
    scopes = {id(model): type(model).__name__}

    def walk(module: nn.Module) -> None:
        for name, child in module.named_children():
            if id(child) not in scopes:
                scopes[id(child)] = f"{scopes[id(module)]}/{type(child).__name__}[{name}]"
                walk(child)

    walk(model)
    return scopes


def _owned(model: nn.Module, scopes: dict[int, str]) -> Iterator[tuple[str, str, NDArray]]:
    """(name, kind, array) of each parameter and buffer."""
    for module in model.modules():
        scope = scopes[id(module)]
        for name, parameter in module._parameters.items():
            if parameter is not None:
                yield f"{scope}/{name}", "Parameter", parameter._data
        for name, buffer in module._buffers.items():
            if buffer is not None:
                yield f"{scope}/{name}", "Buffer", buffer


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within the block, the network is in evaluation mode and nothing is recorded."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def graph_of(model: nn.Module, *inputs: Any) -> list[Node]:
    """The nodes of a network: it runs once, in evaluation mode, and nothing in it changes."""
    graph = Graph(model)
    with evaluating(model), graph.watching():
        model(*inputs)
    return graph.nodes
