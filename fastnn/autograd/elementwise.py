"""NumPy's element-by-element functions and their derivatives, as tables of rules.

A rule takes the gradient `dy` and, by name, the values that the forward must keep for it: inputs, or the result `y`.
"""

import inspect
import math
import operator
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn._watching import OBSERVERS
from fastnn.autograd.arithmetic import add, divide, multiply, subtract
from fastnn.autograd.broadcasting import unbroadcast
from fastnn.autograd.methods import UFUNCS, gradient_of
from fastnn.autograd.modes import RECORDING
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor, array_of, kind_of, new_tensor, operand, refuse_gradients

_LN2, _LN10 = math.log(2), math.log(10)
_DEGREE = math.pi / 180


def _zero(dy: NDArray) -> NDArray:
    return np.zeros_like(dy)


# np.positive, np.add and np.subtract hand on the gradient that they are given; every other rule makes an array.
_HANDED_ON = {np.positive, np.conjugate, np.add, np.subtract, np.remainder, np.fmod}

UNARY: dict[np.ufunc, Callable[..., Any]] = {
    np.positive: lambda dy: dy,
    np.conjugate: lambda dy: dy,
    np.negative: lambda dy: -dy,
    np.exp: lambda dy, y: multiply(dy, y),
    np.exp2: lambda dy, y: dy * y * _LN2,
    np.expm1: lambda dy, y: dy * (y + 1),
    np.log: lambda dy, x: divide(dy, x),
    np.log2: lambda dy, x: dy / (x * _LN2),
    np.log10: lambda dy, x: dy / (x * _LN10),
    np.log1p: lambda dy, x: dy / (x + 1),
    np.sqrt: lambda dy, y: divide(dy, multiply(2, y)),
    np.cbrt: lambda dy, y: dy / (3 * y * y),
    np.square: lambda dy, x: multiply(multiply(2, x), dy),
    np.reciprocal: lambda dy, y: -dy * y * y,
    np.absolute: lambda dy, x: dy * np.sign(x),
    np.fabs: lambda dy, x: dy * np.sign(x),
    np.sin: lambda dy, x: dy * np.cos(x),
    np.cos: lambda dy, x: -dy * np.sin(x),
    np.tan: lambda dy, y: dy * (1 + y * y),
    np.arcsin: lambda dy, x: dy / np.sqrt(1 - x * x),
    np.arccos: lambda dy, x: -dy / np.sqrt(1 - x * x),
    np.arctan: lambda dy, x: dy / (1 + x * x),
    np.sinh: lambda dy, x: dy * np.cosh(x),
    np.cosh: lambda dy, x: dy * np.sinh(x),
    np.tanh: lambda dy, y: dy * (1 - y * y),
    np.arcsinh: lambda dy, x: dy / np.sqrt(x * x + 1),
    np.arccosh: lambda dy, x: dy / np.sqrt(x * x - 1),
    np.arctanh: lambda dy, x: dy / (1 - x * x),
    np.deg2rad: lambda dy: dy * _DEGREE,
    np.radians: lambda dy: dy * _DEGREE,
    np.rad2deg: lambda dy: dy * (1 / _DEGREE),
    np.degrees: lambda dy: dy * (1 / _DEGREE),
    np.sign: _zero,
    np.floor: _zero,
    np.ceil: _zero,
    np.trunc: _zero,
    np.rint: _zero,
}


def _power_base(dy: NDArray, a: Any, b: Any) -> Any:
    if type(b) in (int, float):
        return multiply(multiply(2, a), dy) if b == 2 else dy * b * a ** (b - 1) if b else np.zeros_like(dy)
    return dy * np.where(b == 0, 0, b * np.power(a, np.where(b == 0, 1, b - 1)))


def _power_exponent(dy: NDArray, a: Any, b: Any, y: Any) -> Any:
    is_zero = np.equal(a, 0) & np.greater_equal(b, 0)  # 0 ** b stays 0 there
    return dy * np.where(is_zero, 0, y * np.log(np.where(is_zero, 1, a)))


