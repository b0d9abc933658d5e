"""Batch normalisation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.deferred import Pending, defer, frozen, recorded
from fastnn.autograd.methods import UFUNCS
from fastnn.autograd.tape import Op, next_number, run
from fastnn.autograd.tensor import array_of
from fastnn.functional import activation, hard_activation

__all__ = ["BatchNormResult", "batch_norm", "batch_norm_backward"]


WITH_RESIDUAL = (None, "relu", "relu6")  # what can be applied to the sum of a batch norm and a residual
_BACKWARD: dict[str, Callable[[Any, Any], NDArray]] = {
    "relu": activation.relu_backward,
    "relu6": hard_activation.relu6_backward,
    "gelu": activation.gelu_backward,
    "silu": activation.silu_backward,
}


class BatchNormResult(NamedTuple):
    """What `batch_norm` returns.

    Attributes:
        y: the normalised activation.
        mean, invstd: what it was normalised with, (C,), float64; `batch_norm_backward` needs them.
        running_mean, running_var: the running statistics after this batch, or None.
    """

    y: NDArray
    mean: NDArray
    invstd: NDArray
    running_mean: NDArray | None
    running_var: NDArray | None


def _pixel_major(x: Any) -> Any:
    """`x`, copied unless its memory is the (pixels of all images, channels) matrix that the C side works on."""
    return None if x is None else _layout.images(_layout.pixels(_layout.as_images(x))).reshape(x.shape)


def _empty(x: NDArray) -> NDArray:
    """An uninitialised result of the shape of x, pixel-major in memory."""
    if x.ndim == 4:
        return _layout.empty_images(x.shape, x.dtype)
    return _layout.empty_images(_layout.as_images(x).shape, x.dtype).reshape(x.shape)


@functools.lru_cache(maxsize=1024)
def _workspace_bytes(shape: tuple[int, ...], is_double: bool) -> int:
    channels = shape[1]
    return _runtime._native.batchnorm_workspace(math.prod(shape) // channels, channels, is_double)


def _workspace(x: NDArray) -> NDArray[np.uint8]:
    return _memory.workspace(_workspace_bytes(x.shape, x.itemsize == 8))


def _moved(running: NDArray | None, batch: NDArray, momentum: float) -> NDArray | None:
    if running is None:
        return None
    return ((1 - momentum) * running.astype(np.float64) + momentum * batch).astype(running.dtype)


def _need_no_check(x: Any, values: tuple[Any, ...], images: tuple[Any, ...]) -> bool:
    """Whether C takes the arrays as they are, `values` for each channel and `images` of the shape of x; else the real
    checks follow.
    """
    return not _runtime.uses_reference() and _runtime._native.batchnorm_fits(x, values, images)


def batch_norm(
    x: ArrayLike,
    running_mean: ArrayLike | None,
    running_var: ArrayLike | None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> BatchNormResult:
    """Normalise every channel over the batch and all pixels.

    y[n, c] = (x[n, c] - mean[c]) * invstd[c] * weight[c] + bias[c],  invstd[c] = 1 / sqrt(variance[c] + eps)

    In training, mean and (biased) variance are those of x, and the running statistics move towards them:
    running = (1 - momentum) * running + momentum * batch, where the variance of the batch is the unbiased one.
    Otherwise, mean and variance are the running ones.

    The arguments are not changed: the new running statistics are part of the result.

    Args:
        x: activations.
        running_mean, running_var: running statistics; in training, None if they are not wanted.
        weight, bias: scale and offset of every channel, or None.
        training: whether to normalise with the statistics of x.
        momentum: weight of this batch in the running statistics. Several textbooks call 1 - momentum so.
        eps: added to the variance.
    Shape:
        - x: (N, C), (N, C, L) or (N, C, H, W), float32 or float64
        - running_mean, running_var, weight, bias: (C,); weight and bias of the dtype of x
        - Result: a `BatchNormResult`; y has the shape of x
    Raises:
        ValueError: shapes do not fit; training on one value per channel; running statistics are missing.
    Example:
        >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
        >>> result = batch_norm(x, np.zeros(2), np.ones(2), training=True, eps=0.0)
        >>> result.y
        array([[-1., -1.],
               [ 1.,  1.]])
        >>> result.running_mean
        array([0.2, 2. ])

    Source: Ioffe and Szegedy, 2015, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift"; conventions of the running statistics: PyTorch's.
    """
    operation = BatchNorm("batch_norm", array_of(running_mean), array_of(running_var), training, momentum, eps)
    return operation.of(x, weight, bias)


class BatchNorm(Op):
    """`batch_norm_activation` of x, weight, bias and a residual; what else it finds are attributes."""

    keeps: ClassVar = {0: "x", 1: "weight", 2: "bias"}
    is_exact = True

    def __init__(
        self,
        operation: str,
        running_mean: ArrayLike | None,
        running_var: ArrayLike | None,
        training: bool,
        momentum: float,
        eps: float,
        activation: str | None = None,
    ) -> None:
        self.operation, self.training, self.activation = operation, training, activation
        self.settings = running_mean, running_var, momentum, eps
        self.statistics: BatchNormResult | None = None  # those of x, if they have been taken
        self.affine: tuple[Any, Any] | None = None  # weight and bias as they were then, if they have changed

    def of(self, x: Any, weight: Any, bias: Any, residual: Any = None) -> BatchNormResult:
        """All results; only the first one has a gradient."""
        y = run(self, x, weight, bias, residual)
        return BatchNormResult(y, self.mean, self.invstd, self.running_mean, self.running_var)

    def later(self, x: Any, weight: Any, bias: Any) -> BatchNormResult:
        """The same for a batch of training whose statistics are taken now, and y when somebody looks at it."""
        running_mean, running_var, momentum, eps = self.settings
        statistics = normalize(
            self.operation, x._data, running_mean, running_var, array_of(weight), array_of(bias), True, momentum, eps,
            needs_y=False,
        )  # fmt: skip
        waiting = _Waiting(self, statistics, frozen(x), weight, bias)
        return statistics._replace(y=defer(waiting, x._kind))

    def forward(self, x: Any, weight: Any, bias: Any, residual: Any = None) -> NDArray:
        running_mean, running_var, momentum, eps = self.settings
        if self.statistics is None:
            y, self.mean, self.invstd, self.running_mean, self.running_var = normalize(
                self.operation, x, running_mean, running_var, weight, bias, self.training, momentum, eps,
                self.activation, residual,
            )  # fmt: skip
        else:
            _, self.mean, self.invstd, *_ = self.statistics
            if self.affine is not None:
                weight, bias = self.affine
            y = _affine(x, self.mean, self.invstd, weight, bias, self.activation, residual)
        if self.needs_grad:
            self.x, self.weight, self.bias, self.y = x, weight, bias, None
            if residual is not None:  # the activation's argument is not known from x alone
                self.y, self.keeps_result = y, True
            self.is_fresh = self.activation is not None
        return y

    def backward(self, dy: NDArray) -> Any:
        operation = f"{self.operation}_backward"
        training = self.training
        if self.activation is None:
            gradients_ = gradients(
                operation, dy, self.x, self.mean, self.invstd, self.weight, self.bias, training, self.needs_grad[0]
            )
            return (*gradients_[:3], dy)
        return gradients(
            operation, dy, self.x, self.mean, self.invstd, self.weight, self.bias, training, self.needs_grad[0],
            self.activation, self.y, need_dresidual=self.needs_grad[3],
        )  # fmt: skip


class _Waiting(Pending):
    """A batch norm in training with its statistics; or the sum of one, `base`, and a residual."""

    __slots__ = ("affine", "base", "bias", "number", "operation", "residual", "statistics", "weight", "x", "y")

    def __init__(
        self,
        operation: BatchNorm,
        statistics: BatchNormResult,
        x: Any,
        weight: Any,
        bias: Any,
        residual: Any = None,
        base: _Waiting | None = None,
    ) -> None:
        super().__init__(x._data)
        self.operation, self.statistics = operation, statistics
        self.x, self.weight, self.bias, self.residual, self.base = x, weight, bias, residual, base
        # Somebody may look after a step of the optimiser.
        self.affine = [None if values is None else array_of(values).copy() for values in (weight, bias)]
        self.number = next_number()  # gradients arrive in the order of the calls
        self.y: Any = None  # once somebody has looked

    def compute(self) -> Any:
        if self.y is None:
            y = self._run(None, None) if self.base is None else UFUNCS[np.add](self.base.compute(), self.residual)
            y._op.number = self.number
            self.y = y
        return self.y

    def then(self, activation: str) -> Any:
        if self.residual is not None and activation not in WITH_RESIDUAL:
            return None
        y = self._run(activation, self.residual)
        y._op.joined = _Joined(self, activation)
        return y

    def plus(self, residual: Any) -> Pending | None:
        if self.residual is not None:
            return None
        parts = self.operation, self.statistics, self.x, self.weight, self.bias
        joined = _Waiting(*parts, frozen(residual), self)
        joined.affine = self.affine
        return joined

    def _run(self, activation: str | None, residual: Any) -> Any:
        running_mean, running_var, momentum, eps = self.operation.settings
        name = self.operation.operation
        operation = BatchNorm(name, running_mean, running_var, True, momentum, eps, activation)
        operation.statistics = self.statistics
        now = (self.weight, self.bias)
        if not all(a is None or np.array_equal(array_of(b), a) for a, b in zip(self.affine, now, strict=True)):
            operation.affine = (self.affine[0], self.affine[1])
        return run(operation, self.x, self.weight, self.bias, residual)


class _Joined(NamedTuple):
    """An activation that was computed with what it is of."""

    argument: _Waiting
    activation: str

    def is_known(self) -> bool:
        """Whether somebody has looked at its argument, or at the batch norm in it, and may want its gradient."""
        base = self.argument.base
        return self.argument.y is not None or (base is not None and base.y is not None)

    def apart(self, dy: NDArray) -> tuple[list[Any], tuple[NDArray]]:
        """The argument's operation, and the gradient with respect to its result."""
        y = recorded(self.argument.compute)
        return [y._op], (_BACKWARD[self.activation](dy, y._data),)


