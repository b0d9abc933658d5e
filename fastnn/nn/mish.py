"""The activation layer Mish."""

from typing import Any

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.module import Module

__all__ = ["Mish"]


class Mish(Module):
    """y = x * tanh(log(1 + exp(x))).

    Args:
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
    Example:
        >>> nn.Mish()(np.array([0.0, 1.0])).round(4)
        array([0.    , 0.8651])

    Source: Misra, 2019, "Mish: a self regularized non-monotonic activation function".
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        _check.boolean("Mish", "inplace", inplace)

    def forward(self, x: Any) -> Any:
        return F.mish(x)
