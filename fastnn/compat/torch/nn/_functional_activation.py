"""Activations, by PyTorch's signatures."""

import math
import warnings
from typing import Any

import numpy as np

from fastnn import _random
from fastnn import functional as F
from fastnn.autograd.methods import FUNCTIONS, UFUNCS
from fastnn.compat.torch._dtype import numpy_dtype
from fastnn.compat.torch._pointwise import positive_part
from fastnn.compat.torch._promotion import cast
from fastnn.compat.torch._tensor import Tensor, activate_in_place, in_place, new

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "log_softmax", "logsigmoid", "mish", "normalize", "prelu",
    "relu", "relu6", "relu_", "rrelu", "rrelu_", "selu", "selu_", "sigmoid", "silu", "softmax", "softmin", "softplus",
    "softshrink", "softsign", "tanh", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip

_where, _split, _sum, _clip = FUNCTIONS[np.where], FUNCTIONS[np.split], FUNCTIONS[np.sum], FUNCTIONS[np.clip]
_add, _subtract, _multiply, _divide = (UFUNCS[f] for f in (np.add, np.subtract, np.multiply, np.true_divide))
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def relu(input: Any, inplace: bool = False) -> Tensor:
    """max(x, 0)"""
    return relu_(input) if inplace else positive_part(input)


def relu_(input: Any) -> Tensor:
    return input if activate_in_place(input, "relu") else in_place(input, positive_part(input))


def relu6(input: Any, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)"""
    if inplace and activate_in_place(input, "relu6"):
        return input
    return in_place(input, F.relu6(input)) if inplace else F.relu6(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope * x"""
    y = F.leaky_relu(input, negative_slope)
    return in_place(input, y) if inplace else y


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Tensor:
    return leaky_relu(input, negative_slope, True)


def prelu(input: Any, weight: Any) -> Tensor:
    """x where x > 0, else weight * x"""
    return F.prelu(input, weight)


