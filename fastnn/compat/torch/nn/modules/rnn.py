"""Recurrent networks."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from fastnn import nn as array
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.linear import redraw
from fastnn.compat.torch.nn.modules.module import Module, made

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

__getattr__ = missing(__name__, ABSENT)


class RNNBase(Module):
    """What the recurrent networks have in common."""

    mode: ClassVar[str]
    proj_size = 0

    def reset_parameters(self) -> None:
        redraw(self, 1 / math.sqrt(self.hidden_size))

    def flatten_parameters(self) -> None:
        """Nothing: the weights lie as they are used."""

    @property
    def _flat_weights(self) -> list[Any]:
        return [weight for weights in self.all_weights for weight in weights]

    @property
    def all_weights(self) -> list[list[Any]]:
        layers = range(self.num_layers)
        return [
            [self._parameters[name + suffix] for name in names if self._parameters.get(name + suffix) is not None]
            for suffix in (f"_l{layer}{direction}" for layer in layers for direction in self._directions)
            for names in [("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        ]


def _taking_packed(base: Any) -> Callable[..., Any]:
    """The forward of a layer of fastnn's, which takes a `PackedSequence`, too."""

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        if not isinstance(input, tuple):
            return base.forward(self, input, hx)
        from fastnn.compat.torch.nn.utils.rnn import run_packed

        return run_packed(partial(base.forward, self), self.batch_first, input, hx)

    return forward


class LSTM(array.LSTM, RNNBase):
    """Long short-term memory"""

    mode = "LSTM"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
        super().__init__(*args, **kwargs)
        made(self, device, dtype)

    forward = _taking_packed(array.LSTM)


class GRU(array.GRU, RNNBase):
    """Gated recurrent units"""

    mode = "GRU"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
        super().__init__(*args, **kwargs)
        made(self, device, dtype)

    forward = _taking_packed(array.GRU)


class RNN(array.RNN, RNNBase):
    """Units whose state is the tanh, or relu, of a sum"""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
        super().__init__(*args, **kwargs)
        made(self, device, dtype)

    forward = _taking_packed(array.RNN)

    @property
    def mode(self) -> str:  # type: ignore[override]
        return f"RNN_{self.nonlinearity.upper()}"


class RNNCellBase(Module):
    """What one step of the recurrent networks has in common."""

    def reset_parameters(self) -> None:
        redraw(self, 1 / math.sqrt(self.hidden_size))


class LSTMCell(array.LSTMCell, RNNCellBase):
    """One step of an LSTM"""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        made(self, device, dtype)


class GRUCell(array.GRUCell, RNNCellBase):
    """One step of a GRU"""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        made(self, device, dtype)


class RNNCell(array.RNNCell, RNNCellBase):
    """One step of an RNN"""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, nonlinearity)
        made(self, device, dtype)

    def extra_repr(self) -> str:
        words = super().extra_repr()
        return words if self.nonlinearity == "tanh" else f"{words}, nonlinearity={self.nonlinearity}"
