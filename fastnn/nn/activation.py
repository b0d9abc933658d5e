"""Pointwise activation layers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.functional.activation import bend
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["ELU", "GELU", "LeakyReLU", "PReLU", "ReLU", "SiLU", "Sigmoid", "Softplus", "Tanh"]


class ReLU(Module):
    """y = max(x, 0).

    Args:
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.ReLU()(np.array([-1.0, 3.0]))
        array([0., 3.])

    Source: Nair and Hinton, 2010, "Rectified linear units improve restricted Boltzmann machines".
    """

    _function: ClassVar = "relu"  # for `_joining`

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        _check.boolean("ReLU", "inplace", inplace)

    def forward(self, x: NDArray) -> NDArray:
        return F.relu(x)


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope * x.

    Args:
        negative_slope: the slope left of 0.
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.LeakyReLU(0.5)(np.array([-1.0, 3.0]))
        array([-0.5,  3. ])

    Source: Maas et al., 2013, "Rectifier nonlinearities improve neural network acoustic models".
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = _check.number("LeakyReLU", "negative_slope", negative_slope, finite=True)
        _check.boolean("LeakyReLU", "inplace", inplace)

    def forward(self, x: NDArray) -> NDArray:
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope!r}"


class PReLU(Module):
    """y = x where x > 0, else weight * x, with learned weights.

    Args:
        num_parameters: 1, or the number of channels for a weight of its own for each.
        init: the first value of all weights.
    Shape:
        - Input, output: any, float32 or float64; the channels are axis 1
    Attributes:
        weight: Parameter (num_parameters,), filled with init
    Raises:
        ValueError: the input has another number of channels; the message shows the shapes.
    Example:
        >>> nn.PReLU(init=0.5)(np.array([[-1.0, 3.0]], np.float32))
        array([[-0.5,  3. ]], dtype=float32)

    Source: He et al., 2015, "Delving deep into rectifiers".
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.num_parameters = _check.integer("PReLU", "num_parameters", num_parameters, 1)
        _check.fits_memory("PReLU", "a weight", (self.num_parameters,))
        slope = _check.number("PReLU", "init", init, finite=True)
        self.weight = Parameter(np.full(num_parameters, slope, np.float32))

    def forward(self, x: NDArray) -> NDArray:
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(Module):
    """y = x where x > 0, else alpha * (exp(x) - 1).

    Args:
        alpha: minus the limit at -infinity.
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.ELU(2.0)(np.array([-np.inf, 3.0]))
        array([-2.,  3.])

    Source: Clevert et al., 2016, "Fast and accurate deep network learning by exponential linear units".
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = _check.number("ELU", "alpha", alpha, finite=True)
        _check.boolean("ELU", "inplace", inplace)

    def forward(self, x: NDArray) -> NDArray:
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha!r}"


class GELU(Module):
    """y = x * P(z < x) for a standard normal z.

    Args:
        approximate: 'none', or 'tanh' for x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        ValueError: approximate is neither.
    Example:
        >>> nn.GELU()(np.array([0.0, 3.0])).round(4)
        array([0.   , 2.996])

    Source: Hendrycks and Gimpel, 2016, "Gaussian error linear units (GELUs)".
    """

    _function: ClassVar = "gelu"  # for `_joining`

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = _check.one_of("GELU", "approximate", approximate, ("none", "tanh"))

    def forward(self, x: NDArray) -> NDArray:
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """y = x * sigmoid(x), also known as swish.

    Args:
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.SiLU()(np.array([0.0, 1.0])).round(4)
        array([0.    , 0.7311])

    Source: Elfwing et al., 2018, "Sigmoid-weighted linear units for neural network function approximation in
    reinforcement learning".
    """

    _function: ClassVar = "silu"  # for `_joining`

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        _check.boolean("SiLU", "inplace", inplace)

    def forward(self, x: NDArray) -> NDArray:
        return F.silu(x)


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x)).

    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.Sigmoid()(np.array([-np.inf, 0.0]))
        array([0. , 0.5])

    Source: PyTorch's definition.
    """

    def forward(self, x: NDArray) -> NDArray:
        return F.sigmoid(x)


class Tanh(Module):
    """y = tanh(x).

    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.Tanh()(np.array([0.0, np.inf]))
        array([0., 1.])

    Source: PyTorch's definition.
    """

    def forward(self, x: NDArray) -> NDArray:
        return F.tanh(x)


class Softplus(Module):
    """y = log(1 + exp(beta * x)) / beta, a smooth ReLU.

    Args:
        beta: sharpness of the bend.
        threshold: where beta * x is above it, y is x.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.Softplus()(np.array([0.0, 30.0])).round(4)
        array([ 0.6931, 30.    ])

    Source: Dugas et al., 2001, "Incorporating second-order functional knowledge for better option pricing".
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = bend("Softplus", beta, threshold)

    def forward(self, x: NDArray) -> NDArray:
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta!r}, threshold={self.threshold!r}"
