"""NumPy's functions, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.autograd.elementwise import Answer
from fastnn.interop._onnx.program import Call, Value
from fastnn.interop._onnx.registry import converts, stem_of_ufunc

__all__ = ["ANSWERS"]

_SAME_NAME: dict[np.ufunc, str] = {
    np.negative: "Neg", np.exp: "Exp", np.log: "Log", np.sqrt: "Sqrt", np.reciprocal: "Reciprocal",
    np.absolute: "Abs", np.fabs: "Abs", np.sin: "Sin", np.cos: "Cos", np.tan: "Tan", np.arcsin: "Asin",
    np.arccos: "Acos", np.arctan: "Atan", np.sinh: "Sinh", np.cosh: "Cosh", np.tanh: "Tanh", np.arcsinh: "Asinh",
    np.arccosh: "Acosh", np.arctanh: "Atanh", np.sign: "Sign", np.floor: "Floor", np.ceil: "Ceil", np.rint: "Round",
    np.positive: "Identity", np.conjugate: "Identity",
    np.add: "Add", np.subtract: "Sub", np.multiply: "Mul", np.true_divide: "Div", np.power: "Pow",
    np.float_power: "Pow", np.maximum: "Max", np.minimum: "Min",
}  # fmt: skip


def operands(call: Call) -> tuple[str, ...]:
    """All inputs in the dtype of the result."""
    dtype = call.results[0].dtype
    return tuple(call.cast(call.given(index, dtype), dtype) for index in range(len(call.inputs)))


def _same_name(kind: str) -> Callable[[Call], Any]:
    return lambda call: call.add(kind, *operands(call))


for _ufunc, _kind in _SAME_NAME.items():
    converts(stem_of_ufunc(_ufunc))(_same_name(_kind))


def _converts(*ufuncs: np.ufunc) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function of the call and its operands."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        converts(*map(stem_of_ufunc, ufuncs))(lambda call: function(call, *operands(call)))
        return function

    return register


# ---- of one input ----------------------------------------------------------------------------------------------------
@_converts(np.square)
def _square(call: Call, x: str) -> str:
    return call.add("Mul", x, x)


@_converts(np.exp2)
def _exp2(call: Call, x: str) -> str:
    return call.add("Pow", call.number(2), x)


@_converts(np.expm1)
def _expm1(call: Call, x: str) -> str:
    """2 sinh(x / 2) exp(x / 2), which loses no digits where x is small."""
    half = call.add("Mul", x, call.number(0.5))
    return call.add("Mul", call.add("Mul", call.number(2), call.add("Sinh", half)), call.add("Exp", half))


@_converts(np.log1p)
def log1p(call: Call, x: str) -> str:
    """log(u) x / (u - 1) with u = 1 + x as it is rounded; x where u is 1. (Goldberg, 1991)"""
    one = call.number(1)
    u = call.add("Add", x, one)
    is_small = call.add("Equal", u, one)
    distance = call.add("Where", is_small, one, call.add("Sub", u, one))
    is_far = call.add("IsInf", u)
    ratio = call.add("Where", is_far, one, call.add("Div", x, distance))
    return call.add("Where", is_small, x, call.add("Mul", call.add("Log", u), ratio))


def _scaled_log(base: float) -> Callable[[Call, str], str]:
    return lambda call, x: call.add("Mul", call.add("Log", x), call.number(1 / math.log(base)))


_converts(np.log2)(_scaled_log(2))
_converts(np.log10)(_scaled_log(10))


def _scaled(factor: float) -> Callable[[Call, str], str]:
    return lambda call, x: call.add("Mul", x, call.number(factor))


_converts(np.deg2rad, np.radians)(_scaled(math.pi / 180))
_converts(np.rad2deg, np.degrees)(_scaled(180 / math.pi))


@_converts(np.cbrt)
def _cbrt(call: Call, x: str) -> str:
    return call.add("Mul", call.add("Sign", x), call.add("Pow", call.add("Abs", x), call.number(1 / 3)))


@_converts(np.trunc)
def trunc(call: Call, x: str) -> str:
    return call.add("Mul", call.add("Sign", x), call.add("Floor", call.add("Abs", x)))


@converts("elementwise.Sinc")
def _sinc(call: Call) -> str:
    (x,) = operands(call)
    angle = call.add("Mul", x, call.number(math.pi))
    is_zero = call.add("Equal", x, call.number(0))
    safe = call.add("Where", is_zero, call.number(1), angle)
    return call.add("Where", is_zero, call.number(1), call.add("Div", call.add("Sin", safe), safe))


@converts("elementwise.Round")
def _round(call: Call) -> str:
    (x,) = operands(call)
    decimals = call.same(lambda op: op.decimals, "decimals")
    if not decimals:
        return call.add("Round", x)
    scale = call.number(10.0**decimals)
    return call.add("Div", call.add("Round", call.add("Mul", x, scale)), scale)


@converts("elementwise.NanToNum")
def _nan_to_num(call: Call) -> str:
    (x,) = operands(call)
    numbers = call.same(lambda op: tuple(op.numbers.values()), "nan, posinf or neginf")
    limits = np.finfo(call.results[0].dtype)
    nan, above, below = (
        default if number is None else number
        for number, default in zip(numbers, (0.0, limits.max, limits.min), strict=True)
    )
    is_above = call.add("IsInf", x, detect_negative=0)
    is_below = call.add("IsInf", x, detect_positive=0)
    y = call.add("Where", call.add("IsNaN", x), call.number(nan), x)
    return call.add("Where", is_above, call.number(above), call.add("Where", is_below, call.number(below), y))


@converts("_special._Erf")
def _erf(call: Call) -> str:
    return call.add("Erf", *operands(call))


@converts("_special._Erfc")
def _erfc(call: Call) -> str:
    return call.add("Sub", call.number(1), call.add("Erf", *operands(call)))


# ---- of two inputs ---------------------------------------------------------------------------------------------------
@_converts(np.fmax)
def _fmax(call: Call, a: str, b: str) -> str:
    return _passing_nan(call, a, b, "Max")


@_converts(np.fmin)
def _fmin(call: Call, a: str, b: str) -> str:
    return _passing_nan(call, a, b, "Min")


def _passing_nan(call: Call, a: str, b: str, kind: str) -> str:
    """The other one where one is NaN."""
    of_both = call.add(kind, a, b)
    without_a = call.add("Where", call.add("IsNaN", a), b, of_both)
    return call.add("Where", call.add("IsNaN", b), a, without_a)


@_converts(np.hypot)
def _hypot(call: Call, a: str, b: str) -> str:
    """Of the larger one times what the ratio adds, so that squares do not overflow."""
    a, b = call.add("Abs", a), call.add("Abs", b)
    larger, smaller = call.add("Max", a, b), call.add("Min", a, b)
    safe = call.add("Where", call.add("Equal", larger, call.number(0)), call.number(1), larger)
    ratio = call.add("Div", smaller, safe)
    return call.add(
        "Mul", larger, call.add("Sqrt", call.add("Add", call.number(1), call.add("Mul", ratio, ratio)))
    )  # fmt: skip


@_converts(np.logaddexp)
def _logaddexp(call: Call, a: str, b: str) -> str:
    distance = call.add("Abs", call.add("Sub", a, b))
    return call.add("Add", call.add("Max", a, b), log1p(call, call.add("Exp", call.add("Neg", distance))))


@_converts(np.logaddexp2)
def _logaddexp2(call: Call, a: str, b: str) -> str:
    distance = call.add("Abs", call.add("Sub", a, b))
    more = log1p(call, call.add("Pow", call.number(2), call.add("Neg", distance)))
    return call.add("Add", call.add("Max", a, b), call.add("Mul", more, call.number(1 / math.log(2))))


@_converts(np.arctan2)
def _arctan2(call: Call, a: str, b: str) -> str:
    """Twice the angle at the circle: arctan(a / (r + b)) where b >= 0, else arctan((r - b) / a)."""
    zero, one = call.number(0), call.number(1)
    r = _hypot(call, a, b)
    is_left = call.add("Less", b, zero)
    is_on_axis = call.add("Equal", a, zero)
    right = call.add("Add", r, call.add("Abs", b))
    right = call.add("Where", call.add("Equal", right, zero), one, right)
    half_right = call.add("Atan", call.add("Div", a, right))
    safe = call.add("Where", is_on_axis, one, a)
    half_left = call.add("Atan", call.add("Div", right, safe))
    half_left = call.add("Where", is_on_axis, call.number(math.pi / 2), half_left)
    return call.add("Mul", call.number(2), call.add("Where", is_left, half_left, half_right))


@_converts(np.copysign)
def _copysign(call: Call, a: str, b: str) -> str:
    """-0 counts as 0."""
    size = call.add("Abs", a)
    return call.add("Where", call.add("Less", b, call.number(0)), call.add("Neg", size), size)


@_converts(np.remainder)
def _remainder(call: Call, a: str, b: str) -> str:
    if call.results[0].dtype.kind in "iu":
        return call.add("Mod", a, b)
    rest = call.add("Mod", a, b, fmod=1)
    zero = call.number(0)
    is_other = call.add("Less", call.add("Mul", call.add("Sign", rest), call.add("Sign", b)), zero)
    return call.add("Where", is_other, call.add("Add", rest, b), rest)


@_converts(np.fmod)
def _fmod(call: Call, a: str, b: str) -> str:
    return call.add("Mod", a, b, fmod=1)


# ---- choices ---------------------------------------------------------------------------------------------------------
@converts("elementwise.Where")
def _where(call: Call) -> str:
    dtype = call.results[0].dtype
    condition = call.cast(call.given(0, np.bool_), np.bool_)
    a, b = (call.cast(call.given(index, dtype), dtype) for index in (1, 2))
    return call.add("Where", condition, a, b)


@converts("elementwise.Clip")
def _clip(call: Call) -> str:
    """By maximum and minimum, whose bounds may be arrays."""
    dtype = call.results[0].dtype
    y = call.cast(call.given(0, dtype), dtype)
    for index, kind in ((1, "Max"), (2, "Min")):
        bound = call.input(index, dtype)
        if bound is not None:
            y = call.add(kind, y, call.cast(bound, dtype))
    return y


# ---- answers ---------------------------------------------------------------------------------------------------------
_COMPARISONS: dict[Any, tuple[str, bool]] = {  # and whether the opposite is meant
    np.equal: ("Equal", False), np.not_equal: ("Equal", True), np.less: ("Less", False),
    np.less_equal: ("LessOrEqual", False), np.greater: ("Greater", False), np.greater_equal: ("GreaterOrEqual", False),
}  # fmt: skip
_LOGICAL: dict[Any, str] = {np.logical_and: "And", np.logical_or: "Or", np.logical_xor: "Xor"}
_BITWISE: dict[Any, tuple[str, str]] = {
    np.bitwise_and: ("And", "BitwiseAnd"), np.bitwise_or: ("Or", "BitwiseOr"), np.bitwise_xor: ("Xor", "BitwiseXor"),
}  # fmt: skip
# Functions without a gradient that have a form.
ANSWERS = frozenset((
    *_COMPARISONS, *_LOGICAL, *_BITWISE, np.logical_not, np.invert, np.isnan, np.isinf, np.isfinite, np.signbit,
    np.argmax, np.argmin, np.argsort, np.all, np.any,
    np.floor_divide,
))  # fmt: skip


def _common(call: Call) -> tuple[str, ...]:
    """All inputs in the dtype that NumPy compares them in."""
    count = len(call.inputs)
    arrays = [call.raw(index) for index in range(count)]
    dtype = np.result_type(*arrays)
    return tuple(call.cast(call.given(index, dtype), dtype) for index in range(count))


@converts("elementwise.Answer")
def _answer(call: Call) -> str:
    function = call.same(lambda op: op.function, "the function")
    assert isinstance(call.op, Answer)
    if function in _COMPARISONS:
        kind, is_opposite = _COMPARISONS[function]
        y = call.add(kind, *_common(call))
        return call.add("Not", y) if is_opposite else y
    count = range(len(call.inputs))
    if function in _LOGICAL:
        return call.add(_LOGICAL[function], *(call.cast(call.given(i, np.bool_), np.bool_) for i in count))
    if function in _BITWISE:
        return call.add(_BITWISE[function][call.results[0].dtype != np.bool_], *operands(call))
    x = call.given(0, None)
    if function is np.logical_not:
        return call.add("Not", call.cast(x, np.bool_))
    if function is np.invert:
        return call.add("Not" if x.dtype == np.bool_ else "BitwiseNot", x)
    if function is np.isnan:
        return call.add("IsNaN", x)
    if function is np.isinf:
        return call.add("IsInf", x)
    if function is np.isfinite:
        return call.add("Not", call.add("Or", call.add("IsNaN", x), call.add("IsInf", x)))
    if function is np.signbit:
        return call.add("Less", x, call.number(0, x.dtype))
    if function is np.floor_divide:
        return _floor_divide(call)
    if function is np.argsort:
        axis = call.same(lambda op: op.settings["axis"], "axis")
        if axis is None:
            raise call.fail("np.argsort needs an axis: flatten the array before")
        return call.add("TopK", x, call.graph.size(x.dims[axis]), axis=axis, largest=0, outputs=2)[1]
    if function in (np.argmax, np.argmin, np.all, np.any):
        return _along_axis(call, function, x)
    raise call.fail(f"np.{function.__name__} has no form in ONNX here: compute it before or after the network")


def _floor_divide(call: Call) -> str:
    a, b = operands(call)
    if call.results[0].dtype.kind == "f":
        return call.add("Floor", call.add("Div", a, b))
    zero, one = call.number(0), call.number(1)
    quotient = call.add("Div", a, b)  # towards 0
    rest = call.add("Sub", a, call.add("Mul", quotient, b))
    is_other = call.add("Less", call.add("Mul", call.add("Sign", rest), call.add("Sign", b)), zero)
    return call.add("Where", is_other, call.add("Sub", quotient, one), quotient)


def _along_axis(call: Call, function: Any, x: Value) -> str:
    axis = call.same(lambda op: op.settings.get("axis"), "axis")
    keepdims = bool(call.same(lambda op: op.settings.get("keepdims", False), "keepdims"))
    if function in (np.all, np.any):
        whole = call.cast(x, np.bool_)
        number = call.add("Cast", whole, to=call.graph.type_of(np.dtype(np.int32)))
        axes = None if axis is None else call.whole(*(axis if isinstance(axis, tuple) else (axis,)))
        y = call.add("ReduceMin" if function is np.all else "ReduceMax", number, axes, keepdims=int(keepdims))
        return call.add("Cast", y, to=call.graph.type_of(np.dtype(np.bool_)))
    kind = "ArgMax" if function is np.argmax else "ArgMin"
    if axis is not None:
        return call.add(kind, x, axis=axis, keepdims=int(keepdims))
    flat = call.add(kind, call.add("Reshape", x, call.whole(-1)), axis=0, keepdims=0)
    return call.reshape(flat, call.results[0].dims)
