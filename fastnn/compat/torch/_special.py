"""Functions of mathematics that NumPy lacks, element by element: the error function, the logarithm of gamma, ..."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.methods import UFUNCS
from fastnn.autograd.tape import Op, run
from fastnn.compat.torch._pointwise import mul, sin, where
from fastnn.compat.torch._promotion import as_float, matched
from fastnn.compat.torch._tensor import Tensor, checked_out, method, new

__all__ = ["digamma", "erf", "erfc", "erfinv", "heaviside", "lgamma", "mvlgamma", "sinc"]

_ROOT = 2 / math.sqrt(math.pi)


class _Elementwise(Op):
    """One of Python's functions of a number, and its derivative as a function of arrays x and y."""

    keeps: ClassVar[dict[int, str]] = {0: "x"}
    function: ClassVar[Any]
    derivative: ClassVar[Callable[[NDArray, NDArray], NDArray]]

    def forward(self, x: NDArray) -> NDArray:
        self.x = x
        self.y = np.asarray(type(self).function(x)).astype(x.dtype)
        return self.y

    def backward(self, dy: NDArray) -> NDArray:
        return (dy * type(self).derivative(self.x, self.y)).astype(dy.dtype)


def _each(function: Callable[[float], float]) -> staticmethod:
    return staticmethod(np.frompyfunc(function, 1, 1))


def _erfinv(p: float) -> float:
    """By Winitzki's approximation (2008) and steps of Newton's method."""
    if not -1 < p < 1:
        return math.copysign(math.inf, p) if abs(p) == 1 else math.nan
    logarithm = math.log1p(-p * p)
    first = 2 / (math.pi * 0.147) + logarithm / 2
    x = math.copysign(math.sqrt(math.sqrt(first * first - logarithm / 0.147) - first), p)
    for _ in range(4):
        # Near 1, what is left of it has the digits that erf has lost.
        error = math.erf(x) - p if abs(p) < 0.5 else math.copysign(1, p) * ((1 - abs(p)) - math.erfc(abs(x)))
        x -= error / (_ROOT * math.exp(-x * x))
    return x


def _lgamma(x: float) -> float:
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


def _digamma(x: float) -> float:
    """By its recurrence up to 10 and its series beyond (Abramowitz and Stegun, 6.3.18)."""
    if x <= 0:
        if x == math.floor(x):
            return math.nan if x else math.copysign(math.inf, -x)
        return _digamma(1 - x) - math.pi / math.tan(math.pi * x)
    result = 0.0
    while x < 10:
        result -= 1 / x
        x += 1
    f = 1 / (x * x)
    series = f * (1 / 12 - f * (1 / 120 - f * (1 / 252 - f * (1 / 240 - f * (1 / 132)))))
    return result + math.log(x) - 0.5 / x - series


_digammas = np.frompyfunc(_digamma, 1, 1)


class _Erf(_Elementwise):
    function = _each(math.erf)
    derivative = staticmethod(lambda x, y: _ROOT * np.exp(-x * x))


class _Erfc(_Elementwise):
    function = _each(math.erfc)
    derivative = staticmethod(lambda x, y: -_ROOT * np.exp(-x * x))


class _Erfinv(_Elementwise):
    function = _each(_erfinv)
    derivative = staticmethod(lambda x, y: np.exp(y * y) / _ROOT)


class _Lgamma(_Elementwise):
    function = _each(_lgamma)
    derivative = staticmethod(lambda x, y: _digammas(x).astype(x.dtype))


class _Digamma(Op):
    """Without a second derivative."""

    def forward(self, x: NDArray) -> NDArray:
        return _digammas(x).astype(x.dtype)

    def backward(self, dy: NDArray) -> NDArray:
        raise RuntimeError("digamma has no gradient in fastnn: call it on x.detach()")


@method(in_place=True)
def erf(input: Any, *, out: Any = None) -> Tensor:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return checked_out(run(_Erf(), as_float(input)), out)


@method(in_place=True)
def erfc(input: Any, *, out: Any = None) -> Tensor:
    """1 - erf(x), with all its digits."""
    return checked_out(run(_Erfc(), as_float(input)), out)


@method(in_place=True)
def erfinv(input: Any, *, out: Any = None) -> Tensor:
    """The number whose error function is x."""
    return checked_out(run(_Erfinv(), as_float(input)), out)


@method(in_place=True)
def lgamma(input: Any, *, out: Any = None) -> Tensor:
    """The logarithm of |gamma(x)|."""
    return checked_out(run(_Lgamma(), as_float(input)), out)


@method(in_place=True)
def digamma(input: Any, *, out: Any = None) -> Tensor:
    """The derivative of lgamma; it has no gradient of its own."""
    return checked_out(run(_Digamma(), as_float(input)), out)


@method(in_place=True)
def mvlgamma(input: Any, p: int) -> Tensor:
    """The logarithm of the gamma function of p variables."""
    x = as_float(input)
    y = lgamma(x)
    for j in range(1, p):
        y = UFUNCS[np.add](y, lgamma(UFUNCS[np.subtract](x, j / 2)))
    return UFUNCS[np.add](y, p * (p - 1) / 4 * math.log(math.pi))


@method(in_place=True)
def sinc(input: Any, *, out: Any = None) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0."""
    x = mul(as_float(input), math.pi)
    is_zero = new(x._data == 0)
    safe = where(is_zero, 1.0, x)
    return checked_out(where(is_zero, 1.0, UFUNCS[np.true_divide](sin(safe), safe)), out)


@method(in_place=True)
def heaviside(input: Any, values: Any, *, out: Any = None) -> Tensor:
    """0 where x < 0, 1 where x > 0, and `values` where x = 0."""
    x, at_zero = matched(input, values)
    return checked_out(new(np.where(x._data == 0, at_zero._data, (x._data > 0).astype(x._data.dtype))), out)
