"""The activation Mish."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.reference.activation import sigmoid

__all__ = ["mish", "mish_backward"]


def mish(x: NDArray) -> NDArray:
    """y = x * tanh(log(1 + exp(x)))"""
    with np.errstate(invalid="ignore"):  # -infinity * 0 is NaN
        return x * np.tanh(np.logaddexp(x, 0))


def mish_backward(dy: NDArray, x: NDArray) -> NDArray:
    """dx = dy * (t + x * (1 - t^2) * sigmoid(x)) with t = tanh(log(1 + exp(x)))"""
    with np.errstate(invalid="ignore"):
        t = np.tanh(np.logaddexp(x, 0))
        return dy * (t + x * ((1 - t) * (1 + t)) * sigmoid(x))
