"""Checking a network before it is trained: do the shapes fit, and what would go wrong in training?"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn import _check, _several, nn
from fastnn.autograd.observer import Observer, observing
from fastnn.autograd.tensor import mapped
from fastnn.insight._state import frozen_randomness, preserved
from fastnn.models._observe import arrays_in
from fastnn.models.summary import Summary, shapes_of, summary_of
from fastnn.profiling.run import left_as_found

__all__ = ["check"]

_ONE_EXAMPLE = (1, 3)  # axes of what has no axis of the batch
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def check(model: Any, input_shape: Any, dtype: Any = np.float32, batch_size: int | None = 2) -> Summary:
    """Check a network before it is trained; see `nn.Module.check`."""
    if not model._takes_arrays:
        raise TypeError(f"check: a module of fastnn.nn is needed, which takes arrays. Received: {_check.shown(model)}")
    if batch_size is not None:
        batch_size = _check.integer("check", "batch_size", batch_size, 1, _check.MOST_SETTING)
    shapes = shapes_of("check", input_shape)
    if batch_size is not None:
        shapes = _each(lambda shape: (batch_size, *shape) if len(shape) in _ONE_EXAMPLE else shape, shapes)
    inputs = _zeros(shapes, dtype)
    look = _Look()
    with np.errstate(all="ignore"), preserved(model), left_as_found(model, None), frozen_randomness(model):
        summary = summary_of(model, inputs)
        for parameter in model.parameters():
            parameter.grad = None
        model.train()
        with observing(look):
            y = _several.call(model, inputs)
        goes_back = any(array.dtype.kind == "f" for array in arrays_in(y))
        if goes_back and any(parameter.requires_grad for parameter in model.parameters()):
            model.backward(mapped(_ones, y))
        reached = {id(parameter) for parameter in model.parameters() if parameter.grad is not None}
    notes = [*_never_called(model, look, reached), *_not_finite(model, look), *_of_one(model, look)]
    if goes_back:
        notes += _not_reached(model, look, reached)
    notes += _output(y, summary.batch_size)
    return summary._replace(notes=tuple(notes))


class _Look(Observer):
    """Which modules ran, with the shapes of their last results, and which was the first to give what is not finite."""

    def __init__(self) -> None:
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.not_finite: nn.Module | None = None

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        if phase != "forward":
            return
        arrays = list(arrays_in(results))
        self.shapes[id(module)] = arrays[0].shape if arrays else ()
        floats = (array for array in arrays if array.dtype.kind == "f")
        if self.not_finite is None and not all(np.isfinite(array).all() for array in floats):
            self.not_finite = module


def _each(function: Any, shapes: Any) -> Any:
    """`function` of each of several shapes, or of one."""
    if isinstance(shapes, dict):
        return {name: function(shape) for name, shape in shapes.items()}
    return function(shapes) if isinstance(shapes[0], int) else tuple(map(function, shapes))


def _zeros(shapes: Any, dtype: Any) -> Any:
    if isinstance(shapes, dict):
        of_each = dtype if isinstance(dtype, dict) else dict.fromkeys(shapes, dtype)
        if set(of_each) != set(shapes):
            raise ValueError(f"check: dtype must have the names of input_shape. Received: {_check.shown(dtype)}")
        return {name: np.zeros(shape, _dtype(of_each[name])) for name, shape in shapes.items()}
    if isinstance(shapes[0], int):
        return np.zeros(shapes, _dtype(dtype))
    dtypes = dtype if isinstance(dtype, tuple | list) else [dtype] * len(shapes)
    if len(dtypes) != len(shapes):
        raise ValueError(f"check: dtype must be one, or one for each of {len(shapes)} inputs. Received: {dtype!r}")
    return tuple(np.zeros(shape, _dtype(kind)) for shape, kind in zip(shapes, dtypes, strict=True))


def _dtype(given: Any) -> np.dtype[Any]:
    try:
        kind = None if given is None else np.dtype(given)
    except (TypeError, ValueError, SyntaxError):  # NumPy parses texts
        kind = None
    if kind is None or kind.kind not in "fiub":
        raise TypeError(f"check: dtype must be one of numbers, such as numpy.float32. Received: {_check.shown(given)}")
    return kind


def _ones(value: Any) -> Any:
    return np.ones_like(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else None


# ---- notes -----------------------------------------------------------------------------------------------------------
def _named(model: nn.Module, module: nn.Module) -> str:
    path = next((path for path, found in model.named_modules() if found is module), "")
    return f"{path} ({type(module).__name__})" if path else type(module).__name__


def _ran(module: nn.Module, look: _Look, reached: set[int]) -> bool:
    """Whether it was called, or somebody has used its parameters or parts without calling it."""
    has_run = id(module) in look.shapes or any(id(parameter) in reached for parameter in module.parameters())
    return has_run or any(id(part) in look.shapes for part in module.modules())


def _never_called(model: nn.Module, look: _Look, reached: set[int]) -> Iterator[str]:
    """Of parts of what was never called, nothing is said again."""
    for path, module in model.named_modules():
        above = model.get_submodule(path.rpartition(".")[0])
        if path and not _ran(module, look, reached) and (above is model or _ran(above, look, reached)):
            yield f"{_named(model, module)} is registered, but the forward never calls it"


def _not_reached(model: nn.Module, look: _Look, reached: set[int]) -> Iterator[str]:
    for path, parameter in model.named_parameters():
        owner = model.get_submodule(path.rpartition(".")[0])
        if parameter.requires_grad and id(parameter) not in reached and (owner is model or _ran(owner, look, reached)):
            yield f"no gradient reaches the parameter {path}: it will not be trained"


def _not_finite(model: nn.Module, look: _Look) -> Iterator[str]:
    if look.not_finite is not None:
        yield f"{_named(model, look.not_finite)} gives NaN or infinity for an input of zeros"


def _of_one(model: nn.Module, look: _Look) -> Iterator[str]:
    for module in model.modules():
        shape = look.shapes.get(id(module), ())
        if isinstance(module, _NORMS) and len(shape) > 1 and math.prod(shape[2:]) == 1:
            yield (
                f"{_named(model, module)} fails in training on a batch of one: "
                "leave out a last batch that is smaller, drop_last=True"
            )


def _output(y: Any, batch_size: int) -> Iterator[str]:
    if isinstance(y, np.ndarray) and (y.ndim != 2 or len(y) != batch_size):
        yield f"the output has the shape {y.shape}; a loss of classes needs (N, classes), here ({batch_size}, classes)"
