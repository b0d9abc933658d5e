"""Losses between two arrays, element by element.

Written x for the input, t for the target, l for the loss of one element. These are also what runs in the native
backend: a loss is one pass over the smallest array of a network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.reference._reduction import reduced, upstream

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_backward",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "huber_loss",
    "huber_loss_backward",
    "l1_loss",
    "l1_loss_backward",
    "mse_loss",
    "mse_loss_backward",
    "smooth_l1_loss",
    "smooth_l1_loss_backward",
]


def _difference(x: NDArray, t: NDArray, reduction: str) -> NDArray:
    """x - t, as doubles if their losses are added up.

    The square of a float32 below 1e-19 is a denormal number, which has few digits and takes many CPUs several times as
    long; the square of one above 1e19 is infinite. Doubles have room for both.
    """
    difference = x - t
    return difference if reduction == "none" else difference.astype(np.float64, copy=False)


def mse_loss(x: NDArray, t: NDArray, reduction: str) -> Any:
    """l = (x - t)^2"""
    return reduced(_difference(x, t, reduction) ** 2, reduction, x.size, x.dtype)


def mse_loss_backward(dloss: NDArray, x: NDArray, t: NDArray, reduction: str) -> NDArray:
    """dx = 2 (x - t)"""
    return (2 * (x - t) * upstream(dloss, reduction, x.size)).astype(x.dtype)


def l1_loss(x: NDArray, t: NDArray, reduction: str) -> Any:
    """l = |x - t|"""
    return reduced(np.abs(x - t), reduction, x.size, x.dtype)


def l1_loss_backward(dloss: NDArray, x: NDArray, t: NDArray, reduction: str) -> NDArray:
    """dx = sign(x - t), 0 where they are equal"""
    return (np.sign(x - t) * upstream(dloss, reduction, x.size)).astype(x.dtype)


def huber_loss(x: NDArray, t: NDArray, reduction: str, delta: float) -> Any:
    """l = (x - t)^2 / 2 where |x - t| < delta, else delta (|x - t| - delta / 2)"""
    distance = np.abs(_difference(x, t, reduction))
    near = np.minimum(distance, delta)  # near (distance - near / 2) is either formula
    distance -= near / 2
    distance *= near
    return reduced(distance, reduction, x.size, x.dtype)


def huber_loss_backward(dloss: NDArray, x: NDArray, t: NDArray, reduction: str, delta: float) -> NDArray:
    """dx = x - t, cut to [-delta, delta]"""
    return (np.clip(x - t, -delta, delta) * upstream(dloss, reduction, x.size)).astype(x.dtype)


def smooth_l1_loss(x: NDArray, t: NDArray, reduction: str, beta: float) -> Any:
    """l = (x - t)^2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2"""
    distance = np.abs(_difference(x, t, reduction))
    width = beta or 1.0  # with beta = 0 no distance is below it
    is_far = distance >= beta
    losses = np.asarray(np.minimum(distance, beta) ** 2 / (2 * width))
    np.copyto(losses, distance - beta / 2, where=is_far)
    return reduced(losses, reduction, x.size, x.dtype)


def smooth_l1_loss_backward(dloss: NDArray, x: NDArray, t: NDArray, reduction: str, beta: float) -> NDArray:
    """dx = (x - t) / beta where |x - t| < beta, else sign(x - t)"""
    difference = x - t
    slope = np.where(np.abs(difference) < beta, difference / (beta or 1.0), np.sign(difference))
    return (slope * upstream(dloss, reduction, x.size)).astype(x.dtype)


def binary_cross_entropy(x: NDArray, t: NDArray, weight: NDArray | None, reduction: str) -> Any:
    """l = -weight (t log x + (1 - t) log(1 - x)), where no logarithm is less than -100"""
    with np.errstate(divide="ignore"):
        log_x, log_1_x = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    losses = -(t * log_x + (1 - t) * log_1_x)
    return reduced(losses if weight is None else weight * losses, reduction, x.size, x.dtype)


def binary_cross_entropy_backward(
    dloss: NDArray, x: NDArray, t: NDArray, weight: NDArray | None, reduction: str
) -> NDArray:
    """dx = weight (x - t) / (x (1 - x)), where the divisor is at least 1e-12"""
    dx = (x - t) / np.maximum(x * (1 - x), 1e-12)
    return ((dx if weight is None else weight * dx) * upstream(dloss, reduction, x.size)).astype(x.dtype)


def binary_cross_entropy_with_logits(
    x: NDArray, t: NDArray, weight: NDArray | None, reduction: str, pos_weight: NDArray | None
) -> Any:
    """l = -weight (pos_weight t log s(x) + (1 - t) log s(-x)), s(x) = 1 / (1 + exp(-x))

    With log s(-x) = log s(x) - x and log s(x) = min(x, 0) - log(1 + exp(-|x|)), no exponential overflows.
    """
    log_s = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    positive = t if pos_weight is None else pos_weight * t
    losses = (1 - t) * x - (positive + 1 - t) * log_s
    return reduced(losses if weight is None else weight * losses, reduction, x.size, x.dtype)


def binary_cross_entropy_with_logits_backward(
    dloss: NDArray, x: NDArray, t: NDArray, weight: NDArray | None, reduction: str, pos_weight: NDArray | None
) -> NDArray:
    """dx = weight ((1 - t) s(x) - pos_weight t s(-x))"""
    small = np.exp(-np.abs(x))  # s(-|x|) = small / (1 + small)
    s, s_minus = np.where(x < 0, small, 1) / (1 + small), np.where(x < 0, 1, small) / (1 + small)
    dx = (1 - t) * s - (t if pos_weight is None else pos_weight * t) * s_minus
    return ((dx if weight is None else weight * dx) * upstream(dloss, reduction, x.size)).astype(x.dtype)
