"""Batch normalisation, a residual and an activation in one pass over memory."""

from __future__ import annotations

from numpy.typing import ArrayLike, NDArray

from fastnn import _check
from fastnn.autograd.tensor import array_of
from fastnn.functional.batchnorm import WITH_RESIDUAL, BatchNorm, BatchNormResult, gradients

__all__ = ["batch_norm_activation", "batch_norm_activation_backward"]

ACTIVATIONS = (None, "relu", "relu6", "gelu", "silu")


def _check_activation(operation: str, activation: str | None, has_residual: bool) -> None:
    _check.one_of(operation, "activation", activation, ACTIVATIONS)
    if has_residual and activation not in WITH_RESIDUAL:
        words = " or ".join(map(repr, WITH_RESIDUAL))
        raise ValueError(f"{operation}: a residual goes with {words} only. Received: activation={activation!r}")


def batch_norm_activation(
    x: ArrayLike,
    running_mean: ArrayLike | None,
    running_var: ArrayLike | None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = "relu",
    residual: ArrayLike | None = None,
) -> BatchNormResult:
    """y = activation(batch_norm(x) + residual), without storing what lies between.

    Layers in a `Sequential` or a `Residual` are joined to this by themselves.

    Args:
        x, running_mean, running_var, weight, bias, training, momentum, eps: as in `batch_norm`.
        activation: 'relu', 'relu6', 'gelu', 'silu', or None.
        residual: added to the normalised activation, or None. Not with 'gelu' and 'silu'.
    Shape:
        - x, residual: (N, C), (N, C, L) or (N, C, H, W), float32 or float64
        - Result: a `BatchNormResult`; y has the shape of x
    Raises:
        ValueError: as `batch_norm`; there is no such activation; a residual with 'gelu' or 'silu'.
    Example:
        >>> x = np.array([[1.0], [3.0]])
        >>> batch_norm_activation(x, None, None, training=True, eps=0.0, residual=np.array([[0.5], [0.5]])).y
        array([[0. ],
               [1.5]])

    Source: Ioffe and Szegedy, 2015, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift"; He et al., 2016, "Deep residual learning for image recognition".
    """
    operation = "batch_norm_activation"
    _check_activation(operation, activation, residual is not None)
    running = array_of(running_mean), array_of(running_var)
    return BatchNorm(operation, *running, training, momentum, eps, activation).of(x, weight, bias, residual)


def batch_norm_activation_backward(
    dy: ArrayLike,
    x: ArrayLike,
    mean: ArrayLike,
    invstd: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = True,
    activation: str | None = "relu",
    y: ArrayLike | None = None,
    need_dx: bool = True,
) -> tuple[NDArray | None, NDArray, NDArray, NDArray | None]:
    """Gradients of `batch_norm_activation`: those of the activation, then those of `batch_norm`.

    Args:
        dy: gradient of the loss with respect to y.
        x, weight, bias, training, activation: as in `batch_norm_activation`.
        mean, invstd: those in the result of `batch_norm_activation`.
        y: from its result if there was a residual, else None.
        need_dx: whether to compute dx.
    Shape:
        - dy, x, y: (N, C), (N, C, L) or (N, C, H, W)
        - mean, invstd, weight, bias: (C,)
        - Result: (dx, dweight, dbias, dresidual); dx and dresidual have the shape of x; dx may be None, dresidual is
          None without y
    Raises:
        ValueError: shapes do not fit; there is no such activation; y with 'gelu' or 'silu'.
    """
    operation = "batch_norm_activation_backward"
    _check_activation(operation, activation, y is not None)
    if activation is None:
        dx, dweight, dbias, _ = gradients(operation, dy, x, mean, invstd, weight, bias, training, need_dx)
        return dx, dweight, dbias, None if y is None else _check.floats(operation, "dy", dy)
    has_residual = y is not None
    return gradients(
        operation, dy, x, mean, invstd, weight, bias, training, need_dx, activation, y, need_dresidual=has_residual
    )
