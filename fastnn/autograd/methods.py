"""NumPy's operators and methods, for tensors."""

import inspect
import math
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from fastnn.autograd.tensor import Tensor

__all__ = ["FUNCTIONS", "NO_GRADIENT", "OBSERVED", "UFUNCS", "WRITES", "ArrayMethods", "gradient_of", "takes"]

# What NumPy's functions do with tensors: the files that `numpy_functions.py` reads fill these.
UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
# Those whose results are counts, places or answers, which have no gradient.
NO_GRADIENT: set[Callable[..., Any]] = set()
# Some of these as operations, for those who observe.
OBSERVED: dict[Callable[..., Any], Callable[..., Any]] = {}
# Those that write into an argument.
WRITES: set[Callable[..., Any]] = set()
# How many arguments by position, and which by name, the functions of FUNCTIONS take.
_ARGUMENTS: dict[Callable[..., Any], tuple[float, frozenset[str]]] = {}
_Function = TypeVar("_Function", bound=Callable[..., Any])


def gradient_of(*functions: Any) -> Callable[[_Function], _Function]:
    """Decorate the function that computes these NumPy functions for tensors. It may lack some of their arguments."""

    def register(function: _Function) -> _Function:
        parameters = inspect.signature(function).parameters.values()
        any_number = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
        by_place = sum("POSITIONAL" in parameter.kind.name for parameter in parameters)
        names = frozenset(parameter.name for parameter in parameters)
        for key in functions:
            FUNCTIONS[key] = function
            _ARGUMENTS[key] = math.inf if any_number else by_place, names
        return function

    return register


def takes(function: Any, args: Sequence[Any], keywords: Any) -> bool:
    """Whether the tensor version of `function` accepts these arguments."""
    most, names = _ARGUMENTS[function]
    return len(args) <= most and names.issuperset(keywords)


Axis = int | Sequence[int] | None
_NO_NUMBERS = (str, bytes, type(None), dict, set)


def _operator(ufunc: np.ufunc, reflected: bool = False) -> "Callable[[Any, Any], Tensor]":
    def method(self: Any, other: Any) -> Any:
        if isinstance(other, _NO_NUMBERS):
            return NotImplemented
        return UFUNCS[ufunc](other, self) if reflected else UFUNCS[ufunc](self, other)

    return method


def _in_place(ufunc: np.ufunc) -> "Callable[[Any, Any], Any]":
    def method(self: Any, other: Any) -> Any:
        return NotImplemented if isinstance(other, _NO_NUMBERS) else self._in_place(ufunc, other)

    return method