def normalize(
    operation: str,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float,
    eps: float,
    activation: str | None = None,
    residual: Any = None,
    needs_y: bool = True,
) -> BatchNormResult:
    """`batch_norm`, and what `batch_norm_activation` does after it; a batch's statistics alone unless `needs_y`."""
    if not _need_no_check(x, (running_mean, running_var, weight, bias), (residual,)):
        x, running_mean, running_var, weight, bias, residual = _checked(
            operation, x, running_mean, running_var, weight, bias, residual
        )
    eps = _check.epsilon(operation, eps)
    momentum = _check.number(operation, "momentum", momentum, 0, 1)
    if training is not True and training is not False:
        training = _check.boolean(operation, "training", training)
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{operation}: running_mean and running_var must both be given or both be None")
    if training and x.size:
        if x.size == x.shape[1]:
            raise _check.fail(
                operation,
                "training needs more than one value per channel, since one has no variance; if this is the last batch "
                "of an epoch, leave it out (drop_last=True)",
                x=x,
            )
        return _normalize_batch(
            x, running_mean, running_var, weight, bias, momentum, eps, activation, residual, needs_y
        )
    mean, invstd = np.empty((2, x.shape[1]))
    if running_mean is not None and running_var is not None:
        if _runtime.uses_reference():
            mean[:], invstd[:] = running_mean, 1 / np.sqrt(running_var.astype(np.float64) + eps)
        else:
            _runtime._native.batchnorm_constants(running_mean, running_var, eps, mean, invstd)
    elif training:  # on an empty batch
        mean[:], invstd[:] = 0, 1 / math.sqrt(1 + eps)
    else:
        raise ValueError(f"{operation}: without training, running_mean and running_var are needed. Received: None")
    y = _affine(x, mean, invstd, weight, bias, activation, residual)
    return BatchNormResult(y, mean, invstd, running_mean, running_var)


