"""Initial values of parameters: fastnn's own, written into tensors without being recorded.

Example:
    >>> import fastnn.compat.torch as torch
    >>> from fastnn.compat.torch.nn import init
    >>> init.constant_(torch.empty(2), 0.5).tolist()
    [0.5, 0.5]
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._random import source
from fastnn.compat.torch._tensor import Tensor, _memory_of
from fastnn.nn import init
from fastnn.nn.init import calculate_gain

__all__ = [
    "calculate_gain", "constant", "constant_", "dirac", "dirac_", "eye", "eye_", "kaiming_normal", "kaiming_normal_",
    "kaiming_uniform", "kaiming_uniform_", "normal", "normal_", "ones_", "orthogonal", "orthogonal_", "sparse",
    "sparse_", "trunc_normal_", "uniform", "uniform_", "xavier_normal", "xavier_normal_", "xavier_uniform",
    "xavier_uniform_", "zeros_",
]  # fmt: skip

__getattr__ = missing(__name__)

_COMPUTED = (np.float32, np.float64)


def _filled(function: Callable[..., Any], tensor: Tensor, *settings: Any, generator: Any = None) -> Tensor:
    """The tensor, with what `function` makes of its array."""
    memory = _memory_of(tensor)
    array = memory if memory.dtype in _COMPUTED else np.empty(memory.shape, np.float32)
    if generator is None:
        function(array, *settings)
    else:
        function(array, *settings, generator=source(generator))
    if array is not memory:
        memory[...] = array
    tensor.written()
    return tensor


# ---- fixed values ----------------------------------------------------------------------------------------------------
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value"""
    _memory_of(tensor)[...] = val
    tensor.written()
    return tensor


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1"""
    return constant_(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0"""
    return constant_(tensor, 0)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity"""
    if tensor._data.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _filled(init.eye_, tensor)


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill filters so that their convolution returns its input channels, as many as there are filters"""
    if tensor._data.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if len(tensor._data) % groups:
        raise ValueError("dim 0 must be divisible by groups")
    return _filled(init.dirac_, tensor, groups)


# ---- distributions ---------------------------------------------------------------------------------------------------
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Draw from the uniform distribution on [a, b)"""
    return _filled(init.uniform_, tensor, a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Draw from the normal distribution"""
    return _filled(init.normal_, tensor, mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """Draw from the normal distribution, again and again until a value lies in [a, b]"""
    return _filled(init.trunc_normal_, tensor, mean, std, a, b, generator=generator)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output of this layer sees, and how many outputs see an input"""
    shape = tensor._data.shape
    if len(shape) < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    """One of the two, by the mode 'fan_in' or 'fan_out'"""
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode.lower() == "fan_out"]


def _has_elements(tensor: Tensor) -> bool:
    if 0 not in tensor._data.shape:
        return True
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return False


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in +-gain * sqrt(6 / (fan_in + fan_out))"""
    _calculate_fan_in_and_fan_out(tensor)
    return _filled(init.xavier_uniform_, tensor, gain, generator=generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out))"""
    _calculate_fan_in_and_fan_out(tensor)
    return _filled(init.xavier_normal_, tensor, gain, generator=generator)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Uniform in +-gain * sqrt(3 / fan)"""
    if not _has_elements(tensor):
        return tensor
    _calculate_correct_fan(tensor, mode)
    return _filled(init.kaiming_uniform_, tensor, a, mode.lower(), nonlinearity, generator=generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan)"""
    if not _has_elements(tensor):
        return tensor
    _calculate_correct_fan(tensor, mode)
    return _filled(init.kaiming_normal_, tensor, a, mode.lower(), nonlinearity, generator=generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """A random matrix whose rows, or columns if there are fewer, are orthonormal, times gain"""
    if tensor._data.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    return _filled(init.orthogonal_, tensor, gain, generator=generator)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """A normal matrix, with this part of each column set to 0"""
    if tensor._data.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    normal_(tensor, 0, std, generator)
    array = tensor._data
    zeros = math.ceil(sparsity * len(array))
    order = source(generator).random(array.shape).argsort(0)
    array[order < zeros] = 0  # the ranks of a column are all numbers, in any order
    return tensor


# ---- old names -------------------------------------------------------------------------------------------------------
def _by_old_name(function: Any) -> Callable[..., Tensor]:
    new_name = function.__name__
    old_name = new_name[:-1]

    def call(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{old_name}` is now deprecated in favor of `nn.init.{new_name}`.", FutureWarning, stacklevel=2
        )
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = old_name
    call.__doc__ = f"`{new_name}`, by its old name"
    return call


uniform, normal, constant, eye, dirac = map(_by_old_name, (uniform_, normal_, constant_, eye_, dirac_))
xavier_uniform, xavier_normal = map(_by_old_name, (xavier_uniform_, xavier_normal_))
kaiming_uniform, kaiming_normal = map(_by_old_name, (kaiming_uniform_, kaiming_normal_))
orthogonal, sparse = map(_by_old_name, (orthogonal_, sparse_))
