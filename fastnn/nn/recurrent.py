"""Recurrent layers and their cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn._random import generator
from fastnn.autograd.tensor import array_of
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]

_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _OfCell(Module):
    """What sequences and cells have in common: sizes, weights, and the function of one layer."""

    _parts: ClassVar[int]  # of the weights: how many times hidden_size rows they have
    _states: ClassVar[tuple[str, ...]] = ("h",)
    _function: ClassVar[Any]

    def _set_sizes(self, input_size: int, hidden_size: int, bias: bool) -> None:
        name = type(self).__name__
        self.input_size = _check.integer(name, "input_size", input_size, 1, _check.MOST_SETTING)
        self.hidden_size = _check.integer(name, "hidden_size", hidden_size, 1, _check.MOST_SETTING)
        self.bias = _check.boolean(name, "bias", bias)

    def _add_weights(self, input_size: int, suffix: str = "") -> None:
        rows = self._parts * self.hidden_size
        bound = 1 / math.sqrt(self.hidden_size)
        shapes: tuple[tuple[int, ...], ...] = (rows, input_size), (rows, self.hidden_size), (rows,), (rows,)
        for shape in shapes[:2]:
            _check.fits_memory(type(self).__name__, "a weight", shape)
        for name, shape in zip(_NAMES, shapes, strict=True):
            weight = None
            if self.bias or name.startswith("weight"):
                weight = Parameter(generator().uniform(-bound, bound, shape).astype(np.float32))
            self.register_parameter(name + suffix, weight)

    def _run(self, x: Any, states: Sequence[Any], suffix: str = "", **settings: Any) -> Any:
        own = self._parameters
        return type(self)._function(x, *states, *(own[name + suffix] for name in _NAMES), **settings)

    def _given_states(self, hx: Any, x: NDArray, shape: tuple[int, ...]) -> list[Any]:
        """The states that the caller gave, or zeros."""
        name, names = type(self).__name__, self._states
        if hx is None:
            return [np.zeros(shape, x.dtype) for _ in names]
        if len(names) == 1:
            given = [hx]
        elif isinstance(hx, tuple | list) and len(hx) == len(names):
            given = list(hx)
        else:
            raise TypeError(f"{name}: hx must be the two states (h, c). Received: {_check.shown(array_of(hx))}")
        for what, state in zip(names, given, strict=True):
            array = _check.floats(name, f"hx ({what})", array_of(state))
            if array.shape != shape:
                raise _check.fail(name, f"{what} of hx must have shape {shape}", x=x, **{what: array})
        return given

    def _sequence(self, x: Any, ndim: tuple[int, ...]) -> NDArray:
        """The array of x, if it has the right axes and features."""
        name = type(self).__name__
        array = _check.floats(name, "x", array_of(x), ndim)
        if array.shape[-1] != self.input_size:
            raise _check.fail(name, f"x has {array.shape[-1]} features, input_size is {self.input_size}", x=array)
        return array


class _Sequence(_OfCell):
    """A stack of layers, each in one direction or both."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self._set_sizes(input_size, hidden_size, bias)
        self.num_layers = _check.integer(name, "num_layers", num_layers, 1, _MOST_LAYERS)
        self.batch_first = _check.boolean(name, "batch_first", batch_first)
        self.dropout = _check.number(name, "dropout", dropout, 0, 1)
        self.bidirectional = _check.boolean(name, "bidirectional", bidirectional)
        for layer in range(self.num_layers):
            features = self.input_size if layer == 0 else self.hidden_size * len(self._directions)
            for direction in self._directions:
                self._add_weights(features, f"_l{layer}{direction}")

    @property
    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _settings(self) -> dict[str, Any]:
        """Of the function, beside the direction."""
        return {}

    def forward(self, x: Any, hx: Any = None) -> Any:
        """The result for the sequences `x`, from the states `hx`."""
        array = self._sequence(x, (2, 3))
        has_batch, directions = array.ndim == 3, self._directions
        time = 1 if has_batch and self.batch_first else 0
        if not array.shape[time]:
            raise _check.fail(type(self).__name__, "x needs at least one step", x=array)
        batch = (array.shape[1 - time],) if has_batch else ()
        states = self._given_states(hx, array, (self.num_layers * len(directions), *batch, self.hidden_size))
        if not has_batch:
            x, states = x[:, None], [state[:, None] for state in states]
        elif time == 1:
            x = x.swapaxes(0, 1)
        last: list[Any] = []
        for layer in range(self.num_layers):
            if layer and self.training and self.dropout > 0:
                x = F.dropout(x, self.dropout)
            outputs = []
            for number, direction in enumerate(directions, layer * len(directions)):
                own_states = [state[number] for state in states]
                settings = {"reverse": direction == "_reverse", **self._settings()}
                output, *after = self._run(x, own_states, f"_l{layer}{direction}", **settings)
                outputs.append(output)
                last.append(after)
            x = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)
        after = [np.stack(of_one) for of_one in zip(*last, strict=True)]
        if not has_batch:
            x, after = x[:, 0], [state[:, 0] for state in after]
        elif time == 1:
            x = x.swapaxes(0, 1)
        return x, after[0] if len(after) == 1 else tuple(after)

    def extra_repr(self) -> str:
        words = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        words += [f"{key}={getattr(self, key)}" for key, value in defaults.items() if getattr(self, key) != value]
        return ", ".join(words)


