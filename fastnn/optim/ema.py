"""The exponential moving average of a network's weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _layout
from fastnn import functional as F
from fastnn.functional.optimizer import together
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter
from fastnn.optim.optimizer import number, writable

__all__ = ["EMA"]


class EMA:
    """The exponential moving average of a module's parameters and buffers.

    The averages start at the present values of the module. Integer buffers, such as the batch count of batch norm, are
    copied and not averaged.

    Args:
        module: the network.
        decay: the decay rate of the average in [0, 1]: each update keeps this fraction of the old average.
    Attributes:
        averages: the averaged arrays by path, as in the module's `state_dict`.
        updates: the number of updates so far.
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
        if not isinstance(module, Module):
            raise TypeError(f"EMA: a Module is needed. Received: {_check.shown(module)}")
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
                array = entry._data if isinstance(entry, Parameter) else entry
                yield (f"{prefix}.{name}" if prefix else name), array, module, name

    def update(self, decay: float | None = None) -> None:
        """Update the averages: average = decay * average + (1 - decay) * value, for every array of the module.

        Args:
            decay: the decay rate of this update alone, in [0, 1]. None (default) uses `self.decay`.
        Raises:
            ValueError: decay is outside [0, 1], or an array of the module was added or changed its shape or dtype.
        """
        decay = self.decay if decay is None else _checked_decay(decay)
        with together():
            for average, value, _, _ in self._pairs():
                if value.dtype.kind == "f":
                    F.average_step(average, value, decay)
                else:
                    average[...] = value
        self.updates += 1

    def _pairs(self) -> list[tuple[NDArray, NDArray, Module, str]]:
        """(average, array, owner, name) of everything; raises if the module is no longer what it was."""
        pairs = []
        for path, value, module, name in self._entries():
            average = self.averages.get(path)
            if average is None or average.shape != value.shape or average.dtype != value.dtype:
                raise ValueError(f"EMA: {path} was added to the module, or changed its shape or dtype, since EMA began")
            pairs.append((average, value, module, name))
        return pairs

    @contextlib.contextmanager
    def average(self) -> Iterator[Module]:
        """A context manager in which the module computes with the averages. Afterwards it has its own values again.

        Nothing is copied. The averages are read-only inside the block: use it for evaluation, not for training.
        """
        pairs = self._pairs()
        try:
            for average, _, module, name in pairs:
                view = average.view()
                view.flags.writeable = False
                _put(module, name, view)
            yield self.module
        finally:
            for _, array, module, name in pairs:
                _put(module, name, array)

    def copy_to_model(self) -> None:
        """Copy the averages into the module. Training then continues from them."""
        for average, array, module, name in self._pairs():
            parameter = module._parameters.get(name)
            if parameter is not None:
                writable(parameter)[...] = average
            elif array.flags.writeable:
                array[...] = average
            else:
                _put(module, name, _copy(average))

    def state_dict(self) -> dict[str, Any]:
        """The state, {"decay": ..., "updates": ..., "averages": {path: array}}. The arrays are C-contiguous copies."""
        averages = {path: np.array(array, order="C") for path, array in self.averages.items()}
        return {"decay": self.decay, "updates": self.updates, "averages": averages}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned. If anything does not fit, nothing is changed.

        Raises:
            KeyError: paths or entries are missing or not expected.
            ValueError: shapes differ, or a number is out of its range.
            TypeError: an entry has another type than in the result of `state_dict`.
        """
        owner = "EMA.load_state_dict"
        _check.mapping(owner, "the state", state_dict, "decay", "updates", "averages")
        decay = _checked_decay(state_dict["decay"])
        updates = _check.integer(owner, "updates", state_dict["updates"], 0)
        given = _check.mapping(owner, "averages", state_dict["averages"])
        if given.keys() != self.averages.keys():
            differing = ", ".join(sorted(map(str, given.keys() ^ self.averages.keys())))
            raise KeyError(f"{owner}: missing or unexpected: {differing}")
        loaded = {path: _loaded(owner, path, given[path], array) for path, array in self.averages.items()}
        self.decay, self.updates = decay, updates
        for path, array in self.averages.items():
            array[...] = loaded[path]

    def __repr__(self) -> str:
        words = f"decay={self.decay:g}, updates={self.updates}, {len(self.averages)} arrays"
        return f"EMA({type(self.module).__name__}, {words})"


def _loaded(owner: str, path: str, value: Any, own: NDArray) -> NDArray:
    """A saved average of the shape of ours and of numbers that fit its dtype."""
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"{owner}: {path} must be an array. Received: {_check.shown(value)}")
    if value.dtype.kind not in ("fiu" if own.dtype.kind == "f" else "biu"):
        raise TypeError(f"{owner}: {path} has dtype {value.dtype}, {own.dtype} is needed")
    if value.shape != own.shape:
        raise ValueError(f"{owner}: {path}: {value.shape} given, {own.shape} needed")
    return np.asarray(value)


def _checked_decay(decay: float) -> float:
    decay = number("EMA", "decay", decay)
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
