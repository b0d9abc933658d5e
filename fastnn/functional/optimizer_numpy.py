"""Steps of optimisers that have no kernel in C: their twin in `fastnn.reference`, block by block.

A block and what is computed from it stay in the cache of one core. Elements do not depend on each other, so neither
the blocks nor the memory order of the arrays shows in the bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _runtime, reference
from fastnn.functional.optimizer import _betas, _check_settings, _checked

__all__ = ["adadelta_step", "lion_step", "nadam_step"]

# Elements. Of 2^11 to 2^20 it is the fastest for a million floats in float32; all at once takes three to six times as
# long, Adam's kernel in C a tenth.
_BLOCK = 1 << 14


def _run_flat(
    kernel: Callable[..., None],
    settings: dict[str, Any],
    parameter: NDArray,
    gradient: NDArray,
    *states: NDArray | None,
) -> None:
    """Call `kernel` on arrays that lie in memory in the parameter's order, and copy results back where one did not."""
    if not parameter.size:
        return
    w = _layout.dense(parameter)
    used = [w, *(None if state is None else _layout.as_ordered(state, w) for state in states)]
    order = _layout.memory_order(w)  # by now that of all arrays
    flat = [None if array is None else _layout.flat(array, order) for array in used]
    kernel(settings, flat[0], _layout.flat(_layout.as_ordered(gradient, w), order), *flat[1:])
    for given, array in zip((parameter, *states), used, strict=True):
        if given is not None and given is not array:
            given[...] = array


def _run_twin(
    twin: Callable[..., None], settings: dict[str, Any], parameter: NDArray, gradient: NDArray, *states: NDArray
) -> None:
    """Call `twin` on the arrays: whole if the reference is asked for, else by blocks."""

    def by_blocks(settings: dict[str, Any], *arrays: Any) -> None:
        with np.errstate(all="ignore"):  # as in C: infinity and NaN are results
            for begin in range(0, arrays[0].size, _BLOCK):
                twin(*(array[begin : begin + _BLOCK] for array in arrays), **settings)

    if _runtime.uses_reference():
        twin(parameter, gradient, *states, **settings)
    else:
        _run_flat(by_blocks, settings, parameter, gradient, *states)