# Each has weights of its own, of which the machine must make objects.
_MOST_LAYERS = 10_000


class LSTM(_Sequence):
    """Long short-term memory: layers that carry a state from step to step of a sequence.

    In every step, from the input x and the states h and c of the step before:

    i = sigmoid(W_ii x + b_ii + W_hi h + b_hi),  f, o = the same with weights of their own
    g = tanh(W_ig x + b_ig + W_hg h + b_hg)
    c = f * c + i * g
    h = o * tanh(c)

    Each layer reads the h of the layer below.

    Args:
        input_size: features of the input.
        hidden_size: features of the states.
        num_layers: layers one above the other.
        bias: whether to add biases.
        batch_first: whether input and output are (N, L, ...) instead of (L, N, ...); the states are not concerned.
        dropout: the probability with which an element between two layers is dropped in training.
        bidirectional: whether a second set of layers goes from the last step to the first; results lie side by side.
        proj_size: accepted for scripts written for PyTorch; only 0 is possible.
    Shape:
        With D = 2 if bidirectional, else 1:

        - Input: x (L, N, input_size), or (N, L, input_size) with batch_first, or (L, input_size) for one sequence;
          float32 or float64; and, if the first states are not zeros, hx = (h, c), each
          (D * num_layers, N, hidden_size), without N for one sequence
        - Output: (output, (h, c)): h of the last layer after every step, (L, N, D * hidden_size), and the states of all
          layers after the last step, in the shapes of hx; after a call with arrays, `backward((doutput, (dh, dc)))`,
          or `backward((doutput, None))` where only the output is used
    Attributes:
        weight_ih_l0, weight_hh_l0: Parameter (4 * hidden_size, input_size) and (4 * hidden_size, hidden_size), those of
            i, f, g, o one above the other; all weights are uniform in +-1 / sqrt(hidden_size)
        bias_ih_l0, bias_hh_l0: Parameter (4 * hidden_size,), or None
        weight_ih_l0_reverse, weight_ih_l1, ...: those of the other direction and of the layers above
    Raises:
        ValueError: x or hx do not fit; the message shows the shapes.
    Example:
        >>> output, (h, c) = nn.LSTM(8, 4, num_layers=2)(np.zeros((5, 3, 8), np.float32))
        >>> output.shape, h.shape, c.shape
        ((5, 3, 4), (2, 3, 4), (2, 3, 4))

    Source: Hochreiter and Schmidhuber, 1997, "Long short-term memory"; the forget gate: Gers et al., 2000.
    """

    _parts, _states, _function = 4, ("h", "c"), staticmethod(F.lstm)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None:
        if not (isinstance(proj_size, int | np.integer) and proj_size == 0):
            raise ValueError(
                "LSTM: proj_size must be 0: put a Linear after it instead, or into a loop over an LSTMCell. "
                f"Received: {_check.shown(proj_size)}"
            )
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)


