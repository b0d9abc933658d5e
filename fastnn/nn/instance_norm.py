"""Instance normalisation layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["InstanceNorm1d", "InstanceNorm2d"]


class _InstanceNorm(Module):
    """The layers below differ in the number of axes of their input only."""

    _ndim: int
    running_mean: NDArray | None
    running_var: NDArray | None
    num_batches_tracked: NDArray | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.num_features = _check.integer(name, "num_features", num_features, 1, _check.MOST_SETTING)
        self.eps = _check.epsilon(name, eps)
        self.momentum = _check.number(name, "momentum", momentum, 0, 1)
        self.affine = _check.boolean(name, "affine", affine)
        self.track_running_stats = _check.boolean(name, "track_running_stats", track_running_stats)
        _check.fits_memory(name, "a weight", (self.num_features,))
        self.register_parameter("weight", Parameter(np.ones(num_features, np.float32)) if self.affine else None)
        self.register_parameter("bias", Parameter(np.zeros(num_features, np.float32)) if self.affine else None)
        tracks = self.track_running_stats
        self.register_buffer("running_mean", np.zeros(num_features, np.float32) if tracks else None)
        self.register_buffer("running_var", np.ones(num_features, np.float32) if tracks else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if tracks else None)

    def reset_running_stats(self) -> None:
        """Forget the running statistics."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean = np.zeros_like(self.running_mean)
            self.running_var = np.ones_like(self.running_var)

    def forward(self, x: Any) -> Any:
        name = type(self).__name__
        array = _check.channels(name, x, (self._ndim,), "num_features", self.num_features)
        uses_own = self.training or self.running_mean is None
        if uses_own and array.size and array[0, 0].size == 1:
            raise _check.fail(name, "one pixel has no variance: x needs several in each channel", x=array)
        moves = self.training and self.running_mean is not None
        mean, var = (self.running_mean, self.running_var) if moves or not uses_own else (None, None)
        result = F.instance_norm(x, mean, var, self.weight, self.bias, uses_own, self.momentum, self.eps)
        if moves:
            self.running_mean, self.running_var = result.running_mean, result.running_var
        return result.y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalise every channel of every sequence over its positions.

    y[n, c] = (x[n, c] - mean[n, c]) / sqrt(variance[n, c] + eps) * weight[c] + bias[c], with the biased variance.

    With track_running_stats, running statistics move towards the mean of those of a batch in training, and are used
    after `eval()`; without them, training and evaluation do not differ.

    Args:
        num_features: the number of features, C.
        eps: added to the variance.
        momentum: weight of a batch in the running statistics.
        affine: whether to learn a weight and a bias for each channel.
        track_running_stats: whether to keep running statistics.
    Shape:
        - Input, output: (N, C, L), float32 or float64
    Attributes:
        weight, bias: Parameter (C,), ones and zeros, or None
        running_mean, running_var: buffers (C,), zeros and ones at first, or None; the variance is the unbiased one
        num_batches_tracked: buffer (), int64, or None; PyTorch has it, and does not count either
    Raises:
        ValueError: the input does not fit; there is only one position.
    Example:
        >>> nn.InstanceNorm1d(1, eps=0.0)(np.array([[[1.0, 3.0]], [[10.0, 30.0]]])).tolist()
        [[[-1.0, 1.0]], [[-1.0, 1.0]]]

    Source: Ulyanov et al., 2016, "Instance normalization: the missing ingredient for fast stylization".
    """

    _ndim = 3


class InstanceNorm2d(_InstanceNorm):
    """Normalise every channel of every image over its pixels.

    y[n, c, i, j] = (x[n, c, i, j] - mean[n, c]) / sqrt(variance[n, c] + eps) * weight[c] + bias[c]

    Statistics, arguments and attributes are those of `InstanceNorm1d`.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.
        momentum: weight of a batch in the running statistics.
        affine: whether to learn a weight and a bias for each channel.
        track_running_stats: whether to keep running statistics.
    Shape:
        - Input, output: (N, C, H, W), float32 or float64
    Raises:
        ValueError: the input does not fit; there is only one pixel.
    Example:
        >>> layer = nn.InstanceNorm2d(3, affine=True)
        >>> layer(np.ones((2, 3, 4, 4), np.float32)).shape, list(layer.state_dict())
        ((2, 3, 4, 4), ['weight', 'bias'])

    Source: Ulyanov et al., 2016, "Instance normalization: the missing ingredient for fast stylization".
    """

    _ndim = 4