def _share_of_length(dy: NDArray, side: NDArray, y: NDArray) -> Any:
    is_zero = y == 0
    return dy * np.where(is_zero, 0, side / np.where(is_zero, 1, y))


# For each input a rule; these may name `a`, `b` and `y`.
BINARY: dict[np.ufunc, tuple[Callable[..., Any], Callable[..., Any]]] = {
    np.add: (lambda dy: dy, lambda dy: dy),
    np.subtract: (lambda dy: dy, lambda dy: -dy),
    np.multiply: (lambda dy, b: multiply(dy, b), lambda dy, a: multiply(dy, a)),
    np.true_divide: (lambda dy, b: divide(dy, b), lambda dy, b, y: divide(multiply(-dy, y), b)),
    np.power: (_power_base, _power_exponent),
    np.float_power: (_power_base, _power_exponent),
    # What is compared is not a number where one of them is NaN; it passes then, as the NaN itself does.
    np.maximum: (
        lambda dy, a, b: np.where(a < b, 0, np.where(a == b, dy / 2, dy)),
        lambda dy, a, b: np.where(a > b, 0, np.where(a == b, dy / 2, dy)),
    ),
    np.minimum: (
        lambda dy, a, b: np.where(a > b, 0, np.where(a == b, dy / 2, dy)),
        lambda dy, a, b: np.where(a < b, 0, np.where(a == b, dy / 2, dy)),
    ),
    # The one that is not NaN; the first of two that are equal.
    np.fmax: (
        lambda dy, a, b: np.where((a >= b) | np.isnan(b), dy, 0),
        lambda dy, a, b: np.where((a >= b) | np.isnan(b), 0, dy),
    ),
    np.fmin: (
        lambda dy, a, b: np.where((a <= b) | np.isnan(b), dy, 0),
        lambda dy, a, b: np.where((a <= b) | np.isnan(b), 0, dy),
    ),
    np.arctan2: (
        lambda dy, a, b: dy * (b / (np.square(a) + np.square(b))),
        lambda dy, a, b: -dy * (a / (np.square(a) + np.square(b))),
    ),
    np.hypot: (lambda dy, a, y: _share_of_length(dy, a, y), lambda dy, b, y: _share_of_length(dy, b, y)),
    np.logaddexp: (lambda dy, a, y: dy * np.exp(a - y), lambda dy, b, y: dy * np.exp(b - y)),
    np.logaddexp2: (lambda dy, a, y: dy * np.exp2(a - y), lambda dy, b, y: dy * np.exp2(b - y)),
    np.copysign: (
        lambda dy, a, b: dy * (np.sign(a) * np.copysign(1, b)),
        lambda dy: np.zeros_like(dy),
    ),
    np.remainder: (lambda dy: dy, lambda dy, a, b: -dy * np.floor_divide(a, b)),
    np.fmod: (lambda dy: dy, lambda dy, a, b: -dy * np.trunc(np.true_divide(a, b))),
}

# Places, answers and whole numbers: no gradient goes through them, and nobody expects one.
ANSWERS = (
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert, np.left_shift, np.right_shift, np.gcd, np.lcm,
    np.isnan, np.isinf, np.isfinite, np.signbit,
)  # fmt: skip


def _names(rule: Callable[..., Any]) -> tuple[str, ...]:
    """What a rule wants to have kept."""
    return tuple(inspect.signature(rule).parameters)[1:]


class Unary(Op):
    """A function of one input, element by element."""

    is_exact = True
    ufunc: ClassVar[Any]
    rule: ClassVar[Any]
    wants: ClassVar[str]  # "x", "y" or nothing

    def forward(self, x: NDArray) -> Any:
        y = self.ufunc(x)
        if self.needs_grad:
            if self.wants == "x":
                self.x = x
            elif self.wants:
                self.y = y
        return y

    def backward(self, dy: NDArray) -> NDArray:
        wants = self.wants
        dx = self.rule(dy, getattr(self, wants)) if wants else self.rule(dy)
        return dx if type(dx) is np.ndarray else np.asarray(dx, dy.dtype)


