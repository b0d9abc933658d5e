"""Training for a trial: afterwards everything is as it was, bit for bit."""

import contextlib
import copy
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout, nn
from fastnn.data import Loader
from fastnn.insight._state import frozen_randomness, preserved

__all__ = ["kept", "own_pass"]


@contextlib.contextmanager
def kept(model: nn.Module, criterion: Any, optimizer: Any, loaders: Iterable[Any] = ()) -> Iterator[None]:
    """Within the block everything may be trained; afterwards all is as it was, whatever ended the block.

    The arrays of parameters, gradients and optimiser states are not written into: copies stand in their place. Put
    back are these arrays, gradients, buffers, modes, the attributes of every module, the optimiser's settings, the
    position of a loader that tells it by `state_dict`, and the random numbers of fastnn, NumPy, Python, and generators
    that are attributes of modules, loaders and their data sets.
    """
    modules = [module for module in (model, criterion) if isinstance(module, nn.Module)]
    # Arrays that a module of the user's own keeps beside its buffers, and may write into.
    own = [
        (value, value.copy())
        for whole in modules
        for module in whole.modules()
        for value in vars(module).values()
        if isinstance(value, np.ndarray) and value.flags.writeable
    ]
    attributes = [(module, dict(vars(module))) for whole in modules for module in whole.modules()]
    settings = None if optimizer is None else dict(vars(optimizer))
    held = [] if optimizer is None else [p for group in optimizer.param_groups for p in group["params"]]
    foreign = [(parameter, parameter.data, parameter.grad) for parameter in held]
    positions = [(loader, loader.state_dict()) for loader in loaders if _tells_position(loader)]
    with contextlib.ExitStack() as stack:
        for whole in modules:
            stack.enter_context(preserved(whole))
            stack.enter_context(frozen_randomness(whole))
        stack.enter_context(_generators(loaders))
        try:
            _lend_copies(modules, optimizer)
            yield
        finally:
            if settings is not None:
                vars(optimizer).clear()
                vars(optimizer).update(settings)
            for parameter, data, grad in foreign:
                parameter.data, parameter.grad = data, grad
            for module, values in attributes:
                vars(module).clear()
                vars(module).update(values)
            for array, content in own:
                array[...] = content
            for loader, position in positions:
                loader.load_state_dict(position)


def _tells_position(loader: Any) -> bool:
    return not isinstance(loader, Loader) and hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")


def _lend_copies(modules: list[nn.Module], optimizer: Any) -> None:
    copies: dict[int, NDArray] = {}
    held = [] if optimizer is None else [p for group in optimizer.param_groups for p in group["params"]]
    own = [parameter for module in modules for parameter in module.parameters()]
    parameters = list({id(parameter): parameter for parameter in [*own, *held]}.values())
    for parameter in parameters:
        array = parameter.data
        parameter.data = copies.setdefault(id(array), _layout.copy(array))
        parameter.grad = None
    if optimizer is not None:
        # Every parameter and function stands for itself; states and settings are copied.
        memo: dict[int, Any] = {id(parameter): parameter for parameter in parameters}
        memo[id(optimizer)] = optimizer
        lent = {name: copy.deepcopy(value, memo) for name, value in vars(optimizer).items()}
        vars(optimizer).update(lent)


@contextlib.contextmanager
def _generators(loaders: Iterable[Any]) -> Iterator[None]:
    """Rewind the generators of loaders and their data sets, and Python's, after the block."""
    owners = [part for loader in loaders for part in (loader, getattr(loader, "dataset", None)) if part is not None]
    found = [value for owner in owners for value in getattr(owner, "__dict__", {}).values()]
    generators = [value for value in found if isinstance(value, np.random.Generator)]
    states = [generator.bit_generator.state for generator in generators]
    of_python = random.getstate()
    try:
        yield
    finally:
        random.setstate(of_python)
        for generator, state in zip(generators, states, strict=True):
            generator.bit_generator.state = state


def own_pass(loader: Any) -> Any:
    """A loader with the same batches and a position of its own, if it can be had; else the loader itself."""
    return copy.copy(loader) if isinstance(loader, Loader) else loader
