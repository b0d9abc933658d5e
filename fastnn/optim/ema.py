"""The running mean of a network's weights."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout
from fastnn import functional as F
from fastnn.functional import _check
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["EMA"]


class EMA:
    """The exponential moving average of a module's parameters and buffers.

    It starts at the values of the module. Buffers of integers (counts of batches) are copied, not averaged.

    Args:
        module: the network.
        decay: what remains of the average at every update.
    Attributes:
        averages: the averaged arrays by path, as in the module's `state_dict`.
        updates: how many there were.
    Raises:
        ValueError: decay is outside [0, 1].
    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> model.weight.data[...] = 0
        >>> ema = EMA(model, decay=0.75)
        >>> model.weight.data[...] = 4
        >>> ema.update()
        >>> with ema.average():
        ...     print(model.weight.data)
        [[1. 1.]]
        >>> print(model.weight.data)
        [[4. 4.]]

    Source: Polyak and Juditsky, 1992, "Acceleration of stochastic approximation by averaging"; `copy_to_model`:
    Zhang et al., 2019, "Lookahead optimizer: k steps forward, 1 step back".
    """

    def __init__(self, module: Module, decay: float = 0.999) -> None:
        self.module = module
        self.decay = _checked_decay(decay)
        self.updates = 0
        self.averages: dict[str, NDArray] = {path: _copy(array) for path, array, _, _ in self._entries()}

    def _entries(self) -> Iterator[tuple[str, NDArray, Module, str]]:
        """(path, array, owner, name) of every parameter, each once, and every buffer."""
        seen: set[int] = set()  # parameters that several modules share
        for prefix, module in self.module.named_modules():
            for name, entry in [*module._parameters.items(), *module._buffers.items()]:
                if entry is None or id(entry) in seen:
                    continue
                if isinstance(entry, Parameter):
                    seen.add(id(entry))
                array = entry.data if isinstance(entry, Parameter) else entry
                yield (f"{prefix}.{name}" if prefix else name), array, module, name

    def update(self, decay: float | None = None) -> None:
        """average = decay * average + (1 - decay) * value, for every array of the module.

        Args:
            decay: of this update; None for `self.decay`.
        """
        decay = self.decay if decay is None else _checked_decay(decay)
        for path, value, _, _ in self._entries():
            average = self.averages.get(path)
            if average is None or average.shape != value.shape or average.dtype != value.dtype:
                raise ValueError(f"EMA: {path} was added to the module, or changed its shape or dtype, since EMA began")
            if value.dtype.kind == "f":
                F.average_step(average, value, decay)
            else:
                average[...] = value
        self.updates += 1

    @contextlib.contextmanager
    def average(self) -> Iterator[Module]:
        """Within the block, the module computes with the averages; afterwards with its own values again.

        Nothing is copied. The averages cannot be changed meanwhile: evaluate, do not train.
        """
        own = [(array, module, name) for _, array, module, name in self._entries()]
        try:
            for path, _, module, name in list(self._entries()):
                view = self.averages[path].view()
                view.flags.writeable = False
                _put(module, name, view)
            yield self.module
        finally:
            for array, module, name in own:
                _put(module, name, array)

    def copy_to_model(self) -> None:
        """Copy the averages into the module, which continues from there."""
        for path, array, module, name in list(self._entries()):
            if array.flags.writeable:
                array[...] = self.averages[path]
            else:
                _put(module, name, _copy(self.averages[path]))

    def state_dict(self) -> dict[str, Any]:
        """{"decay": ..., "updates": ..., "averages": {path: array}}; arrays are C-contiguous copies."""
        averages = {path: np.array(array, order="C") for path, array in self.averages.items()}
        return {"decay": self.decay, "updates": self.updates, "averages": averages}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from the result of `state_dict`. Either everything fits or nothing is changed.

        Raises:
            KeyError: paths are missing or not expected.
            ValueError: shapes differ.
        """
        given = {path: np.asarray(array) for path, array in state_dict["averages"].items()}
        if given.keys() != self.averages.keys():
            differing = ", ".join(sorted(given.keys() ^ self.averages.keys()))
            raise KeyError(f"EMA.load_state_dict: missing or unexpected: {differing}")
        for path, array in self.averages.items():
            if given[path].shape != array.shape:
                raise ValueError(f"EMA.load_state_dict: {path}: {given[path].shape} given, {array.shape} needed")
        self.decay, self.updates = _checked_decay(state_dict["decay"]), int(state_dict["updates"])
        for path, array in self.averages.items():
            array[...] = given[path]


def _checked_decay(decay: float) -> float:
    decay = _check.real_number("EMA", "decay", decay)
    if decay > 1:
        raise ValueError(f"EMA: decay must be in [0, 1]. Received: {decay}")
    return decay


def _copy(array: NDArray) -> NDArray:
    copy = _layout.empty_like(_layout.dense(array))
    copy[...] = array
    return copy


def _put(module: Module, name: str, array: NDArray) -> None:
    parameter = module._parameters.get(name)
    if parameter is not None:
        parameter.data = array
    else:
        module._buffers[name] = array
