"""Gradient clipping, and penalties on the weights: what is done between `backward` and `step`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _layout
from fastnn import functional as F
from fastnn.nn.parameter import Parameter
from fastnn.optim.optimizer import number, parameter_list

__all__ = ["clip_grad_norm_", "clip_grad_value_", "l1_l2_penalty_"]


# A sum of powers above it, and finite, has lost nothing: no term that counts was too small for a double, or too large.
_LEAST = 2.0**-900


def _with_gradient(operation: str, parameters: Parameter | Iterable[Parameter]) -> list[Parameter]:
    found = [p for p in dict.fromkeys(parameter_list(operation, parameters)) if p._grad is not None]
    gradients = [_check.floats(operation, "grad", parameter._grad) for parameter in found]
    for parameter, gradient in zip(found, gradients, strict=True):
        parameter._grad = gradient
    return found


def _output(gradient: NDArray) -> NDArray:
    """Where to write a changed gradient: into itself unless it is read-only."""
    return gradient if gradient.flags.writeable else _layout.empty_like(_layout.dense(gradient))


def _power_sum(x: NDArray, power: float) -> float:
    """The sum of |x|^power in double."""
    if power == 2:
        return F.sum_of_squares(x)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if power == 1:
            return float(np.sum(np.abs(x), dtype=np.float64))
        return float(np.sum(np.abs(x).astype(np.float64) ** power))


def _largest(arrays: list[NDArray]) -> float:
    largest = [np.max(np.abs(x)) for x in arrays if x.size]
    return float(np.max(largest)) if largest else 0.0


def _norm(arrays: list[NDArray], power: float) -> tuple[float, int]:
    """(m, k) with m * 2^k the norm of all arrays as one vector; k is 0 unless the powers leave the doubles."""
    if math.isinf(power):
        return _largest(arrays), 0
    total = sum(_power_sum(x, power) for x in arrays)
    if _LEAST < total < math.inf:
        with np.errstate(over="ignore", under="ignore"):
            return float(np.float64(total) ** (1 / power)), 0
    return _scaled_norm(arrays, power)


def _scaled_norm(arrays: list[NDArray], power: float) -> tuple[float, int]:
    """As `_norm`, of values as large or small as there are: relative to the largest, no power leaves the doubles."""
    largest = _largest(arrays)
    if not 0 < largest < math.inf:  # NaN and infinity stay what they are
        return largest, 0
    total = sum(_power_sum(x.astype(np.float64) / largest, power) for x in arrays)
    mantissa, exponent = math.frexp(largest)
    with np.errstate(over="ignore"):
        return float(np.float64(total) ** (1 / power)) * mantissa, exponent


def _ldexp(mantissa: float, exponent: int) -> float:
    try:
        return math.ldexp(mantissa, exponent)
    except OverflowError:
        return math.copysign(math.inf, mantissa)


def _scale(gradient: NDArray, factor: float, exponent: int) -> NDArray:
    """gradient * factor * 2^exponent, in place if it can be."""
    out = _output(gradient)
    with np.errstate(invalid="ignore", under="ignore"):
        if exponent or 0 < factor < np.finfo(gradient.dtype).tiny:  # a factor of the gradient's dtype has too few bits
            mantissa, more = math.frexp(factor)
            np.ldexp(np.multiply(gradient, mantissa, out=out), more + exponent, out=out)
        else:
            np.multiply(gradient, factor, out=out)
    return out


def clip_grad_norm_(
    parameters: Parameter | Iterable[Parameter],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients in place, by one factor, so that their total norm is at most `max_norm`.

    The total norm is that of all gradients taken as one vector. It is accumulated in float64 and in a fixed order, so
    it does not depend on the number of threads.

    Args:
        parameters: one parameter or several. Those without a gradient are skipped.
        max_norm: the largest norm allowed, >= 0. With infinity nothing is changed, and the norm is only measured.
        norm_type: p of the p-norm, > 0; infinity for the largest magnitude. Default 2.
        error_if_nonfinite: raise an error if the norm is infinite or NaN, instead of scaling by it. Default False.
    Returns:
        The total norm before scaling, a float.
    Raises:
        ValueError: max_norm < 0 or norm_type <= 0; or the norm is not finite and error_if_nonfinite is set.
    Example:
        >>> w = nn.Parameter(np.zeros(2))
        >>> w.grad = np.array([3.0, 4.0])
        >>> clip_grad_norm_([w], max_norm=1.0), w.grad.round(3)
        (5.0, array([0.6, 0.8]))

    Source: Pascanu et al., 2013, "On the difficulty of training recurrent neural networks"; PyTorch's definition.
    """
    max_norm = _check.number("clip_grad_norm_", "max_norm", max_norm, 0)
    norm_type = _check.number("clip_grad_norm_", "norm_type", norm_type, 0)
    if norm_type == 0:
        raise ValueError("clip_grad_norm_: norm_type must be > 0. Received: 0")
    error_if_nonfinite = _check.boolean("clip_grad_norm_", "error_if_nonfinite", error_if_nonfinite)
    found = _with_gradient("clip_grad_norm_", parameters)
    norm, exponent = _norm([parameter._grad for parameter in found], norm_type)
    total = _ldexp(norm, exponent)
    if error_if_nonfinite and not math.isfinite(total):
        raise ValueError(f"clip_grad_norm_: the norm of the gradients is {total}")
    if max_norm == math.inf:
        return total
    # Beside a norm that is too large for a double, 1e-6 is nothing; beside one too small, it is all.
    factor, exponent = (max_norm / norm, -exponent) if exponent > 0 else (max_norm / (total + 1e-6), 0)
    if not _ldexp(factor, exponent) >= 1:  # NaN reaches all gradients
        scaled: dict[Any, NDArray] = {}  # parameters may share an array, which must be scaled once
        for parameter in found:
            key = (parameter._grad.__array_interface__["data"][0], parameter._grad.strides, parameter._grad.shape)
            if key not in scaled:
                scaled[key] = _scale(parameter._grad, factor, exponent)
            parameter._grad = scaled[key]
    return total


