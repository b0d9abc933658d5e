"""Pointwise activation layers."""

from numpy.typing import NDArray

from fastnn import functional as F
from fastnn.nn.module import Module

__all__ = ["ReLU"]


class ReLU(Module):
    """y = max(x, 0).

    Args:
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Example:
        >>> nn.ReLU()(np.array([-1.0, 3.0]))
        array([0., 3.])

    Source: Nair and Hinton, 2010, "Rectified linear units improve restricted Boltzmann machines".
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, x: NDArray) -> NDArray:
        self._y = F.relu(x)
        return self._y

    def backward(self, dy: NDArray) -> NDArray:
        return F.relu_backward(dy, self._y)
