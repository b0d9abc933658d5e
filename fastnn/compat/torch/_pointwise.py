"""Element by element: operators and functions, of one tensor or two."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import functional as F
from fastnn._watching import OBSERVERS
from fastnn.autograd import arithmetic
from fastnn.autograd.deferred import Deferred
from fastnn.autograd.elementwise import observed_answer
from fastnn.autograd.methods import FUNCTIONS, UFUNCS
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._promotion import as_float, cast, common_dtype, matched, operand, tensor_from
from fastnn.compat.torch._tensor import Tensor, array_to_write, checked_out, in_place, method, new, wrapped

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "addcdiv",
    "addcmul",
    "allclose",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "copysign",
    "cos",
    "cosh",
    "deg2rad",
    "div",
    "divide",
    "eq",
    "equal",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "float_power",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "frac",
    "gcd",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "hypot",
    "isclose",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "lcm",
    "le",
    "lerp",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logit",
    "lt",
    "masked_fill",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "nan_to_num",
    "ne",
    "neg",
    "negative",
    "not_equal",
    "positive",
    "pow",
    "rad2deg",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "rsqrt",
    "rsub",
    "sgn",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tan",
    "tanh",
    "true_divide",
    "trunc",
    "where",
    "xlogy",
]

# ---- two operands ----------------------------------------------------------------------------------------------------
_add, _subtract, _multiply = UFUNCS[np.add], UFUNCS[np.subtract], UFUNCS[np.multiply]
_divide, _power = UFUNCS[np.true_divide], UFUNCS[np.power]


def _unfit(a: Any, b: Any) -> RuntimeError:
    """The error for two shapes that do not fit; NumPy's, if it is another one."""
    shapes = [np.shape(value._data if isinstance(value, NumPyTensor) else value) for value in (a, b)]
    ndim = max(map(len, shapes))
    sizes = zip(*[(1,) * (ndim - len(shape)) + shape for shape in shapes], strict=True)
    for axis, (first, second) in reversed(list(enumerate(sizes))):
        if first != second and 1 not in (first, second):
            return RuntimeError(
                f"The size of tensor a ({first}) must match the size of tensor b ({second}) at non-singleton dimension "
                f"{axis}"
            )
    return RuntimeError(f"these do not fit: shapes {shapes[0]} and {shapes[1]}")


def _times(other: Any, alpha: float) -> Any:
    """What `alpha=` makes of the other operand."""
    return mul(other, alpha) if isinstance(other, NumPyTensor) else other * alpha


@method(in_place=True)
def add(input: Any, other: Any, *old: Any, alpha: float = 1, out: Any = None) -> Tensor:
    """input + alpha * other; in the words of PyTorch before 1.5, add(input, alpha, other)."""
    if old:
        alpha, (other,) = other, old
    if alpha != 1:
        other = _times(other, alpha)
    try:
        y = _add(*matched(input, other))
    except ValueError:
        raise _unfit(input, other) from None
    return y if out is None else checked_out(y, out)


@method(in_place=True, names=("subtract",))
def sub(input: Any, other: Any, *old: Any, alpha: float = 1, out: Any = None) -> Tensor:
    """input - alpha * other; in the words of PyTorch before 1.5, sub(input, alpha, other)."""
    if old:
        alpha, (other,) = other, old
    if alpha != 1:
        other = _times(other, alpha)
    try:
        y = _subtract(*matched(input, other))
    except ValueError:
        raise _unfit(input, other) from None
    return y if out is None else checked_out(y, out)


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """other - alpha * input"""
    return sub(other, input, alpha=alpha)


@method(in_place=True, names=("multiply",))
def mul(input: Any, other: Any, *, out: Any = None) -> Tensor:
    """input * other"""
    try:
        y = _multiply(*matched(input, other))
    except ValueError:
        raise _unfit(input, other) from None
    return y if out is None else checked_out(y, out)