def clip_grad_value_(parameters: Parameter | Iterable[Parameter], clip_value: float) -> None:
    """Clip every element of the gradients in place to [-clip_value, clip_value].

    Args:
        parameters: one parameter or several. Those without a gradient are skipped.
        clip_value: the largest magnitude allowed, >= 0.
    Raises:
        ValueError: clip_value < 0.
    Example:
        >>> w = nn.Parameter(np.zeros(3))
        >>> w.grad = np.array([-3.0, 0.5, 4.0])
        >>> clip_grad_value_([w], 1.0)
        >>> w.grad
        array([-1. ,  0.5,  1. ])

    Source: PyTorch's definition.
    """
    clip_value = number("clip_grad_value_", "clip_value", clip_value)
    for parameter in _with_gradient("clip_grad_value_", parameters):
        out = _output(parameter._grad)
        np.clip(parameter._grad, -clip_value, clip_value, out=out)
        parameter._grad = out


def l1_l2_penalty_(parameters: Parameter | Iterable[Parameter], l1: float = 0.0, l2: float = 0.0) -> float:
    """Add the gradient of the penalty l1 * sum |w| + l2 * sum w^2 to the gradients, and return the penalty.

    Call it between `backward` and `step`, and add the result to the loss. l2 acts like weight_decay = 2 * l2 of an
    optimiser such as `SGD`. The derivative of |w| at 0 is taken as 0. Frozen parameters are skipped.

    Args:
        parameters: one parameter or several. A parameter without a gradient gets one.
        l1: the factor of the sum of magnitudes, >= 0. Default 0.
        l2: the factor of the sum of squares, >= 0. Default 0.
    Returns:
        The penalty, a float.
    Raises:
        ValueError: l1 < 0 or l2 < 0.
    Example:
        >>> w = nn.Parameter(np.array([1.0, -2.0]))
        >>> l1_l2_penalty_([w], l1=0.5, l2=0.25), w.grad
        (2.75, array([ 1. , -1.5]))

    Source: Hoerl and Kennard, 1970, "Ridge regression"; Tibshirani, 1996, "Regression shrinkage and selection via the
    lasso".
    """
    l1, l2 = number("l1_l2_penalty_", "l1", l1), number("l1_l2_penalty_", "l2", l2)
    trained = [p for p in dict.fromkeys(parameter_list("l1_l2_penalty_", parameters)) if p.requires_grad]
    weights = [_layout.dense(_check.floats("l1_l2_penalty_", "data", parameter._data)) for parameter in trained]
    for parameter, data in zip(trained, weights, strict=True):
        if parameter._grad is not None:
            grad = _check.floats("l1_l2_penalty_", "grad", parameter._grad)
            _check.same_shape("l1_l2_penalty_", data=data, grad=grad)
    penalty = 0.0
    for parameter, data in zip(trained, weights, strict=True):
        addition, term = _layout.empty_like(data), _layout.empty_like(data)
        np.multiply(data, 2 * l2, out=addition)
        np.sign(data, out=term)
        term *= l1
        addition += term
        if parameter._grad is not None:
            addition += parameter._grad
        parameter._grad = addition
        penalty += (_weighted_sum(l1, data, 1) if l1 else 0.0) + (_weighted_sum(l2, data, 2) if l2 else 0.0)
    return penalty


def _weighted_sum(weight: float, x: NDArray, power: int) -> float:
    """weight * sum |x|^power."""
    total = _power_sum(x, power)
    if _LEAST < total < math.inf:
        return weight * total
    norm, exponent = _scaled_norm([x], power)
    return _ldexp(weight * norm**power, exponent * power)