def adadelta_step(
    parameter: NDArray,
    gradient: ArrayLike,
    square_avg: NDArray,
    acc_delta: NDArray,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> None:
    """Adadelta: with d = gradient + weight_decay * parameter,

    square_avg = rho * square_avg + (1 - rho) * d^2
    delta      = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * d
    acc_delta  = rho * acc_delta + (1 - rho) * delta^2
    parameter  = parameter - lr * delta

    Computed in NumPy by one thread, and slower than the optimisers that have a kernel in C.

    Args:
        parameter: the parameter, changed in place.
        gradient: the gradient of what is minimised with respect to the parameter.
        square_avg, acc_delta: changed in place; zeros before the first step.
        lr, rho, eps, weight_decay: as in the formula.
        maximize: change the sign of the gradient.
    Shape:
        - all arrays: any, float32 or float64
    Raises:
        ValueError: shapes differ, rho is outside [0, 1], or an array to be changed is read-only.
        TypeError: a dtype other than float32 and float64.
    Example:
        >>> w, square_avg, acc_delta = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
        >>> adadelta_step(w, np.array([3.0, -4.0]), square_avg, acc_delta, rho=0.75, eps=1.0)
        >>> w.round(4), square_avg
        (array([-0.6641,  3.7889]), array([2.25, 4.  ]))

    Source: Zeiler, 2012, "ADADELTA: an adaptive learning rate method"; PyTorch's definition.
    """
    gradient = _checked("adadelta_step", parameter, gradient, square_avg=square_avg, acc_delta=acc_delta)
    settings: dict[str, Any] = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
    _check_settings("adadelta_step", settings)
    _check.number("adadelta_step", "rho", rho, 0, 1)
    _run_twin(reference.adadelta_step, settings, parameter, gradient, square_avg, acc_delta)


def nadam_step(
    parameter: NDArray,
    gradient: ArrayLike,
    exp_avg: NDArray,
    exp_avg_sq: NDArray,
    *,
    step: int,
    mu_product: float,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    maximize: bool = False,
) -> float:
    """NAdam, Adam with Nesterov's look ahead: with d = gradient + weight_decay * parameter,

    mu_t       = beta1 * (1 - 0.96^(t * momentum_decay) / 2)        t: the number of the step
    p_t        = mu_1 * ... * mu_t
    exp_avg    = beta1 * exp_avg + (1 - beta1) * d
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * d^2
    ahead      = (1 - mu_t) / (1 - p_t) * d + mu_{t+1} / (1 - p_{t+1}) * exp_avg
    parameter  = parameter - lr * ahead / (sqrt(exp_avg_sq / (1 - beta2^t)) + eps)

    Computed in NumPy by one thread, and slower than the optimisers that have a kernel in C.

    Args:
        parameter: the parameter, changed in place.
        gradient: the gradient of what is minimised with respect to the parameter.
        exp_avg, exp_avg_sq: changed in place; zeros before the first step.
        step: the number of the step, t, counted from 1.
        mu_product: p_{t-1}, the result of the step before; 1 before the first.
        lr, betas, eps, weight_decay, momentum_decay: as in the formula.
        decoupled_decay: first multiply the parameter by 1 - lr * decoupled_decay.
        maximize: change the sign of the gradient.
    Returns:
        p_t, for the next step.
    Shape:
        - all arrays: any, float32 or float64
        - Result: a float
    Raises:
        ValueError: shapes differ, step < 1, a number is outside of its range, or an array to be changed is read-only.
        TypeError: a dtype other than float32 and float64.
    Example:
        >>> w, exp_avg, exp_avg_sq = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
        >>> mu_product = nadam_step(w, np.array([3.0, -4.0]), exp_avg, exp_avg_sq, step=1, mu_product=1.0, lr=0.5)
        >>> w.round(4), round(mu_product, 4)
        (array([0.4718, 2.5282]), 0.4501)

    Source: Dozat, 2016, "Incorporating Nesterov momentum into Adam"; PyTorch's definition.
    """
    gradient = _checked("nadam_step", parameter, gradient, exp_avg=exp_avg, exp_avg_sq=exp_avg_sq)
    step = _check.integer("nadam_step", "step", step, 1)
    mu_product = _check.number("nadam_step", "mu_product", mu_product, 0, 1)
    beta1, beta2 = _betas("nadam_step", betas)
    momentum_decay = _check.number("nadam_step", "momentum_decay", momentum_decay, 0)
    settings: dict[str, Any] = {
        "lr": lr,
        "eps": eps,
        "weight_decay": weight_decay,
        "decoupled_decay": decoupled_decay,
        "maximize": maximize,
    }
    _check_settings("nadam_step", settings)
    mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (step, step + 1))
    mu_product *= mu
    settings |= {"betas": (beta1, beta2), "step": step, "mu": mu, "mu_next": mu_next, "mu_product": mu_product}
    _run_twin(reference.nadam_step, settings, parameter, gradient, exp_avg, exp_avg_sq)
    return mu_product


def lion_step(
    parameter: NDArray,
    gradient: ArrayLike,
    exp_avg: NDArray,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.99),
    decoupled_decay: float = 0.0,
    maximize: bool = False,
) -> None:
    """Lion, steps of one size in every direction:

    c         = beta1 * exp_avg + (1 - beta1) * gradient
    parameter = (1 - lr * decoupled_decay) * parameter - lr * sign(c)       sign(0) = 0
    exp_avg   = beta2 * exp_avg + (1 - beta2) * gradient

    Computed in NumPy by one thread, and slower than the optimisers that have a kernel in C.

    Args:
        parameter: the parameter, changed in place.
        gradient: the gradient of what is minimised with respect to the parameter.
        exp_avg: changed in place; zeros before the first step.
        lr, betas, decoupled_decay: as in the formula.
        maximize: change the sign of the gradient.
    Shape:
        - all arrays: any, float32 or float64
    Raises:
        ValueError: shapes differ, betas are outside [0, 1), or an array to be changed is read-only.
        TypeError: a dtype other than float32 and float64.
    Example:
        >>> w, exp_avg = np.array([1.0, 2.0]), np.zeros(2)
        >>> lion_step(w, np.array([3.0, -4.0]), exp_avg, lr=0.5, betas=(0.5, 0.75))
        >>> w, exp_avg
        (array([0.5, 2.5]), array([ 0.75, -1.  ]))

    Source: Chen et al., 2023, "Symbolic discovery of optimization algorithms".
    """
    gradient = _checked("lion_step", parameter, gradient, exp_avg=exp_avg)
    pair = _betas("lion_step", betas)
    settings: dict[str, Any] = {"lr": lr, "decoupled_decay": decoupled_decay, "maximize": maximize}
    _check_settings("lion_step", settings)
    _run_twin(reference.lion_step, settings | {"betas": pair}, parameter, gradient, exp_avg)