@method(in_place=True, names=("divide", "true_divide"))
def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Tensor:
    """input / other; with rounding_mode "floor" or "trunc", rounded down or towards 0."""
    a, b = matched(input, other)
    if rounding_mode is None:
        kinds = [value._data.dtype.kind for value in (a, b) if isinstance(value, NumPyTensor)]
        if "f" not in kinds:
            a, b = (as_float(value) if isinstance(value, NumPyTensor) else float(value) for value in (a, b))
        try:
            y = _divide(a, b)
        except ValueError:
            raise _unfit(a, b) from None
    elif rounding_mode == "floor":
        y = _rounded_quotient(a, b, np.floor_divide)
    elif rounding_mode == "trunc":
        y = _rounded_quotient(a, b, _truncated_quotient)
    else:
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )
    return y if out is None else checked_out(y, out)


def _truncated_quotient(a: Any, b: Any) -> Any:
    y = np.trunc(np.true_divide(a, b))
    return y if np.result_type(a, b).kind == "f" else (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)))


def _rounded_quotient(a: Any, b: Any, function: Callable[..., Any]) -> Tensor:
    """What steps has a gradient of 0, as PyTorch has it."""
    arrays = [value._data if isinstance(value, NumPyTensor) else value for value in (a, b)]
    dtype = next(value._data.dtype for value in (a, b) if isinstance(value, NumPyTensor))
    if dtype.kind != "f" and np.any(np.equal(arrays[1], 0)):
        raise RuntimeError("ZeroDivisionError")
    with np.errstate(all="ignore"):
        y = np.asarray(function(*arrays), dtype)
    return _flat(y, a, b)


def _flat(y: np.ndarray, *inputs: Any) -> Tensor:
    """A step function's result: the gradient goes on, and is 0."""
    recorded = [x for x in inputs if isinstance(x, NumPyTensor) and x._requires_grad]
    result: Any = new(y)
    for x in recorded:
        result = _add(result, _multiply(x, 0.0) if np.isfinite(x._data).all() else result * 0)
    return result


@method(in_place=True)
def floor_divide(input: Any, other: Any, *, out: Any = None) -> Tensor:
    """The quotient, rounded down."""
    return checked_out(div(input, other, rounding_mode="floor"), out)


@method(in_place=True)
def remainder(input: Any, other: Any, *, out: Any = None) -> Tensor:
    """input - other * floor(input / other): of the sign of other."""
    return checked_out(UFUNCS[np.remainder](*matched(input, other)), out)


@method(in_place=True)
def fmod(input: Any, other: Any, *, out: Any = None) -> Tensor:
    """input - other * trunc(input / other): of the sign of input."""
    a, b = matched(input, other)
    return checked_out(UFUNCS[np.fmod](a, b), out)


@method(in_place=True)
def pow(input: Any, exponent: Any, *, out: Any = None) -> Tensor:
    """input ** exponent"""
    a, b = matched(input, exponent)
    kinds = {value._data.dtype.kind for value in (a, b) if isinstance(value, NumPyTensor)}
    if "f" not in kinds and np.any(np.asarray(b._data if isinstance(b, NumPyTensor) else b) < 0):
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return checked_out(_power(a, b), out)


def _two(ufunc: np.ufunc, text: str, needs_float: bool = False) -> Callable[..., Tensor]:
    core = UFUNCS[ufunc]

    def function(input: Any, other: Any, *, out: Any = None) -> Tensor:
        a, b = matched(input, other)
        if needs_float:
            a, b = (as_float(value) if isinstance(value, NumPyTensor) else float(value) for value in (a, b))
        try:
            y = core(a, b)
        except ValueError:
            raise _unfit(a, b) from None
        return y if out is None else checked_out(y, out)

    function.__doc__ = text
    return function


def _named(function: Callable[..., Any], name: str, **options: Any) -> Any:
    function.__name__ = function.__qualname__ = name
    return method(**options)(function)


maximum = _named(_two(np.maximum, "The larger of the two; equal ones share the gradient."), "maximum")
minimum = _named(_two(np.minimum, "The smaller of the two; equal ones share the gradient."), "minimum")
fmax = _named(_two(np.fmax, "The larger of the two, or the one that is a number."), "fmax")
fmin = _named(_two(np.fmin, "The smaller of the two, or the one that is a number."), "fmin")
atan2 = _named(_two(np.arctan2, "The angle of the point (other, input).", True), "atan2", in_place=True,
               names=("arctan2",))  # fmt: skip
