"""Recording operations, and the backward pass through them.

There is no list of operations. A result refers to the operation that it came from, and the operation to where its
inputs came from. Nothing refers in the other direction, so all that was recorded is freed together with the last
result, without a garbage collector.
"""

import itertools
import operator
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout
from fastnn._watching import OBSERVERS
from fastnn.autograd.addition import added
from fastnn.autograd.memory import BORROWED, KEPT, Memory
from fastnn.autograd.modes import RECORDING
from fastnn.autograd.observer import observed
from fastnn.autograd.results import as_array, observed_forward
from fastnn.autograd.tensor import Tensor, new_tensor, seed, shares_memory

__all__ = ["Op", "go_back", "grad", "next_number", "run"]

next_number = itertools.count(1).__next__


class Op:
    """One call of a differentiable operation. Subclasses define operations.

    A subclass defines `forward`, which takes arrays and returns an array or a tuple of them, and `backward`, which
    takes the gradients with respect to these results and returns those with respect to the inputs. `forward` keeps what
    `backward` needs on `self`: an instance stands for one call, and calling it runs it. Settings are arguments of
    `__init__`.

    Attributes:
        needs_grad: for every input, whether its gradient is needed. It is known in `forward` too.
    Example:
        >>> import numpy as np, fastnn
        >>> class Cube(fastnn.Op):
        ...     def forward(self, x):
        ...         self.x = x
        ...         return x**3
        ...     def backward(self, dy):
        ...         return 3 * self.x**2 * dy
        >>> x = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> Cube()(x).sum().backward()
        >>> x.grad
        array([ 3., 12.])
    """

    needs_grad: tuple[bool, ...] = ()

    # What fastnn's own operations say of themselves, so that nobody has to look.
    # Input -> attribute that may hold its array; None if any attribute may hold any.
    keeps: ClassVar[dict[int, str] | None] = None
    keeps_result: bool = False
    # The result may be a view of the first input.
    is_view: bool = False
    # Gradients have the shapes and dtypes of the inputs.
    is_exact: ClassVar[bool] = False
    # Gradients are arrays that nobody else has.
    is_fresh: bool = False
    # `backward` refuses a gradient that does not fit, and takes one of another dtype.
    checks_gradient: ClassVar[bool] = False
    # It is nobody's work: observers do not see it.
    is_hidden: ClassVar[bool] = False
    # `backward` takes the gradient that the first input has already, and adds it where it stores its own.
    adds: ClassVar[bool] = False
    # And with `in_place` within that one's memory, if nobody else has it.
    adds_in_place: ClassVar[bool] = False

    # Of an operation that was computed with the one before it, and perhaps the one before that: where gradients go if
    # somebody has looked at what lies in between, or None.
    joined: Any = None
    # What sees, and may change, the gradient with respect to the result on its way.
    hooks: Any = None

    number: int = 0  # in the order of the calls
    module: Any = None  # the module that ran it, if somebody observes
    _edges: Any = None  # for every input, the operation or leaf that its gradient goes to
    _versions: Any = ()
    _shapes: Any = None
    _outputs: Any = ()  # shapes and dtypes of several results

    def forward(self, *inputs: Any) -> Any:
        """Compute the result, an array or a tuple of arrays, from the input arrays. Subclasses define it."""
        raise TypeError(f"{type(self).__name__} does not define forward()")

    def backward(self, *gradients: Any) -> Any:
        """Compute the gradients with respect to the inputs. Subclasses define it.

        Args:
            *gradients: the gradients with respect to the results, arrays of their shapes.
        Returns:
            The gradient with respect to the input, of its shape; for several inputs a tuple, with None for those that
            have no gradient.
        """
        raise TypeError(f"{type(self).__name__} does not define backward()")

    @property
    def author(self) -> Any:
        """The object whose forward and backward these are, named in error messages."""
        return self

    def __call__(self, *inputs: Any) -> Any:
        return run(self, *inputs)

    def start_backward(self, y: Tensor, dy: NDArray, retain_graph: bool) -> None:
        """Run `y.backward(dy)` for a tensor y that is a result of this operation."""
        go_back([(y, dy)], retain_graph=retain_graph)


class _Result:
    """Where gradients of one of several results of an operation go."""

    __slots__ = ("index", "op")

    def __init__(self, op: Op, index: int) -> None:
        self.op, self.index = op, index

    def start_backward(self, y: Tensor, dy: NDArray, retain_graph: bool) -> None:
        go_back([(y, dy)], retain_graph=retain_graph)