def _affine(x: NDArray, mean: Any, invstd: Any, weight: Any, bias: Any, activation: Any, residual: Any) -> NDArray:
    """`normalize` with these statistics."""
    if _runtime.uses_reference():
        return reference.batch_norm_activation(x, mean, invstd, weight, bias, activation, residual)
    y = _empty(x)
    if x.size:
        if not _runtime._native.batchnorm_fits(x, (weight, bias), (residual,)):
            x, residual = _pixel_major(x), _pixel_major(residual)
            weight, bias = _contiguous(weight), _contiguous(bias)
        _runtime._native.batchnorm_forward(
            x, mean, invstd, weight, bias, activation, residual, y, _workspace(x), _runtime.num_threads()
        )
        kernel_ran("batchnorm_forward")
    return y


def _checked(
    operation: str,
    x: ArrayLike,
    running_mean: ArrayLike | None,
    running_var: ArrayLike | None,
    weight: ArrayLike | None,
    bias: ArrayLike | None,
    residual: ArrayLike | None,
) -> tuple[NDArray, NDArray | None, NDArray | None, NDArray | None, NDArray | None, NDArray | None]:
    """The arguments of `normalize` as arrays that fit together."""
    x = _check.floats(operation, "x", x, (2, 3, 4))
    channels = x.shape[1]
    running_mean = _check.values(operation, "running_mean", running_mean, channels, "channel")
    running_var = _check.values(operation, "running_var", running_var, channels, "channel")
    weight = _check.values(operation, "weight", weight, channels, "channel")
    bias = _check.values(operation, "bias", bias, channels, "channel")
    _check.same_dtype(operation, x=x, weight=weight, bias=bias)
    if residual is not None:
        residual = _check.floats(operation, "residual", residual)
        _check.same_shape(operation, residual=residual, x=x)
        _check.same_dtype(operation, residual=residual, x=x)
    return _pixel_major(x), running_mean, running_var, weight, bias, _pixel_major(residual)


