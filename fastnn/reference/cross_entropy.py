"""Softmax cross-entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.reference._reduction import reduced, upstream

__all__ = ["cross_entropy", "cross_entropy_and_gradient", "cross_entropy_backward"]


def log_softmax_in_double(x: NDArray) -> NDArray:
    """log softmax over the last axis, in double precision."""
    x = x.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinite logits
        shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _targets(
    x: NDArray, target: NDArray, weight: NDArray | None, ignore_index: int, label_smoothing: float
) -> tuple[NDArray, float]:
    """t[..., c] = weight[c] ((1 - label_smoothing) q[..., c] + label_smoothing / C), and what a mean divides by."""
    n_classes = x.shape[1]
    weight = np.ones(n_classes) if weight is None else weight.astype(np.float64)
    if target.dtype != np.int64:  # probabilities
        q = np.moveaxis(target, 1, -1).astype(np.float64)
        return weight * ((1 - label_smoothing) * q + label_smoothing / n_classes), float(target.size // n_classes)
    counts = target != ignore_index
    labels = np.where(counts, target, 0)
    q = np.eye(n_classes)[labels]
    t = weight * ((1 - label_smoothing) * q + label_smoothing / n_classes)
    return np.where(counts[..., None], t, 0), float(weight[labels][counts].sum())


def cross_entropy(
    x: NDArray,
    target: NDArray,
    weight: NDArray | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """loss = -sum over c of t[c] log softmax(x)[c]; classes with t[c] = 0 add nothing"""
    t, total = _targets(x, target, weight, ignore_index, label_smoothing)
    log_p = log_softmax_in_double(np.moveaxis(x, 1, -1))
    losses = -(t * np.where(t == 0, 0, log_p)).sum(axis=-1)
    return reduced(losses, reduction, total, x.dtype)


def cross_entropy_backward(
    dloss: NDArray,
    x: NDArray,
    target: NDArray,
    weight: NDArray | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> NDArray:
    """dx = dloss (T softmax(x) - t), where T is the sum of t; divided like the mean; 0 where the label is ignored"""
    t, total = _targets(x, target, weight, ignore_index, label_smoothing)
    mass = t.sum(axis=-1, keepdims=True)
    dx = mass * np.exp(log_softmax_in_double(np.moveaxis(x, 1, -1))) - t
    with np.errstate(invalid="ignore"):  # 0 * inf where nothing counts
        dx = dx * upstream(dloss, reduction, total)[..., None]
    if target.dtype == np.int64:
        dx = np.where((target != ignore_index)[..., None], dx, 0)
    return np.moveaxis(dx, -1, 1).astype(x.dtype)


def cross_entropy_and_gradient(
    x: NDArray,
    target: NDArray,
    weight: NDArray | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> tuple[Any, NDArray]:
    """The loss, and its gradient for dloss = 1"""
    arguments = x, target, weight, ignore_index, reduction, label_smoothing
    dloss = np.ones((len(x), *x.shape[2:]) if reduction == "none" else ())
    return cross_entropy(*arguments), cross_entropy_backward(dloss, *arguments)
