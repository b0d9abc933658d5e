"""Tensors: arrays that remember the operation that they came from."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _check
from fastnn._watching import ACCUMULATING, OBSERVERS
from fastnn.autograd import arithmetic
from fastnn.autograd.memory import BORROWED, Memory
from fastnn.autograd.methods import FUNCTIONS, NO_GRADIENT, OBSERVED, UFUNCS, WRITES, ArrayMethods, takes
from fastnn.autograd.modes import LOST, RECORDING

__all__ = [
    "AnyArray",
    "Tensor",
    "array_of",
    "kind_of",
    "mapped",
    "new_tensor",
    "operand",
    "refuse_gradients",
    "seed",
    "shares_memory",
    "tensor",
    "tensor_of",
    "tensors_in",
    "wrap",
]

# Arguments of NumPy's functions that are the same as none if they are None.
_SILENT = ("dtype", "out")

# A function that takes arrays and tensors gives the same kind.
AnyArray = TypeVar("AnyArray", "Tensor", NDArray[Any])


class Tensor(ArrayMethods):
    """An array together with the operation that it came from, so that gradients can flow back through both.

    Operators, indexing, methods and NumPy's functions take tensors and return tensors. What is recorded of a result is
    freed with the result, or by the first `backward` through it.

    Args:
        data: an array, which is not copied. (`fastnn.tensor` copies.)
        requires_grad: whether `backward` adds the gradient with respect to this tensor to `grad`. Default False.
    Attributes:
        data: the array. That of a recorded result is read-only.
        grad: the gradient, an array of the same shape; None before the first backward.
        requires_grad: whether gradients flow through this tensor.
    Raises:
        TypeError: requires_grad is set, and the data is not float32 or float64.
    Example:
        >>> import numpy as np, fastnn
        >>> w = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> np.square(w).sum().backward()
        >>> w.grad
        array([2., 4.])
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_memory", "_op", "_requires_grad")

    # What results with one of these among the inputs are: a subclass with other methods gives its own.
    _kind: ClassVar[type[Tensor]]
    # Whether a tensor that was recorded becomes another one by `a += b`, instead of leaving it a new one.
    _changes_itself: ClassVar[bool] = False

    @classmethod
    def _widened(cls, inputs: tuple[Any, ...]) -> list[Any] | None:
        """What an operation that refused these inputs is to be tried with; None: nothing else."""
        return None

    _data: Any
    _memory: Memory | None  # None: nobody keeps it
    _op: Any  # the operation that it is the result of, if that was recorded
    _grad: Any

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        array = _check.array("Tensor", "data", data)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"Tensor: data must hold numbers. Received: dtype={array.dtype}")
        self._data, self._op, self._memory, self._grad = array, None, None, None
        self._requires_grad = False
        if _check.boolean("Tensor", "requires_grad", requires_grad):
            self.requires_grad = True

    # ---- what it is --------------------------------------------------------------------------------------------------
    def _for_reading(self) -> Any:
        """The array, which can be written into only if nobody counts on it."""
        if self._op is None and self._memory is not BORROWED:
            return self._data
        view = self._data.view()
        view.flags.writeable = False
        return view

    @property
    def data(self) -> Any:
        return self._for_reading()

    @data.setter
    def data(self, value: Any) -> None:
        if self._op is not None:
            raise RuntimeError("Tensor.data: a recorded result cannot be changed: detach() it first")
        if type(value) is not np.ndarray:
            value = _check.array("Tensor", "data", value)
        if value is not self._data:
            self._data, self._memory = value, None  # who keeps the old array keeps it as it was
        else:  # x.data += 1
            self.written()

    @property
    def grad(self) -> Any:
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        self._grad = value

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value is not True and value is not False:
            value = _check.boolean(type(self).__name__, "requires_grad", value)
        if self._op is not None and not value:
            raise RuntimeError("Tensor.requires_grad: a recorded result takes it from its inputs; use detach()")
        if value and self._data.dtype.kind != "f":
            raise TypeError(f"{type(self).__name__}: only floats have gradients. Received: dtype={self._data.dtype}")
        self._requires_grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad`, and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor is a leaf: not a recorded result. Gradients are collected in leaves."""
        return self._op is None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    @property
    def nbytes(self) -> int:
        return self._data.nbytes

    @property
    def itemsize(self) -> int:
        return self._data.itemsize

    def numpy(self) -> Any:
        """The array, `data`. It is not copied."""
        return self._for_reading()

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self._data.size != 1:
            raise ValueError(f"Tensor.item: one element is needed. Received: shape={self._data.shape}")
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._data.tolist()

    def detach(self) -> Tensor:
        """A tensor with the same array, through which no gradient flows."""
        # Nobody may write into what operations may keep.
        return new_tensor(self._data, self._shared_memory() if self._op is None else BORROWED, self._kind)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        """The data, for NumPy: `np.asarray(x)` shares memory, `np.array(x)` copies.

        Raises:
            TypeError: the tensor is a recorded result, whose gradient would be lost.
        """
        if self._op is not None:
            lost = LOST.get()
            if type(lost) is not list:
                raise TypeError(
                    "Tensor: an array would not carry the gradient on: use functions that take tensors, or detach() "
                    "first"
                )
            lost.append("an array that was made of a tensor")
            return np.array(self._data, dtype)
        data = self._for_reading()
        array = data if dtype is None else data.astype(dtype, copy=False)
        if copy is False and array is not data:
            raise ValueError(f"{type(self).__name__}: {data.dtype} cannot be given as {array.dtype} without a copy")
        return array.copy() if copy and array is data else array

    # ---- gradients ---------------------------------------------------------------------------------------------------
    def backward(self, dy: ArrayLike | None = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor with respect to every leaf that it was computed from to the leaf's `grad`.

        What was recorded is released on the way, which frees memory. Another backward needs another forward.

        Args:
            dy: the gradient with respect to this tensor, of its shape. None (default): 1, if it is a single number.
            retain_graph: keep what was recorded for another backward. Default False.
        Raises:
            RuntimeError: nothing was recorded, an earlier backward released it, or an array that is still needed was
                changed.
            ValueError: dy is missing or has another shape.
        """
        gradient = seed("Tensor.backward", self, dy)
        if self._op is not None:
            self._op.start_backward(self, gradient, _check.boolean("Tensor.backward", "retain_graph", retain_graph))
        elif self._requires_grad:
            self.accumulate(gradient, fresh=False)
        else:
            raise RuntimeError(
                "Tensor.backward: nothing was recorded: no input requires a gradient, or this happened within no_grad"
            )

    def accumulate(self, gradient: NDArray, fresh: bool) -> None:
        """Add a gradient to `grad`. `fresh` says that nobody else holds this array, so that it need not be copied."""
        if self._grad is None:
            self._grad = gradient if fresh else gradient.copy("K")
        else:
            self._grad = np.asarray(arithmetic.add(self._grad, gradient))
        for watcher in ACCUMULATING.get():
            watcher(self)

    # ---- memory ------------------------------------------------------------------------------------------------------
    def _shared_memory(self) -> Memory:
        """The record that this tensor shares with its views."""
        if self._memory is None:
            self._memory = Memory()
        return self._memory

    def written(self) -> None:
        """Call it after writing to `data`: an operation that keeps the array refuses to go back with new values."""
        if self._memory is not None:
            self._memory.version += 1

    def _writable(self, what: str, value: Any) -> NDArray:
        """The array to write `value` into."""
        if self._op is not None:
            raise RuntimeError(f"Tensor: {what} a recorded result would change what its gradient is computed from: "
                               "use np.where, or detach() a copy first")  # fmt: skip
        if RECORDING.get() and self._requires_grad:
            raise RuntimeError(f"Tensor: {what} a leaf that requires a gradient is possible within no_grad() only")
        if RECORDING.get() and isinstance(value, Tensor) and value._requires_grad:
            raise RuntimeError(f"Tensor: {what} with a tensor that requires a gradient would lose it: "
                               "build the result with np.where or np.concatenate, or detach() the value")  # fmt: skip
        if self._memory is not None and self._memory.borrowed:  # the array of a caller stays as it is
            self._data, self._memory = self._data.copy("K"), None
        return self._data

    def __setitem__(self, index: Any, value: Any) -> None:
        self._writable("assigning into", value)[array_of(index)] = array_of(value)
        self.written()

    def _in_place(self, ufunc: np.ufunc, other: Any) -> Tensor:
        """`a += b`: a new tensor where something is recorded, else within the memory of a leaf."""
        if self._op is not None or (RECORDING.get() and isinstance(other, Tensor) and other._requires_grad):
            return UFUNCS[ufunc](self, other)
        array = self._writable("changing", other)
        arithmetic.write(ufunc, array, array_of(other))
        self.written()
        return self

    # ---- Python's protocols ------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError(f"{type(self).__name__}: one without axes has no length")
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        if not self._data.ndim:
            raise TypeError(f"{type(self).__name__}: one without axes cannot be gone through")
        return FUNCTIONS[iter](self)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self._data)

    def __contains__(self, value: Any) -> bool:
        return array_of(value) in self._data

    def __format__(self, specification: str) -> str:
        return format(self._data.item() if specification and self._data.size == 1 else str(self), specification)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if self._op is not None:
            raise TypeError(f"{type(self).__name__}: a recorded result cannot be copied or pickled: detach() it first")
        return _restored, (type(self), self._data, self._requires_grad, self._grad)

    def __repr__(self) -> str:
        note = ", requires_grad=True" if self._requires_grad else ""
        text = np.array2string(self._data, separator=", ", prefix="tensor(", threshold=1000)
        kind = "" if self._data.dtype in (np.float64, np.int64, np.bool_) else f", dtype={self._data.dtype}"
        return f"tensor({text}{kind}{note})"

    def _repr_html_(self) -> str:
        """For notebooks: shape, dtype, statistics and some numbers."""
        from fastnn.autograd._html import tensor_html

        return tensor_html(self, type(self).__name__)

    # ---- NumPy's protocols -------------------------------------------------------------------------------------------
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **keywords: Any) -> Any:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        if out is not None:
            raise TypeError(
                f"np.{name}: a result that is a tensor, or is made of one, cannot be written into an array: "
                "write a = a + b, or use the tensor's data"
            )
        known = UFUNCS.get(ufunc) if method == "__call__" else None
        if known is not None and not keywords:
            return known(*inputs)
        if method == "at":
            raise TypeError(f"np.{name} writes into its argument: use x[...] = value, or the data of the tensors")
        if keywords:
            name += f" with {', '.join(keywords)}"
        refuse_gradients(f"np.{name}", inputs)
        return _unnoticed(getattr(ufunc, method)(*array_of(inputs), **array_of(keywords)), inputs, self._kind)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, keywords: Any) -> Any:
        known = FUNCTIONS.get(function)
        if keywords:  # what says nothing
            keywords = {name: value for name, value in keywords.items() if value is not None or name not in _SILENT}
        if known is not None and takes(function, args, keywords):
            return known(*args, **keywords)
        if function in NO_GRADIENT:
            see = OBSERVERS.get() and OBSERVED.get(function)
            return see(*args, **keywords) if see else wrap(function(*array_of(args), **array_of(keywords)), self._kind)
        name = f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"
        if function in WRITES:
            raise TypeError(f"{name} writes into its argument: use x[...] = value, or the data of the tensors")
        if keywords.get("out") is not None:
            raise TypeError(f"{name}: a result that is a tensor, or is made of one, cannot be written into an array: "
                            "leave out= away, or use the tensor's data")  # fmt: skip
        if known is not None and keywords:
            name += f" with {', '.join(keywords)}"
        refuse_gradients(name, (args, keywords))
        return _unnoticed(function(*array_of(args), **array_of(keywords)), (args, keywords), self._kind)


Tensor._kind = Tensor
_new = Tensor.__new__


def refuse_gradients(name: str, values: Any) -> None:
    """Raise an error if `values` carry gradients, which would be lost here."""
    if RECORDING.get() and any(value._requires_grad for value in tensors_in(values)):
        raise TypeError(f"{name} has no gradient here: detach() its arguments, or write a fastnn.Op")


def operand(name: str, value: Any) -> Any:
    """A tensor as it is, and anything else as an array. Tensors within lists may not carry gradients."""
    if isinstance(value, Tensor):
        return value
    if type(value) is not np.ndarray:
        refuse_gradients(f"{name} with a list of tensors", value)
        value = np.array(array_of(value))
    return value


def tensor_of(name: str, value: Any) -> Tensor:
    """`operand` as a tensor, for functions whose result is a tensor if any argument is one."""
    value = operand(name, value)
    return value if isinstance(value, Tensor) else new_tensor(value, BORROWED)


def tensors_in(values: Any) -> Iterator[Tensor]:
    """The tensors within tuples, lists and dicts."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from tensors_in(value)
    elif isinstance(values, dict):
        yield from tensors_in(list(values.values()))


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply `function` to each part of tuples, lists and dicts, and keep their structure; or to `value` itself."""
    if isinstance(value, dict):
        return {key: mapped(function, part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = (mapped(function, part) for part in value)
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return function(value)


def array_of(value: Any) -> Any:
    """The array of a tensor; in tuples, lists and dicts, arrays in place of tensors; anything else unchanged."""
    if isinstance(value, Tensor):
        return value._data
    return mapped(array_of, value) if isinstance(value, tuple | list | dict) else value


def wrap(result: Any, kind: type[Tensor] = Tensor) -> Any:
    """Arrays as tensors without a gradient. Other results of NumPy's functions are unchanged."""
    if isinstance(result, np.ndarray | np.generic):
        return new_tensor(np.asarray(result), None, kind)
    if type(result) in (tuple, list):
        return type(result)(wrap(part, kind) for part in result)
    return result


def kind_of(*values: Any) -> type[Tensor]:
    """The class of a result with these inputs."""
    kinds = [value._kind for value in values if isinstance(value, Tensor)]
    return next((kind for kind in kinds if kind is not Tensor), Tensor)


def _unnoticed(result: Any, values: Any, kind: type[Tensor]) -> Any:
    """The tensors of a function that may give views of its arguments, into which nobody may write then."""
    result = wrap(result, kind)
    for made in tensors_in(result):
        if any(np.may_share_memory(made._data, given._data) for given in tensors_in(values)):
            made._memory = BORROWED
    return result


def shares_memory(y: NDArray, x: NDArray) -> bool:
    """Whether y may be a view of x. Clear cases are decided quickly."""
    base = y.base
    if base is None:  # y owns its memory
        return y is x or x.base is y
    return base is x or base is x.base or np.may_share_memory(y, x)


def new_tensor(data: NDArray, memory: Memory | None, kind: type[Tensor] = Tensor) -> Tensor:
    """A leaf without a gradient."""
    result = _new(kind)
    result._data, result._memory, result._op, result._requires_grad, result._grad = data, memory, None, False, None
    return result


def _restored(kind: type[Tensor], data: NDArray, requires_grad: bool, grad: Any) -> Tensor:
    result = _new(kind)
    result._data, result._memory, result._op = data, None, None
    result._requires_grad, result._grad = requires_grad, grad
    return result


def seed(operation: str, y: Tensor, dy: Any) -> NDArray:
    """The gradient with which a backward starts: `dy` in the shape and dtype of y, or 1."""
    data = y._data
    if dy is None:
        if data.size != 1:
            reason = f"the gradient of something of shape {data.shape} is needed; only a single number has one of 1"
            raise ValueError(f"{operation}: {reason}")
        return np.ones(data.shape, data.dtype)
    dy = _check.reals(operation, "dy", array_of(dy))
    if dy.shape != data.shape:
        raise _check.fail(operation, f"dy must have shape {data.shape}", dy=dy)
    return dy.astype(data.dtype, copy=False)


def tensor(data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`, as PyTorch defines it; but Python floats become float64, as in NumPy.

    Args:
        data: an array, a number, nested lists of numbers, or a tensor, whose gradient is not carried on.
        dtype: the dtype of the tensor. None (default): that of the data.
        requires_grad: whether `backward` adds the gradient with respect to this tensor to `grad`. Default False.
    Raises:
        TypeError: data holds no numbers; or requires_grad is set, and the dtype is not float32 or float64.
    Example:
        >>> import fastnn
        >>> x = fastnn.tensor([[1.0, 2.0]], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        array([[2., 4.]])
    """
    data = array_of(data)
    if type(data) in (list, tuple):
        data = [array_of(item) for item in data]
    array = _check.array("tensor", "data", data)
    try:
        copied = np.array(array, dtype, order="K")
    except (TypeError, ValueError):
        raise TypeError(f"tensor: dtype must be one of numbers. Received: {_check.shown(dtype)}") from None
    return Tensor(copied, requires_grad)