class GRU(_Sequence):
    """Gated recurrent units: layers that carry a state from step to step of a sequence.

    In every step, from the input x and the state h of the step before:

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr),  z = the same with weights of its own
    n = tanh(W_in x + b_in + r * (W_hn h + b_hn))
    h = (1 - z) * n + z * h

    Each layer reads the h of the layer below.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: layers one above the other.
        bias: whether to add biases.
        batch_first: whether input and output are (N, L, ...) instead of (L, N, ...); the state is not concerned.
        dropout: the probability with which an element between two layers is dropped in training.
        bidirectional: whether a second set of layers goes from the last step to the first; results lie side by side.
    Shape:
        With D = 2 if bidirectional, else 1:

        - Input: x (L, N, input_size), or (N, L, input_size) with batch_first, or (L, input_size) for one sequence;
          float32 or float64; and, if the first state is not zeros, hx (D * num_layers, N, hidden_size), without N for
          one sequence
        - Output: (output, h): h of the last layer after every step, (L, N, D * hidden_size), and that of all layers
          after the last step, in the shape of hx; after a call with arrays, `backward((doutput, dh))`, either of which
          may be None
    Attributes:
        weight_ih_l0, weight_hh_l0: Parameter (3 * hidden_size, input_size) and (3 * hidden_size, hidden_size), those of
            r, z, n one above the other; all weights are uniform in +-1 / sqrt(hidden_size)
        bias_ih_l0, bias_hh_l0: Parameter (3 * hidden_size,), or None
        weight_ih_l0_reverse, weight_ih_l1, ...: those of the other direction and of the layers above
    Raises:
        ValueError: x or hx do not fit; the message shows the shapes.
    Example:
        >>> output, h = nn.GRU(8, 4, batch_first=True, bidirectional=True)(np.zeros((3, 5, 8), np.float32))
        >>> output.shape, h.shape
        ((3, 5, 8), (2, 3, 4))

    Source: Cho et al., 2014, "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation"; r is applied after the product with W_hn, as in PyTorch.
    """

    _parts, _function = 3, staticmethod(F.gru)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)