arctan2 = atan2
hypot = _named(_two(np.hypot, "sqrt(input^2 + other^2)", True), "hypot", in_place=True)
logaddexp = _named(_two(np.logaddexp, "log(exp(input) + exp(other))", True), "logaddexp")
logaddexp2 = _named(_two(np.logaddexp2, "log2(2^input + 2^other)", True), "logaddexp2")
copysign = _named(_two(np.copysign, "input with the sign of other", True), "copysign", in_place=True)


# ---- questions -------------------------------------------------------------------------------------------------------
def _asks(ufunc: np.ufunc, name: str, text: str, *names: str) -> Callable[..., Tensor]:
    def function(input: Any, other: Any, *, out: Any = None) -> Tensor:
        a, b = (value._data if isinstance(value, NumPyTensor) else operand(value) for value in (input, other))
        if isinstance(b, NumPyTensor):
            b = b._data
        try:
            if OBSERVERS.get():
                sides = zip((input, other), (a, b), strict=True)
                y = observed_answer(ufunc, *[x if isinstance(x, NumPyTensor) else array for x, array in sides])
            else:
                y = wrapped(ufunc(a, b))
        except ValueError:
            raise _unfit(input, other) from None
        return y if out is None else checked_out(y, out)

    function.__doc__ = text
    function = _named(function, name, names=names)
    for each in (name, *names):
        setattr(Tensor, f"{each}_", _answering(function, f"{each}_"))
    return function


