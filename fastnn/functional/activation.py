"""Pointwise activations. Results have the memory order of their input; NaN stays NaN."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.deferred import Deferred
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import AnyArray

__all__ = [
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softplus",
    "softplus_backward",
    "tanh",
    "tanh_backward",
]


class FromInput(Op):
    """The activation `name`, whose backward needs x."""

    keeps: ClassVar = {0: "x"}
    is_exact = is_fresh = True
    x: Any = None

    def __init__(self, name: str, *parameters: float) -> None:
        self.name, self.parameters = name, parameters

    def forward(self, x: ArrayLike) -> NDArray:
        if self.needs_grad:
            self.x = x
        return _forward(self.name, x, *self.parameters)

    def backward(self, dy: NDArray) -> NDArray:
        return _backward(self.name, dy, *self.parameters, x=self.x)


class FromResult(Op):
    """The activation `name`, whose backward needs the result only."""

    keeps: ClassVar = {}
    keeps_result = True
    is_exact = is_fresh = True

    def __init__(self, name: str) -> None:
        self.name = name

    def forward(self, x: ArrayLike) -> NDArray:
        y = _forward(self.name, x)
        if self.needs_grad:
            self.y = y
        return y

    def backward(self, dy: NDArray) -> NDArray:
        return _backward(self.name, dy, y=self.y)


def relu(x: AnyArray) -> AnyArray:
    """max(x, 0), element by element.

    Args:
        x: any array.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> relu(np.array([-1.0, 0.0, 2.0]))
        array([0., 0., 2.])

    Source: Nair and Hinton, 2010, "Rectified linear units improve restricted Boltzmann machines".
    """
    if isinstance(x, Deferred):
        y = x.then("relu")
        if y is not None:
            return y
    return run(FromResult("relu"), x)


def relu_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """The gradient with respect to x: dy where y > 0, else 0 (the derivative at 0 is taken as 0).

    Args:
        dy: gradient of the loss with respect to the result.
        y: the result of `relu`.
    Shape:
        - dy, y (the result of `relu`): the same, float32 or float64
        - Result: the same
    """
    return _backward("relu", dy, y=y)


def leaky_relu(x: AnyArray, negative_slope: float = 0.01) -> AnyArray:
    """x where x > 0, else negative_slope * x.

    Args:
        x: any array.
        negative_slope: the slope where x is negative.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> leaky_relu(np.array([-10.0, 2.0]), 0.1)
        array([-1.,  2.])

    Source: Maas et al., 2013, "Rectifier nonlinearities improve neural network acoustic models".
    """
    return run(FromInput("leaky_relu", _check.number("leaky_relu", "negative_slope", negative_slope)), x)


def leaky_relu_backward(dy: ArrayLike, x: ArrayLike, negative_slope: float = 0.01) -> NDArray:
    """The gradient with respect to x: dy where x > 0, else negative_slope * dy.

    Args:
        dy: gradient of the loss with respect to the result.
        x, negative_slope: as in `leaky_relu`.
    Shape:
        - dy, x: the same, float32 or float64
        - Result: the same
    """
    slope = _check.number("leaky_relu_backward", "negative_slope", negative_slope)
    return _backward("leaky_relu", dy, slope, x=x)


def elu(x: AnyArray, alpha: float = 1.0) -> AnyArray:
    """x where x > 0, else alpha * (exp(x) - 1).

    Args:
        x: any array.
        alpha: the result tends to -alpha for large negative x.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> elu(np.array([-np.inf, -1.0, 2.0])).round(3)
        array([-1.   , -0.632,  2.   ])

    Source: Clevert et al., 2016, "Fast and accurate deep network learning by exponential linear units".
    """
    return run(FromInput("elu", _check.number("elu", "alpha", alpha)), x)


def elu_backward(dy: ArrayLike, x: ArrayLike, alpha: float = 1.0) -> NDArray:
    """The gradient with respect to x: dy where x > 0, else dy * alpha * exp(x).

    Args:
        dy: gradient of the loss with respect to the result.
        x, alpha: as in `elu`.
    Shape:
        - dy, x: the same, float32 or float64
        - Result: the same
    """
    return _backward("elu", dy, _check.number("elu_backward", "alpha", alpha), x=x)


def gelu(x: AnyArray, approximate: str = "none") -> AnyArray:
    """x * P(z < x) for a standard normal z.

    At -inf the result is NaN, as in PyTorch.

    Args:
        x: any array.
        approximate: 'none', or 'tanh' for x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        ValueError: approximate is neither.
    Example:
        >>> gelu(np.array([-1.0, 0.0, 3.0])).round(4)
        array([-0.1587,  0.    ,  2.996 ])

    Source: Hendrycks and Gimpel, 2016, "Gaussian error linear units (GELUs)".
    """
    if approximate == "none" and isinstance(x, Deferred):
        y = x.then("gelu")
        if y is not None:
            return y
    return run(FromInput(_gelu_name("gelu", approximate)), x)


def gelu_backward(dy: ArrayLike, x: ArrayLike, approximate: str = "none") -> NDArray:
    """The gradient with respect to x: dy * (P(z < x) + x * exp(-x^2 / 2) / sqrt(2 pi)).

    With approximate='tanh', that of the approximation.

    Args:
        dy: gradient of the loss with respect to the result.
        x, approximate: as in `gelu`.
    Shape:
        - dy, x: the same, float32 or float64
        - Result: the same
    """
    return _backward(_gelu_name("gelu_backward", approximate), dy, x=x)


def silu(x: AnyArray) -> AnyArray:
    """x * sigmoid(x), also known as swish.

    At -inf the result is NaN, as in PyTorch.

    Args:
        x: any array.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> silu(np.array([-1.0, 0.0, 1.0])).round(4)
        array([-0.2689,  0.    ,  0.7311])

    Source: Elfwing et al., 2018, "Sigmoid-weighted linear units for neural network function approximation in
    reinforcement learning".
    """
    if isinstance(x, Deferred):
        y = x.then("silu")
        if y is not None:
            return y
    return run(FromInput("silu"), x)


def silu_backward(dy: ArrayLike, x: ArrayLike) -> NDArray:
    """The gradient with respect to x: dy * s * (1 + x * (1 - s)) with s = sigmoid(x).

    Args:
        dy: gradient of the loss with respect to the result.
        x: as in `silu`.
    Shape:
        - dy, x: the same, float32 or float64
        - Result: the same
    """
    return _backward("silu", dy, x=x)


def sigmoid(x: AnyArray) -> AnyArray:
    """1 / (1 + exp(-x)).

    Args:
        x: any array.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> sigmoid(np.array([-np.inf, 0.0, np.inf]))
        array([0. , 0.5, 1. ])

    Source: PyTorch's definition.
    """
    return run(FromResult("sigmoid"), x)


def sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """The gradient with respect to x: dy * y * (1 - y).

    Args:
        dy: gradient of the loss with respect to the result.
        y: the result of `sigmoid`.
    Shape:
        - dy, y (the result of `sigmoid`): the same, float32 or float64
        - Result: the same
    """
    return _backward("sigmoid", dy, y=y)


def tanh(x: AnyArray) -> AnyArray:
    """The hyperbolic tangent.

    Args:
        x: any array.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        TypeError: x is not float32 or float64.
    Example:
        >>> tanh(np.array([-np.inf, 0.0, np.inf]))
        array([-1.,  0.,  1.])

    Source: PyTorch's definition.
    """
    return run(FromResult("tanh"), x)


def tanh_backward(dy: ArrayLike, y: ArrayLike) -> NDArray:
    """The gradient with respect to x: dy * (1 - y^2).

    Args:
        dy: gradient of the loss with respect to the result.
        y: the result of `tanh`.
    Shape:
        - dy, y (the result of `tanh`): the same, float32 or float64
        - Result: the same
    """
    return _backward("tanh", dy, y=y)


def softplus(x: AnyArray, beta: float = 1.0, threshold: float = 20.0) -> AnyArray:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x > threshold.

    Args:
        x: any array.
        beta: how sharply the curve bends; not 0.
        threshold: the value of beta * x above which the result is x itself.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        ValueError: beta is 0.
    Example:
        >>> softplus(np.array([-100.0, 0.0, 30.0])).round(4)
        array([ 0.    ,  0.6931, 30.    ])

    Source: Dugas et al., 2001, "Incorporating second-order functional knowledge for better option pricing".
    """
    return run(FromInput("softplus", *bend("softplus", beta, threshold)), x)