def run(op: Op, *inputs: Any) -> Any:
    """Run `op` on arrays and tensors. Every operation passes through this function.

    For arrays alone the results are arrays. If there is a tensor among the inputs, the results are tensors. They are
    recorded if a gradient is needed.

    Args:
        op: the operation; an `Op` object stands for one call.
        *inputs: arrays and tensors.
    Returns:
        The results of `op.forward`.
    """
    if op.number:
        raise RuntimeError(f"{type(op).__name__}: an operation is one call: make a new one for each")
    arrays, edges = [], []  # the edge of an input: where its gradient goes
    is_recorded = False
    kind = None  # of the results, if there is a tensor
    recording = _is_recording()
    for value in inputs:
        edge = None
        if isinstance(value, Tensor):
            if kind is None or kind is Tensor:
                kind = value._kind
            if recording and value._requires_grad:
                is_recorded = True
                edge = value._op
                if edge is None:
                    edge = value
            value = value._data
        arrays.append(value)
        edges.append(edge)
    if is_recorded:
        op.needs_grad = _ONE if len(edges) == 1 else tuple([edge is not None for edge in edges])
    try:
        result = observed_forward(op, arrays, kind is not None) if _observers() else op.forward(*arrays)
    except TypeError:
        widened = None if kind is None else kind._widened(inputs)
        if widened is None:
            raise
    else:
        widened = None
    if widened is not None:
        return run(op, *widened)
    if kind is None:
        return result
    if not is_recorded:
        if type(result) is np.ndarray and not op.is_view and op.keeps is not None:  # the usual case of `_unrecorded`
            y = _new(kind)
            y._data, y._memory, y._op, y._requires_grad, y._grad = result, None, None, False, None
            return y
        return _unrecorded(op, inputs, result, kind)
    op.number = next_number()
    op._edges = edges
    keeps = op.keeps
    if keeps:
        for index, name in keeps.items():
            array = getattr(op, name, None)
            if array is not None and array is arrays[index]:
                _keep(op, name, inputs[index])
    elif keeps is None:
        memory = _look_for_kept(op, inputs, arrays, result)
    if op.is_view:
        memory = _shared(inputs[0]) if len(inputs) == 1 or type(result) is not tuple else KEPT
    elif keeps is not None:
        memory = KEPT if op.keeps_result else None
    if not op.is_exact:
        op._shapes = [None if edge is None else (a.shape, a.dtype) for a, edge in zip(arrays, edges, strict=True)]
    if type(result) is tuple:
        op._outputs = [(np.shape(y), np.result_type(y)) for y in result]
        return tuple(_one_of_several(op, index, y, memory, kind) for index, y in enumerate(result))
    if type(result) is not np.ndarray:  # a loss is a float
        result = as_array(op, result, arrays)
    y = _new(kind)
    y._data, y._op, y._memory, y._requires_grad, y._grad = result, op, memory, True, None
    return y


_ONE = (True,)
_new = Tensor.__new__
_is_recording = RECORDING.get
_observers = OBSERVERS.get


def _shared(value: Any) -> Memory | None:
    return value._shared_memory() if isinstance(value, Tensor) else None


def _one_of_several(op: Op, index: int, result: Any, memory: Memory | None, kind: type[Tensor]) -> Tensor:
    y = new_tensor(_check.array(type(op).__name__, "a result", result), memory, kind)
    if y._data.dtype.kind == "f":
        y._requires_grad, y._op = True, _Result(op, index)
    return y


def _unrecorded(op: Op, inputs: Sequence[Any], result: Any, kind: type[Tensor]) -> Any:
    """The results as tensors without a gradient."""
    if type(result) is tuple:
        return tuple(_unrecorded(op, inputs, y, kind) for y in result)
    if result is None:
        return None
    y = new_tensor(result if type(result) is np.ndarray else as_array(op, result, inputs), None, kind)
    if op.is_view or op.keeps is None:
        for value in inputs:
            if isinstance(value, Tensor) and shares_memory(y._data, value._data):
                # Nobody may write into what operations may keep.
                y._memory = value._shared_memory() if value._op is None else BORROWED
    return y


def _keep(op: Op, name: str, value: Any) -> None:
    """Note that the attribute `name` of `op` is the array of this input."""
    if isinstance(value, Tensor | np.ndarray):
        array = getattr(op, name)
        kept = _kept(op, array, value)
        if kept is not array:
            setattr(op, name, kept)


def _kept(op: Op, array: NDArray, value: Any) -> NDArray:
    """`array`, which is that of this input or a part of it, as `op` may keep it: with its version noted, or a copy."""
    if not isinstance(value, Tensor):  # a caller's array, which may change at any time
        return _layout.copy(array)
    memory = value._memory
    if memory is None and value._op is not None:  # nothing can write into it
        value._memory = KEPT
    elif memory is not KEPT:  # a leaf, or what may be a view of one
        if memory is None:
            memory = value._shared_memory()
        elif memory.borrowed:
            return _layout.copy(array)
        memory.kept = True
        if op._versions:
            op._versions.append((memory, memory.version))
        else:
            op._versions = [(memory, memory.version)]
    return array