class ArrayMethods:
    """The operators and methods that tensors share with arrays."""

    __slots__ = ()

    __add__, __radd__, __iadd__ = _operator(np.add), _operator(np.add, True), _in_place(np.add)
    __sub__, __rsub__, __isub__ = _operator(np.subtract), _operator(np.subtract, True), _in_place(np.subtract)
    __mul__, __rmul__, __imul__ = _operator(np.multiply), _operator(np.multiply, True), _in_place(np.multiply)
    __truediv__, __rtruediv__ = _operator(np.true_divide), _operator(np.true_divide, True)
    __itruediv__ = _in_place(np.true_divide)
    __floordiv__, __rfloordiv__ = _operator(np.floor_divide), _operator(np.floor_divide, True)
    __mod__, __rmod__ = _operator(np.remainder), _operator(np.remainder, True)
    __pow__, __rpow__, __ipow__ = _operator(np.power), _operator(np.power, True), _in_place(np.power)
    __matmul__, __rmatmul__ = _operator(np.matmul), _operator(np.matmul, True)
    __and__, __rand__ = _operator(np.bitwise_and), _operator(np.bitwise_and, True)
    __or__, __ror__ = _operator(np.bitwise_or), _operator(np.bitwise_or, True)
    __xor__, __rxor__ = _operator(np.bitwise_xor), _operator(np.bitwise_xor, True)
    __lt__, __le__ = _operator(np.less), _operator(np.less_equal)
    __gt__, __ge__ = _operator(np.greater), _operator(np.greater_equal)
    __eq__, __ne__ = _operator(np.equal), _operator(np.not_equal)  # type: ignore[assignment]
    __hash__ = object.__hash__  # tensors are keys by identity

    def __neg__(self) -> "Tensor":
        return UFUNCS[np.negative](self)

    def __pos__(self) -> "Tensor":
        return UFUNCS[np.positive](self)

    def __abs__(self) -> "Tensor":
        return UFUNCS[np.absolute](self)

    def __invert__(self) -> "Tensor":
        return UFUNCS[np.invert](self)

    def __getitem__(self, index: Any) -> "Tensor":
        return FUNCTIONS[operator.getitem](self, index)

    # ---- shape -------------------------------------------------------------------------------------------------------
    @property
    def T(self) -> "Tensor":
        return self.transpose()

    @property
    def mT(self) -> "Tensor":
        return self.swapaxes(-1, -2)

    def reshape(self, *shape: Any) -> "Tensor":
        return FUNCTIONS[np.reshape](self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> "Tensor":
        return FUNCTIONS[np.transpose](self, (axes[0] if len(axes) == 1 else axes) or None)

    def swapaxes(self, axis1: int, axis2: int) -> "Tensor":
        return FUNCTIONS[np.swapaxes](self, axis1, axis2)

    def squeeze(self, axis: Axis = None) -> "Tensor":
        return FUNCTIONS[np.squeeze](self, axis)

    def expand_dims(self, axis: Axis) -> "Tensor":
        return FUNCTIONS[np.expand_dims](self, axis)

    def flatten(self) -> "Tensor":
        flat = self.reshape(-1)
        return flat.copy() if flat.is_leaf else flat  # nobody can write into a recorded one

    def ravel(self) -> "Tensor":
        return self.reshape(-1)

    def broadcast_to(self, shape: Sequence[int]) -> "Tensor":
        return FUNCTIONS[np.broadcast_to](self, shape)

    def repeat(self, repeats: Any, axis: int | None = None) -> "Tensor":
        return FUNCTIONS[np.repeat](self, repeats, axis)

    def split(self, indices_or_sections: Any, axis: int = 0) -> "list[Tensor]":
        return FUNCTIONS[np.split](self, indices_or_sections, axis)

    def pad(self, pad_width: Any, mode: str = "constant", **keywords: Any) -> "Tensor":
        return FUNCTIONS[np.pad](self, pad_width, mode, **keywords)

    def take(self, indices: Any, axis: int | None = None) -> "Tensor":
        return FUNCTIONS[np.take](self, indices, axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> "Tensor":
        return FUNCTIONS[np.diagonal](self, offset, axis1, axis2)

    def take_along_axis(self, indices: Any, axis: int | None = -1) -> "Tensor":
        return FUNCTIONS[np.take_along_axis](self, indices, axis)

    def astype(self, dtype: Any, copy: bool = True) -> "Tensor":
        return FUNCTIONS[np.ndarray.astype](self, dtype, copy=copy)

    def copy(self) -> "Tensor":
        return FUNCTIONS[np.copy](self)

    # ---- sums --------------------------------------------------------------------------------------------------------
    def sum(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        return FUNCTIONS[np.sum](self, axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        return FUNCTIONS[np.mean](self, axis, keepdims=keepdims)

    def var(self, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> "Tensor":
        return FUNCTIONS[np.var](self, axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> "Tensor":
        return FUNCTIONS[np.std](self, axis, ddof=ddof, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        return FUNCTIONS[np.max](self, axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        return FUNCTIONS[np.min](self, axis, keepdims=keepdims)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        return FUNCTIONS[np.prod](self, axis, keepdims=keepdims)

    def cumsum(self, axis: int | None = None) -> "Tensor":
        return FUNCTIONS[np.cumsum](self, axis)

    def cumprod(self, axis: int | None = None) -> "Tensor":
        return FUNCTIONS[np.cumprod](self, axis)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> "Tensor":
        return FUNCTIONS[np.trace](self, offset, axis1, axis2)

    def dot(self, other: Any) -> "Tensor":
        return FUNCTIONS[np.dot](self, other)

    # ---- element by element ------------------------------------------------------------------------------------------
    def exp(self) -> "Tensor":
        return UFUNCS[np.exp](self)

    def log(self) -> "Tensor":
        return UFUNCS[np.log](self)

    def log1p(self) -> "Tensor":
        return UFUNCS[np.log1p](self)

    def sqrt(self) -> "Tensor":
        return UFUNCS[np.sqrt](self)

    def abs(self) -> "Tensor":
        return UFUNCS[np.absolute](self)

    def sign(self) -> "Tensor":
        return UFUNCS[np.sign](self)

    def sin(self) -> "Tensor":
        return UFUNCS[np.sin](self)

    def cos(self) -> "Tensor":
        return UFUNCS[np.cos](self)

    def tanh(self) -> "Tensor":
        return UFUNCS[np.tanh](self)

    def power(self, exponent: Any) -> "Tensor":
        return UFUNCS[np.power](self, exponent)

    def maximum(self, other: Any) -> "Tensor":
        return UFUNCS[np.maximum](self, other)

    def minimum(self, other: Any) -> "Tensor":
        return UFUNCS[np.minimum](self, other)

    def clip(self, min: Any = None, max: Any = None) -> "Tensor":
        return FUNCTIONS[np.clip](self, min, max)

    def round(self, decimals: int = 0) -> "Tensor":
        return FUNCTIONS[np.round](self, decimals)

    # ---- places and answers ------------------------------------------------------------------------------------------
    def argmax(self, axis: int | None = None, keepdims: bool = False) -> "Tensor":
        return np.argmax(self, axis, keepdims=keepdims)  # type: ignore[call-overload]

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> "Tensor":
        return np.argmin(self, axis, keepdims=keepdims)  # type: ignore[call-overload]

    def argsort(self, axis: int | None = -1) -> "Tensor":
        return np.argsort(self, axis)  # type: ignore[arg-type, return-value]

    def all(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        return np.all(self, axis, keepdims=keepdims)  # type: ignore[call-overload]

    def any(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        return np.any(self, axis, keepdims=keepdims)  # type: ignore[call-overload]