def _answering(function: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    def write(self: Tensor, other: Any) -> Tensor:
        answer = cast(function(self, other), self._data.dtype)
        return in_place(self, _add(_multiply(self, 0), answer) if self._op is not None else answer)

    write.__name__ = write.__qualname__ = name
    write.__doc__ = f"`{name[:-1]}`, written into the tensor itself; the gradient is 0."
    return write


eq = _asks(np.equal, "eq", "Where they are equal.")
ne = not_equal = _asks(np.not_equal, "ne", "Where they differ.", "not_equal")
lt = less = _asks(np.less, "lt", "Where input is less.", "less")
le = less_equal = _asks(np.less_equal, "le", "Where input is less or equal.", "less_equal")
gt = greater = _asks(np.greater, "gt", "Where input is greater.", "greater")
ge = greater_equal = _asks(np.greater_equal, "ge", "Where input is greater or equal.", "greater_equal")
logical_and = _asks(np.logical_and, "logical_and", "Where both are not 0.")
logical_or = _asks(np.logical_or, "logical_or", "Where one of them is not 0.")
logical_xor = _asks(np.logical_xor, "logical_xor", "Where just one of them is not 0.")


def _bits(ufunc: np.ufunc, name: str, text: str) -> Callable[..., Tensor]:
    def function(input: Any, other: Any, *, out: Any = None) -> Tensor:
        a, b = matched(input, other)
        if not all(
            isinstance(value, int) or (isinstance(value, NumPyTensor) and value._data.dtype.kind in "biu")
            for value in (a, b)
        ):
            raise RuntimeError(f"{name}: integers or bools are needed")
        return checked_out(UFUNCS[ufunc](a, b), out)

    function.__doc__ = text
    return _named(function, name, in_place=True)


bitwise_and = _bits(np.bitwise_and, "bitwise_and", "Bit by bit; of bools, where both are True.")
bitwise_or = _bits(np.bitwise_or, "bitwise_or", "Bit by bit; of bools, where one is True.")
bitwise_xor = _bits(np.bitwise_xor, "bitwise_xor", "Bit by bit; of bools, where just one is True.")


@method(in_place=True)
def logical_not(input: Any, *, out: Any = None) -> Tensor:
    """Where it is 0."""
    return checked_out(wrapped(np.logical_not(tensor_from(input)._data)), out)


@method(in_place=True)
def bitwise_not(input: Any, *, out: Any = None) -> Tensor:
    """All bits the other way round."""
    if input._data.dtype.kind == "f":
        raise RuntimeError("bitwise_not: integers or bools are needed")
    return checked_out(wrapped(np.invert(input._data)), out)


def _tells(ufunc: Callable[..., Any], name: str, text: str) -> Callable[..., Tensor]:
    def function(input: Any) -> Tensor:
        return wrapped(ufunc(tensor_from(input)._data))

    function.__doc__ = text
    return _named(function, name)


isnan = _tells(np.isnan, "isnan", "Where it is not a number.")
isinf = _tells(np.isinf, "isinf", "Where it is infinite.")
isfinite = _tells(np.isfinite, "isfinite", "Where it is a finite number.")
signbit = _tells(np.signbit, "signbit", "Where the sign bit is set.")


@method
def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where |input - other| <= atol + rtol * |other|."""
    return wrapped(np.isclose(input._data, other._data, rtol, atol, equal_nan))


@method
def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere."""
    return bool(np.allclose(input._data, other._data, rtol, atol, equal_nan))


@method
def equal(input: Any, other: Any) -> bool:
    """Whether shapes and all elements are equal."""
    return bool(np.array_equal(input._data, other._data))


# ---- one operand -----------------------------------------------------------------------------------------------------
def _one(compute: Callable[[Any], Any], name: str, text: str, *names: str, keeps_integers: bool = False) -> Any:
    def function(input: Any, *, out: Any = None) -> Tensor:
        y = compute(tensor_from(input) if keeps_integers else as_float(input))
        return y if out is None else checked_out(y, out)

    function.__doc__ = text
    return _named(function, name, in_place=True, names=names)


exp = _one(UFUNCS[np.exp], "exp", "e^x")
exp2 = _one(UFUNCS[np.exp2], "exp2", "2^x")
expm1 = _one(UFUNCS[np.expm1], "expm1", "e^x - 1")
log = _one(UFUNCS[np.log], "log", "The natural logarithm.")
log2 = _one(UFUNCS[np.log2], "log2", "The logarithm to base 2.")
log10 = _one(UFUNCS[np.log10], "log10", "The logarithm to base 10.")
log1p = _one(UFUNCS[np.log1p], "log1p", "log(1 + x)")
sqrt = _one(UFUNCS[np.sqrt], "sqrt", "The square root.")
square = _one(UFUNCS[np.square], "square", "x^2", keeps_integers=True)
sin = _one(UFUNCS[np.sin], "sin", "The sine.")
cos = _one(UFUNCS[np.cos], "cos", "The cosine.")
tan = _one(UFUNCS[np.tan], "tan", "The tangent.")
asin = arcsin = _one(UFUNCS[np.arcsin], "asin", "The inverse sine.", "arcsin")
acos = arccos = _one(UFUNCS[np.arccos], "acos", "The inverse cosine.", "arccos")
atan = arctan = _one(UFUNCS[np.arctan], "atan", "The inverse tangent.", "arctan")
sinh = _one(UFUNCS[np.sinh], "sinh", "The hyperbolic sine.")
cosh = _one(UFUNCS[np.cosh], "cosh", "The hyperbolic cosine.")
tanh = _one(UFUNCS[np.tanh], "tanh", "The hyperbolic tangent.")
asinh = arcsinh = _one(UFUNCS[np.arcsinh], "asinh", "The inverse hyperbolic sine.", "arcsinh")
acosh = arccosh = _one(UFUNCS[np.arccosh], "acosh", "The inverse hyperbolic cosine.", "arccosh")
atanh = arctanh = _one(UFUNCS[np.arctanh], "atanh", "The inverse hyperbolic tangent.", "arctanh")
neg = negative = _one(UFUNCS[np.negative], "neg", "-x", "negative", keeps_integers=True)
abs = absolute = _one(UFUNCS[np.absolute], "abs", "|x|", "absolute", keeps_integers=True)
reciprocal = _one(lambda x: _divide(1.0, x), "reciprocal", "1 / x")
rsqrt = _one(lambda x: _divide(1.0, UFUNCS[np.sqrt](x)), "rsqrt", "1 / sqrt(x)")
sigmoid = _one(F.sigmoid, "sigmoid", "1 / (1 + e^-x)")
deg2rad = _one(lambda x: _multiply(x, math.pi / 180), "deg2rad", "Degrees as radians.")
rad2deg = _one(lambda x: _multiply(x, 180 / math.pi), "rad2deg", "Radians as degrees.")


def positive_part(x: Any) -> Tensor:
    """max(x, 0), of integers too; what waits to be computed is not asked for its dtype."""
    return F.relu(x) if isinstance(x, Deferred) or x._data.dtype.kind == "f" else clamp(x, min=0)


relu = _one(positive_part, "relu", "max(x, 0)", keeps_integers=True)


def _step(ufunc: Callable[..., Any], name: str, text: str) -> Callable[..., Tensor]:
    def compute(x: Any) -> Tensor:
        return _flat(np.asarray(ufunc(x._data), x._data.dtype), x)

    return _one(compute, name, text, keeps_integers=True)


floor = _step(np.floor, "floor", "Rounded down.")
ceil = _step(np.ceil, "ceil", "Rounded up.")
trunc = _step(np.trunc, "trunc", "Rounded towards 0.")
fix = trunc
sign = _step(np.sign, "sign", "-1, 0 or 1.")
sgn = sign


@method(in_place=True)
def round(input: Any, *, decimals: int = 0, out: Any = None) -> Tensor:
    """Rounded to `decimals` digits, halves to even."""
    return checked_out(_flat(np.round(input._data, decimals), input), out)


@method(in_place=True)
def frac(input: Any, *, out: Any = None) -> Tensor:
    """x - trunc(x)"""
    return checked_out(sub(input, new(np.trunc(input._data))), out)


_NUMBERS = (int, float)


@method(in_place=True, names=("clip",))
def clamp(input: Any, min: Any = None, max: Any = None, *, out: Any = None) -> Tensor:
    """Within [min, max], numbers or tensors; the gradient passes at the bounds."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if (
        input._data.dtype.kind == "f"
        and (min is None or type(min) in _NUMBERS)
        and (max is None or type(max) in _NUMBERS)
    ):
        return checked_out(FUNCTIONS[np.clip](input, min, max), out)
    bounds = [value for value in (min, max) if value is not None]
    dtype = common_dtype(input, *map(operand, bounds))
    x = cast(input, dtype)
    if isinstance(min, NumPyTensor) or isinstance(max, NumPyTensor):
        y = x
        if min is not None:
            y = maximum(y, min)
        if max is not None:
            y = minimum(y, max)
        return checked_out(y, out)
    return checked_out(FUNCTIONS[np.clip](x, min, max), out)


clip = clamp


@method(in_place=True)
def clamp_min(input: Any, min: Any) -> Tensor:
    """At least min."""
    return clamp(input, min=min)


@method(in_place=True)
def clamp_max(input: Any, max: Any) -> Tensor:
    """At most max."""
    return clamp(input, max=max)


@method(in_place=True)
def nan_to_num(input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Finite numbers in the place of NaN and infinities."""
    return FUNCTIONS[np.nan_to_num](input, nan=nan, posinf=posinf, neginf=neginf)


@method(in_place=True)
def lerp(input: Any, end: Any, weight: Any) -> Tensor:
    """input + weight * (end - input)"""
    return add(input, mul(sub(end, input), weight))


@method(in_place=True)
def addcmul(input: Any, tensor1: Any, tensor2: Any, *old: Any, value: float = 1) -> Tensor:
    """input + value * tensor1 * tensor2; in the words of PyTorch before 1.5, value comes behind input."""
    if old:
        value, tensor1, (tensor2,) = tensor1, tensor2, old
    return add(input, mul(tensor1, tensor2), alpha=value)


@method(in_place=True)
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *old: Any, value: float = 1) -> Tensor:
    """input + value * tensor1 / tensor2; in the words of PyTorch before 1.5, value comes behind input."""
    if old:
        value, tensor1, (tensor2,) = tensor1, tensor2, old
    return add(input, div(tensor1, tensor2), alpha=value)


