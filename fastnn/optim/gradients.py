"""What happens to gradients between `backward` and `step`: clipping, and penalties on the weights."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout
from fastnn import functional as F
from fastnn.functional import _check
from fastnn.nn.parameter import Parameter
from fastnn.optim.optimizer import parameter_list

__all__ = ["clip_grad_norm_", "clip_grad_value_", "l1_l2_penalty_"]


def _with_gradient(operation: str, parameters: Parameter | Iterable[Parameter]) -> list[Parameter]:
    found = [parameter for parameter in parameter_list(operation, parameters) if parameter.grad is not None]
    for parameter in found:
        parameter.grad = _check.floats(operation, "grad", parameter.grad)
    return found


def _output(gradient: NDArray) -> NDArray:
    """Where to write a changed gradient: into itself unless it is read-only."""
    return gradient if gradient.flags.writeable else _layout.empty_like(_layout.dense(gradient))


def _power_sum(x: NDArray, power: float) -> float:
    """The sum of |x|^power in double."""
    if power == 2:
        return F.sum_of_squares(x)
    if power == 1:
        return float(np.sum(np.abs(x), dtype=np.float64))
    return float(np.sum(np.abs(x).astype(np.float64) ** power))


def clip_grad_norm_(
    parameters: Parameter | Iterable[Parameter],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients, in place and by one factor, so that their common norm is at most `max_norm`.

    The norm is that of all gradients as one vector. It is accumulated in double and in a fixed order: it does not
    depend on the number of threads.

    Args:
        parameters: one or several; those without a gradient are passed over.
        max_norm: the largest norm allowed.
        norm_type: p of the p-norm, infinity for the largest magnitude.
        error_if_nonfinite: raise instead of scaling by a norm that is infinite or NaN.
    Returns:
        The norm before scaling.
    Raises:
        ValueError: max_norm < 0 or norm_type <= 0; or the norm is not finite, with error_if_nonfinite.
    Example:
        >>> w = nn.Parameter(np.zeros(2))
        >>> w.grad = np.array([3.0, 4.0])
        >>> clip_grad_norm_([w], max_norm=1.0), w.grad.round(3)
        (5.0, array([0.6, 0.8]))

    Source: Pascanu et al., 2013, "On the difficulty of training recurrent neural networks"; PyTorch's definition.
    """
    found = _with_gradient("clip_grad_norm_", parameters)
    max_norm = _check.real_number("clip_grad_norm_", "max_norm", max_norm)
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be > 0. Received: {norm_type!r}")
    gradients = [parameter.grad for parameter in found]
    if math.isinf(norm_type):
        largest = [np.max(np.abs(gradient)) for gradient in gradients if gradient.size]
        total = float(np.max(largest)) if largest else 0.0
    else:
        total = sum(_power_sum(gradient, norm_type) for gradient in gradients) ** (1 / norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise ValueError(f"clip_grad_norm_: the norm of the gradients is {total}")
    factor = max_norm / (total + 1e-6)
    if not factor >= 1:  # NaN reaches all gradients
        for parameter in found:
            out = _output(parameter.grad)
            with np.errstate(invalid="ignore"):
                np.multiply(parameter.grad, factor, out=out)
            parameter.grad = out
    return total


def clip_grad_value_(parameters: Parameter | Iterable[Parameter], clip_value: float) -> None:
    """Cut every element of the gradients, in place, to [-clip_value, clip_value].

    Args:
        parameters: one or several; those without a gradient are passed over.
        clip_value: the largest magnitude allowed.
    Raises:
        ValueError: clip_value < 0.
    Example:
        >>> w = nn.Parameter(np.zeros(3))
        >>> w.grad = np.array([-3.0, 0.5, 4.0])
        >>> clip_grad_value_([w], 1.0)
        >>> w.grad
        array([-1. ,  0.5,  1. ])
    """
    clip_value = _check.real_number("clip_grad_value_", "clip_value", clip_value)
    for parameter in _with_gradient("clip_grad_value_", parameters):
        out = _output(parameter.grad)
        np.clip(parameter.grad, -clip_value, clip_value, out=out)
        parameter.grad = out


def l1_l2_penalty_(parameters: Parameter | Iterable[Parameter], l1: float = 0.0, l2: float = 0.0) -> float:
    """Add the gradient of l1 * sum |w| + l2 * sum w^2 to the gradients, and return that penalty.

    Call it between `backward` and `step`, and add the result to the loss. l2 acts as weight_decay = 2 * l2 of an
    optimiser does. The derivative of |w| at 0 is taken as 0. Frozen parameters count in neither.

    Args:
        parameters: one or several; one without a gradient gets one.
        l1, l2: the weights of the two sums.
    Raises:
        ValueError: l1 < 0 or l2 < 0.
    Example:
        >>> w = nn.Parameter(np.array([1.0, -2.0]))
        >>> l1_l2_penalty_([w], l1=0.5, l2=0.25), w.grad
        (2.75, array([ 1. , -1.5]))

    Source: Hoerl and Kennard, 1970, "Ridge regression"; Tibshirani, 1996, "Regression shrinkage and selection via the
    lasso".
    """
    l1, l2 = _check.real_number("l1_l2_penalty_", "l1", l1), _check.real_number("l1_l2_penalty_", "l2", l2)
    penalty = 0.0
    for parameter in parameter_list("l1_l2_penalty_", parameters):
        if not parameter.requires_grad:
            continue
        data = _layout.dense(_check.floats("l1_l2_penalty_", "data", parameter.data))
        if parameter.grad is not None:
            _check.same_shape("l1_l2_penalty_", data=data, grad=parameter.grad)
        addition, term = _layout.empty_like(data), _layout.empty_like(data)
        np.multiply(data, 2 * l2, out=addition)
        np.sign(data, out=term)
        term *= l1
        addition += term
        if parameter.grad is not None:
            addition += parameter.grad
        parameter.grad = addition
        penalty += (l1 * _power_sum(data, 1) if l1 else 0.0) + (l2 * F.sum_of_squares(data) if l2 else 0.0)
    return penalty
