"""`tensor.grad_fn`: which operation a tensor is the result of, and where its gradients go."""

import functools
from typing import Any

from fastnn.autograd.tensor import Tensor as NumPyTensor

__all__ = ["GradFn", "grad_fn_of", "name_of"]


def name_of(op: Any) -> str:
    """The name of an operation's backward; names are fastnn's."""
    op = getattr(op, "op", op)  # one of several results refers to theirs
    name = type(op).__name__.lstrip("_")
    return name if name.endswith("Backward") else f"{name}Backward0"


class GradFn:
    """An operation that was recorded. Two of one operation are equal."""

    __slots__ = ("_op",)

    def __init__(self, op: Any) -> None:
        self._op = op

    def name(self) -> str:
        return name_of(self._op)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Where the gradients of the inputs go: pairs of an operation, or None, and the number of its result."""
        edges = getattr(self._op, "op", self._op)._edges or ()
        return tuple((grad_fn_of(edge), getattr(edge, "index", 0)) for edge in edges)

    def __getattr__(self, name: str) -> Any:  # what a function's forward left in its ctx
        return getattr(self._op, name)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, GradFn) and other._op is self._op

    def __hash__(self) -> int:
        return hash(id(self._op))

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self._op))}>"


class AccumulateGrad:
    """The end of a gradient's way: a leaf, which is its `variable`."""

    __slots__ = ("variable",)

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    next_functions = ()

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self.variable))}>"


def grad_fn_of(edge: Any) -> Any:
    """An operation, a leaf or None as scripts see it."""
    if edge is None:
        return None
    if isinstance(edge, NumPyTensor):
        return AccumulateGrad(edge)
    return _class(name_of(edge))(edge)


@functools.cache
def _class(name: str) -> type[GradFn]:
    """Scripts ask for `type(y.grad_fn).__name__`."""
    return type(name, (GradFn,), {"__slots__": (), "__module__": __name__})