@method(in_place=True)
def xlogy(input: Any, other: Any) -> Tensor:
    """input * log(other), 0 where input is 0."""
    x, y = tensor_from(input), tensor_from(other)
    has_no_log = (x._data == 0) & ((y._data <= 0) | (y._data == np.inf))  # elsewhere there is a gradient by x
    safe = FUNCTIONS[np.where](new(has_no_log), new(np.ones((), as_float(y)._data.dtype)), as_float(y))
    return mul(x, log(safe))


@method(in_place=True)
def logit(input: Any, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), with x within [eps, 1 - eps]."""
    x = as_float(input)
    x = x if eps is None else clamp(x, eps, 1 - eps)
    return log(div(x, sub(1, x)))


@method
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where the condition holds, else other; with the condition alone, the places where it holds."""
    mask = condition._data
    if input is None and other is None:
        return tuple(map(wrapped, np.nonzero(mask)))
    dtype = common_dtype(operand(input), operand(other))
    a, b = (
        cast(value, dtype) if isinstance(value, NumPyTensor) else new(np.asarray(value, dtype))
        for value in (operand(input), operand(other))
    )
    return FUNCTIONS[np.where](new(mask.astype(bool, copy=False)), a, b)


Tensor.where = lambda self, condition, other: where(condition, self, other)  # type: ignore[attr-defined]


