"""Losses, by PyTorch's signatures."""

import math
from typing import Any

import numpy as np

from fastnn import functional as F
from fastnn.autograd.methods import FUNCTIONS, UFUNCS
from fastnn.compat.notes import note
from fastnn.compat.torch._promotion import matched
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn._functional_activation import logsigmoid
from fastnn.compat.torch.nn._functional_shapes import pairwise_distance

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss", "cross_entropy",
    "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss",
    "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss",
    "smooth_l1_loss", "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip

_add, _subtract, _multiply, _divide = (UFUNCS[f] for f in (np.add, np.subtract, np.multiply, np.true_divide))
_sum, _where = FUNCTIONS[np.sum], FUNCTIONS[np.where]


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """What the old arguments `size_average` and `reduce` mean, if one of them is given, and old reductions."""
    if size_average is None and reduce is None:
        return "mean" if reduction == "elementwise_mean" else reduction  # of PyTorch 0.4
    found = "none" if reduce is False else "sum" if size_average is False else "mean"
    note(f"size_average and reduce are old arguments of losses: reduction={found!r} says the same")
    return found


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return FUNCTIONS[np.mean](loss)
    if reduction == "sum":
        return _sum(loss)
    if reduction != "none":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return loss


def _at_least(x: Any, bound: float) -> Tensor:
    return FUNCTIONS[np.clip](x, bound, None)


def _pair(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Of the same dtype and shape."""
    if input._data.dtype is not target._data.dtype:
        input, target = matched(input, target)
    if input._data.shape != target._data.shape:
        note(f"{name}: a target of another shape than the input is broadcast, which is seldom what is wanted")
        shape = np.broadcast_shapes(input._data.shape, target._data.shape)
        input, target = (FUNCTIONS[np.broadcast_to](x, shape) for x in (input, target))
    return input, target


# ---- between two tensors ---------------------------------------------------------------------------------------------
def _weighted(function: Any, input: Any, target: Any, weight: Any, reduction: str) -> Tensor:
    if weight is None:
        return function(input, target, reduction)
    loss = _multiply(function(input, target, "none"), weight)
    if reduction == "mean":
        return _divide(_sum(loss), _sum(FUNCTIONS[np.broadcast_to](weight, loss._data.shape)))
    return _reduced(loss, reduction)


def mse_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None
) -> Tensor:
    """(input - target)^2"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _weighted(F.mse_loss, *_pair("mse_loss", input, target), weight, reduction)


def l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None
) -> Tensor:
    """|input - target|"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _weighted(F.l1_loss, *_pair("l1_loss", input, target), weight, reduction)


def smooth_l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """Half the square of small differences, divided by beta; large ones as they are"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return F.smooth_l1_loss(*_pair("smooth_l1_loss", input, target), reduction, beta)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Tensor:
    """Half the square of small differences; large ones times delta"""
    input, target = _pair("huber_loss", input, target)
    if weight is None:
        return F.huber_loss(input, target, reduction, delta)
    return _reduced(_multiply(F.huber_loss(input, target, "none", delta), weight), reduction)


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """Of probabilities"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _same_shape(input, target)
    if weight is not None:
        weight = np.broadcast_to(weight._data, input._data.shape)
    return F.binary_cross_entropy(input, target, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Tensor:
    """Of scores, whose sigmoid is the probability"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _same_shape(input, target)
    input, target = _pair("binary_cross_entropy_with_logits", input, target)
    arrays = [
        None if value is None else np.broadcast_to(value._data, input._data.shape) for value in (weight, pos_weight)
    ]
    return F.binary_cross_entropy_with_logits(input, target, arrays[0], reduction, arrays[1])


def _same_shape(input: Any, target: Any) -> None:
    if input._data.shape != target._data.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape}): use "
            "target.unsqueeze(1) or input.squeeze(1)"
        )