def rrelu(
    input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """x where x >= 0, else a slope times x: drawn in training, their mean else."""
    if training:
        slope = _random.generator().uniform(lower, upper, input._data.shape).astype(input._data.dtype)
        y = _multiply(input, new(np.where(input._data > 0, input._data.dtype.type(1), slope)))
    else:
        y = F.leaky_relu(input, (lower + upper) / 2)
    return in_place(input, y) if inplace else y


def rrelu_(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Tensor:
    return rrelu(input, lower, upper, training, True)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (e^x - 1)"""
    y = F.elu(input, alpha)
    return in_place(input, y) if inplace else y


def elu_(input: Any, alpha: float = 1.0) -> Tensor:
    return elu(input, alpha, True)


def selu(input: Any, inplace: bool = False) -> Tensor:
    """elu with an alpha and a scale that keep mean and variance."""
    y = _multiply(F.elu(input, _SELU_ALPHA), _SELU_SCALE)
    return in_place(input, y) if inplace else y


def selu_(input: Any) -> Tensor:
    return selu(input, True)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (e^(x / alpha) - 1)"""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    y = F.elu(input) if alpha == 1 else _multiply(F.elu(_divide(input, alpha)), alpha)
    return in_place(input, y) if inplace else y


def celu_(input: Any, alpha: float = 1.0) -> Tensor:
    return celu(input, alpha, True)


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """x times the probability that a standard normal number is smaller."""
    return F.gelu(input, approximate)


def silu(input: Any, inplace: bool = False) -> Tensor:
    """x * sigmoid(x)"""
    if inplace and activate_in_place(input, "silu"):
        return input
    return in_place(input, F.silu(input)) if inplace else F.silu(input)


def mish(input: Any, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x))"""
    return in_place(input, F.mish(input)) if inplace else F.mish(input)


def hardswish(input: Any, inplace: bool = False) -> Tensor:
    """x * relu6(x + 3) / 6"""
    return in_place(input, F.hardswish(input)) if inplace else F.hardswish(input)


def hardsigmoid(input: Any, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6"""
    return in_place(input, F.hardsigmoid(input)) if inplace else F.hardsigmoid(input)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x within [min_val, max_val]"""
    y = F.hardtanh(input, min_val, max_val)
    return in_place(input, y) if inplace else y


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    return hardtanh(input, min_val, max_val, True)


def sigmoid(input: Any) -> Tensor:
    """1 / (1 + e^-x)"""
    return F.sigmoid(input)


def logsigmoid(input: Any) -> Tensor:
    """log(1 / (1 + e^-x))"""
    zero = new(np.zeros((), input._data.dtype))
    return UFUNCS[np.negative](UFUNCS[np.logaddexp](zero, UFUNCS[np.negative](input)))


def tanh(input: Any) -> Tensor:
    """The hyperbolic tangent."""
    return F.tanh(input)


def tanhshrink(input: Any) -> Tensor:
    """x - tanh(x)"""
    return _subtract(input, F.tanh(input))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta; x where beta x is above the threshold"""
    return F.softplus(input, beta, threshold)


def softsign(input: Any) -> Tensor:
    """x / (1 + |x|)"""
    return _divide(input, _add(UFUNCS[np.absolute](input), 1.0))


def softshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, and 0 within it"""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return _subtract(input, _clip(input, -lambd, lambd)) if lambd else _subtract(input, 0.0)


def hardshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0"""
    return _where(new(np.abs(input._data) > lambd), input, new(np.zeros((), input._data.dtype)))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value"""
    y = _where(new(input._data > threshold), input, new(np.asarray(value, input._data.dtype)))
    return in_place(input, y) if inplace else y


def threshold_(input: Any, threshold: float, value: float) -> Tensor:
    y = _where(new(input._data > threshold), input, new(np.asarray(value, input._data.dtype)))
    return in_place(input, y)


def glu(input: Any, dim: int = -1) -> Tensor:
    """The first half along `dim`, times the sigmoid of the second."""
    if not input._data.ndim:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    size = input._data.shape[dim]
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {size}")
    first, second = _split(input, 2, dim)
    return _multiply(first, F.sigmoid(second))


def _dim_or_guess(name: str, dim: int | None, ndim: int) -> int:
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=4,
    )
    return 0 if ndim in (0, 1, 3) else 1


def _along(function: Any, name: str, input: Any, dim: int | None, dtype: Any) -> Tensor:
    if dtype is not None:
        input = cast(input, numpy_dtype(dtype))
    array = input._data
    dim = _dim_or_guess(name, dim, array.ndim)
    if not array.ndim:
        return function(input.reshape(1), 0).reshape(())
    return function(input, dim)


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """e^x, divided by its sum along `dim`"""
    return _along(F.softmax, "softmax", input, dim, dtype)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax of -x"""
    return _along(F.softmax, "softmin", UFUNCS[np.negative](input), dim, dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The logarithm of softmax"""
    return _along(F.log_softmax, "log_softmax", input, dim, dtype)


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the relaxed categorical distribution; with `hard`, 1 at its largest place, with that gradient."""
    noise = -np.log(_random.generator().standard_exponential(logits._data.shape))
    y = F.softmax(_divide(_add(logits, new(noise.astype(logits._data.dtype))), tau), dim)
    if not hard:
        return y
    array = y._data
    best = np.zeros_like(array)
    np.put_along_axis(best, np.expand_dims(array.argmax(dim), dim), 1, dim)
    return _add(y, new(best - array))


def norm_along(x: Any, p: float, dim: Any, keepdim: bool = False) -> Tensor:
    """The p-norm along axes, with a gradient of 0 where it is 0."""
    if p == 2:
        total = _sum(UFUNCS[np.square](x), dim, keepdims=keepdim)
    elif p == 1:
        return _sum(UFUNCS[np.absolute](x), dim, keepdims=keepdim)
    elif math.isinf(p):
        return FUNCTIONS[np.max](UFUNCS[np.absolute](x), dim, keepdims=keepdim)
    else:
        total = _sum(UFUNCS[np.power](UFUNCS[np.absolute](x), p), dim, keepdims=keepdim)
    is_zero = total._data == 0
    if not is_zero.any():
        return UFUNCS[np.sqrt](total) if p == 2 else UFUNCS[np.power](total, 1 / p)
    dtype = total._data.dtype
    safe = _where(new(is_zero), new(np.ones((), dtype)), total)
    root = UFUNCS[np.sqrt](safe) if p == 2 else UFUNCS[np.power](safe, 1 / p)
    return _where(new(is_zero), new(np.zeros((), dtype)), root)


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Tensor:
    """x, divided by its p-norm along `dim`"""
    y = _divide(input, _clip(norm_along(input, p, dim, True), eps, None))
    return y if out is None else in_place(out, y)
