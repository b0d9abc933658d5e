"""Softmax layers."""

from __future__ import annotations

from numpy.typing import NDArray

from fastnn import functional as F
from fastnn.functional.softmax import dim_argument
from fastnn.nn.module import Module

__all__ = ["LogSoftmax", "Softmax"]


class Softmax(Module):
    """y = exp(x) / sum of exp(x) along `dim`.

    Before `CrossEntropyLoss`, leave it out: that loss contains it.

    Args:
        dim: the axis along which results sum to 1; None means 0 for one or three dimensions, else 1.
    Shape:
        - Input, output: any of at least one dimension, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
        IndexError: the input has no axis `dim`.
    Example:
        >>> nn.Softmax(dim=1)(np.zeros((1, 4)))
        array([[0.25, 0.25, 0.25, 0.25]])

    Source: Bridle, 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim_argument(type(self).__name__, dim)

    def forward(self, x: NDArray) -> NDArray:
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """y = x - log(sum of exp(x) along `dim`).

    Args:
        dim: the axis, as in `Softmax`.
    Shape:
        - Input, output: any of at least one dimension, float32 or float64
    Raises:
        TypeError: the input is not float32 or float64.
        IndexError: the input has no axis `dim`.
    Example:
        >>> np.exp(nn.LogSoftmax(dim=1)(np.zeros((1, 2))))
        array([[0.5, 0.5]])

    Source: PyTorch's definition.
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim_argument(type(self).__name__, dim)

    def forward(self, x: NDArray) -> NDArray:
        return F.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
