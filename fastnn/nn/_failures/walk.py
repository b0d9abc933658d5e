"""Running a network once more, on a copy of it, to see the way on which arrays came to where it fails."""

import copy
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._setting import set_within
from fastnn._watching import OBSERVERS
from fastnn.autograd.observer import Observer, observing
from fastnn.autograd.tape import Op
from fastnn.autograd.tensor import Tensor, mapped, new_tensor
from fastnn.nn._failures.places import is_ours
from fastnn.nn._failures.traces import objects_in
from fastnn.nn.containers import Residual, Sequential
from fastnn.nn.module import Module

__all__ = ["Failure", "Step", "walk"]

Shape = tuple[int, ...]

_INPUT, _UNKNOWN = -1, -2  # where an array came from, if not from a step


class Step(NamedTuple):
    """A layer, or an operation between layers, that ran well.

    Attributes:
        path, kind: of the layer; of an operation, the path of the module whose forward ran it.
        is_operation: whether it is one between layers.
        source: number of the last step whose result it got; -1 for the input of the network, -2 if unknown.
        before, after: shapes of what it got first and of what it gave first.
        n_results: how many arrays it gave.
    """

    path: str
    kind: str
    is_operation: bool
    source: int
    before: Shape
    after: Shape
    n_results: int

    @property
    def label(self) -> str:
        """How the way calls it."""
        if not self.is_operation:
            return f"{self.path} {self.kind}".strip()
        return f"{self.kind} in {self.path}" if self.path else self.kind


class Failure(NamedTuple):
    """Where a network failed.

    Attributes:
        root, module: the copy that ran, and the module in it whose forward raised.
        operation: the operation that raised, or None.
        operands: the arrays that the operation got.
        inputs: the arrays that the module got, if it is a layer, else `operands`, if there is an operation.
        start: shapes of the arrays that the network got.
        ways: for each of `inputs`, the steps that led to it; all that ran, if that is not known of the first.
        results: (module, shape) of everything that ran well.
    """

    root: Any
    module: Any
    operation: Op | None
    operands: tuple[NDArray, ...]
    inputs: tuple[NDArray, ...]
    start: tuple[Shape, ...]
    ways: list[list[Step]]
    results: list[tuple[Any, Shape]]

    @property
    def way(self) -> list[Step]:
        """That to the first of `inputs`."""
        return self.ways[0] if self.ways else []


class _Begun(NamedTuple):
    what: Any
    arrays: tuple[NDArray, ...]
    sources: list[int]