def _look_for_kept(op: Op, inputs: Sequence[Any], arrays: Sequence[Any], result: Any) -> Memory | None:
    """Note what an operation of a user keeps, and give what is known of the memory of its result."""
    given = [(value, array) for value, array in zip(inputs, arrays, strict=True) if isinstance(array, np.ndarray)]
    for name, value in list(vars(op).items()):
        kept = _owned(op, value, given)
        if kept is not value:
            setattr(op, name, kept)
    results = [y for y in (result if type(result) is tuple else (result,)) if isinstance(y, np.ndarray)]
    for source, array in given:
        if any(np.may_share_memory(array, y) for y in results):
            return source._shared_memory() if isinstance(source, Tensor) else BORROWED
    return KEPT  # maybe


def _owned(op: Op, value: Any, given: list[tuple[Any, NDArray]]) -> Any:
    """What an attribute of `op` may hold: `value`, in which arrays of a caller are replaced by copies."""
    if isinstance(value, np.ndarray):
        source = next((source for source, array in given if np.may_share_memory(array, value)), None)
        return value if source is None else _kept(op, value, source)
    if type(value) is dict:
        owned = {key: _owned(op, item, given) for key, item in value.items()}
        return value if all(owned[key] is value[key] for key in value) else owned
    if type(value) in (tuple, list):
        items = type(value)(_owned(op, item, given) for item in value)
        return value if all(map(operator.is_, items, value)) else items
    return value


# ---- going back ------------------------------------------------------------------------------------------------------
_RELEASED = (
    "backward: what was recorded has been released by an earlier backward: run the forward again, or pass "
    "retain_graph=True to the first backward"
)


def go_back(
    seeds: Sequence[tuple[Tensor, NDArray]],
    wanted: Sequence[Tensor] = (),
    retain_graph: bool = False,
    others: bool = True,
) -> list[NDArray | None]:
    """Carry gradients from results back to the leaves.

    The operation that was called last goes first. All gradients with respect to a result have therefore been added up,
    and always in the same order, before they go on.

    Args:
        seeds: pairs of a recorded tensor and the gradient with respect to it.
        wanted: tensors whose gradients are returned, and not added to their `grad`.
        retain_graph: keep what was recorded for another backward. Default False.
        others: whether the leaves that are not wanted get their gradients. Default True.
    Returns:
        The gradients with respect to `wanted`; None for those that have none. No two share memory.
    """
    pending: dict[Any, Any] = {}  # operation -> gradient that has arrived, or a list of them
    heap: list[tuple[int, Op]] = []
    owned: set[Any] = set()  # operations whose gradient in `pending` nobody else has
    asked: dict[int, NDArray | None] = {id(value if value._op is None else value._op): None for value in wanted}
    for y, dy in seeds:
        _give(y if y._op is None else y._op, dy, False, pending, heap, asked, others)
    is_observed = bool(_observers())
    while heap:
        op = heappop(heap)[1]
        arrived = pending.pop(op)
        edges = op._edges
        if edges is None:
            raise RuntimeError(_RELEASED)
        for memory, version in op._versions:
            if memory.version != version:
                raise RuntimeError(
                    f"{type(op).__name__}: an array that its backward needs was written into after its forward: go "
                    "back first, or write into a copy"
                )
        dys = _filled(op, arrived) if type(arrived) is list else (arrived,)
        if op.hooks is not None:
            for hook in list(op.hooks.values()):
                dys = hook(*dys)
        if id(op) in asked:
            asked[id(op)] = dys[0].copy("K")
        if not op.is_exact:  # an operation of a user may write into its dy, which another one may have, too
            dys = tuple([dy.copy("K") for dy in dys])
        there = pending.get(edges[0]) if op.adds else None
        if op.joined is not None and op.joined.is_known():
            edges, gradients = op.joined.apart(*dys)
        elif is_observed:
            keywords = {} if there is None else {"addend": there}
            gradients = observed(op, "backward", op.backward, dys, **keywords)
        else:
            go: Any = op.backward
            if there is None:
                gradients = go(*dys)
            elif op.adds_in_place and edges[0] in owned:
                gradients = go(*dys, addend=there, in_place=True)
            else:
                gradients = go(*dys, addend=there)
        if type(gradients) is not tuple:
            gradients = (gradients,)
        if op._shapes is not None:
            gradients = _fitting(op, gradients)
        is_fresh = op.is_fresh
        if not retain_graph:
            op.__dict__.clear()  # with the edges, without which there is no second backward
            op.number = -1
        owned.discard(op)
        if there is not None:
            if is_fresh:
                owned.add(edges[0])
            pending[edges[0]], edges, gradients = gradients[0], edges[1:], gradients[1:]
        del arrived, dys, there  # so that their memory is there for the next operation
        for edge, gradient in zip(edges, gradients, strict=True):
            if edge is None or gradient is None:
                continue
            if isinstance(edge, Op) and edge not in pending:  # the usual case of `_give`
                pending[edge] = gradient
                heappush(heap, (-edge.number, edge))
                if is_fresh:
                    owned.add(edge)
            else:
                _give(edge, gradient, is_fresh, pending, heap, asked, others)
        gradients = gradient = None
    return [asked[id(value if value._op is None else value._op)] for value in wanted]


