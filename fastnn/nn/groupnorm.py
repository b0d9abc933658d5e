"""The group normalisation layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["GroupNorm"]


class GroupNorm(Module):
    """Normalise every group of channels of every image by itself; training and evaluation do not differ.

    y = (x - mean) / sqrt(variance + eps) * weight[c] + bias[c], mean and (biased) variance over all pixels and
    channels of the group.

    Args:
        num_groups: number of groups; divides num_channels.
        num_channels: the number of channels, C.
        eps: added to the variance.
        affine: whether to learn a weight and a bias for each channel.
    Shape:
        - Input, output: (N, C), (N, C, L) or (N, C, H, W), float32 or float64
    Attributes:
        weight, bias: Parameter (C,), ones and zeros, or None
    Raises:
        ValueError: the input does not fit; the message shows the shapes.
    Example:
        >>> nn.GroupNorm(2, 6)(np.ones((2, 6, 4, 4), np.float32)).shape
        (2, 6, 4, 4)

    Source: Wu and He, 2018, "Group normalization".
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.num_groups = _check.integer("GroupNorm", "num_groups", num_groups, 1, _check.MOST_SETTING)
        self.num_channels = _check.integer("GroupNorm", "num_channels", num_channels, 1, _check.MOST_SETTING)
        self.eps = _check.epsilon("GroupNorm", eps)
        self.affine = _check.boolean("GroupNorm", "affine", affine)
        _check.fits_memory("GroupNorm", "a weight", (self.num_channels,))
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups must divide num_channels. "
                f"Received: num_groups={num_groups}, num_channels={num_channels}"
            )
        self.register_parameter("weight", Parameter(np.ones(num_channels, np.float32)) if self.affine else None)
        self.register_parameter("bias", Parameter(np.zeros(num_channels, np.float32)) if self.affine else None)

    def forward(self, x: NDArray) -> NDArray:
        _check.channels("GroupNorm", x, (2, 3, 4), "num_channels", self.num_channels)
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps).y

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