class _Walk(Observer):
    """Notes what runs, and what has begun but not ended."""

    def __init__(self, root: Any, start: tuple[NDArray, ...]) -> None:
        self._paths = {id(module): path for path, module in root.named_modules()}
        self._makers = {id(array): (weakref.ref(array), _INPUT) for array in start}
        self.steps: list[Step] = []
        self.running: list[_Begun] = []
        self.results: list[tuple[Any, Shape]] = []

    def begins(self, what: Any, phase: str, inputs: tuple[Any, ...]) -> None:
        arrays = tuple(_arrays(inputs))
        self.running.append(_Begun(what, arrays, [self._source(array) for array in arrays]))

    def operation(self, op: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        begun = self._ended(op)
        owner = next((above.what for above in reversed(self.running) if isinstance(above.what, Module)), None)
        if begun is not None and not (owner is not None and is_layer(owner)):
            name = getattr(op, "name", None)  # of the activation, say
            kind = name if isinstance(name, str) else type(op).__name__
            self._note(self._paths.get(id(owner), ""), kind, True, begun, results)

    def module(self, module: Any, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        begun = self._ended(module)
        self.results.extend((module, array.shape) for array in list(_arrays(results))[:1])
        is_inside = any(isinstance(above.what, Module) and _is_opaque(above.what) for above in self.running)
        if begun is not None and is_layer(module) and not is_inside:
            self._note(self._paths.get(id(module), ""), type(module).__name__, False, begun, results)

    def _ended(self, what: Any) -> _Begun | None:
        while self.running:
            begun = self.running.pop()
            if begun.what is what:
                return begun
        return None

    def _source(self, array: NDArray) -> int:
        maker, number = self._makers.get(id(array), (None, _UNKNOWN))
        return number if maker is not None and maker() is array else _UNKNOWN

    def _note(self, path: str, kind: str, is_operation: bool, begun: _Begun, results: Any) -> None:
        arrays = list(_arrays(results))
        if not arrays:
            return
        before = begun.arrays[0].shape if begun.arrays else ()
        for array in arrays:
            if self._source(array) == _UNKNOWN:  # else it is an identity
                self._makers[id(array)] = weakref.ref(array), len(self.steps)
        # The array that came from furthest: weights and constants come from nowhere.
        source = max(begun.sources, default=_UNKNOWN)
        self.steps.append(Step(path, kind, is_operation, source, before, arrays[0].shape, len(arrays)))

    def ways(self, sources: list[int]) -> list[list[Step]]:
        """For each source, the steps that led to it; those of a source that leads nowhere are left out."""
        found = [self._way(source) for source in sources]
        if not found or found[0] is None:
            return [list(self.steps)]
        return [way for way in found if way is not None]

    def _way(self, source: int) -> list[Step] | None:
        found: list[Step] = []
        while source >= 0:
            found.insert(0, self.steps[source])
            source = self.steps[source].source
        return found if source == _INPUT else None


def is_layer(module: Any) -> bool:
    """Whether a module is shown as one step, whatever runs within it."""
    is_own_container = isinstance(module, Sequential | Residual)
    return not module._modules or (is_ours(module) and not is_own_container)


def _is_opaque(module: Any) -> bool:
    """Whether it is a layer of fastnn's. One of a user may run layers that it has not registered."""
    return is_layer(module) and is_ours(module)


def walk(root: Any, error: Exception, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Failure | None:
    """Call a copy of `root` with copies of these arguments; None if that does not raise the same error again."""
    from fastnn.insight._state import frozen_randomness

    network = _copy_of(root)
    given, named = _copies(arguments), _copies(keywords)
    start = tuple(_arrays((*given, *named.values())))
    observer = _Walk(network, start)
    with frozen_randomness(root), set_within(OBSERVERS, ()), observing(observer):
        try:
            network(*given, **named)
        except Exception as again:
            if type(again) is type(error) and str(again) == str(error):
                return _failure(network, observer, again, start)
    return None


def _failure(network: Any, observer: _Walk, error: Exception, start: tuple[NDArray, ...]) -> Failure | None:
    failing = {id(found) for found in objects_in(error)}  # others have failed before, and somebody has caught that
    running = [begun for begun in observer.running if id(begun.what) in failing]
    modules = [i for i, begun in enumerate(running) if isinstance(begun.what, Module)]
    if not modules:
        return None
    at = next((i for i in modules if _is_opaque(running[i].what)), modules[-1])
    operations = [begun for begun in running[at + 1 :] if isinstance(begun.what, Op)]
    last = running[at] if is_layer(running[at].what) or not operations else operations[-1]
    return Failure(
        network,
        running[at].what,
        operations[-1].what if operations else None,
        operations[-1].arrays if operations else (),
        last.arrays,
        tuple(array.shape for array in start),
        observer.ways(last.sources),
        observer.results,
    )


def _copy_of(root: Any) -> Any:
    """A copy without hooks that shares the parameters."""
    memo: dict[int, Any] = {id(parameter): parameter for parameter in root.parameters()}
    for module in root.modules():
        hooks = module.__dict__.get("_hooks")
        memo[id(hooks)] = hooks
    network = copy.deepcopy(root, memo)
    for module in network.modules():
        module.__dict__.pop("_hooks", None)
    return network


def _copies(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy("K")
    if isinstance(value, Tensor):
        x = new_tensor(value._data.copy("K"), None, value._kind)
        x._requires_grad = value._requires_grad
        return x
    return mapped(_copies, value) if isinstance(value, tuple | list | dict) else value


def _arrays(value: Any) -> Iterator[NDArray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Tensor):
        yield value._data
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _arrays(item)
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()))