@method(in_place=True)
def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """`value` where the mask is True."""
    if isinstance(value, NumPyTensor) and value._data.ndim:
        raise RuntimeError("masked_fill: value must be a number or a tensor without axes")
    shape = np.broadcast_shapes(input._data.shape, mask._data.shape)
    filler = (
        cast(value, input._data.dtype)
        if isinstance(value, NumPyTensor)
        else new(np.asarray(value).astype(input._data.dtype))
    )
    return FUNCTIONS[np.where](new(np.broadcast_to(mask._data.astype(bool, copy=False), shape)), filler, input)


@method
def positive(input: Any) -> Tensor:
    """The tensor itself."""
    return input


@method(in_place=True)
def float_power(input: Any, exponent: Any, *, out: Any = None) -> Tensor:
    """input ** exponent in float64"""
    a, b = (cast(tensor_from(value), np.dtype(np.float64)) for value in (input, exponent))
    return checked_out(_power(a, b), out)


def _whole(ufunc: np.ufunc, name: str, text: str) -> Callable[..., Tensor]:
    def function(input: Any, other: Any, *, out: Any = None) -> Tensor:
        a, b = (value._data if isinstance(value, NumPyTensor) else value for value in matched(input, other))
        if np.result_type(a).kind not in "iu":
            raise RuntimeError(f"{name}: integers are needed")
        return checked_out(wrapped(ufunc(a, b)), out)

    function.__doc__ = text
    return _named(function, name, in_place=True)