def softplus_backward(dy: ArrayLike, x: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> NDArray:
    """The gradient with respect to x: dy * sigmoid(beta * x), and dy where beta * x > threshold.

    Args:
        dy: gradient of the loss with respect to the result.
        x, beta, threshold: as in `softplus`.
    Shape:
        - dy, x: the same, float32 or float64
        - Result: the same
    """
    return _backward("softplus", dy, *bend("softplus_backward", beta, threshold), x=x)


def prelu(x: AnyArray, weight: ArrayLike) -> AnyArray:
    """x where x > 0, else weight * x, with one learned weight for each channel or one for all.

    Args:
        x: any array.
        weight: the slope where x is negative, one for all channels or one for each.
    Shape:
        - x: any, float32 or float64; the channels are axis 1
        - weight: (1,) or (C,), the dtype of x
        - Result: that of x
    Raises:
        ValueError: weight has neither one element nor one for each channel.
    Example:
        >>> prelu(np.array([[-1.0, -1.0], [3.0, -2.0]]), np.array([0.25, 0.5]))
        array([[-0.25, -0.5 ],
               [ 3.  , -1.  ]])

    Source: He et al., 2015, "Delving deep into rectifiers".
    """
    return run(PReLU(), x, weight)


class PReLU(Op):
    """`prelu` of x and weight."""

    keeps: ClassVar = {0: "x", 1: "weight"}
    is_exact = is_fresh = True

    def forward(self, x: ArrayLike, weight: ArrayLike) -> NDArray:
        self.x, self.weight = x, weight
        return _prelu(x, weight)

    def backward(self, dy: NDArray) -> tuple[NDArray, NDArray]:
        return prelu_backward(dy, self.x, self.weight)


def _prelu(x: ArrayLike, weight: ArrayLike) -> NDArray:
    x, weight = _prelu_arguments("prelu", x, weight)
    if _runtime.uses_reference():
        return reference.prelu(x, weight)
    order = _layout.axis_last(x, min(1, x.ndim - 1)) if weight.size > 1 else _layout.memory_order(x)
    x_ordered = _layout.ordered(x, order)
    buffer = _memory.empty(x_ordered.shape, x.dtype)
    if x.size:
        rows = (-1, weight.size)
        x_rows, y_rows = x_ordered.reshape(rows), buffer.reshape(rows)
        _runtime._native.prelu_forward(x_rows, weight, y_rows, _runtime.num_threads())
        kernel_ran("prelu_forward")
    return _layout.unordered(buffer, order)


def prelu_backward(dy: ArrayLike, x: ArrayLike, weight: ArrayLike) -> tuple[NDArray, NDArray]:
    """The gradients of `prelu`.

    dx      = dy where x > 0, else weight * dy
    dweight = the sum of dy * x where x <= 0, over all elements that share a weight

    Args:
        dy: gradient of the loss with respect to the result.
        x, weight: as in `prelu`.
    Shape:
        - dy, x: the same, float32 or float64
        - weight: (1,) or (C,)
        - Result: (dx, dweight) with the shapes of x and weight
    """
    x, weight = _prelu_arguments("prelu_backward", x, weight)
    dy = _check.floats("prelu_backward", "dy", dy)
    _check.same_shape("prelu_backward", dy=dy, x=x)
    _check.same_dtype("prelu_backward", dy=dy, x=x)
    if _runtime.uses_reference():
        return reference.prelu_backward(dy, x, weight)
    order = _layout.axis_last(x, min(1, x.ndim - 1)) if weight.size > 1 else _layout.memory_order(x)
    x_ordered = _layout.ordered(x, order)
    buffer = _memory.empty(x_ordered.shape, x.dtype)
    dweight = np.zeros(weight.shape, x.dtype)
    if x.size:
        native, rows = _runtime._native, (-1, weight.size)
        x_rows, dy_rows = x_ordered.reshape(rows), _layout.ordered(dy, order).reshape(rows)
        workspace = _memory.empty((native.prelu_backward_workspace(*x_rows.shape, weight.size),), x.dtype)
        native.prelu_backward(dy_rows, x_rows, weight, buffer.reshape(rows), dweight, workspace, _runtime.num_threads())
        kernel_ran("prelu_backward")
    return _layout.unordered(buffer, order), dweight


def _prelu_arguments(operation: str, x: ArrayLike, weight: ArrayLike) -> tuple[NDArray, NDArray]:
    x = _check.floats(operation, "x", x)
    weight = _check.floats(operation, "weight", weight, 1)
    _check.same_dtype(operation, x=x, weight=weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.size not in (1, channels):
        raise _check.fail(operation, f"weight needs 1 or {channels} elements", x=x, weight=weight)
    return x, _layout.contiguous(weight)


def _gelu_name(operation: str, approximate: str) -> str:
    _check.one_of(operation, "approximate", approximate, ("none", "tanh"))
    return "gelu" if approximate == "none" else "gelu_tanh"


def bend(operation: str, beta: float, threshold: float) -> tuple[float, float]:
    """The settings of softplus as floats."""
    beta = _check.number(operation, "beta", beta, finite=True)
    if beta == 0:
        raise ValueError(f"{operation}: beta must not be 0")
    return beta, _check.number(operation, "threshold", threshold)


def _forward(name: str, x: ArrayLike, *parameters: float) -> NDArray:
    """The activation `name`, in C or as its twin."""
    x = _check.floats(name, "x", x)
    if _runtime.uses_reference():
        return getattr(reference, name)(x, *parameters)
    x_flat, y, y_flat = _layout.flat_pair(x)
    first, second = (*parameters, 0.0, 0.0)[:2]
    _runtime._native.activation_forward(name, first, second, x_flat, y_flat, _runtime.num_threads())
    kernel_ran("activation_forward")
    return y


def write_over(x: NDArray, name: str, *parameters: float) -> bool:
    """Replace the elements of x by the activation `name` of them; False if they do not lie so that C can."""
    if _runtime.uses_reference() or x.dtype not in _check.FLOATS or not x.size:
        return False
    ordered = x.transpose(_layout.memory_order(x))
    if not ordered.flags.carray:
        return False
    flat = ordered.reshape(-1)
    first, second = (*parameters, 0.0, 0.0)[:2]
    _runtime._native.activation_forward(name, first, second, flat, flat, _runtime.num_threads())
    kernel_ran("activation_forward")
    return True


def _backward(name: str, dy: ArrayLike, *parameters: float, **kept: ArrayLike) -> NDArray:
    """The gradient of the activation `name` from what it kept: x=... or y=..."""
    ((kept_name, array),) = kept.items()
    if not (
        type(dy) is type(array) is np.ndarray
        and dy.dtype == array.dtype
        and dy.dtype in _check.FLOATS
        and dy.shape == array.shape
    ):
        operation = f"{name}_backward"
        dy = _check.floats(operation, "dy", dy)
        array = _check.floats(operation, kept_name, array)
        _check.same_shape(operation, dy=dy, **{kept_name: array})
        _check.same_dtype(operation, dy=dy, **{kept_name: array})
    if _runtime.uses_reference():
        return getattr(reference, f"{name}_backward")(dy, array, *parameters)
    array_flat, dx, dx_flat = _layout.flat_pair(array)
    dy_flat = _layout.flat(_layout.as_ordered(dy, dx))
    first, second = (*parameters, 0.0, 0.0)[:2]
    threads = _runtime.num_threads()
    _runtime._native.activation_backward(name, first, second, dy_flat, array_flat, dx_flat, threads)
    kernel_ran("activation_backward")
    return dx
