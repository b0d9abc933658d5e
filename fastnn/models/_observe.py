"""Observing every layer while a network runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _arguments, nn
from fastnn.autograd.observer import Observer, observing

__all__ = ["arrays_in", "observe"]


class _Visitor(Observer):
    def __init__(self, model: nn.Module, visit: Callable[[str, nn.Module, Any, Any], None]) -> None:
        self._paths = {id(module): path for path, module in model.named_modules() if not module._modules}
        self._visit = visit

    def module(self, module: nn.Module, phase: str, inputs: tuple[Any, ...], results: Any, seconds: float) -> None:
        path = self._paths.get(id(module))
        if path is not None and phase == "forward":
            self._visit(path, module, inputs[0] if len(inputs) == 1 else inputs, results)


@contextlib.contextmanager
def observe(model: nn.Module, visit: Callable[[str, nn.Module, Any, Any], None]) -> Iterator[None]:
    """A context manager that calls `visit(path, layer, x, y)` after each forward of each layer without sublayers.

    x is the input, a tuple if the layer takes several, and y the output. Only what this thread runs is observed. Blocks
    may be nested.

    Args:
        model: the network. It is not changed.
        visit: the function that is called. If it raises an error, the forward ends with it.
    Raises:
        TypeError: model is not an `nn.Module`, or visit is not a function.
    Example:
        >>> from fastnn import models
        >>> model, seen = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), []
        >>> with models.observe(model, lambda path, layer, x, y: seen.append((path, y.shape))):
        ...     y = model(np.zeros((3, 1, 2, 2), np.float32))
        >>> seen
        [('0', (3, 4)), ('1', (3, 2))]
    """
    _arguments.model("observe", "model", model)
    _arguments.function("observe", "visit", visit)
    with observing(_Visitor(model, visit)):
        yield


def arrays_in(value: Any) -> Iterator[NDArray]:
    """The arrays among what a layer takes or gives, also within tuples, lists and dicts."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from arrays_in(item)
    elif isinstance(value, dict):
        yield from arrays_in(list(value.values()))
