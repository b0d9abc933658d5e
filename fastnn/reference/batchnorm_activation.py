"""Batch normalisation, a residual and an activation: one after the other."""

from __future__ import annotations

from types import ModuleType

from numpy.typing import NDArray

from fastnn.reference import activation as activations
from fastnn.reference import hard_activation
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
    return z if activation is None else getattr(_home(activation), activation)(z)


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
    """(dx, dweight, dbias, dresidual). relu's and relu6's can be told from y, which is all that a residual leaves."""
    z = batch_norm(x, mean, invstd, weight, bias) if y is None else y
    dz = dy if activation is None else getattr(_home(activation), f"{activation}_backward")(dy, z)
    return *batch_norm_backward(dz, x, mean, invstd, weight, training), dz


def _home(activation: str) -> ModuleType:
    return hard_activation if activation == "relu6" else activations