class Binary(Op):
    """A function of two inputs, element by element, with broadcasting."""

    is_exact = True
    keeps: ClassVar = {0: "a", 1: "b"}
    ufunc: ClassVar[Any]
    rules: ClassVar[tuple[Any, Any]]
    wants: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]]
    kept: ClassVar[dict[tuple[bool, ...], tuple[bool, ...]]]  # by what needs a gradient: whether a, b, y are wanted

    def forward(self, a: Any, b: Any) -> Any:
        y = self.ufunc(a, b)
        needs = self.needs_grad
        if needs:
            keep_a, keep_b, keep_y = self.kept[needs]
            if keep_a:
                self.a = a
            if keep_b:
                self.b = b
            if keep_y:
                self.y = y
            self.likes = (a.shape, a.dtype) if needs[0] else None, (b.shape, b.dtype) if needs[1] else None
        return y

    def _gradient(self, index: int, dy: NDArray) -> NDArray:
        rule, wants = self.rules[index], self.wants[index]
        if not wants:
            gradient = rule(dy)
        elif len(wants) == 1:
            gradient = rule(dy, getattr(self, wants[0]))
        else:
            gradient = rule(dy, *[getattr(self, name) for name in wants])
        return unbroadcast(gradient, *self.likes[index])  # type: ignore[misc]

    def backward(self, dy: NDArray) -> tuple[NDArray | None, NDArray | None]:
        needs = self.needs_grad
        return self._gradient(0, dy) if needs[0] else None, self._gradient(1, dy) if needs[1] else None


def name_of_ufunc(ufunc: np.ufunc) -> str:
    return "".join(word.capitalize() for word in ufunc.__name__.split("_"))


def _unary(ufunc: np.ufunc, rule: Callable[..., Any]) -> Callable[[Any], Any]:
    wants = "".join(_names(rule))
    kind = type(name_of_ufunc(ufunc), (Unary,), {
        "ufunc": ufunc, "rule": staticmethod(rule), "wants": wants, "keeps": {0: "x"} if wants == "x" else {},
        "keeps_result": "y" in wants, "is_fresh": ufunc not in _HANDED_ON,
    })  # fmt: skip

    def call(x: Any) -> Any:
        if not isinstance(x, Tensor) or (x._requires_grad and _is_recording()) or OBSERVERS.get():
            return run(kind(), x)
        y = ufunc(x._data)
        return new_tensor(y if type(y) is np.ndarray else np.asarray(y), None, x._kind)

    return call


_LISTS = (list, tuple)


def _binary(ufunc: np.ufunc, rules: tuple[Callable[..., Any], Callable[..., Any]]) -> Callable[[Any, Any], Any]:
    wants = _names(rules[0]), _names(rules[1])
    operate = _OPERATORS.get(ufunc, ufunc)
    kind = type(name_of_ufunc(ufunc), (Binary,), {
        "ufunc": staticmethod(operate), "rules": rules, "wants": wants, "is_fresh": ufunc not in _HANDED_ON,
        "keeps": {index: name for index, name in enumerate("ab") if name in wants[0] + wants[1]},
        "keeps_result": "y" in wants[0] + wants[1],
        "kept": {
            (first, second): tuple(name in wants[0] * first + wants[1] * second for name in ("a", "b", "y"))
            for first in (False, True) for second in (False, True)
        },
    })  # fmt: skip

    def call(a: Any, b: Any) -> Any:
        if type(a) in _LISTS or type(b) in _LISTS:
            a, b = (operand(f"np.{ufunc.__name__}", value) if type(value) in _LISTS else value for value in (a, b))
        # What nothing is recorded of goes the short way.
        result_kind, x, y, is_wanted = None, a, b, False
        if isinstance(a, Tensor):
            result_kind, x, is_wanted = a._kind, a._data, a._requires_grad
        if isinstance(b, Tensor):
            if result_kind is None or result_kind is Tensor:
                result_kind = b._kind
            y = b._data
            is_wanted = is_wanted or b._requires_grad
        if result_kind is None or (is_wanted and _is_recording()) or OBSERVERS.get():
            return run(kind(), a, b)
        result = operate(x, y)
        return new_tensor(result if type(result) is np.ndarray else np.asarray(result), None, result_kind)

    return call


