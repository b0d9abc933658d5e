"""Initial values of parameters, under PyTorch's names and by its definitions.

Every function fills a `Parameter` or an array in place, keeps its memory order, and returns it. Random numbers come
from the generator that `fastnn.manual_seed` seeds, or from `generator=`.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _random
from fastnn._check import number
from fastnn.nn.parameter import Parameter

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_LINEAR = (
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid",
)  # fmt: skip

Tensor = TypeVar("Tensor", Parameter, NDArray)


# ---- what all of them need -------------------------------------------------------------------------------------------
def _array(operation: str, tensor: Parameter | NDArray) -> NDArray:
    """The array to fill."""
    array = tensor
    if isinstance(tensor, Parameter):
        tensor.written()
        array = tensor._for_reading()
    if not isinstance(array, np.ndarray) or array.dtype.newbyteorder("=") not in _check.FLOATS:
        kind = f"dtype={array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{operation}: a Parameter or an array of float32 or float64 is needed. Received: {kind}")
    if not array.flags.writeable:
        raise ValueError(f"{operation}: the array is read-only. Received: shape={array.shape}")
    return array


def _source(operation: str, generator: np.random.Generator | None) -> np.random.Generator:
    if generator is None:
        return _random.generator()
    if not isinstance(generator, np.random.Generator):
        kind = type(generator).__name__
        raise TypeError(f"{operation}: generator must be a numpy.random.Generator. Received: {kind}")
    return generator


def _fans(operation: str, array: NDArray) -> tuple[int, int]:
    """fan_in and fan_out: how many inputs an output of this layer sees, and how many outputs see an input."""
    if array.ndim < 2:
        raise _check.fail(operation, "fans need at least 2 dimensions: (outputs, inputs, ...)", tensor=array)
    taps = math.prod(array.shape[2:])
    return array.shape[1] * taps, array.shape[0] * taps


def _std(operation: str, std: float) -> float:
    return number(operation, "std", std, 0, finite=True)


def _gain(operation: str, gain: float) -> float:
    return number(operation, "gain", gain, finite=True)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights before `nonlinearity` should grow to keep the scale of activations.

    Args:
        nonlinearity: 'linear', 'conv1d' to 'conv3d', 'conv_transpose1d' to 'conv_transpose3d', 'sigmoid' (1); 'tanh'
            (5 / 3); 'relu' (sqrt 2); 'leaky_relu' (sqrt(2 / (1 + slope^2))); 'selu' (3 / 4).
        param: the negative slope of 'leaky_relu', 0.01 by default.
    Raises:
        ValueError: an unknown name.
    Example:
        >>> calculate_gain("leaky_relu", 1.0)
        1.0

    Source: He et al., 2015, "Delving deep into rectifiers"; PyTorch's table.
    """
    gains = {**dict.fromkeys(_LINEAR, 1.0), "leaky_relu": 0.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    _check.one_of("calculate_gain", "nonlinearity", nonlinearity, list(gains))
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else number("calculate_gain", "param", param, finite=True)
        return math.sqrt(2 / (1 + slope**2)) if abs(slope) < 1e100 else math.sqrt(2) / abs(slope)
    return gains[nonlinearity]


# ---- fixed values ----------------------------------------------------------------------------------------------------
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value.

    Args:
        tensor: the parameter or array that is filled, in place.
        val: the value.
    Example:
        >>> constant_(np.empty(3), 0.5)
        array([0.5, 0.5, 0.5])
    """
    array = _array("constant_", tensor)
    array[...] = number("constant_", "val", val)
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0.

    Args:
        tensor: the parameter or array that is filled, in place.
    """
    _array("zeros_", tensor)[...] = 0
    return tensor


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1.

    Args:
        tensor: the parameter or array that is filled, in place.
    """
    _array("ones_", tensor)[...] = 1
    return tensor


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity: a linear layer that returns its input.

    Args:
        tensor: the parameter or array that is filled, in place.
    Raises:
        ValueError: not a matrix.
    Example:
        >>> eye_(np.empty((2, 3)))
        array([[1., 0., 0.],
               [0., 1., 0.]])
    """
    array = _array("eye_", tensor)
    if array.ndim != 2:
        raise _check.fail("eye_", "a matrix is needed", tensor=array)
    array[...] = np.eye(*array.shape)
    return tensor


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill filters so that, with padding, their convolution returns its input channels, as many as there are filters.

    Args:
        tensor: (outputs, inputs / groups, kernel...) with one, two or three kernel axes.
        groups: of the convolution; the identity is set in each.
    Raises:
        ValueError: another number of dimensions, or groups do not divide the outputs.
    Example:
        >>> dirac_(np.empty((1, 1, 3, 3)))[0, 0]
        array([[0., 0., 0.],
               [0., 1., 0.],
               [0., 0., 0.]])

    Source: Zagoruyko and Komodakis, 2017, "DiracNets".
    """
    array = _array("dirac_", tensor)
    groups = _check.integer("dirac_", "groups", groups, 1)
    if array.ndim not in (3, 4, 5):
        raise _check.fail("dirac_", "filters of 3, 4 or 5 dimensions are needed", tensor=array)
    if len(array) % groups:
        raise _check.fail("dirac_", f"{len(array)} outputs cannot be cut into {groups} groups", tensor=array)
    array[...] = 0
    outputs = len(array) // groups
    middle: tuple[int, ...] = tuple(size // 2 for size in array.shape[2:])
    for group in range(groups):
        for channel in range(min(outputs, array.shape[1])):
            array[(group * outputs + channel, channel, *middle)] = 1
    return tensor


# ---- distributions ---------------------------------------------------------------------------------------------------
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: np.random.Generator | None = None) -> Tensor:
    """Draw from the uniform distribution on [a, b).

    Args:
        tensor: the parameter or array that is filled, in place.
        a: the lower bound, included.
        b: the upper bound, excluded.
        generator: where numbers are drawn from; None for the generator that `fastnn.manual_seed` seeds.
    Raises:
        ValueError: a > b.
    """
    array = _array("uniform_", tensor)
    a, b = number("uniform_", "a", a, finite=True), number("uniform_", "b", b, finite=True)
    if not a <= b:
        raise ValueError(f"uniform_: a must be <= b. Received: a={a}, b={b}")
    array[...] = _source("uniform_", generator).uniform(a, b, array.shape)
    return tensor


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: np.random.Generator | None = None
) -> Tensor:
    """Draw from the normal distribution.

    Args:
        tensor: the parameter or array that is filled, in place.
        mean: the mean.
        std: the standard deviation.
        generator: where numbers are drawn from; None for the generator that `fastnn.manual_seed` seeds.
    Raises:
        ValueError: std < 0.
    """
    array = _array("normal_", tensor)
    mean, std = number("normal_", "mean", mean, finite=True), _std("normal_", std)
    array[...] = _source("normal_", generator).normal(mean, std, array.shape)
    return tensor


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Draw from the normal distribution, again and again until a value lies in [a, b].

    Args:
        tensor: the parameter or array that is filled, in place.
        mean, std: mean and standard deviation of the distribution before it is cut.
        a, b: the values, not multiples of std, where it is cut.
        generator: where numbers are drawn from; None for the generator that `fastnn.manual_seed` seeds.
    Raises:
        ValueError: a > b, or std <= 0.
    Example:
        >>> values = trunc_normal_(np.empty(1000), std=0.5, a=-1, b=1)
        >>> bool(np.abs(values).max() <= 1)
        True
    """
    array = _array("trunc_normal_", tensor)
    source = _source("trunc_normal_", generator)
    mean, std = number("trunc_normal_", "mean", mean), _std("trunc_normal_", std)
    a, b = number("trunc_normal_", "a", a), number("trunc_normal_", "b", b)
    if not (a <= b and a < math.inf and b > -math.inf and math.isfinite(mean)) or std == 0:
        raise ValueError(
            f"trunc_normal_: a <= b, std > 0, a finite mean are needed. Received: mean={mean}, std={std}, a={a}, b={b}"
        )
    # Candidates are uniform and kept in proportion to the density, which also works far out in a tail. Where the
    # density is below 2^-53 of its peak in [a, b], nothing would ever be drawn: that part is left out.
    low, high = (a - mean) / std, (b - mean) / std
    peak = min(max(0.0, low), high)
    reach = math.sqrt(peak**2 + 2 * 53 * math.log(2))
    low, high = max(low, -reach), min(high, reach)
    values = np.empty(array.size)
    missing = np.arange(array.size)
    while missing.size:
        candidates = source.uniform(low, high, missing.size)
        kept = source.uniform(size=missing.size) < np.exp((peak**2 - candidates**2) / 2)
        values[missing[kept]] = candidates[kept]
        missing = missing[~kept]
    array[...] = (mean + std * values).reshape(array.shape)
    np.clip(array, a, b, out=array)  # rounding may cross a bound
    return tensor


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: np.random.Generator | None = None) -> Tensor:
    """Uniform in +-gain * sqrt(6 / (fan_in + fan_out)).

    Args:
        tensor: the parameter or array that is filled, in place.
        gain: a factor, for example of `calculate_gain`.
        generator: where numbers are drawn from; None for the generator that `fastnn.manual_seed` seeds.
    Raises:
        ValueError: fewer than two dimensions.

    Source: Glorot and Bengio, 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """
    array = _array("xavier_uniform_", tensor)
    fans = sum(_fans("xavier_uniform_", array))
    bound = abs(_gain("xavier_uniform_", gain)) * math.sqrt(6 / max(fans, 1))
    array[...] = _source("xavier_uniform_", generator).uniform(-bound, bound, array.shape)
    return tensor


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: np.random.Generator | None = None) -> Tensor:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)).

    Args:
        tensor: the parameter or array that is filled, in place.
        gain: a factor, for example of `calculate_gain`.
        generator: where numbers are drawn from; None for the generator that `fastnn.manual_seed` seeds.
    Raises:
        ValueError: fewer than two dimensions.

    Source: Glorot and Bengio, 2010.
    """
    array = _array("xavier_normal_", tensor)
    std = abs(_gain("xavier_normal_", gain)) * math.sqrt(2 / max(sum(_fans("xavier_normal_", array)), 1))
    array[...] = _source("xavier_normal_", generator).normal(0, std, array.shape)
    return tensor


def _kaiming_std(operation: str, array: NDArray, a: float, mode: str, nonlinearity: str) -> float:
    _check.one_of(operation, "mode", mode, ("fan_in", "fan_out"))
    fan_in, fan_out = _fans(operation, array)
    a = number(operation, "a", a, finite=True)
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan_in if mode == "fan_in" else fan_out, 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Uniform in +-gain * sqrt(3 / fan).

    Args:
        tensor: the parameter or array that is filled, in place.
        a: negative slope of the leaky_relu that follows; sqrt(5) gives the default of Conv2d and Linear.
        mode: 'fan_in' keeps the scale of activations, 'fan_out' that of gradients.
        nonlinearity: the activation that follows, a name that `calculate_gain` knows.
        generator: where numbers are drawn from; None for the generator that `fastnn.manual_seed` seeds.
    Raises:
        ValueError: fewer than two dimensions, or an unknown mode or nonlinearity.

    Source: He et al., 2015, "Delving deep into rectifiers".
    """
    array = _array("kaiming_uniform_", tensor)
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", array, a, mode, nonlinearity)
    array[...] = _source("kaiming_uniform_", generator).uniform(-bound, bound, array.shape)
    return tensor


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan).

    Args:
        tensor: the parameter or array that is filled, in place.
        a, mode, nonlinearity: as in `kaiming_uniform_`.
        generator: where numbers are drawn from; None for the generator that `fastnn.manual_seed` seeds.

    Source: He et al., 2015.
    """
    array = _array("kaiming_normal_", tensor)
    std = _kaiming_std("kaiming_normal_", array, a, mode, nonlinearity)
    array[...] = _source("kaiming_normal_", generator).normal(0, std, array.shape)
    return tensor


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: np.random.Generator | None = None) -> Tensor:
    """A random orthogonal matrix, times gain: its rows, or its columns if there are fewer, are orthonormal.

    Axes after the first are taken as one.

    Args:
        tensor: the parameter or array that is filled, in place.
        gain: a factor, for example of `calculate_gain`.
        generator: where numbers are drawn from; None for the generator that `fastnn.manual_seed` seeds.
    Raises:
        ValueError: fewer than two dimensions.
    Example:
        >>> w = orthogonal_(np.empty((2, 5)))
        >>> bool(np.allclose(w @ w.T, np.eye(2)))
        True

    Source: Saxe et al., 2013, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks".
    """
    array = _array("orthogonal_", tensor)
    if array.ndim < 2:
        raise _check.fail("orthogonal_", "at least 2 dimensions are needed", tensor=array)
    source, gain = _source("orthogonal_", generator), _gain("orthogonal_", gain)
    if not array.size:
        return tensor
    rows, columns = len(array), array.size // len(array)
    draw = source.normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(draw)
    q *= np.where(np.diag(r) < 0, -1, 1)  # makes the distribution uniform: Mezzadri, 2007
    array[...] = gain * (q if rows >= columns else q.T).reshape(array.shape)
    return tensor
