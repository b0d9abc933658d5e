"""Neighbours in a chain of layers that are computed together, with less to read and write.

    batch norm, ReLU or GELU               a _NormActivation
    a convolution and what is above        a _ConvNorm; one pass only in eval mode
    a residual block, ReLU                 a _ResidualActivation
    the addition where a residual block's gradients meet, into its first convolution; see `backward_onto`
    ReLU, max pooling                      a _PoolActivation

What comes out is the same, bit for bit. A layer whose `forward` or `backward` someone has replaced, to look at
what goes through it, is left alone, and so are subclasses with methods of their own.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, cast

from numpy.typing import NDArray

from fastnn import _runtime
from fastnn import functional as F
from fastnn.nn.activation import GELU, ReLU
from fastnn.nn.batchnorm import BatchNorm1d, BatchNorm2d
from fastnn.nn.conv2d import Conv2d
from fastnn.nn.maxpool2d import MaxPool2d
from fastnn.nn.module import Module

__all__ = ["Plan", "Step", "backward", "backward_onto", "forward", "is_itself", "plan"]


class Step(Protocol):
    """A module, or several that are computed together."""

    def forward(self, x: Any) -> Any: ...
    def backward(self, dy: Any) -> Any: ...
    def forget(self) -> None: ...


def is_itself(module: Module, *classes: type[Module]) -> bool:
    """Whether `module` does what one of these classes does, and nothing else."""
    own = vars(module)
    return "forward" not in own and "backward" not in own and any(
        type(module).forward is cls.forward and type(module).backward is cls.backward for cls in classes
    )  # fmt: skip


def _activation(module: Module) -> str | None:
    """What `functional.batch_norm_activation` calls this activation; None if it does not have it."""
    if is_itself(module, ReLU):
        return "relu"
    if is_itself(module, GELU) and module.approximate == "none":
        return "gelu"
    return None


# Each of these looks in `backward` at how its layers ran last: someone may have called them one by one since.
class _NormActivation:
    """activation(norm(x)); the activation and its name may be None"""

    def __init__(self, norm: BatchNorm1d | BatchNorm2d, activation: Module | None, name: str | None) -> None:
        self._norm, self._activation, self._name = norm, activation, name

    def forward(self, x: NDArray) -> NDArray:
        return self._norm.forward_then(x, self._name)

    def backward(self, dy: NDArray) -> NDArray | None:
        if self._activation is not None and self._norm.last_activation is None:
            dy = self._activation.backward(dy)
        return self._norm.backward(dy)

    def forget(self) -> None:
        self._norm.forget()
        if self._activation is not None:
            self._activation.forget()


class _ConvNorm(_NormActivation):
    """activation(norm(conv(x)))"""

    def __init__(self, conv: Conv2d, norm: BatchNorm2d, activation: Module | None, name: str | None) -> None:
        super().__init__(norm, activation, name)
        self._conv = conv

    def forward(self, x: NDArray) -> NDArray:
        return self._norm.forward_after(self._conv, x, self._name)

    def backward(self, dy: NDArray) -> NDArray | None:
        return self.backward_onto(dy, None)

    def backward_onto(self, dy: NDArray | None, addend: NDArray | None) -> NDArray | None:
        """`backward`, with `addend` added to its result."""
        dy = None if dy is None else super().backward(dy)
        super().forget()  # before the convolution asks for memory
        return None if dy is None else self._conv.backward_onto(dy, addend)

    def forget(self) -> None:
        self._conv.forget()


class _ResidualActivation:
    """relu(body(x) + shortcut(x))"""

    def __init__(self, residual: Any, activation: Module) -> None:
        self._residual, self._activation = residual, activation

    def forward(self, x: NDArray) -> NDArray:
        if self._residual.can_join():
            return self._residual.forward_then(x, "relu")
        return self._activation.forward(self._residual.forward(x))

    def backward(self, dy: NDArray) -> NDArray | None:
        if self._residual.last_activation is None:
            dy = self._activation.backward(dy)
            self._activation.forget()
        return self._residual.backward(dy)

    def forget(self) -> None:
        """The residual block has done so while it went back."""


class _PoolActivation:
    """max_pool(relu(x)), as relu(max_pool(x)): the largest of a window is the same element before and after relu,
    unless none is positive, and then no gradient passes. So relu has only the pooled pixels to do.
    """

    def __init__(self, activation: ReLU, pool: MaxPool2d) -> None:
        self._activation, self._pool = activation, pool
        self._y: NDArray | None = None

    def forward(self, x: NDArray) -> NDArray:
        self._y = self._activation.forward(cast(NDArray, self._pool.forward(x)))
        return self._y

    def backward(self, dy: NDArray) -> NDArray:
        if self._activation.last_result is self._y:
            return self._pool.backward(self._activation.backward(dy))
        return self._activation.backward(self._pool.backward(dy))

    def forget(self) -> None:
        self._y = None
        self._activation.forget()
        self._pool.forget()


def _first_step(modules: Sequence[Module]) -> tuple[Step, int]:
    """What the first modules are computed as, and how many they are."""
    if len(modules) == 1:
        return modules[0], 1
    first, second = modules[:2]
    if is_itself(first, Conv2d) and is_itself(second, BatchNorm2d):
        name = _activation(modules[2]) if len(modules) > 2 else None
        third = None if name is None else modules[2]
        return _ConvNorm(cast(Conv2d, first), cast(BatchNorm2d, second), third, name), 2 if third is None else 3
    if is_itself(first, ReLU) and is_itself(second, MaxPool2d) and not second.return_indices:
        return _PoolActivation(cast(ReLU, first), cast(MaxPool2d, second)), 2
    name = _activation(second)
    if name is not None and is_itself(first, BatchNorm1d, BatchNorm2d):
        return _NormActivation(cast(BatchNorm2d, first), second, name), 2
    if name == "relu" and hasattr(first, "can_join"):  # a Residual
        return _ResidualActivation(first, second), 2
    return first, 1


class Plan(NamedTuple):
    """The steps that do what some modules do one after the other."""

    modules: list[Module]
    depends_on: tuple[Any, ...]
    steps: Sequence[Step]


def plan(modules: Iterable[Module], last: Plan | None = None) -> Plan:
    """The plan for these modules; `last` if it still holds."""
    modules = list(modules)
    # What decides, besides their classes, how modules are joined. Every forward asks, and one image takes little more.
    joins, attributes = _runtime.joins_layers(), [module.__dict__ for module in modules]
    replaced = ["forward" in own or "backward" in own for own in attributes]
    depends_on = joins, replaced, [own.get("approximate", own.get("return_indices")) for own in attributes]
    if last is not None and last.modules == modules and last.depends_on == depends_on:
        return last
    return Plan(modules, depends_on, _join(modules) if joins else modules)


def _join(left: Sequence[Module]) -> Sequence[Step]:
    steps: list[Step] = []
    while left:
        step, length = _first_step(left)
        steps.append(step)
        left = left[length:]
    return steps


def forward(steps: Iterable[Step], x: Any) -> Any:
    """Apply the steps one after the other."""
    for step in steps:
        x = step.forward(x)
    return x


def backward(steps: Sequence[Step], dy: Any) -> Any:
    """Go back through the steps; None ends it, which a layer gives that was told that its input is data."""
    for step in reversed(steps):
        if dy is None:
            break
        dy = step.backward(dy)
        step.forget()
    return dy


def backward_onto(steps: Sequence[Step], dy: Any, addend: NDArray) -> NDArray:
    """`backward` + addend."""
    first = steps[0] if steps else None
    if isinstance(first, _ConvNorm) or (isinstance(first, Conv2d) and is_itself(first, Conv2d)):
        dx = cast(NDArray, first.backward_onto(backward(steps[1:], dy), addend))
        first.forget()
        return dx
    return F.add(backward(steps, dy), addend)
