"""The local response normalisation layer."""

from __future__ import annotations

from numpy.typing import NDArray

from fastnn import functional as F
from fastnn.functional.local_response_norm import settings_of
from fastnn.nn.module import Module

__all__ = ["LocalResponseNorm"]


class LocalResponseNorm(Module):
    """Divide each value by a power of the mean square of its neighbours in other channels.

    y[n, c, i, j] = x[n, c, i, j] / (k + alpha / size * sum over c' of x[n, c', i, j]^2)^beta

    where c' runs from c - size // 2 to c + (size - 1) // 2, as far as there are channels.

    Args:
        size: how many neighbouring channels are summed.
        alpha, beta, k: constants of the formula, in which alpha is divided by `size`.
    Shape:
        - Input, output: (N, C, H, W), float32 or float64
    Raises:
        ValueError: the input does not fit; the message shows the shapes.
    Example:
        >>> nn.LocalResponseNorm(5)(np.ones((2, 8, 4, 4))).shape
        (2, 8, 4, 4)

    Source: Krizhevsky et al., 2012, "ImageNet classification with deep convolutional neural networks"; alpha / size as
    in PyTorch's definition.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = settings_of("LocalResponseNorm", size, alpha, beta, k)

    def forward(self, x: NDArray) -> NDArray:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