_is_recording = RECORDING.get
# `**` has short ways for the numbers that occur most, large arrays have kernels.
_OPERATORS: dict[np.ufunc, Callable[[Any, Any], Any]] = {
    np.power: operator.pow, np.add: add, np.subtract: subtract, np.multiply: multiply, np.true_divide: divide,
}  # fmt: skip


class Answer(Op):
    """A function without a gradient, for those who observe: a comparison, a place, a whole number."""

    keeps: ClassVar = {}

    def __init__(self, function: Callable[..., Any], **settings: Any) -> None:
        self.function, self.settings = function, settings

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs, **self.settings)


def observed_answer(function: Callable[..., Any], *inputs: Any, **settings: Any) -> Any:
    """`function` of arrays, tensors and settings, as an operation that observers see."""
    kind = kind_of(*inputs)
    return run(Answer(function, **settings), *[
        new_tensor(x._data, None, kind) if isinstance(x, Tensor) else array_of(x) for x in inputs
    ])  # fmt: skip


def _answer(ufunc: np.ufunc) -> Callable[..., Any]:
    def call(*inputs: Any) -> Any:
        if OBSERVERS.get():
            return observed_answer(ufunc, *inputs)
        result = ufunc(*[value._data if isinstance(value, Tensor) else array_of(value) for value in inputs])
        return new_tensor(result if type(result) is np.ndarray else np.asarray(result), None, kind_of(*inputs))

    return call


def _without_gradient(ufunc: np.ufunc) -> Callable[..., Any]:
    answer = _answer(ufunc)

    def call(*inputs: Any) -> Tensor:
        if RECORDING.get():
            refuse_gradients(f"np.{ufunc.__name__}", inputs)
        return answer(*inputs)

    return call


UFUNCS.update({ufunc: _unary(ufunc, rule) for ufunc, rule in UNARY.items()})
UFUNCS.update({ufunc: _binary(ufunc, rules) for ufunc, rules in BINARY.items()})
UFUNCS.update({ufunc: _answer(ufunc) for ufunc in ANSWERS})
UFUNCS[np.floor_divide] = _without_gradient(np.floor_divide)


