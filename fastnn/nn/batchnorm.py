"""Batch normalisation layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn.autograd.deferred import may_wait
from fastnn.functional.batchnorm import BatchNorm as Normalization
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d"]


class _BatchNorm(Module):
    """The layers below differ in the number of axes of their input only."""

    _ranks: tuple[int, ...]
    running_mean: NDArray | None
    running_var: NDArray | None
    num_batches_tracked: NDArray | None

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.num_features = _check.integer(name, "num_features", num_features, 1, _check.MOST_SETTING)
        self.eps = _check.epsilon(name, eps)
        self.momentum = None if momentum is None else _check.number(name, "momentum", momentum, 0, 1)
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
            self.num_batches_tracked = np.zeros((), np.int64)

    def forward(self, x: NDArray) -> NDArray:
        return self.normalize(x)

    def statistics(self) -> tuple[Any, Any, Any, Any]:
        """Running mean and variance, weight and bias; any may be None."""
        own, buffers = self._parameters, self._buffers
        return buffers["running_mean"], buffers["running_var"], own["weight"], own["bias"]

    def normalize(self, x: NDArray, activation: str | None = None, residual: NDArray | None = None) -> NDArray:
        """activation(forward(x) + residual) in one pass, see `functional.batch_norm_activation`."""
        name = type(self).__name__
        array = _check.channels(name, x, self._ranks, "num_features", self.num_features)
        parameters, buffers = self._parameters, self._buffers  # reading or assigning attributes takes its time
        training, running_mean, batches = self.training, buffers["running_mean"], buffers["num_batches_tracked"]
        momentum = self.momentum
        if training and batches is not None and array.size:
            batches = np.asarray(batches + 1, np.int64)
        if momentum is None:  # every batch so far has the same weight
            momentum = 0.0 if batches is None else 1 / max(1, int(batches))
        of_batch = training or running_mean is None
        operation = Normalization(name, running_mean, buffers["running_var"], of_batch, momentum, self.eps, activation)
        weight, bias = parameters["weight"], parameters["bias"]
        if activation is None and residual is None and of_batch and array.size and may_wait(x):
            result = operation.later(x, weight, bias)
        else:
            result = operation.of(x, weight, bias, residual)
        if training:
            buffers["running_mean"], buffers["running_var"] = result.running_mean, result.running_var
            buffers["num_batches_tracked"] = batches
        return result.y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Normalise every feature over the batch (and over the positions of a sequence).

    y[n, c] = (x[n, c] - mean[c]) / sqrt(variance[c] + eps) * weight[c] + bias[c]

    In training, mean and (biased) variance are those of the batch, and the running ones move towards them; after
    `eval()`, they are the running ones.

    Args:
        num_features: the number of features, C.
        eps: added to the variance.
        momentum: weight of a batch in the running statistics; None for their mean over all batches. Some courses call
            one minus this the momentum.
        affine: whether to learn a weight and a bias for each channel.
        track_running_stats: whether to keep running statistics; without them, `eval()` uses those of the batch, too.
    Shape:
        - Input, output: (N, C) or (N, C, L), float32 or float64
    Attributes:
        weight, bias: Parameter (C,), ones and zeros, or None
        running_mean, running_var: buffers (C,), zeros and ones at first, or None; the variance is the unbiased one
        num_batches_tracked: buffer (), int64, or None
    Raises:
        ValueError: the input does not fit; in training, there is only one value per feature.
    Example:
        >>> nn.BatchNorm1d(1, eps=0.0)(np.array([[1.0], [3.0]], np.float32)).tolist()
        [[-1.0], [1.0]]

    Source: Ioffe and Szegedy, 2015, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift"; conventions: PyTorch's.
    """

    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalise every channel over the batch and all pixels.

    y[n, c, i, j] = (x[n, c, i, j] - mean[c]) / sqrt(variance[c] + eps) * weight[c] + bias[c]

    Mean, variance, arguments and attributes are those of `BatchNorm1d`.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.
        momentum: weight of a batch in the running statistics; None for their mean over all batches.
        affine: whether to learn a weight and a bias for each channel.
        track_running_stats: whether to keep running statistics; without them, `eval()` uses those of the batch, too.
    Shape:
        - Input, output: (N, C, H, W), float32 or float64
    Raises:
        ValueError: the input does not fit; in training, there is only one value per channel.
    Example:
        >>> layer = nn.BatchNorm2d(3)
        >>> layer(np.ones((2, 3, 4, 4), np.float32)).shape, list(layer.state_dict())[2:]
        ((2, 3, 4, 4), ['running_mean', 'running_var', 'num_batches_tracked'])

    Source: Ioffe and Szegedy, 2015, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift"; conventions: PyTorch's.
    """

    _ranks = (4,)