def _contiguous(values: NDArray | None) -> NDArray | None:
    return None if values is None else _layout.contiguous(values)


def _normalize_batch(
    x: NDArray,
    running_mean: NDArray | None,
    running_var: NDArray | None,
    weight: NDArray | None,
    bias: NDArray | None,
    momentum: float,
    eps: float,
    activation: str | None,
    residual: NDArray | None,
    needs_y: bool,
) -> BatchNormResult:
    """`normalize` in training."""
    if _runtime.uses_reference():
        mean, variance = reference.batch_norm_statistics(x)
        invstd = 1 / np.sqrt(variance + eps)
        n = x.size // x.shape[1]
        moved_mean = _moved(running_mean, mean, momentum)
        moved_var = _moved(running_var, variance * (n / (n - 1)), momentum)
        y = reference.batch_norm_activation(x, mean, invstd, weight, bias, activation, residual)
        return BatchNormResult(y, mean, invstd, moved_mean, moved_var)
    y = _empty(x) if needs_y else np.empty(0, x.dtype)
    statistics = np.empty((4, x.shape[1]))
    moved_mean = None if running_mean is None else np.empty_like(running_mean)
    moved_var = None if running_var is None else np.empty_like(running_var)
    _runtime._native.batchnorm_training(
        x, eps, momentum, running_mean, running_var, weight, bias, activation, residual, statistics, moved_mean,
        moved_var, y if needs_y else None, _workspace(x), _runtime.num_threads(),
    )  # fmt: skip
    kernel_ran("batchnorm_training")
    return BatchNormResult(y, statistics[0], statistics[1], moved_mean, moved_var)