class Where(Op):
    """a where the condition is true, else b."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {0: "condition"}

    def forward(self, condition: Any, a: Any, b: Any) -> Any:
        y = np.where(condition, a, b)
        if self.needs_grad:
            self.condition = condition
            self.likes = [
                (v.shape, v.dtype) if need else None for v, need in zip((a, b), self.needs_grad[1:], strict=True)
            ]
        return y

    def backward(self, dy: NDArray) -> tuple[Any, ...]:
        a, b = self.likes
        return (
            None,
            None if a is None else unbroadcast(np.where(self.condition, dy, 0), *a),
            None if b is None else unbroadcast(np.where(self.condition, 0, dy), *b),
        )


@gradient_of(np.where)
def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return tuple(new_tensor(places, None, kind_of(condition)) for places in np.nonzero(array_of(condition)))
    if isinstance(condition, Tensor) and condition._requires_grad:
        condition = condition != 0
    return run(Where(), *[operand("np.where", v) if type(v) in _LISTS else v for v in (condition, x, y)])


@gradient_of(np.select)
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist):
        raise ValueError(
            f"np.select: a choice for each condition is needed. Received: {len(condlist)} conditions, "
            f"{len(choicelist)} choices"
        )
    y = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        y = _where(condition, choice, y)
    return y


# Elements for which two plain functions take less time than np.clip, with its checks in Python.
_FEW = 4096


class Clip(Op):
    """x clipped to [least, most]. At the bounds themselves the gradient passes."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {0: "x", 1: "least", 2: "most"}

    def forward(self, x: Any, least: Any, most: Any) -> Any:
        if self.needs_grad:
            self.x, self.least, self.most = x, least, most
            self.likes = [(v.shape, v.dtype) if need else None
                          for v, need in zip((x, least, most), self.needs_grad, strict=True)]  # fmt: skip
        if np.size(x) > _FEW or (least is None and most is None):
            return np.clip(x, least, most)
        y = x if least is None else np.maximum(x, least)
        return y if most is None else np.minimum(y, most)

    def backward(self, dy: NDArray) -> tuple[Any, ...]:
        x, least, most = self.x, self.least, self.most
        below = False if least is None else np.less(x, least)
        above = False if most is None else np.greater(x, most)
        if least is not None and most is not None:
            above = above | np.greater(least, most)  # most has the last word
        masks = ~(below | above | np.isnan(x)), below & ~np.asarray(above), above
        return tuple(
            None if like is None else unbroadcast(np.where(mask, dy, 0), *like)
            for mask, like in zip(masks, self.likes, strict=True)
        )


_MISSING: Any = object()


@gradient_of(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = _MISSING, max: Any = _MISSING) -> Any:
    bounds = (a_min if min is _MISSING else min), (a_max if max is _MISSING else max)
    values = [v if v is None or isinstance(v, Tensor | int | float) else operand("np.clip", v) for v in (a, *bounds)]
    return run(Clip(), *values)


class NanToNum(Op):
    """x with NaN and infinities replaced by numbers. No gradient flows through the replaced elements."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, nan: Any, posinf: Any, neginf: Any) -> None:
        self.numbers = {"nan": nan, "posinf": posinf, "neginf": neginf}

    def forward(self, x: NDArray) -> Any:
        if self.needs_grad:
            self.passes = np.isfinite(x)
        return np.nan_to_num(x, **self.numbers)

    def backward(self, dy: NDArray) -> NDArray:
        return np.asarray(np.where(self.passes, dy, dy.dtype.type(0)))


@gradient_of(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    if not copy:
        raise TypeError("np.nan_to_num: copy=False would write into the tensor; leave it out")
    return run(NanToNum(nan, posinf, neginf), x)


class Sinc(Op):
    """sin(pi x) / (pi x)"""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {0: "x"}
    keeps_result = True

    def forward(self, x: NDArray) -> Any:
        y = np.sinc(x)
        if self.needs_grad:
            self.x, self.y = x, y
        return y

    def backward(self, dy: NDArray) -> NDArray:
        is_zero = self.x == 0
        slope = (np.cos(math.pi * self.x) - self.y) / np.where(is_zero, 1, self.x)
        return np.asarray(dy * np.where(is_zero, 0, slope), dy.dtype)


@gradient_of(np.sinc)
def _sinc(x: Any) -> Any:
    return run(Sinc(), x)


class Round(Op):
    """x rounded to a number of decimals. The gradient is 0."""

    is_exact = True
    is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, decimals: int) -> None:
        self.decimals = decimals

    def forward(self, x: NDArray) -> Any:
        return np.round(x, self.decimals)

    def backward(self, dy: NDArray) -> NDArray:
        return np.zeros_like(dy)


@gradient_of(np.round, np.around)
def _round(a: Any, decimals: int = 0) -> Any:
    return run(Round(decimals), a)


@gradient_of(np.fix)
def _fix(x: Any) -> Any:
    return UFUNCS[np.trunc](x)


@gradient_of(np.real)
def _real(val: Any) -> Any:
    return UFUNCS[np.positive](val)
