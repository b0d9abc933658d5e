"""Neighbours that are computed together, with less to read and write: a table of patterns.

    convolution, batch norm, activation     in one pass in eval mode; else as the next row
    batch norm, activation                  one pass over memory
    residual block, ReLU                    the batch norm at the end of the block adds the shortcut and applies ReLU
    ReLU, max pooling                       as max pooling, ReLU

The activation is ReLU, ReLU6, GELU or SiLU.

What comes out is the same, bit for bit. A layer with hooks, one whose `forward` or `backward` someone has replaced, and
subclasses with methods of their own are left alone.
"""

from collections.abc import Callable, Iterable, Sequence
from types import MethodType
from typing import Any, NamedTuple

from fastnn import _runtime
from fastnn import functional as F
from fastnn.autograd.observer import observers
from fastnn.autograd.tape import run
from fastnn.functional.conv2d_norm import Conv2dNorm, fits
from fastnn.nn.activation import GELU, ReLU, SiLU
from fastnn.nn.batchnorm import BatchNorm1d, BatchNorm2d
from fastnn.nn.conv2d import Conv2d
from fastnn.nn.hard_activation import ReLU6
from fastnn.nn.maxpool2d import MaxPool2d
from fastnn.nn.module import Module

__all__ = ["Plan", "conv_norm", "ends_with_norm", "is_itself", "plan", "residual"]

Step = Callable[[Any], Any]


def is_itself(module: Module, *classes: type[Module]) -> bool:
    """Whether `module` does what one of these classes does, and nothing else."""
    own, forward = vars(module), type(module).forward
    forward = getattr(forward, "extends", forward)
    return not ("forward" in own or "backward" in own or "_hooks" in own) and any(
        forward is cls.forward and type(module).backward is cls.backward for cls in classes
    )


# ---- which layers ----------------------------------------------------------------------------------------------------
def _is_conv(module: Module) -> bool:
    return is_itself(module, Conv2d) and getattr(module, "padding_mode", "zeros") == "zeros"


def _is_norm(module: Module) -> bool:
    return is_itself(module, BatchNorm1d, BatchNorm2d)


def _is_relu(module: Module) -> bool:
    return is_itself(module, ReLU)


def _is_activation(module: Module) -> bool:
    """What `functional.batch_norm_activation` has."""
    return is_itself(module, ReLU, ReLU6, SiLU) or (is_itself(module, GELU) and module.approximate == "none")


def _is_max_pool(module: Module) -> bool:
    return is_itself(module, MaxPool2d) and not module.return_indices


def ends_with_norm(module: Module) -> bool:
    """Whether this is a residual block whose batch norm can add the shortcut's result in its own pass."""
    if not _is_plain(module, "adds_shortcut"):
        return False
    body = module._modules["body"]
    return _is_plain(body, "is_sequence") and bool(body._modules) and _is_norm(next(reversed(body._modules.values())))


def _is_plain(module: Module, mark: str) -> bool:
    """Whether a container does what the class does that has this mark, and nothing else."""
    defining = next((cls for cls in type(module).__mro__ if mark in vars(cls)), None)
    return defining is not None and is_itself(module, defining)


# ---- what they do together -------------------------------------------------------------------------------------------
def _name_of(activation: Any) -> str | None:
    return None if activation is None else activation._function


def _norm(x: Any, norm: Any, activation: Module | None = None, residual: Any = None) -> Any:
    return norm.normalize(x, _name_of(activation), residual)


def conv_norm(x: Any, conv: Any, norm: Any, activation: Module | None = None, residual: Any = None) -> Any:
    name = _name_of(activation)
    if not norm.training and not _runtime.uses_reference() and fits(conv.weight._data, *norm.statistics()):
        parts = norm.statistics()
        mean, variance, *affine = parts
        operation = Conv2dNorm(conv.settings(), mean, variance, norm.eps, name)
        own = conv._parameters
        return run(operation, x, own["weight"], own["bias"], *affine, residual)
    return norm.normalize(_alone(conv)(x), name, residual)


def _residual_relu(x: Any, block: Any, relu: Module) -> Any:
    return residual(block, x, relu)


