"""Losses of class scores other than cross-entropy."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastnn import _check, reference
from fastnn.autograd.tape import run
from fastnn.functional import _loss

__all__ = [
    "focal_loss",
    "focal_loss_backward",
    "multi_margin_loss",
    "multi_margin_loss_backward",
    "nll_loss",
    "nll_loss_backward",
]

# As in functional/losses.py, the NumPy twins compute on both backends.


def _nll(
    operation: str,
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None,
    ignore_index: int,
    reduction: str,
) -> tuple[NDArray, NDArray, NDArray | None, int, str]:
    _loss.check_reduction(operation, reduction)
    x = _loss.class_scores(operation, input)
    ignore_index = _check.integer(operation, "ignore_index", ignore_index, -(2**63), 2**63 - 1)
    labels = _loss.labels(operation, target, x, ignore_index)
    return x, labels, _loss.class_weight(operation, "weight", weight, x), ignore_index, reduction


def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """The negative log-likelihood: -weight[label] * input[label] for each row.

    Args:
        input: log-probabilities, as `log_softmax` gives them.
        target: labels, of any integer dtype.
        weight: one for each class; it is cast to the dtype of the input.
        ignore_index: rows with this label have no loss and no gradient.
        reduction: 'mean' divides by the sum of weight[label] over the rows that are not ignored (NaN if there are
            none); 'sum'; or 'none'.
    Shape:
        - input: (N, C) or (N, C, d1, ...), float32 or float64
        - target: (N) or (N, d1, ...)
        - Result: a float; with reduction='none' an array of the target's shape
    Raises:
        ValueError: shapes do not fit, or a label lies outside [0, C); the message names the first one.
    Example:
        >>> round(nll_loss(np.log([[0.5, 0.5], [0.25, 0.75]]), np.array([0, -100])), 4)
        0.6931

    Source: PyTorch's definition.
    """
    settings = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    return run(_loss.LossOf(_nll_loss, nll_loss_backward, None, **settings), input, target)


def _nll_loss(input: ArrayLike, target: ArrayLike, weight: ArrayLike | None, ignore_index: int, reduction: str) -> Any:
    return reference.nll_loss(*_nll("nll_loss", input, target, weight, ignore_index, reduction))


def nll_loss_backward(
    dloss: ArrayLike,
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> NDArray:
    """The gradient of `nll_loss`: dloss times -weight[label] at the label, 0 elsewhere.

    Args:
        dloss: gradient of what is minimised with respect to this loss; an array with reduction='none'.
        input, target, weight, ignore_index, reduction: as in `nll_loss`.
    Shape:
        - Result: that of the input
    """
    arguments = _nll("nll_loss_backward", input, target, weight, ignore_index, reduction)
    gradient = _loss.upstream("nll_loss_backward", dloss, reduction, arguments[1].shape)
    return reference.nll_loss_backward(gradient, *arguments)


def _rows(operation: str, input: ArrayLike, target: ArrayLike, reduction: str) -> tuple[NDArray, NDArray]:
    _loss.check_reduction(operation, reduction)
    x = _loss.class_scores(operation, input)
    if x.ndim != 2:
        raise _check.fail(operation, "input must have shape (N, C)", input=x)
    return x, _loss.labels(operation, target, x)


def power(operation: str, p: float) -> int:
    """The exponent of a margin."""
    number = _check.number(operation, "p", p)
    if number not in (1, 2):
        raise ValueError(f"{operation}: p must be 1 or 2. Received: {p!r}")
    return int(number)


def _multi_margin(
    operation: str,
    input: ArrayLike,
    target: ArrayLike,
    p: int,
    margin: float,
    weight: ArrayLike | None,
    reduction: str,
) -> tuple[NDArray, NDArray, int, float, NDArray | None, str]:
    x, labels = _rows(operation, input, target, reduction)
    p, margin = power(operation, p), _check.number(operation, "margin", margin, finite=True)
    return x, labels, p, margin, _loss.class_weight(operation, "weight", weight, x), reduction


def multi_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: float = 1.0,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Any:
    """The multi-class hinge: every other class should score lower than the label's by a margin.

    loss = weight[label] / C * sum over j != label of max(0, margin - input[label] + input[j])^p

    Args:
        input: scores.
        target: labels, of any integer dtype.
        p: 1, or 2 for squared margins.
        margin: by how much another class should score lower.
        weight: one for each class; it is cast to the dtype of the input.
        reduction: 'mean' over the rows, 'sum', or 'none'.
    Shape:
        - input: (N, C), float32 or float64
        - target: (N)
        - Result: a float; with reduction='none' an array (N)
    Raises:
        ValueError: shapes do not fit, p is another number, or a label lies outside [0, C).
    Example:
        >>> multi_margin_loss(np.array([[0.5, 0.0, -1.0, 2.0]]), np.array([0]))
        0.75

    Source: PyTorch's definition; Crammer and Singer, 2001, "On the algorithmic implementation of multiclass
    kernel-based vector machines" takes the largest margin instead of the sum.
    """
    settings = {"p": p, "margin": margin, "weight": weight, "reduction": reduction}
    return run(_loss.LossOf(_multi_margin_loss, multi_margin_loss_backward, None, **settings), input, target)


def _multi_margin_loss(
    input: ArrayLike, target: ArrayLike, p: int, margin: float, weight: ArrayLike | None, reduction: str
) -> Any:
    return reference.multi_margin_loss(*_multi_margin("multi_margin_loss", input, target, p, margin, weight, reduction))


def multi_margin_loss_backward(
    dloss: ArrayLike,
    input: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: float = 1.0,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> NDArray:
    """The gradient of `multi_margin_loss`; 0 for a margin of exactly 0.

    Args:
        dloss: gradient of what is minimised with respect to this loss; an array with reduction='none'.
        input, target, p, margin, weight, reduction: as in `multi_margin_loss`.
    Shape:
        - Result: that of the input
    """
    arguments = _multi_margin("multi_margin_loss_backward", input, target, p, margin, weight, reduction)
    gradient = _loss.upstream("multi_margin_loss_backward", dloss, reduction, arguments[1].shape)
    return reference.multi_margin_loss_backward(gradient, *arguments)


def _focal(
    operation: str, input: ArrayLike, target: ArrayLike, gamma: float, alpha: ArrayLike | None, reduction: str
) -> tuple[NDArray, NDArray, float, NDArray | None, str]:
    x, labels = _rows(operation, input, target, reduction)
    gamma = _check.number(operation, "gamma", gamma, 0)
    return x, labels, gamma, _loss.class_weight(operation, "alpha", alpha, x), reduction


def focal_loss(
    input: ArrayLike,
    target: ArrayLike,
    gamma: float = 2.0,
    alpha: ArrayLike | None = None,
    reduction: str = "mean",
) -> Any:
    """Cross-entropy with less weight on examples that are already classified well.

    loss = -alpha[label] * (1 - p)^gamma * log(p),    p = softmax(input)[label]

    Args:
        input: scores before softmax ("logits").
        target: labels, of any integer dtype.
        gamma: how much less; 0 gives cross-entropy.
        alpha: weight of each class; it is cast to the dtype of the input.
        reduction: 'mean' over the rows (whatever their alpha), 'sum', or 'none'.
    Shape:
        - input: (N, C), float32 or float64
        - target: (N)
        - Result: a float; with reduction='none' an array (N)
    Raises:
        ValueError: shapes do not fit, gamma < 0, or a label lies outside [0, C).
    Example:
        >>> round(focal_loss(np.log([[0.5, 0.5]]), np.array([0])), 4)
        0.1733

    Source: Lin et al., 2017, "Focal loss for dense object detection", with softmax over the classes instead of a
    sigmoid for each.
    """
    settings = {"gamma": gamma, "alpha": alpha, "reduction": reduction}
    return run(_loss.LossOf(_focal_loss, focal_loss_backward, None, **settings), input, target)


def _focal_loss(input: ArrayLike, target: ArrayLike, gamma: float, alpha: ArrayLike | None, reduction: str) -> Any:
    return reference.focal_loss(*_focal("focal_loss", input, target, gamma, alpha, reduction))


def focal_loss_backward(
    dloss: ArrayLike,
    input: ArrayLike,
    target: ArrayLike,
    gamma: float = 2.0,
    alpha: ArrayLike | None = None,
    reduction: str = "mean",
) -> NDArray:
    """The gradient of `focal_loss`:

    dloss * alpha[label] * (1 - p)^gamma * (gamma p log(p) / (1 - p) - 1) * (onehot(label) - softmax(input))

    Args:
        dloss: gradient of what is minimised with respect to this loss; an array with reduction='none'.
        input, target, gamma, alpha, reduction: as in `focal_loss`.
    Shape:
        - Result: that of the input
    """
    arguments = _focal("focal_loss_backward", input, target, gamma, alpha, reduction)
    gradient = _loss.upstream("focal_loss_backward", dloss, reduction, arguments[1].shape)
    return reference.focal_loss_backward(gradient, *arguments)
