"""Losses between two arrays, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, reference
from fastnn.autograd.tape import run
from fastnn.functional import _loss

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

# The NumPy twins compute on both backends: a loss is one pass over the smallest array of a network. Below, the
# gradients are taken with respect to the input; dloss is the gradient with respect to the result of the loss.


def _pair(operation: str, input: ArrayLike, target: ArrayLike, reduction: str) -> tuple[NDArray, NDArray]:
    _loss.check_reduction(operation, reduction)
    return _loss.two_arrays(operation, input, target)


def mse_loss(input: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Any:
    """The squared error, (input - target)^2.

    Args:
        input: predictions.
        target: what they should be.
        reduction: 'mean' over all elements, 'sum', or 'none'.
    Shape:
        - input, target: any, the same; float32 or float64
        - Result: a float; with reduction='none' an array of this shape
    Raises:
        ValueError: shapes differ.
    Example:
        >>> mse_loss(np.array([1.0, 2.0]), np.array([1.0, 5.0]))
        4.5

    Source: PyTorch's definition.
    """
    of_target = _loss.difference_of_target(mse_loss_backward)
    return run(_loss.LossOf(_mse_loss, mse_loss_backward, of_target, reduction=reduction), input, target)


def _mse_loss(input: ArrayLike, target: ArrayLike, reduction: str) -> Any:
    x, t = _pair("mse_loss", input, target, reduction)
    return reference.mse_loss(x, t, reduction)


def mse_loss_backward(dloss: ArrayLike, input: ArrayLike, target: ArrayLike, reduction: str = "mean") -> NDArray:
    """The gradient of `mse_loss`: dloss times 2 (input - target).

    Args:
        dloss: gradient of what is minimised with respect to this loss; an array with reduction='none'.
        input, target, reduction: as in `mse_loss`.
    Shape:
        - Result: that of the input
    """
    x, t = _pair("mse_loss_backward", input, target, reduction)
    gradient = _loss.upstream("mse_loss_backward", dloss, reduction, x.shape)
    return reference.mse_loss_backward(gradient, x, t, reduction)


def l1_loss(input: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Any:
    """The absolute error, |input - target|.

    Args:
        input: predictions.
        target: what they should be.
        reduction: 'mean' over all elements, 'sum', or 'none'.
    Shape:
        - input, target: any, the same; float32 or float64
        - Result: a float; with reduction='none' an array of this shape
    Raises:
        ValueError: shapes differ.
    Example:
        >>> l1_loss(np.array([1.0, 2.0]), np.array([1.0, 5.0]))
        1.5

    Source: PyTorch's definition.
    """
    of_target = _loss.difference_of_target(l1_loss_backward)
    return run(_loss.LossOf(_l1_loss, l1_loss_backward, of_target, reduction=reduction), input, target)


def _l1_loss(input: ArrayLike, target: ArrayLike, reduction: str) -> Any:
    x, t = _pair("l1_loss", input, target, reduction)
    return reference.l1_loss(x, t, reduction)


def l1_loss_backward(dloss: ArrayLike, input: ArrayLike, target: ArrayLike, reduction: str = "mean") -> NDArray:
    """The gradient of `l1_loss`: dloss times sign(input - target).

    Args:
        dloss: gradient of what is minimised with respect to this loss; an array with reduction='none'.
        input, target, reduction: as in `l1_loss`.
    Shape:
        - Result: that of the input
    """
    x, t = _pair("l1_loss_backward", input, target, reduction)
    gradient = _loss.upstream("l1_loss_backward", dloss, reduction, x.shape)
    return reference.l1_loss_backward(gradient, x, t, reduction)


def smooth_l1_loss(input: ArrayLike, target: ArrayLike, reduction: str = "mean", beta: float = 1.0) -> Any:
    """The squared error where it is small, the absolute error where it is large; continuous, with a continuous slope.

    (input - target)^2 / (2 beta) where |input - target| < beta, else |input - target| - beta / 2

    Args:
        input: predictions.
        target: what they should be.
        reduction: 'mean' over all elements, 'sum', or 'none'.
        beta: where the square turns into a line; 0 gives `l1_loss`.
    Shape:
        - input, target: any, the same; float32 or float64
        - Result: a float; with reduction='none' an array of this shape
    Raises:
        ValueError: shapes differ, or beta < 0.
    Example:
        >>> smooth_l1_loss(np.array([1.0, 2.0]), np.array([1.5, 5.0]), reduction="none")
        array([0.125, 2.5  ])

    Source: Girshick, 2015, "Fast R-CNN".
    """
    of_target = _loss.difference_of_target(smooth_l1_loss_backward)
    return run(
        _loss.LossOf(_smooth_l1_loss, smooth_l1_loss_backward, of_target, reduction=reduction, beta=beta), input, target
    )


def _smooth_l1_loss(input: ArrayLike, target: ArrayLike, reduction: str, beta: float) -> Any:
    x, t = _pair("smooth_l1_loss", input, target, reduction)
    beta = _check.number("smooth_l1_loss", "beta", beta, 0)
    return reference.smooth_l1_loss(x, t, reduction, beta)


def smooth_l1_loss_backward(
    dloss: ArrayLike, input: ArrayLike, target: ArrayLike, reduction: str = "mean", beta: float = 1.0
) -> NDArray:
    """The gradient of `smooth_l1_loss`: dloss times (input - target) / beta, cut to [-1, 1].

    Args:
        dloss: gradient of what is minimised with respect to this loss; an array with reduction='none'.
        input, target, reduction, beta: as in `smooth_l1_loss`.
    Shape:
        - Result: that of the input
    """
    x, t = _pair("smooth_l1_loss_backward", input, target, reduction)
    beta = _check.number("smooth_l1_loss_backward", "beta", beta, 0)
    gradient = _loss.upstream("smooth_l1_loss_backward", dloss, reduction, x.shape)
    return reference.smooth_l1_loss_backward(gradient, x, t, reduction, beta)


def positive_delta(operation: str, delta: float) -> float:
    """Where huber_loss turns into a line."""
    delta = _check.number(operation, "delta", delta, 0)
    if delta == 0:
        raise ValueError(f"{operation}: delta must be > 0. Received: {delta!r}")
    return delta


def huber_loss(input: ArrayLike, target: ArrayLike, reduction: str = "mean", delta: float = 1.0) -> Any:
    """The squared error where it is small, the absolute error where it is large.

    (input - target)^2 / 2 where |input - target| < delta, else delta (|input - target| - delta / 2)

    Args:
        input: predictions.
        target: what they should be.
        reduction: 'mean' over all elements, 'sum', or 'none'.
        delta: where the square turns into a line; positive.
    Shape:
        - input, target: any, the same; float32 or float64
        - Result: a float; with reduction='none' an array of this shape
    Raises:
        ValueError: shapes differ, or delta <= 0.
    Example:
        >>> huber_loss(np.array([1.0, 2.0]), np.array([1.5, 5.0]), reduction="none", delta=2.0)
        array([0.125, 4.   ])

    Source: Huber, 1964, "Robust estimation of a location parameter".
    """
    of_target = _loss.difference_of_target(huber_loss_backward)
    return run(
        _loss.LossOf(_huber_loss, huber_loss_backward, of_target, reduction=reduction, delta=delta), input, target
    )


def _huber_loss(input: ArrayLike, target: ArrayLike, reduction: str, delta: float) -> Any:
    x, t = _pair("huber_loss", input, target, reduction)
    delta = positive_delta("huber_loss", delta)
    return reference.huber_loss(x, t, reduction, delta)


def huber_loss_backward(
    dloss: ArrayLike, input: ArrayLike, target: ArrayLike, reduction: str = "mean", delta: float = 1.0
) -> NDArray:
    """The gradient of `huber_loss`: dloss times input - target, cut to [-delta, delta].

    Args:
        dloss: gradient of what is minimised with respect to this loss; an array with reduction='none'.
        input, target, reduction, delta: as in `huber_loss`.
    Shape:
        - Result: that of the input
    """
    x, t = _pair("huber_loss_backward", input, target, reduction)
    delta = positive_delta("huber_loss_backward", delta)
    gradient = _loss.upstream("huber_loss_backward", dloss, reduction, x.shape)
    return reference.huber_loss_backward(gradient, x, t, reduction, delta)


def _probabilities(
    operation: str, input: ArrayLike, target: ArrayLike, weight: ArrayLike | None, reduction: str
) -> tuple[NDArray, NDArray, NDArray | None]:
    x, t = _pair(operation, input, target, reduction)
    outside = (x < 0) | (x > 1)  # NaN passes, and comes out as NaN
    if outside.any():
        raise ValueError(
            f"{operation}: input must hold probabilities, in [0, 1]; it reaches from {np.nanmin(x):g} to "
            f"{np.nanmax(x):g}. For scores of any size there is binary_cross_entropy_with_logits"
        )
    return x, t, _loss.element_weight(operation, "weight", weight, x)


def binary_cross_entropy(
    input: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None, reduction: str = "mean"
) -> Any:
    """Binary cross-entropy of probabilities.

    loss = -weight (target log(input) + (1 - target) log(1 - input)), where no logarithm is less than -100

    Args:
        input: probabilities.
        target: probabilities, mostly 0 or 1.
        weight: a factor for the loss of each element; anything that broadcasts to the input.
        reduction: 'mean' over all elements, 'sum', or 'none'.
    Shape:
        - input, target: any, the same; float32 or float64
        - Result: a float; with reduction='none' an array of this shape
    Raises:
        ValueError: shapes do not fit, or the input leaves [0, 1].
    Example:
        >>> round(binary_cross_entropy(np.array([0.5, 1.0]), np.array([1.0, 1.0])), 4)
        0.3466

    Source: PyTorch's definition (the bound of -100 keeps the loss finite).
    """
    settings = {"weight": weight, "reduction": reduction}
    of_target = _binary_cross_entropy_of_target
    return run(_loss.LossOf(_binary_cross_entropy, binary_cross_entropy_backward, of_target, **settings), input, target)


def _binary_cross_entropy(input: ArrayLike, target: ArrayLike, weight: ArrayLike | None, reduction: str) -> Any:
    x, t, weight = _probabilities("binary_cross_entropy", input, target, weight, reduction)
    return reference.binary_cross_entropy(x, t, weight, reduction)


def binary_cross_entropy_backward(
    dloss: ArrayLike,
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> NDArray:
    """The gradient of `binary_cross_entropy`: dloss times weight (input - target) / (input (1 - input)).

    The divisor is at least 1e-12, as in PyTorch.

    Args:
        dloss: gradient of what is minimised with respect to this loss; an array with reduction='none'.
        input, target, weight, reduction: as in `binary_cross_entropy`.
    Shape:
        - Result: that of the input
    """
    operation = "binary_cross_entropy_backward"
    x, t, weight = _probabilities(operation, input, target, weight, reduction)
    gradient = _loss.upstream(operation, dloss, reduction, x.shape)
    return reference.binary_cross_entropy_backward(gradient, x, t, weight, reduction)


def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
) -> Any:
    """`binary_cross_entropy` of sigmoid(input), computed without overflow and loss of precision.

    -weight (pos_weight target log s(input) + (1 - target) log s(-input)), with s(x) = 1 / (1 + exp(-x)).

    Args:
        input: scores of any size ("logits").
        target: probabilities, mostly 0 or 1.
        weight: a factor for the loss of each element; anything that broadcasts to the input.
        reduction: 'mean' over all elements, 'sum', or 'none'.
        pos_weight: a factor for the part of the loss that belongs to target 1; above 1 it favours recall over
            precision. Broadcasts to the input.
    Shape:
        - input, target: any, the same; float32 or float64
        - Result: a float; with reduction='none' an array of this shape
    Raises:
        ValueError: shapes do not fit.
    Example:
        >>> binary_cross_entropy_with_logits(np.array([1e4, -1e4]), np.array([1.0, 1.0]), reduction="none")
        array([    0., 10000.])

    Source: PyTorch's definition.
    """
    settings = {"weight": weight, "reduction": reduction, "pos_weight": pos_weight}
    of_target = _binary_cross_entropy_with_logits_of_target
    return run(
        _loss.LossOf(
            _binary_cross_entropy_with_logits, binary_cross_entropy_with_logits_backward, of_target, **settings
        ),
        input,
        target,
    )


def _binary_cross_entropy_with_logits(
    input: ArrayLike, target: ArrayLike, weight: ArrayLike | None, reduction: str, pos_weight: ArrayLike | None
) -> Any:
    x, t = _pair("binary_cross_entropy_with_logits", input, target, reduction)
    weight = _loss.element_weight("binary_cross_entropy_with_logits", "weight", weight, x)
    pos_weight = _loss.element_weight("binary_cross_entropy_with_logits", "pos_weight", pos_weight, x)
    return reference.binary_cross_entropy_with_logits(x, t, weight, reduction, pos_weight)


def binary_cross_entropy_with_logits_backward(
    dloss: ArrayLike,
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
) -> NDArray:
    """The gradient of `binary_cross_entropy_with_logits`.

    dloss times weight ((1 - target) s(input) - pos_weight target s(-input)).

    Args:
        dloss: gradient of what is minimised with respect to this loss; an array with reduction='none'.
        input, target, weight, reduction, pos_weight: as in `binary_cross_entropy_with_logits`.
    Shape:
        - Result: that of the input
    """
    operation = "binary_cross_entropy_with_logits_backward"
    x, t = _pair(operation, input, target, reduction)
    weight = _loss.element_weight(operation, "weight", weight, x)
    pos_weight = _loss.element_weight(operation, "pos_weight", pos_weight, x)
    gradient = _loss.upstream(operation, dloss, reduction, x.shape)
    return reference.binary_cross_entropy_with_logits_backward(gradient, x, t, weight, reduction, pos_weight)


def _binary_cross_entropy_of_target(
    dloss: NDArray, x: NDArray, t: NDArray, weight: ArrayLike | None, reduction: str
) -> NDArray:
    """weight (log(1 - input) - log(input)), where no logarithm is less than -100"""
    with np.errstate(divide="ignore"):
        odds = np.maximum(np.log1p(-x), -100) - np.maximum(np.log(x), -100)
    return _weighted(odds, dloss, weight, reduction, t)


def _binary_cross_entropy_with_logits_of_target(
    dloss: NDArray, x: NDArray, t: NDArray, weight: ArrayLike | None, reduction: str, pos_weight: ArrayLike | None
) -> NDArray:
    """weight (log s(-input) - pos_weight log s(input))"""
    positive = np.logaddexp(0, -x)  # -log s(input)
    odds = positive * (1 if pos_weight is None else pos_weight) - np.logaddexp(0, x)
    return _weighted(odds, dloss, weight, reduction, t)


def _weighted(odds: NDArray, dloss: NDArray, weight: ArrayLike | None, reduction: str, t: NDArray) -> NDArray:
    scale = dloss / odds.size if reduction == "mean" else dloss
    return (odds * (1 if weight is None else weight) * scale).astype(t.dtype)