def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    mean: ArrayLike,
    invstd: ArrayLike,
    weight: ArrayLike | None = None,
    training: bool = True,
    need_dx: bool = True,
) -> tuple[NDArray | None, NDArray, NDArray]:
    """Gradients of `batch_norm`.

    With x_hat = (x - mean) * invstd, and sums and means over all axes but the channels':

    dbias = sum of dy,  dweight = sum of dy * x_hat
    dx = weight * invstd * (dy - mean of dy - x_hat * mean of (dy * x_hat))   in training
    dx = weight * invstd * dy                                                 otherwise

    Args:
        dy: gradient of the loss with respect to y.
        x, weight, training: as in `batch_norm`.
        mean, invstd: those in the result of `batch_norm`.
        need_dx: whether to compute dx.
    Shape:
        - dy, x: (N, C), (N, C, L) or (N, C, H, W)
        - mean, invstd, weight: (C,)
        - Result: (dx, dweight, dbias); dx has the shape of x, or is None; the others (C,)
    """
    operation = "batch_norm_backward"
    return gradients(operation, dy, x, mean, invstd, weight, None, training, need_dx)[:3]


def gradients(
    operation: str,
    dy: Any,
    x: Any,
    mean: Any,
    invstd: Any,
    weight: Any,
    bias: Any,
    training: bool,
    need_dx: bool,
    activation: str | None = None,
    y: Any = None,
    need_dresidual: bool = False,
) -> tuple[NDArray | None, NDArray, NDArray, NDArray | None]:
    """`batch_norm_backward` and `batch_norm_activation_backward`."""
    if dy is None or not _need_no_check(x, (weight, bias), (dy, y)):
        dy, x, mean, invstd, weight, bias, y = _checked_gradients(operation, dy, x, mean, invstd, weight, bias, y)
    mean, invstd = _statistics(operation, "mean", mean), _statistics(operation, "invstd", invstd)
    for name, flag in (("training", training), ("need_dx", need_dx)):
        if flag is not True and flag is not False:
            _check.boolean(operation, name, flag)
    channels = x.shape[1]
    if mean.shape != (channels,) or invstd.shape != (channels,):
        reason = f"mean and invstd need one value for each channel, {channels} in all"
        raise _check.fail(operation, reason, mean=mean, invstd=invstd)
    if not x.size:
        dx, dresidual = _empty(x) if need_dx else None, _empty(x) if need_dresidual else None
        return dx, np.zeros(channels, x.dtype), np.zeros(channels, x.dtype), dresidual
    if _runtime.uses_reference():
        dx, dweight, dbias, dresidual = reference.batch_norm_activation_backward(
            dy, x, mean, invstd, weight, bias, training, activation, y
        )
        return dx if need_dx else None, dweight, dbias, dresidual if need_dresidual else None
    dx, dresidual = _empty(x) if need_dx else None, _empty(x) if need_dresidual else None
    dweight, dbias = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    _runtime._native.batchnorm_backward(
        dy, x, mean, invstd, weight, bias, activation, y, training, dx, dresidual, dweight, dbias, _workspace(x),
        _runtime.num_threads(),
    )  # fmt: skip
    kernel_ran("batchnorm_backward")
    return dx, dweight, dbias, dresidual


def _statistics(operation: str, name: str, values: Any) -> NDArray[np.float64]:
    if type(values) is np.ndarray and values.dtype == np.float64 and values.flags.carray:
        return values
    return _check.numbers(operation, name, values)


def _checked_gradients(
    operation: str,
    dy: ArrayLike,
    x: ArrayLike,
    mean: ArrayLike,
    invstd: ArrayLike,
    weight: ArrayLike | None,
    bias: ArrayLike | None,
    y: ArrayLike | None,
) -> tuple[NDArray, NDArray, Any, Any, NDArray | None, NDArray | None, NDArray | None]:
    """The arguments of `gradients` as arrays that fit together."""
    x = _check.floats(operation, "x", x, (2, 3, 4))
    dy = _check.floats(operation, "dy", dy)
    _check.same_shape(operation, dy=dy, x=x)
    channels = x.shape[1]
    weight = _check.values(operation, "weight", weight, channels, "channel")
    bias = _check.values(operation, "bias", bias, channels, "channel")
    y = None if y is None else _check.floats(operation, "y", y)
    _check.same_dtype(operation, dy=dy, x=x, y=y, weight=weight, bias=bias)
    if y is not None:
        _check.same_shape(operation, y=y, x=x)
    return _pixel_major(dy), _pixel_major(x), mean, invstd, weight, bias, _pixel_major(y)
