"""Batch normalisation layers."""

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _runtime
from fastnn import functional as F
from fastnn.functional._conv2d_plan import Norm
from fastnn.functional.batchnorm import normalize
from fastnn.nn._memo import Memo
from fastnn.nn.conv2d import Conv2d
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d"]


class _BatchNorm(Module):
    """The layers below differ in the number of axes of their input only."""

    _kept_for_backward = ("_x", "_y", "_after")
    _noted_for_backward = ("_mean", "_invstd", "_used_batch", "_activation")
    _found_once = ("_norm",)

    _ranks: tuple[int, ...]
    running_mean: NDArray | None
    running_var: NDArray | None
    num_batches_tracked: NDArray | None

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
        return self.forward_then(x)

    def forward_then(self, x: NDArray, activation: str | None = None, residual: NDArray | None = None) -> NDArray:
        """activation(forward(x) + residual) in one pass, see `functional.batch_norm_activation`."""
        x = _check.floats(type(self).__name__, "x", x, self._ranks)
        if x.shape[1] != self.num_features:
            reason = f"x has {x.shape[1]} channels, num_features is {self.num_features}"
            raise _check.fail(type(self).__name__, reason, x=x)
        parameters, buffers = self._parameters, self._buffers  # reading or assigning attributes takes its time
        weight, bias = parameters["weight"], parameters["bias"]
        training, running_mean, batches = self.training, buffers["running_mean"], buffers["num_batches_tracked"]
        use_batch = training or running_mean is None
        momentum = self.momentum
        if training and batches is not None and x.size:
            batches = np.asarray(batches + 1, np.int64)
        if momentum is None:  # every batch so far has the same weight
            momentum = 0.0 if batches is None else 1 / max(1, int(batches))
        result = normalize(
            type(self).__name__, x, running_mean, buffers["running_var"],
            None if weight is None else weight.data, None if bias is None else bias.data,
            use_batch, momentum, self.eps, activation, residual,
        )  # fmt: skip
        if training:
            buffers["running_mean"], buffers["running_var"] = result.running_mean, result.running_var
            buffers["num_batches_tracked"] = batches
        vars(self).update(
            _x=x, _mean=result.mean, _invstd=result.invstd, _used_batch=use_batch, _activation=activation,
            _y=None if residual is None else result.y, _after=None,
        )  # fmt: skip
        return result.y

    def forward_after(
        self, conv: Conv2d, x: NDArray, activation: str | None = None, residual: NDArray | None = None
    ) -> NDArray:
        """forward_then(conv(x), activation, residual); with running statistics, in one pass over memory.

        Then what a backward needs is not kept, but computed again if there is one.
        """
        norm = self._constants(conv, activation)
        if norm is None:
            return self.forward_then(conv.forward(x), activation, residual)
        self.forget()
        y = conv.forward_norm(x, norm, residual)
        own = vars(self)  # assigning attributes takes its time
        own["_after"] = conv, x, residual
        own["_activation"], own["_y"] = activation, None if residual is None else y
        return y

    def _repeat(self, conv: Conv2d, x: NDArray, residual: NDArray | None) -> None:
        """What `forward_after` did, keeping what a backward needs."""
        training, self.training = self.training, False
        try:
            self.forward_then(conv.forward(x), self._activation, residual)
        finally:
            self.training = training

    def _constants(self, conv: Conv2d, activation: str | None) -> Norm | None:
        """What a convolution needs to normalise its result itself; None if it cannot."""
        mean, variance = self._buffers["running_mean"], self._buffers["running_var"]
        if self.training or mean is None or variance is None or _runtime.uses_reference():
            return None
        own, filters = self._parameters, conv.weight.data
        weight, bias = (None if p is None else p.data for p in (own["weight"], own["bias"]))
        key = id(mean), id(variance), id(weight), id(bias), id(filters), self.eps, activation
        known = vars(self).get("_norm")
        if known is not None and known.key == key:
            return known.value
        for array in (mean, variance, weight, bias):
            if array is not None and (
                array.dtype != filters.dtype or array.shape != filters.shape[:1] or not array.flags.c_contiguous
            ):
                return None
        norm = Norm(mean, variance, weight, bias, self.eps, activation)
        vars(self)["_norm"] = Memo(key, filters, norm)
        return norm

    def backward(self, dy: NDArray) -> NDArray | None:
        return self.backward_then(dy)[0]

    def backward_then(self, dy: NDArray) -> tuple[NDArray | None, NDArray | None]:
        """Gradients of the arguments x and residual of `forward_then`."""
        if self._after is not None:
            self._repeat(*self._after)
        weight, bias = self._parameters["weight"], self._parameters["bias"]
        dx, dweight, dbias, dresidual = F.batch_norm_activation_backward(
            dy, self._x, self._mean, self._invstd,
            None if weight is None else weight.data, None if bias is None else bias.data,
            self._used_batch, self._activation, self._y,
            need_dx=self.input_grad,
        )  # fmt: skip
        if weight is not None:
            weight.add_grad(dweight)
        if bias is not None:
            bias.add_grad(dbias)
        return dx, dresidual

    @property
    def last_activation(self) -> str | None:
        """What the last forward applied to its result."""
        return self._activation

    @property
    def last_had_residual(self) -> bool:
        """Whether the last forward added a residual."""
        return self._y is not None

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
        num_features: C.
        eps: added to the variance.
        momentum: weight of a batch in the running statistics; None for their mean over all batches. Some courses call
            one minus this the momentum.
        affine: whether there are a weight and a bias.
        track_running_stats: whether there are running statistics; without them, `eval()` uses those of the batch, too.
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
        affine: whether there are a weight and a bias.
        track_running_stats: whether there are running statistics; without them, `eval()` uses those of the batch, too.
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