def kl_div(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input), of an input that is a logarithm already"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if log_target:
        loss = _multiply(UFUNCS[np.exp](target), _subtract(target, input))
    else:
        is_zero = new(target._data == 0)
        safe = _where(is_zero, new(np.ones((), target._data.dtype)), target)
        loss = _subtract(_multiply(target, UFUNCS[np.log](safe)), _multiply(target, input))
    if reduction == "batchmean":
        return _divide(_sum(loss), input._data.shape[0])
    return _reduced(loss, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Of a normal distribution with these means and variances"""
    if isinstance(var, int | float):
        var = new(np.full((), var, input._data.dtype))
    if var._data.ndim and var._data.shape == input._data.shape[:-1]:
        var = FUNCTIONS[np.expand_dims](var, -1)
    if (var._data < 0).any():
        raise ValueError("var has negative entry/entries")
    missing = new(np.maximum(var._data, eps) - var._data)  # the bound lets gradients through
    var = _add(var, missing)
    loss = _multiply(_add(UFUNCS[np.log](var), _divide(UFUNCS[np.square](_subtract(input, target)), var)), 0.5)
    return _reduced(_add(loss, 0.5 * math.log(2 * math.pi)) if full else loss, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Of a Poisson distribution with these means, or their logarithms"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if log_input:
        loss = _subtract(UFUNCS[np.exp](input), _multiply(target, input))
    else:
        loss = _subtract(input, _multiply(target, UFUNCS[np.log](_add(input, eps))))
    if full:
        t = target._data
        safe = np.maximum(t, 1)
        stirling = safe * np.log(safe) - safe + 0.5 * np.log(2 * np.pi * safe)
        loss = _add(loss, new(np.where(t > 1, stirling, 0).astype(t.dtype)))
    return _reduced(loss, reduction)


def soft_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + e^(-target * input)), with targets 1 and -1"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _reduced(UFUNCS[np.negative](logsigmoid(_multiply(*matched(input, target)))), reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """input where the target is 1, max(0, margin - input) where it is -1"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    zero = new(np.zeros((), input._data.dtype))
    rest = _where(new(target._data != 1), _at_least(_subtract(margin, input), 0), zero)
    return _reduced(_add(rest, _where(new(target._data != -1), input, zero)), reduction)


# ---- among vectors ---------------------------------------------------------------------------------------------------
def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cosine where the target is 1, max(0, cosine - margin) where it is -1"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    squares = [_add(_sum(UFUNCS[np.square](x), -1), 1e-12) for x in (input1, input2)]
    cosine = _divide(_sum(_multiply(input1, input2), -1), UFUNCS[np.sqrt](_multiply(*squares)))
    zero = new(np.zeros((), cosine._data.dtype))
    same = _where(new(target._data == 1), _subtract(1.0, cosine), zero)
    return _reduced(
        _add(same, _where(new(target._data == -1), _at_least(_subtract(cosine, margin), 0), zero)), reduction
    )


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin)"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    difference = _subtract(input2, input1)
    return _reduced(_at_least(_add(_multiply(*matched(target, difference)), margin), 0), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, distance to the positive - distance to the negative + margin)"""
    reduction = legacy_reduction(size_average, reduce, reduction)

    def distance(a: Any, b: Any) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own"""
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = UFUNCS[np.minimum](far, distance(positive, negative))
    return _reduced(_at_least(_add(_subtract(near, far), margin), 0), reduction)


# ---- of classes ------------------------------------------------------------------------------------------------------
def _of_one(function: Any, input: Any, target: Any, reduction: str) -> Tensor:
    """The loss of the scores of one example, without the axis of the batch."""
    shape = (1, -1) if target._data.dtype.kind == "f" else (1,)
    y = function(FUNCTIONS[np.reshape](input, (1, -1)), FUNCTIONS[np.reshape](target, shape))
    return FUNCTIONS[np.reshape](y, ()) if reduction == "none" else y


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log(softmax(input)[target]), of labels or probabilities"""
    reduction = legacy_reduction(size_average, reduce, reduction)

    def loss(input: Any, target: Any) -> Tensor:
        return F.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)

    return loss(input, target) if input._data.ndim > 1 else _of_one(loss, input, target, reduction)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """-input[target], of logarithms of probabilities"""
    reduction = legacy_reduction(size_average, reduce, reduction)

    def loss(input: Any, target: Any) -> Tensor:
        return F.nll_loss(input, target, weight, ignore_index, reduction)

    return loss(input, target) if input._data.ndim > 1 else _of_one(loss, input, target, reduction)


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - input[target] + input[c])^p, averaged over the classes c"""
    reduction = legacy_reduction(size_average, reduce, reduction)

    def loss(input: Any, target: Any) -> Tensor:
        return F.multi_margin_loss(input, target, p, margin, weight, reduction)

    return loss(input, target) if input._data.ndim > 1 else _of_one(loss, input, target, reduction)


def multilabel_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """max(0, 1 - input[label] + input[c]), for each label and each class c that is none, divided by all classes

    A row of `target` holds labels up to the first -1.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    labels = target._data
    if input._data.shape != labels.shape or labels.ndim > 2:
        raise RuntimeError(f"inconsistent target size: {tuple(labels.shape)} for input of {tuple(input._data.shape)}")
    is_label = np.logical_and.accumulate(labels >= 0, -1)
    indices = np.where(is_label, labels, 0)
    is_target = ((indices[..., None] == np.arange(labels.shape[-1])) & is_label[..., None]).any(-2)
    of_labels = FUNCTIONS[np.take_along_axis](input, indices, -1)
    gaps = _subtract(FUNCTIONS[np.expand_dims](input, -2), FUNCTIONS[np.expand_dims](of_labels, -1))
    counts = new(is_label[..., :, None] & ~is_target[..., None, :])
    zero = new(np.zeros((), input._data.dtype))
    losses = _where(counts, _at_least(_add(gaps, 1.0), 0), zero)
    return _reduced(_divide(_sum(losses, (-2, -1)), labels.shape[-1]), reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy of scores, averaged over the classes"""
    reduction = legacy_reduction(size_average, reduce, reduction)
    input, target = matched(input, target)
    positive = _multiply(target, logsigmoid(input))
    negative = _multiply(_subtract(1.0, target), logsigmoid(UFUNCS[np.negative](input)))
    loss = UFUNCS[np.negative](_add(positive, negative))
    if weight is not None:
        loss = _multiply(loss, weight)
    return _reduced(FUNCTIONS[np.mean](loss, -1), reduction)
