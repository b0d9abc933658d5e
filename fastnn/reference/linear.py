"""The fully connected layer."""

from __future__ import annotations

from numpy.typing import NDArray

__all__ = ["linear", "linear_backward"]


def linear(x: NDArray, weight: NDArray, bias: NDArray | None) -> NDArray:
    """y = x W^T + b"""
    y = x @ weight.T
    return y if bias is None else y + bias


def linear_backward(dy: NDArray, x: NDArray, weight: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """dx = dy W, dW = dy^T x, db = sum of the rows of dy"""
    return dy @ weight, dy.T @ x, dy.sum(axis=0)
