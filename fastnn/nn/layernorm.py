"""The layer normalisation layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["LayerNorm"]


class LayerNorm(Module):
    """Normalise over the last axes, each sample by itself; training and evaluation do not differ.

    y = (x - mean) / sqrt(variance + eps) * weight + bias, mean and (biased) variance over the last axes.

    Args:
        normalized_shape: the sizes of the axes that are normalised together, one number or several.
        eps: added to the variance.
        elementwise_affine: whether to learn a weight for each element.
        bias: whether to learn a bias, too.
    Shape:
        - Input, output: (..., *normalized_shape), float32 or float64
    Attributes:
        weight: Parameter normalized_shape, ones, or None
        bias: Parameter normalized_shape, zeros, or None
    Raises:
        ValueError: the input does not fit; the message shows the shapes.
    Example:
        >>> nn.LayerNorm(2, eps=0.0)(np.array([[1.0, 3.0], [10.0, 30.0]], np.float32)).tolist()
        [[-1.0, 1.0], [-1.0, 1.0]]

    Source: Ba, Kiros and Hinton, 2016, "Layer normalization".
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.normalized_shape = _check.integers("LayerNorm", "normalized_shape", normalized_shape, 1)
        self.eps = _check.epsilon("LayerNorm", eps)
        self.elementwise_affine = _check.boolean("LayerNorm", "elementwise_affine", elementwise_affine)
        has_bias = _check.boolean("LayerNorm", "bias", bias) and self.elementwise_affine
        shape = self.normalized_shape
        _check.fits_memory("LayerNorm", "a weight", shape)
        self.register_parameter("weight", Parameter(np.ones(shape, np.float32)) if self.elementwise_affine else None)
        self.register_parameter("bias", Parameter(np.zeros(shape, np.float32)) if has_bias else None)

    def forward(self, x: NDArray) -> NDArray:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).y

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