def _relu_pool(x: Any, _: Module, pool: Any) -> Any:
    """The largest of a window is the same element before and after relu, unless none is positive, and then no gradient
    passes. So relu has only the pooled pixels to do.
    """
    return F.relu(_alone(pool)(x))


# ---- the table -------------------------------------------------------------------------------------------------------
class Pattern(NamedTuple):
    """Layers in a row, and what computes them together: `compute(x, *layers)`."""

    layers: tuple[Callable[[Module], bool], ...]
    compute: Callable[..., Any]


# The first that fits is taken.
PATTERNS = (
    Pattern((_is_conv, _is_norm, _is_activation), conv_norm),
    Pattern((_is_conv, _is_norm), conv_norm),
    Pattern((_is_norm, _is_activation), _norm),
    Pattern((ends_with_norm, _is_relu), _residual_relu),
    Pattern((_is_relu, _is_max_pool), _relu_pool),
)


def residual(block: Any, x: Any, activation: Module | None = None) -> Any:
    """activation(body(x) + shortcut(x)), of a block that `ends_with_norm`."""
    *before, norm = block._modules["body"]._modules.values()
    own = vars(block)
    own["_plan"] = known = plan(before, own.get("_plan"))
    steps, last = known.steps, before[-1] if before else None
    joins_conv = last is not None and not norm.training and _is_conv(last) and known.ends_alone
    inner = x
    for step in steps[:-1] if joins_conv else steps:
        inner = step(inner)
    skipped = block._modules["shortcut"](x)
    if joins_conv:
        return conv_norm(inner, last, norm, activation, skipped)
    block.check_shapes(inner, skipped)
    return _norm(inner, norm, activation, skipped)


# ---- plans -----------------------------------------------------------------------------------------------------------
class Plan(NamedTuple):
    """The steps that do what some modules do one after the other."""

    modules: list[Module]
    depends_on: tuple[Any, ...]
    steps: Sequence[Step]

    @property
    def ends_alone(self) -> bool:
        """Whether the last step is one module."""
        return getattr(self.steps[-1], "__self__", self.steps[-1]) is self.modules[-1]


def plan(modules: Iterable[Module], last: Plan | None = None) -> Plan:
    """The plan for these modules; `last` if it still holds."""
    modules = list(modules)
    # What decides, besides their classes, how modules are joined. Every forward asks, and one image takes little more.
    joins, attributes = _runtime.joined_layers(), [module.__dict__ for module in modules]
    replaced = ["forward" in own or "backward" in own or "_hooks" in own for own in attributes]
    depends_on = (
        joins,
        bool(observers()),
        replaced,
        [own.get("approximate", own.get("return_indices")) for own in attributes],
    )
    if last is not None and last.modules == modules and last.depends_on == depends_on:
        return last
    return Plan(modules, depends_on, _join(modules) if joins else list(map(_alone, modules)))


def _join(left: Sequence[Module]) -> Sequence[Step]:
    steps: list[Step] = []
    while left:
        step, length = _first_step(left)
        steps.append(step)
        left = left[length:]
    return steps


def _first_step(modules: Sequence[Module]) -> tuple[Step, int]:
    """What the first modules are computed as, and how many they are."""
    for pattern in PATTERNS:
        n = len(pattern.layers)
        if n <= len(modules) and all(fits(module) for fits, module in zip(pattern.layers, modules, strict=False)):
            return _together(pattern.compute, tuple(modules[:n])), n
    return _alone(modules[0]), 1


def _alone(module: Module) -> Step:
    """The call of one module with a tensor, without the detour through `_call` where that would not do anything."""
    forward: Any = type(module).forward
    is_plain = not (observers() or vars(module).keys() & _REPLACED or getattr(forward, "has_own_backward", True))
    is_plain = is_plain and type(module).__call__ is Module.__call__
    return MethodType(forward.entered, module) if is_plain else module


_REPLACED = {"forward", "backward", "_hooks"}


def _together(compute: Callable[..., Any], layers: tuple[Module, ...]) -> Step:
    return lambda x: compute(x, *layers)