def _give(
    place: Any,
    gradient: NDArray,
    is_fresh: bool,
    pending: dict[Any, Any],
    heap: list[tuple[int, Op]],
    asked: dict[int, NDArray | None],
    others: bool,
) -> None:
    """Add a gradient to what has arrived at an operation, a leaf, or one of several results."""
    if isinstance(place, Op):
        before = pending.get(place)
        if before is None:
            heappush(heap, (-place.number, place))
        pending[place] = gradient if before is None else added(before, gradient)
        return
    if id(place) in asked:
        before = asked[id(place)]
        own = gradient if is_fresh else gradient.copy("K")
        asked[id(place)] = own if before is None else added(before, own)
    elif others and isinstance(place, Tensor):
        place.accumulate(gradient, is_fresh)
    if isinstance(place, _Result):
        parts = pending.get(place.op)
        if parts is None:
            heappush(heap, (-place.op.number, place.op))
            parts = pending[place.op] = [None] * len(place.op._outputs)
        before = parts[place.index]
        parts[place.index] = gradient if before is None else added(before, gradient)


def _filled(op: Op, gradients: list[NDArray | None]) -> tuple[NDArray, ...]:
    """Gradients of several results, zeros where none arrived."""
    return tuple(
        np.zeros(shape, dtype) if gradient is None else gradient
        for gradient, (shape, dtype) in zip(gradients, op._outputs, strict=True)
    )


def _fitting(op: Op, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients of an operation of a user, in the dtypes of its inputs.

    Raises:
        ValueError: there is not one for each input, or it has another shape.
    """
    name = f"{type(op.author).__name__}.backward"
    if len(gradients) != len(op._shapes):
        raise ValueError(
            f"{name}: one gradient for each of {len(op._shapes)} inputs is needed, None for one that has none. "
            f"Received: {len(gradients)}"
        )
    result: list[NDArray | None] = []
    for index, (gradient, wanted) in enumerate(zip(gradients, op._shapes, strict=True)):
        if wanted is None or gradient is None:
            result.append(None)
            continue
        shape, dtype = wanted
        array = _check.reals(name, f"gradient {index}", gradient)
        if array.shape != shape:
            raise ValueError(f"{name}: gradient {index} must have the shape of the input, {shape}. "
                             f"Received: {array.shape}")  # fmt: skip
        result.append(array.astype(dtype, copy=False))
    return tuple(result)


def grad(y: Tensor, inputs: Any, dy: ArrayLike | None = None, retain_graph: bool = False) -> Any:
    """The gradients of `y` with respect to `inputs`. No tensor's `grad` is changed.

    Args:
        y: a recorded tensor.
        inputs: a tensor or a list of them: leaves, or intermediate results.
        dy: the gradient with respect to y, of its shape. None (default): 1, if y is a single number.
        retain_graph: keep what was recorded for another backward. Default False.
    Returns:
        An array with the shape of `inputs`, or a list of arrays; None for a tensor that y does not depend on.
    Raises:
        TypeError: y or inputs are not tensors.
        ValueError: dy is missing or has another shape.
        RuntimeError: nothing was recorded, or it was released by an earlier backward.
    Example:
        >>> import numpy as np, fastnn
        >>> x = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> fastnn.grad((x**3).sum(), x)
        array([ 3., 12.])

    Source: PyTorch's definition.
    """
    several = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    for name, value in (("y", y), *(("inputs", value) for value in several)):
        if not isinstance(value, Tensor):
            raise TypeError(f"grad: {name} must be tensors. Received: {_check.shown(value)}")
    for value in several:
        if not value._requires_grad:
            raise ValueError("grad: inputs must require gradients: tensor(..., requires_grad=True)")
    if y._op is None and not any(value is y for value in several):
        raise RuntimeError("grad: nothing was recorded: no input requires a gradient, or this happened within no_grad")
    retain_graph = _check.boolean("grad", "retain_graph", retain_graph)
    found = go_back([(y, seed("grad", y, dy))], several, retain_graph, others=False)
    return found if isinstance(inputs, list | tuple) else found[0]
