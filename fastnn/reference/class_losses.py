"""Losses of class scores other than cross-entropy. These are also what runs in the native backend."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.reference._reduction import reduced, upstream
from fastnn.reference.cross_entropy import log_softmax_in_double

__all__ = [
    "focal_loss",
    "focal_loss_backward",
    "multi_margin_loss",
    "multi_margin_loss_backward",
    "nll_loss",
    "nll_loss_backward",
]


def _label_weights(labels: NDArray, n_classes: int, weight: NDArray | None, ignore_index: int | None) -> NDArray:
    """weight[label] of each row in double precision, 0 where the label is ignored."""
    weight = np.ones(n_classes) if weight is None else weight.astype(np.float64)
    counts = labels != ignore_index
    return np.where(counts, weight[np.where(counts, labels, 0)], 0)


def nll_loss(x: NDArray, labels: NDArray, weight: NDArray | None, ignore_index: int, reduction: str) -> Any:
    """l = -weight[label] x[label]; the mean divides by the sum of the weights"""
    w = _label_weights(labels, x.shape[1], weight, ignore_index)
    counts = labels != ignore_index
    picked = np.take_along_axis(x, np.where(counts, labels, 0)[:, None], axis=1)[:, 0]
    return reduced(-w * np.where(w == 0, 0, picked), reduction, w.sum(), x.dtype)


def nll_loss_backward(
    dloss: NDArray, x: NDArray, labels: NDArray, weight: NDArray | None, ignore_index: int, reduction: str
) -> NDArray:
    """dx[label] = -weight[label], all others 0"""
    w = _label_weights(labels, x.shape[1], weight, ignore_index)
    counts = labels != ignore_index
    with np.errstate(invalid="ignore"):  # 0 * inf where nothing counts
        at_label = np.where(counts, -w * upstream(dloss, reduction, w.sum()), 0)
    dx = np.zeros_like(x)
    np.put_along_axis(dx, np.where(counts, labels, 0)[:, None], at_label[:, None], axis=1)
    return dx


def _margins(x: NDArray, labels: NDArray, margin: float) -> NDArray:
    """max(0, margin - x[label] + x[j]) for every class j, 0 for the label itself."""
    label = labels[:, None]
    distance = np.maximum(0, margin - np.take_along_axis(x, label, axis=1) + x)
    return np.where(np.arange(x.shape[1]) == label, 0, distance)


def multi_margin_loss(
    x: NDArray, labels: NDArray, p: int, margin: float, weight: NDArray | None, reduction: str
) -> Any:
    """l = weight[label] / C * sum over j != label of max(0, margin - x[label] + x[j])^p"""
    w = _label_weights(labels, x.shape[1], weight, None)
    losses = w * (_margins(x, labels, margin) ** p).sum(axis=1, dtype=np.float64) / x.shape[1]
    return reduced(losses, reduction, len(x), x.dtype)


def multi_margin_loss_backward(
    dloss: NDArray, x: NDArray, labels: NDArray, p: int, margin: float, weight: NDArray | None, reduction: str
) -> NDArray:
    """dx[j] = weight[label] / C * p m[j]^(p - 1) where the margin m[j] > 0; dx[label] = -(the sum of all others)"""
    w = _label_weights(labels, x.shape[1], weight, None) * upstream(dloss, reduction, len(x))
    m = _margins(x, labels, margin)
    dx = (w / x.shape[1])[:, None] * np.where(m > 0, p * m ** (p - 1), 0)
    np.put_along_axis(dx, labels[:, None], -dx.sum(axis=1, keepdims=True), axis=1)
    return dx.astype(x.dtype)


def focal_loss(x: NDArray, labels: NDArray, gamma: float, alpha: NDArray | None, reduction: str) -> Any:
    """l = -alpha[label] (1 - p)^gamma log p,  p = softmax(x)[label]"""
    log_p = np.take_along_axis(log_softmax_in_double(x), labels[:, None], axis=1)[:, 0]
    losses = -_label_weights(labels, x.shape[1], alpha, None) * (-np.expm1(log_p)) ** gamma * log_p
    return reduced(losses, reduction, len(x), x.dtype)


def focal_loss_backward(
    dloss: NDArray, x: NDArray, labels: NDArray, gamma: float, alpha: NDArray | None, reduction: str
) -> NDArray:
    """dx = alpha[label] (1 - p)^gamma (gamma p log p / (1 - p) - 1) (onehot(label) - softmax(x))

    The second factor is dl / d(log p), the third d(log p) / dx.
    """
    log_softmax = log_softmax_in_double(x)
    log_p = np.take_along_axis(log_softmax, labels[:, None], axis=1)[:, 0]
    p, rest = np.exp(log_p), -np.expm1(log_p)  # rest = 1 - p
    with np.errstate(invalid="ignore"):
        ratio = np.where(p == 0, 0, np.where(rest == 0, -1, p * log_p / rest))  # the limits of p log p / (1 - p)
    slope = rest**gamma * (gamma * ratio - 1)
    slope *= _label_weights(labels, x.shape[1], alpha, None) * upstream(dloss, reduction, len(x))
    onehot = np.arange(x.shape[1]) == labels[:, None]
    return (slope[:, None] * (onehot - np.exp(log_softmax))).astype(x.dtype)
