"""One step of each optimiser: one pass over a parameter, its gradient and its states.

Unlike all other functions here these have outputs among their arguments: the parameter and the states are changed in
place, whatever their memory layout. They are fastest when all arrays of a call lie in memory in the same order.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.functional.linear import linear, linear_backward

__all__ = [
    "adagrad_step",
    "adam_step",
    "average_step",
    "newton_schulz",
    "rmsprop_step",
    "sgd_step",
    "sum_of_squares",
]


# States that an optimiser may do without.
_OPTIONAL = frozenset({"momentum_buffer", "max_exp_avg_sq", "grad_avg"})
_PASSED: set[tuple[Any, ...]] = set()
_FLAGS = frozenset({"nesterov", "maximize"})


def _checked(operation: str, parameter: NDArray, gradient: ArrayLike, **states: NDArray | None) -> NDArray:
    """The gradient as an array; raises unless the arrays fit together and those to be changed can be."""
    outputs: dict[str, Any] = {"parameter": parameter}
    for name, state in states.items():
        if state is not None or name not in _OPTIONAL:
            outputs[name] = state
    for name, array in outputs.items():
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{operation}: {name} must be an array, it is changed in place. Received: {type(array)}")
        _check.floats(operation, name, array)
        if not array.flags.writeable:
            raise _check.fail(operation, f"{name} is read-only and cannot be changed in place", **{name: array})
    gradient = _check.floats(operation, "gradient", gradient)
    _check.same_shape(operation, **outputs, gradient=gradient)
    return gradient


def _check_settings(operation: str, settings: dict[str, Any]) -> None:
    """Make numbers and booleans of the settings, or raise; quickly if such types have passed before."""
    kinds = (operation, *map(type, settings.values()))
    if kinds in _PASSED:
        return
    for name, value in settings.items():
        settings[name] = (_check.boolean if name in _FLAGS else _check.number)(operation, name, value)
    if all(
        kind in ((bool,) if name in _FLAGS else (float, int)) for name, kind in zip(settings, kinds[1:], strict=True)
    ):
        _PASSED.add(kinds)


def _betas(operation: str, betas: Any) -> tuple[float, float]:
    """Two numbers in [0, 1), or an error."""
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise TypeError(f"{operation}: betas must be two numbers. Received: {_check.shown(betas)}")
    beta1, beta2 = (_check.number(operation, "betas", beta) for beta in betas)
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1):
        raise ValueError(f"{operation}: betas must lie in [0, 1). Received: {betas!r}")
    return beta1, beta2


_LATER: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("fastnn_steps_later", default=None)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Take steps of SGD, Adam, RMSprop, Adagrad and running means within the block at its end, in one call of C.

    Nothing in the block may read what they change. A step that cannot wait is taken at once, after those before it.
    """
    steps: list[Any] = []
    token = _LATER.set(steps)
    try:
        yield
    finally:
        _LATER.reset(token)
        _take(steps)


def _take(steps: list[Any]) -> None:
    """Take these steps, and forget them."""
    if steps:
        _runtime._native.optimizer_step(steps, _runtime.num_threads())
        for kind in dict.fromkeys([step.kind for step in steps]):
            kernel_ran(kind)
        steps.clear()


def _run(kind: str, settings: dict[str, Any] | float, parameter: Any, gradient: Any, **states: Any) -> None:
    """Take the step `kind` of these arrays in C: at once, or at the end of a block that is `together`."""
    step, later, places = _runtime._native.ParameterStep, _LATER.get(), (*states.values(), None, None, None)[:3]
    try:  # the usual case, quickly: arrays that lie in memory alike
        ready = step(kind, settings, parameter, gradient, *places)
    except (BufferError, TypeError, ValueError):
        ready = None
    if ready is not None:
        if later is None:
            _take([ready])
        else:
            later.append(ready)
        return
    gradient = _checked(kind, parameter, gradient, **states)
    if not parameter.size:
        return
    if later is not None:
        _take(later)
    w = _layout.dense(parameter)
    used = [None if state is None else _layout.as_ordered(state, w) for state in places]
    _take([step(kind, settings, w, _layout.as_ordered(gradient, w), *used)])
    for given, array in zip((parameter, *places), (w, *used), strict=True):
        if given is not None and given is not array:
            given[...] = array


