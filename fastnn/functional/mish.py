"""The activation Mish, made of sigmoids."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _runtime, reference
from fastnn.autograd.tape import Op, run
from fastnn.functional.activation import sigmoid

__all__ = ["mish"]


def mish(x: ArrayLike) -> Any:
    """x * tanh(log(1 + exp(x))).

    At -inf the result is NaN, as in PyTorch.

    Args:
        x: any array.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> mish(np.array([-1.0, 0.0, 1.0])).round(4)
        array([-0.3034,  0.    ,  0.8651])

    Source: Misra, 2019, "Mish: a self regularized non-monotonic activation function".
    """
    return run(Mish(), x)


class Mish(Op):
    """`mish` of x.

    With s = sigmoid(x) and w = sigmoid(-x), tanh(log(1 + exp(x))) = s * (1 + w) / (1 + w^2), of which no digits are
    lost wherever x is. Neither is kept: backward computes them again.
    """

    keeps: ClassVar = {0: "x"}
    is_exact = is_fresh = True

    def forward(self, x: Any) -> NDArray:
        if self.needs_grad:
            self.x = x
        x = _check.floats("mish", "x", x)
        if _runtime.uses_reference():
            return reference.mish(x)
        s, w = sigmoid(x), sigmoid(-x)
        with np.errstate(invalid="ignore", under="ignore"):  # -infinity * 0 is NaN
            return x * (s * (1 + w) / (1 + w * w))

    def backward(self, dy: NDArray) -> NDArray:
        x = _check.floats("mish", "x", self.x)
        if _runtime.uses_reference():
            return reference.mish_backward(dy, x)
        s, w = sigmoid(x), sigmoid(-x)
        with np.errstate(invalid="ignore", under="ignore"):
            squares = 1 + w * w
            root = 2 * w / squares  # of 1 - tanh^2
            return dy * (s * ((1 + w) / squares + x * root * root))