class RNN(_Sequence):
    """The plain recurrent network: h = tanh(W_ih x + b_ih + W_hh h + b_hh) in every step of a sequence.

    Each layer reads the h of the layer below.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: layers one above the other.
        nonlinearity: 'tanh' or 'relu', applied to the sum.
        bias: whether to add biases.
        batch_first: whether input and output are (N, L, ...) instead of (L, N, ...); the state is not concerned.
        dropout: the probability with which an element between two layers is dropped in training.
        bidirectional: whether a second set of layers goes from the last step to the first; results lie side by side.
    Shape:
        With D = 2 if bidirectional, else 1:

        - Input: x (L, N, input_size), or (N, L, input_size) with batch_first, or (L, input_size) for one sequence;
          float32 or float64; and, if the first state is not zeros, hx (D * num_layers, N, hidden_size), without N for
          one sequence
        - Output: (output, h): h of the last layer after every step, (L, N, D * hidden_size), and that of all layers
          after the last step, in the shape of hx; after a call with arrays, `backward((doutput, dh))`, either of which
          may be None
    Attributes:
        weight_ih_l0, weight_hh_l0: Parameter (hidden_size, input_size) and (hidden_size, hidden_size); all weights are
            uniform in +-1 / sqrt(hidden_size)
        bias_ih_l0, bias_hh_l0: Parameter (hidden_size,), or None
        weight_ih_l0_reverse, weight_ih_l1, ...: those of the other direction and of the layers above
    Raises:
        ValueError: x or hx do not fit; the message shows the shapes.
    Example:
        >>> output, h = nn.RNN(8, 4)(np.zeros((5, 8), np.float32))  # one sequence
        >>> output.shape, h.shape
        ((5, 4), (1, 4))

    Source: Elman, 1990, "Finding structure in time".
    """

    _parts, _function = 1, staticmethod(F.rnn)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        nonlinearity = _check.one_of("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        self.nonlinearity = nonlinearity

    def _settings(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}


class _Cell(_OfCell):
    """One layer, one step."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool) -> None:
        super().__init__()
        self._set_sizes(input_size, hidden_size, bias)
        self._add_weights(self.input_size)

    def _settings(self) -> dict[str, Any]:
        """Of the function."""
        return {}

    def forward(self, x: Any, hx: Any = None) -> Any:
        """The states after the step with input `x`, from the states `hx`."""
        array = self._sequence(x, (1, 2))
        states = self._given_states(hx, array, (*array.shape[:-1], self.hidden_size))
        if array.ndim == 1:
            x, states = x[None], [state[None] for state in states]
        _, *after = self._run(x[None], states, **self._settings())
        if array.ndim == 1:
            after = [state[0] for state in after]
        return after[0] if len(after) == 1 else tuple(after)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class LSTMCell(_Cell):
    """One step of `LSTM` with one layer.

    i, f, o = sigmoid(W_i x + b_i + W_h h + b_h),  g = tanh(...),  c = f * c + i * g,  h = o * tanh(c)

    Args:
        input_size: features of the input.
        hidden_size: features of the states.
        bias: whether to add biases.
    Shape:
        - Input: x (N, input_size) or (input_size,), float32 or float64; and, if the states are not zeros, hx = (h, c),
          each (N, hidden_size) or (hidden_size,)
        - Output: (h, c), in these shapes
    Attributes:
        weight_ih, weight_hh: Parameter (4 * hidden_size, input_size) and (4 * hidden_size, hidden_size), those of
            i, f, g, o one above the other, uniform in +-1 / sqrt(hidden_size)
        bias_ih, bias_hh: Parameter (4 * hidden_size,), from the same distribution, or None
    Raises:
        ValueError: x or hx do not fit; the message shows the shapes.
    Example:
        >>> h, c = nn.LSTMCell(8, 4)(np.zeros((3, 8), np.float32))
        >>> h.shape, c.shape
        ((3, 4), (3, 4))

    Source: Hochreiter and Schmidhuber, 1997, "Long short-term memory".
    """

    _parts, _states, _function = 4, ("h", "c"), staticmethod(F.lstm)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, bias)


class GRUCell(_Cell):
    """One step of `GRU` with one layer.

    r, z = sigmoid(W_i x + b_i + W_h h + b_h),  n = tanh(W_in x + b_in + r * (W_hn h + b_hn)),  h = (1 - z) * n + z * h

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether to add biases.
    Shape:
        - Input: x (N, input_size) or (input_size,), float32 or float64; and, if the state is not zeros, hx
          (N, hidden_size) or (hidden_size,)
        - Output: h, in this shape
    Attributes:
        weight_ih, weight_hh: Parameter (3 * hidden_size, input_size) and (3 * hidden_size, hidden_size), those of
            r, z, n one above the other, uniform in +-1 / sqrt(hidden_size)
        bias_ih, bias_hh: Parameter (3 * hidden_size,), from the same distribution, or None
    Raises:
        ValueError: x or hx do not fit; the message shows the shapes.
    Example:
        >>> nn.GRUCell(8, 4)(np.zeros((3, 8), np.float32)).shape
        (3, 4)

    Source: Cho et al., 2014, "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation".
    """

    _parts, _function = 3, staticmethod(F.gru)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, bias)


class RNNCell(_Cell):
    """One step of `RNN` with one layer: h = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether to add biases.
        nonlinearity: 'tanh' or 'relu', applied to the sum.
    Shape:
        - Input: x (N, input_size) or (input_size,), float32 or float64; and, if the state is not zeros, hx
          (N, hidden_size) or (hidden_size,)
        - Output: h, in this shape
    Attributes:
        weight_ih, weight_hh: Parameter (hidden_size, input_size) and (hidden_size, hidden_size), uniform in
            +-1 / sqrt(hidden_size)
        bias_ih, bias_hh: Parameter (hidden_size,), from the same distribution, or None
    Raises:
        ValueError: x or hx do not fit; the message shows the shapes.
    Example:
        >>> nn.RNNCell(8, 4, nonlinearity="relu")(np.zeros(8, np.float32)).shape
        (4,)

    Source: Elman, 1990, "Finding structure in time".
    """

    _parts, _function = 1, staticmethod(F.rnn)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh") -> None:
        nonlinearity = _check.one_of("RNNCell", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = nonlinearity

    def _settings(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}
