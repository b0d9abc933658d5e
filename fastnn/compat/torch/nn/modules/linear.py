"""Products with matrices."""

import math
from typing import Any

import numpy as np

from fastnn import nn as array
from fastnn._random import generator
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.nn import functional as F
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.lazy import LazyModuleMixin, unseen
from fastnn.compat.torch.nn.modules.module import Module, made
from fastnn.compat.torch.nn.parameter import Parameter, UninitializedParameter

__all__ = ["Bilinear", "Identity", "LazyLinear", "Linear", "NonDynamicallyQuantizableLinear", "redraw"]

__getattr__ = missing(__name__, ABSENT)


def redraw(module: Any, bound: float) -> None:
    """Let all parameters of a module be uniform in [-bound, bound], as when it was made."""
    for parameter in module._parameters.values():
        if parameter is not None:
            parameter._data[...] = generator().uniform(-bound, bound, parameter._data.shape)
            parameter.written()


def drawn(shape: tuple[int, ...], bound: float) -> Parameter:
    """A parameter that is uniform in [-bound, bound]."""
    return Parameter(new(generator().uniform(-bound, bound, shape).astype(np.float32)))


class Identity(array.Identity, Module):
    """x"""


class Linear(array.Linear, Module):
    """x @ weight.T + bias"""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(in_features, out_features, bool(bias))
        made(self, device, dtype)

    def reset_parameters(self) -> None:
        redraw(self, 1 / math.sqrt(self.in_features))


class LazyLinear(LazyModuleMixin, Linear):
    """A `Linear` that takes in_features from its first input."""

    cls_to_become = Linear
    _weight_in_memory = (1, 0)

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        with unseen():
            super().__init__(1, out_features, False)
        self.in_features = 0
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Any) -> None:
        if self.has_uninitialized_params():
            self.in_features = input.shape[-1]
            self._materialize("weight", (self.out_features, self.in_features))
            if self.bias is not None:
                self._materialize("bias", (self.out_features,))
            self.reset_parameters()
        if self.in_features == 0:  # the weight was loaded
            if input.shape[-1] != self.weight.shape[-1]:
                raise AssertionError(
                    f"The in_features inferred from input: {input.shape[-1]} is not equal to in_features from "
                    f"self.weight: {self.weight.shape[-1]}"
                )
            self.in_features = input.shape[-1]


class NonDynamicallyQuantizableLinear(Linear):
    """What PyTorch calls the last layer of an attention"""


class Bilinear(Module):
    """y[k] = x1 @ weight[k] @ x2 + bias[k]"""

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        bound = 1 / math.sqrt(in1_features)
        self.weight = drawn((out_features, in1_features, in2_features), bound)
        self.register_parameter("bias", drawn((out_features,), bound) if bias else None)
        made(self, device, dtype)

    def reset_parameters(self) -> None:
        redraw(self, 1 / math.sqrt(self.in1_features))

    def forward(self, input1: Any, input2: Any) -> Any:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
