"""Batch normalisation, a residual and an activation: one after the other."""

from numpy.typing import NDArray

from fastnn.reference.activation import gelu, gelu_backward, relu, relu_backward
from fastnn.reference.batchnorm import batch_norm, batch_norm_backward

__all__ = ["batch_norm_activation", "batch_norm_activation_backward"]


def batch_norm_activation(
    x: NDArray,
    mean: NDArray,
    invstd: NDArray,
    weight: NDArray | None,
    bias: NDArray | None,
    activation: str | None,
    residual: NDArray | None,
) -> NDArray:
    """y = activation(batch_norm(x) + residual)"""
    z = batch_norm(x, mean, invstd, weight, bias)
    if residual is not None:
        z = z + residual
    return relu(z) if activation == "relu" else gelu(z) if activation == "gelu" else z


def batch_norm_activation_backward(
    dy: NDArray,
    x: NDArray,
    mean: NDArray,
    invstd: NDArray,
    weight: NDArray | None,
    bias: NDArray | None,
    training: bool,
    activation: str | None,
    y: NDArray | None,
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """(dx, dweight, dbias, dresidual). relu's gradient can be told from y, which is all that a residual leaves."""
    if activation == "relu":
        dz = relu_backward(dy, batch_norm(x, mean, invstd, weight, bias) if y is None else y)
    elif activation == "gelu":
        dz = gelu_backward(dy, batch_norm(x, mean, invstd, weight, bias))
    else:
        dz = dy
    return *batch_norm_backward(dz, x, mean, invstd, weight, training), dz
