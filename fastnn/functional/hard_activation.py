"""Activations made of straight lines and their products.

hardtanh and relu6 are one kernel in C. The others have none: they are a few passes of NumPy, which their twins in
`fastnn.reference` write down.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, reference
from fastnn.autograd.deferred import Deferred
from fastnn.autograd.tape import Op, run
from fastnn.functional.activation import FromInput
from fastnn.functional.activation import _backward as backward

__all__ = ["hardsigmoid", "hardswish", "hardtanh", "relu6"]


class Hardtanh(FromInput):
    """hardtanh between two bounds, for the function of this name."""

    def __init__(self, name: str, low: float, high: float) -> None:
        super().__init__("hardtanh", low, high)
        self._function = name

    def forward(self, x: ArrayLike) -> NDArray:
        return super().forward(_check.floats(self._function, "x", x))


class Hard(Op):
    """The activation `name`, by its twin."""

    keeps: ClassVar = {0: "x"}
    is_exact = is_fresh = True

    def __init__(self, name: str, *parameters: float) -> None:
        self.name, self.parameters = name, parameters

    def forward(self, x: Any) -> NDArray:
        if self.needs_grad:
            self.x = x
        x = _check.floats(self.name, "x", x)
        with np.errstate(invalid="ignore"):  # infinity * 0 is NaN
            return getattr(reference, self.name)(x, *self.parameters)

    def backward(self, dy: NDArray) -> NDArray:
        x = _check.floats(self.name, "x", self.x)
        with np.errstate(invalid="ignore"):
            return getattr(reference, f"{self.name}_backward")(dy, x, *self.parameters)


def hardtanh(x: ArrayLike, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """min(max(x, min_val), max_val); the derivative at the bounds is taken as 0.

    Args:
        x: any array.
        min_val: the least value of the result.
        max_val: the largest value of the result.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        ValueError: min_val is not less than max_val.
    Example:
        >>> hardtanh(np.array([-3.0, 0.5, 3.0]))
        array([-1. ,  0.5,  1. ])

    Source: Collobert, 2004, "Large scale machine learning".
    """
    return run(Hardtanh("hardtanh", *bounds("hardtanh", min_val, max_val)), x)


def relu6(x: ArrayLike) -> Any:
    """min(max(x, 0), 6); the derivative at 0 and 6 is taken as 0.

    Args:
        x: any array.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> relu6(np.array([-1.0, 2.0, 8.0]))
        array([0., 2., 6.])

    Source: Krizhevsky, 2010, "Convolutional deep belief networks on CIFAR-10".
    """
    if isinstance(x, Deferred):
        y = x.then("relu6")
        if y is not None:
            return y
    return run(Hardtanh("relu6", 0.0, 6.0), x)


def relu6_backward(dy: NDArray, x: NDArray) -> NDArray:
    """The gradient of `relu6` with respect to x."""
    return backward("hardtanh", dy, 0.0, 6.0, x=x)


def hardsigmoid(x: ArrayLike) -> Any:
    """min(max(x + 3, 0), 6) / 6.

    Args:
        x: any array.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> hardsigmoid(np.array([-4.0, 0.0, 1.5]))
        array([0.  , 0.5 , 0.75])

    Source: Courbariaux et al., 2015, "BinaryConnect"; the slope of 1 / 6 is PyTorch's.
    """
    return run(Hard("hardsigmoid"), x)


def hardswish(x: ArrayLike) -> Any:
    """x * min(max(x + 3, 0), 6) / 6.

    At -inf the result is NaN, as in PyTorch.

    Args:
        x: any array.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> hardswish(np.array([-4.0, 1.0, 5.0])).round(4)
        array([-0.    ,  0.6667,  5.    ])

    Source: Howard et al., 2019, "Searching for MobileNetV3".
    """
    return run(Hard("hardswish"), x)


def bounds(operation: str, min_val: float, max_val: float) -> tuple[float, float]:
    """The settings of hardtanh as floats."""
    low, high = _check.number(operation, "min_val", min_val), _check.number(operation, "max_val", max_val)
    if low >= high:
        raise ValueError(
            f"{operation}: min_val must be less than max_val. Received: min_val={min_val}, max_val={max_val}"
        )
    return low, high
