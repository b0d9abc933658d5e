"""The layer that divides by the root of the mean square."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["RMSNorm"]


class RMSNorm(Module):
    """Divide by the root of the mean square over the last axes; training and evaluation do not differ.

    y = x / sqrt(mean of x^2 + eps) * weight

    Args:
        normalized_shape: the sizes of the axes that are normalised together, one number or several.
        eps: added to the mean square; None for the machine epsilon of the dtype of x.
        elementwise_affine: whether to learn a weight for each element.
    Shape:
        - Input, output: (..., *normalized_shape), float32 or float64
    Attributes:
        weight: Parameter normalized_shape, ones, or None
    Raises:
        ValueError: the input does not fit; the message shows the shapes.
    Example:
        >>> nn.RMSNorm(2)(np.array([[1.0, 1.0], [-30.0, 30.0]], np.float32)).round(4).tolist()
        [[1.0, 1.0], [-1.0, 1.0]]

    Source: Zhang and Sennrich, 2019, "Root mean square layer normalization".
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        super().__init__()
        self.normalized_shape = _check.integers("RMSNorm", "normalized_shape", normalized_shape, 1)
        self.eps = None if eps is None else _check.epsilon("RMSNorm", eps)
        self.elementwise_affine = _check.boolean("RMSNorm", "elementwise_affine", elementwise_affine)
        shape = self.normalized_shape
        _check.fits_memory("RMSNorm", "a weight", shape)
        self.register_parameter("weight", Parameter(np.ones(shape, np.float32)) if self.elementwise_affine else None)

    def forward(self, x: NDArray) -> NDArray:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