def sgd_step(
    parameter: NDArray,
    gradient: ArrayLike,
    momentum_buffer: NDArray | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> None:
    """Stochastic gradient descent: with d = gradient + weight_decay * parameter and the buffer u,

    u = momentum * u + (1 - dampening) * d
    parameter = parameter - lr * u             (nesterov: lr * (d + momentum * u);  no buffer: lr * d)

    Args:
        parameter: the parameter, changed in place.
        gradient: the gradient of what is minimised with respect to the parameter.
        momentum_buffer: u, changed in place; zeros before the first step, whose dampening is 0 by convention.
        lr, momentum, dampening, weight_decay, nesterov: as in the formula.
        maximize: change the sign of the gradient.
    Shape:
        - all arrays: any, float32 or float64
    Raises:
        ValueError: shapes differ, or an array to be changed is read-only.
        TypeError: a dtype other than float32 and float64.
    Example:
        >>> w = np.array([1.0, 2.0])
        >>> sgd_step(w, np.array([1.0, -1.0]), lr=0.5)
        >>> w
        array([0.5, 2.5])

    Source: Sutskever et al., 2013, "On the importance of initialization and momentum"; PyTorch's definition.
    """
    settings: dict[str, Any] = {
        "lr": lr,
        "momentum": momentum,
        "dampening": dampening,
        "weight_decay": weight_decay,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    _check_settings("sgd_step", settings)
    if _runtime.uses_reference():
        gradient = _checked("sgd_step", parameter, gradient, momentum_buffer=momentum_buffer)
        reference.sgd_step(parameter, gradient, momentum_buffer, **settings)
    else:
        _run("sgd_step", settings, parameter, gradient, momentum_buffer=momentum_buffer)


def adam_step(
    parameter: NDArray,
    gradient: ArrayLike,
    exp_avg: NDArray,
    exp_avg_sq: NDArray,
    max_exp_avg_sq: NDArray | None = None,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_decay: float = 0.0,
    maximize: bool = False,
) -> None:
    """Adam: with d = gradient + weight_decay * parameter,

    exp_avg    = beta1 * exp_avg + (1 - beta1) * d
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * d^2
    parameter  = parameter - lr * m / (sqrt(v) + eps)

    where m = exp_avg / (1 - beta1^step) and v = exp_avg_sq / (1 - beta2^step).

    Args:
        parameter: the parameter, changed in place.
        gradient: the gradient of what is minimised with respect to the parameter.
        exp_avg, exp_avg_sq: changed in place; zeros before the first step.
        max_exp_avg_sq: changed in place to the largest exp_avg_sq so far, which then takes its place (AMSGrad).
        step: the number of this step, from 1.
        lr, betas, eps, weight_decay: as in the formula.
        decoupled_decay: first multiply the parameter by 1 - lr * decoupled_decay (AdamW).
        maximize: change the sign of the gradient.
    Shape:
        - all arrays: any, float32 or float64
    Raises:
        ValueError: shapes differ, step < 1, or an array to be changed is read-only.
        TypeError: a dtype other than float32 and float64.
    Example:
        >>> w, exp_avg, exp_avg_sq = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
        >>> adam_step(w, np.array([3.0, -4.0]), exp_avg, exp_avg_sq, step=1, lr=0.5)
        >>> w.round(6)
        array([0.5, 2.5])

    Source: Kingma and Ba, 2015, "Adam"; Loshchilov and Hutter, 2019, "Decoupled weight decay regularization".
    """
    states = {"exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq, "max_exp_avg_sq": max_exp_avg_sq}
    step = _check.integer("adam_step", "step", step, 1)
    beta1, beta2 = _betas("adam_step", betas)
    adam: dict[str, Any] = {
        "lr": lr,
        "beta1": beta1,
        "beta2": beta2,
        "eps": eps,
        "weight_decay": weight_decay,
        "decoupled_decay": decoupled_decay,
        "maximize": maximize,
    }
    _check_settings("adam_step", adam)
    if _runtime.uses_reference():
        gradient = _checked("adam_step", parameter, gradient, **states)
        del adam["beta1"], adam["beta2"]
        arrays = parameter, gradient, exp_avg, exp_avg_sq, max_exp_avg_sq
        reference.adam_step(*arrays, step=step, betas=(beta1, beta2), **adam)
        return
    adam |= {"bias_correction1": 1 - beta1**step, "bias_correction2": 1 - beta2**step}
    _run("adam_step", adam, parameter, gradient, **states)


def rmsprop_step(
    parameter: NDArray,
    gradient: ArrayLike,
    square_avg: NDArray,
    momentum_buffer: NDArray | None = None,
    grad_avg: NDArray | None = None,
    *,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    maximize: bool = False,
) -> None:
    """RMSprop: with d = gradient + weight_decay * parameter,

    square_avg = alpha * square_avg + (1 - alpha) * d^2
    r          = d / (sqrt(square_avg - grad_avg^2) + eps)      (grad_avg: the same mean of d, or absent)
    u          = momentum * u + r                               (u: the momentum buffer, or absent)
    parameter  = parameter - lr * u                             (without one: lr * r)

    Args:
        parameter: the parameter, changed in place.
        gradient: the gradient of what is minimised with respect to the parameter.
        square_avg, momentum_buffer, grad_avg: changed in place; zeros before the first step.
        lr, alpha, eps, weight_decay, momentum: as in the formula.
        maximize: change the sign of the gradient.
    Shape:
        - all arrays: any, float32 or float64
    Raises:
        ValueError: shapes differ, or an array to be changed is read-only.
        TypeError: a dtype other than float32 and float64.
    Example:
        >>> w, square_avg = np.array([1.0, 2.0]), np.zeros(2)
        >>> rmsprop_step(w, np.array([3.0, -4.0]), square_avg, lr=0.5, alpha=0.75)
        >>> w.round(6), square_avg
        (array([0., 3.]), array([2.25, 4.  ]))

    Source: Tieleman and Hinton, 2012, lecture 6.5; centered: Graves, 2013; PyTorch's definition.
    """
    states = {"square_avg": square_avg, "momentum_buffer": momentum_buffer, "grad_avg": grad_avg}
    settings: dict[str, Any] = {
        "lr": lr,
        "alpha": alpha,
        "eps": eps,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "maximize": maximize,
    }
    _check_settings("rmsprop_step", settings)
    if _runtime.uses_reference():
        gradient = _checked("rmsprop_step", parameter, gradient, **states)
        reference.rmsprop_step(parameter, gradient, square_avg, momentum_buffer, grad_avg, **settings)
    else:
        _run("rmsprop_step", settings, parameter, gradient, **states)


def adagrad_step(
    parameter: NDArray,
    gradient: ArrayLike,
    total: NDArray,
    *,
    lr: float,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> None:
    """Adagrad: with d = gradient + weight_decay * parameter,

    total     = total + d^2
    parameter = parameter - lr * d / (sqrt(total) + eps)

    Args:
        parameter: the parameter, changed in place.
        gradient: the gradient of what is minimised with respect to the parameter.
        total: changed in place; zeros or a positive constant before the first step.
        lr, eps, weight_decay: as in the formula.
        maximize: change the sign of the gradient.
    Shape:
        - all arrays: any, float32 or float64
    Raises:
        ValueError: shapes differ, or an array to be changed is read-only.
        TypeError: a dtype other than float32 and float64.
    Example:
        >>> w, total = np.array([1.0, 2.0]), np.zeros(2)
        >>> adagrad_step(w, np.array([3.0, -4.0]), total, lr=0.5)
        >>> w, total
        (array([0.5, 2.5]), array([ 9., 16.]))

    Source: Duchi et al., 2011, "Adaptive subgradient methods for online learning and stochastic optimization".
    """
    settings: dict[str, Any] = {"lr": lr, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
    _check_settings("adagrad_step", settings)
    if _runtime.uses_reference():
        gradient = _checked("adagrad_step", parameter, gradient, total=total)
        reference.adagrad_step(parameter, gradient, total, **settings)
    else:
        _run("adagrad_step", settings, parameter, gradient, total=total)


def average_step(average: NDArray, value: ArrayLike, decay: float) -> None:
    """Move a running mean towards a value: average = decay * average + (1 - decay) * value.

    Args:
        average: the average, changed in place.
        value: the new value.
        decay: what remains of the old mean; 0 takes the value, up to rounding.
    Shape:
        - average, value: the same, float32 or float64
    Raises:
        ValueError: shapes differ, or the average is read-only.
        TypeError: a dtype other than float32 and float64.
    Example:
        >>> mean = np.array([4.0])
        >>> average_step(mean, np.array([8.0]), decay=0.75)
        >>> mean
        array([5.])
    """
    decay = _check.number("average_step", "decay", decay)
    if _runtime.uses_reference():
        reference.average_step(average, _checked("average_step", average, value), decay)
    else:
        _run("average_step", 1 - decay, average, value)


def sum_of_squares(x: ArrayLike) -> float:
    """The sum of the squares of all elements, accumulated in double in a fixed order.

    Args:
        x: any array.
    Shape:
        - x: any, float32 or float64
        - Result: a float
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> sum_of_squares(np.array([3.0, 4.0]))
        25.0
    """
    x = _check.floats("sum_of_squares", "x", x)
    if _runtime.uses_reference():
        with np.errstate(over="ignore", under="ignore"):
            return reference.sum_of_squares(x)
    return _runtime._native.sum_of_squares(_layout.flat(_layout.dense(x)), _runtime.num_threads()) if x.size else 0.0


def _norm(x: NDArray) -> float:
    """The root of the sum of squares; where squares are too large or too small for a double, of a scaled x."""
    total = sum_of_squares(x)
    if 1e-280 < total < math.inf:
        return math.sqrt(total)
    largest = float(np.abs(x).max())
    return largest * math.sqrt(sum_of_squares(x / largest)) if 0 < largest < math.inf else math.sqrt(total)


def newton_schulz(
    matrix: ArrayLike,
    steps: int = 5,
    coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
    eps: float = 1e-7,
) -> NDArray:
    """A matrix with nearly the same singular vectors as `matrix` and singular values near 1.

    From X = matrix / max(|matrix|, eps), with the Frobenius norm, `steps` times

        X = a X + b (X X') X + c (X X')^2 X,    (a, b, c) = coefficients

    which applies the odd polynomial a s + b s^3 + c s^5 to every singular value s. The default coefficients are steep
    at 0: five steps bring all but the smallest singular values into about [0.7, 1.2], and no closer.

    Args:
        matrix: the matrix.
        steps: the number of steps.
        coefficients: a, b and c of the polynomial.
        eps: the least norm to divide by.
    Shape:
        - matrix: (rows, columns), float32 or float64
        - Result: the same
    Raises:
        ValueError: not a matrix, or steps < 0.
    Example:
        >>> np.abs(newton_schulz(np.diag([1.0, -3.0])).round(1))
        array([[1.1, 0. ],
               [0. , 0.8]])

    Source: Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks".
    """
    matrix = _check.floats("newton_schulz", "matrix", matrix, 2)
    steps = _check.integer("newton_schulz", "steps", steps, 0)
    if not isinstance(coefficients, tuple | list) or len(coefficients) != 3:
        raise TypeError(f"newton_schulz: coefficients must be three numbers. Received: {_check.shown(coefficients)}")
    a, b, c = (_check.number("newton_schulz", "coefficients", value) for value in coefficients)
    eps = _check.epsilon("newton_schulz", eps)
    if _runtime.uses_reference():
        return reference.newton_schulz(matrix, steps, (a, b, c), eps)
    if not matrix.size:
        return np.empty_like(matrix)
    # The polynomial of X' is that of X, transposed. So X is taken as the taller of the two: then the products are
    # X'X, small, and X times a small symmetric matrix, and neither needs a transposed copy of X.
    wide = matrix.shape[0] < matrix.shape[1]
    tall = matrix.T if wide else matrix
    x = _memory.empty(tall.shape, tall.dtype)
    np.multiply(tall, 1 / (max(_norm(matrix), eps) or 1.0), out=x)
    for _ in range(steps):
        # The weight only gives its shape here: dweight = x' x.
        gram: Any = linear_backward(x, x, np.empty((x.shape[1],) * 2, x.dtype), need_dx=False, need_dbias=False)[1]
        polynomial = linear(gram, gram)  # gram @ gram, since gram is symmetric
        polynomial *= c
        gram *= b
        polynomial += gram
        y = linear(x, polynomial)
        x *= a
        x += y
    return x.T if wide else x