gcd = _whole(np.gcd, "gcd", "The greatest common divisor.")
lcm = _whole(np.lcm, "lcm", "The least common multiple.")
bitwise_left_shift = _whole(np.left_shift, "bitwise_left_shift", "The bits, moved to the left.")
bitwise_right_shift = _whole(np.right_shift, "bitwise_right_shift", "The bits, moved to the right.")
isneginf = _tells(np.isneginf, "isneginf", "Where it is minus infinity.")
isposinf = _tells(np.isposinf, "isposinf", "Where it is plus infinity.")
isreal = _tells(np.isreal, "isreal", "Where it is no complex number, which is everywhere.")


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Where an element is among `test_elements`."""
    a, b = (value._data if isinstance(value, NumPyTensor) else value for value in (elements, test_elements))
    return wrapped(np.isin(a, b, assume_unique=assume_unique, invert=invert))


subtract, multiply, divide, true_divide = sub, mul, div, div

# PyTorch has these as functions, too: `torch.relu_(x)`.
_WRITING = (
    "abs", "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "asin", "asinh", "atan",
    "atanh", "ceil", "clamp", "clamp_max", "clamp_min", "clip", "cos", "cosh", "deg2rad", "exp", "exp2", "expm1",
    "floor", "frac", "log", "log10", "log1p", "log2", "logit", "nan_to_num", "neg", "negative", "rad2deg",
    "reciprocal", "relu", "round", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "xlogy",
)  # fmt: skip
globals().update({f"{name}_": getattr(Tensor, f"{name}_") for name in _WRITING})
__all__ += [f"{name}_" for name in _WRITING]


# ---- operators -------------------------------------------------------------------------------------------------------
_FOREIGN = (str, bytes, type(None), dict, set, tuple, list)


def _operator(function: Callable[..., Any], reflected: bool = False) -> Callable[[Any, Any], Any]:
    def operate(self: Any, other: Any) -> Any:
        if isinstance(other, _FOREIGN):
            return NotImplemented
        return function(other, self) if reflected else function(self, other)

    return operate


def _question(function: Callable[..., Any], otherwise: bool | None) -> Callable[[Any, Any], Any]:
    def ask(self: Any, other: Any) -> Any:
        if isinstance(other, _FOREIGN):
            return NotImplemented if otherwise is None else otherwise
        return function(self, other)

    return ask


def _in_place(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def operate(self: Any, other: Any) -> Any:
        return NotImplemented if isinstance(other, _FOREIGN) else in_place(self, function(self, other))

    return operate


_ALIASES: dict[str, tuple[str, ...]] = {
    "add": (), "sub": ("subtract",), "mul": ("multiply",), "div": ("divide", "true_divide"),
}  # fmt: skip
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _arithmetic_in_place(ufunc: np.ufunc, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`function`, written into its first operand: in one pass over its memory where nothing is recorded."""

    def write(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if len(arguments) == 1:
            if keywords.keys() == {"alpha"} and function in (add, sub):
                arguments = (_times(arguments[0], keywords.pop("alpha")),)
            other = arguments[0]
            array = None if keywords else array_to_write(self, other)
            if array is not None and array.dtype in _FLOATS and _fits(other, array):
                arithmetic.write(ufunc, array, other._data if isinstance(other, NumPyTensor) else other)
                self.written()
                return self
        return in_place(self, function(self, *arguments, **keywords))

    write.__name__ = write.__qualname__ = name
    write.__doc__ = f"`{function.__name__}`, written into the tensor itself."
    return write


def _fits(other: Any, array: np.ndarray) -> bool:
    """Whether a result of `array` and `other` has the shape and the dtype of `array`."""
    if not isinstance(other, NumPyTensor):
        return type(other) is float or type(other) is int
    shape = other._data.shape
    if other._data.dtype != array.dtype or len(shape) > array.ndim:
        return False
    return shape == array.shape or all(n in (1, size) for n, size in zip(shape[::-1], array.shape[::-1], strict=False))


for _name, _function in {
    "add": add, "sub": sub, "mul": mul, "truediv": div, "floordiv": floor_divide, "mod": remainder, "pow": pow,
    "and": bitwise_and, "or": bitwise_or, "xor": bitwise_xor,
}.items():  # fmt: skip
    setattr(Tensor, f"__{_name}__", _operator(_function))
    setattr(Tensor, f"__r{_name}__", _operator(_function, True))
    setattr(Tensor, f"__i{_name}__", _in_place(_function))
for _name, _ufunc in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide}.items():
    _function = globals()[_name]
    _written = _arithmetic_in_place(_ufunc, _function, f"{_name}_")
    for _alias in (_name, *_ALIASES[_name]):
        setattr(Tensor, f"{_alias}_", _written)
    setattr(Tensor, f"__i{'truediv' if _name == 'div' else _name}__", _operator(_written))
for _name, _function in {"lt": lt, "le": le, "gt": gt, "ge": ge}.items():
    setattr(Tensor, f"__{_name}__", _question(_function, None))
Tensor.__eq__ = _question(eq, False)  # type: ignore[assignment]
Tensor.__ne__ = _question(ne, True)  # type: ignore[assignment]
Tensor.__hash__ = object.__hash__  # type: ignore[assignment]
Tensor.__neg__, Tensor.__abs__, Tensor.__invert__ = neg, abs, bitwise_not
Tensor.__pos__ = lambda self: self  # type: ignore[method-assign, assignment]
