"""The fully connected layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn._random import generator
from fastnn.autograd.tape import run
from fastnn.functional.linear import Linear as Operation
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["Linear"]


class Linear(Module):
    """y = x @ weight.T + bias, for every row of features in the last axis.

    Args:
        in_features: features of the input.
        out_features: features of the output.
        bias: whether to add one.
    Shape:
        - Input: (..., in_features), float32 or float64
        - Output: (..., out_features)
    Attributes:
        weight: Parameter (out_features, in_features), uniform in +-1 / sqrt(in_features)
        bias: Parameter (out_features,), from the same distribution, or None
    Raises:
        ValueError: the input does not fit; the message shows the shapes.
    Example:
        >>> nn.Linear(8, 3)(np.zeros((2, 8), np.float32)).shape
        (2, 3)

    Source: PyTorch's definition.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = _check.integer("Linear", "in_features", in_features, 1)
        self.out_features = _check.integer("Linear", "out_features", out_features, 1)
        has_bias = _check.boolean("Linear", "bias", bias)
        _check.fits_memory("Linear", "a weight", (self.out_features, self.in_features))
        bound = 1 / np.sqrt(in_features)
        # The transpose of the public shape in memory: so lie the columns of the product that it is used in.
        draw = generator().uniform(-bound, bound, (out_features, in_features))
        self.weight = Parameter(np.ascontiguousarray(draw.T, np.float32).T)
        self.bias = Parameter(generator().uniform(-bound, bound, out_features).astype(np.float32)) if has_bias else None

    def forward(self, x: NDArray) -> NDArray:
        own = self._parameters  # reading attributes takes its time
        return run(Operation(), x, own["weight"], own.get("bias"))

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
