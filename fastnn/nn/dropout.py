"""Dropout layers."""

from __future__ import annotations

from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.functional.dropout import probability
from fastnn.nn.module import Module

__all__ = ["Dropout", "Dropout2d"]


class Dropout(Module):
    """In training, set each element to 0 with probability p and divide the others by 1 - p; in evaluation, x itself.

    The mask is not stored: each forward pass draws a key of 64 bits, and backward computes the mask again.

    Args:
        p: the probability that an element is dropped.
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: any, float32 or float64
    Raises:
        ValueError: p does not lie in [0, 1].
    Example:
        >>> layer = nn.Dropout(0.25)
        >>> np.unique(layer(np.full(100, 3.0)))
        array([0., 4.])
        >>> layer.eval()(np.array([3.0]))
        array([3.])

    Source: Srivastava et al., 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p = probability("Dropout", p)
        _check.boolean("Dropout", "inplace", inplace)

    def forward(self, x: NDArray) -> NDArray:
        return F.dropout(x, self.p) if self.training and self.p > 0 else x

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout2d(Module):
    """In training, set whole channels to 0 with probability p and divide the others by 1 - p; in evaluation, x itself.

    Args:
        p: the probability that a channel is dropped.
        inplace: accepted for scripts written for PyTorch; results are always fresh arrays.
    Shape:
        - Input, output: (N, C, H, W), float32 or float64
    Raises:
        ValueError: p does not lie in [0, 1], or the input is not four-dimensional.
    Example:
        >>> y = nn.Dropout2d(0.5)(np.ones((2, 8, 4, 4)))
        >>> bool((y == y[:, :, :1, :1]).all())
        True

    Source: Tompson et al., 2015, "Efficient object localization using convolutional networks".
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p = probability("Dropout2d", p)
        _check.boolean("Dropout2d", "inplace", inplace)

    def forward(self, x: NDArray) -> NDArray:
        return F.dropout2d(x, self.p) if self.training and self.p > 0 else x

    def extra_repr(self) -> str:
        return f"p={self.p}"
