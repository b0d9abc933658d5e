"""Tensors with PyTorch's names and meanings: fastnn's own, whose results are of this kind again.

Functions with an `input`, such as `torch.sum(input, dim)`, are methods, too: the files beside this one say so with
`@method`, and `@method(in_place=True)` gives the one with the trailing underscore.
"""

import functools
import inspect
import operator
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from fastnn._watching import OBSERVERS
from fastnn.autograd.deferred import Deferred, settle
from fastnn.autograd.memory import BORROWED
from fastnn.autograd.modes import RECORDING
from fastnn.autograd.shapes import Transpose
from fastnn.autograd.tape import Op, go_back, run
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.autograd.tensor import new_tensor, shares_memory
from fastnn.compat.torch._device import check_device, device
from fastnn.compat.torch._dtype import default_numpy_dtype, dtype, numpy_dtype, torch_dtype
from fastnn.compat.torch._grad_fn import grad_fn_of
from fastnn.compat.torch._size import Size
from fastnn.compat.torch._writing import View, WriteInto, WriteIntoView
from fastnn.functional.activation import write_over

__all__ = [
    "Tensor",
    "activate_in_place",
    "array_from",
    "array_to_write",
    "become",
    "from_sizes_or_numbers",
    "in_float32",
    "in_place",
    "method",
    "new",
    "takes_names",
    "view_of",
    "viewed",
    "wrapped",
]

Function = TypeVar("Function", bound=Callable[..., Any])


class Tensor(NumPyTensor):
    """An array with PyTorch's methods.

    `torch.Tensor(2, 3)` is of this shape, with zeros; `torch.Tensor([1, 2])` has these numbers; both are of the default
    dtype.
    """

    _base: Any = None  # the tensor that this is a view of
    _views: Any = None  # weak references to its views, which follow when it becomes another result
    _hooks: Any = None
    _name: str | None = None
    _changes_itself = True
    _repr_html_ = None  # notebooks show it as text, as they do PyTorch's

    @classmethod
    def _widened(cls, inputs: tuple[Any, ...]) -> list[Any] | None:
        """float16 as float32, which kernels compute in."""
        if not any(isinstance(x, NumPyTensor) and x._data.dtype == np.float16 for x in inputs):
            return None
        return [in_float32(x) if isinstance(x, NumPyTensor) else x for x in inputs]

    def __init__(self, *data: Any, device: Any = None) -> None:
        check_device(device)
        array = from_sizes_or_numbers(data, default_numpy_dtype())
        self._data, self._op, self._memory, self._grad, self._requires_grad = array, None, None, None, False

    # ---- what it is --------------------------------------------------------------------------------------------------
    @property
    def data(self) -> "Tensor":  # type: ignore[override]
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        array = value._data if isinstance(value, NumPyTensor) else value
        if not isinstance(array, np.ndarray):
            raise TypeError(f"Tensor.data: assign a tensor. Received: {value!r}")
        if self._op is not None:
            self._op = None
        if array is self._data:
            self.written()
        else:
            self._data, self._memory = array, None

    @property
    def grad(self) -> "Tensor | None":  # type: ignore[override]
        return None if self._grad is None else new(self._grad)

    @grad.setter
    def grad(self, value: Any) -> None:
        array = value._data if isinstance(value, NumPyTensor) else value
        if array is not None and (not isinstance(array, np.ndarray) or array.shape != self._data.shape):
            raise RuntimeError(f"Tensor.grad: assign a tensor of shape {tuple(self._data.shape)}, or None")
        self._grad = array

    @property
    def shape(self) -> Size:  # type: ignore[override]
        return Size(self._data.shape)

    @property
    def dtype(self) -> dtype:  # type: ignore[override]
        return torch_dtype(self._data.dtype)

    @property
    def device(self) -> device:
        return device()

    @property
    def grad_fn(self) -> Any:
        return grad_fn_of(self._op)

    @property
    def is_cuda(self) -> bool:
        return False

    is_cpu = True
    is_sparse = is_sparse_csr = is_quantized = is_mkldnn = is_meta = is_nested = False
    is_mps = is_xpu = is_mtia = is_maia = is_ipu = is_vulkan = is_xla = False

    @property
    def T(self) -> "Tensor":  # type: ignore[override]
        return viewed(self, Transpose(None))

    H = T

    @property
    def mT(self) -> "Tensor":  # type: ignore[override]
        return self.transpose(-2, -1)

    mH = mT

    @property
    def real(self) -> "Tensor":
        return self

    def size(self, dim: int | None = None) -> Any:  # type: ignore[override]
        return self.shape if dim is None else self._data.shape[dim]

    def dim(self) -> int:
        return self._data.ndim

    ndimension = dim

    def numel(self) -> int:
        return self._data.size

    nelement = numel

    def element_size(self) -> int:
        return self._data.itemsize

    def storage_offset(self) -> int:
        base = self if self._base is None else self._base
        return (_address(self._data) - _address(base._data)) // self._data.itemsize

    def stride(self, dim: int | None = None) -> Any:
        strides = tuple(step // self._data.itemsize for step in self._data.strides)
        return strides if dim is None else strides[dim]

    def data_ptr(self) -> int:
        return _address(self._data)

    def get_device(self) -> int:
        return -1

    def is_contiguous(self, memory_format: Any = None) -> bool:
        return self._data.flags.c_contiguous

    def numpy(self, *, force: bool = False) -> NDArray:
        """The array; it shares memory with the tensor.

        Raises:
            RuntimeError: the tensor requires a gradient, and not `force`.
        """
        if self._requires_grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self._for_reading()

    def item(self) -> Any:
        if self._data.size != 1:
            raise RuntimeError(f"Tensor.item: one element is needed. Received: shape={tuple(self._data.shape)}")
        return self._data.item()

    def detach(self) -> "Tensor":
        y = super().detach()
        if self._op is None:
            y._base = None
        return y

    def detach_(self) -> "Tensor":
        if self._op is not None:
            self._data, self._memory = self._data.copy("K"), None
        self._op, self._requires_grad = None, False
        return self

    # ---- gradients ---------------------------------------------------------------------------------------------------
    def backward(  # type: ignore[override]
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
    ) -> None:
        """Add to `grad` of every leaf behind this tensor, or of `inputs`, the gradient with respect to it."""
        refuse_create_graph("Tensor.backward", create_graph)
        if gradient is None and self._data.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if not self._requires_grad:
            raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
        array = np.ones_like(self._data) if gradient is None else array_from(gradient)
        if array.shape != self._data.shape:
            raise RuntimeError(
                f"Tensor.backward: gradient must have shape {tuple(self._data.shape)}. Received: {tuple(array.shape)}"
            )
        array = array.astype(self._data.dtype, copy=False)
        if inputs is None:
            if self._op is None:
                self.accumulate(array, fresh=False)
            else:
                self._op.start_backward(self, array, bool(retain_graph))
            return
        several = list(inputs) if isinstance(inputs, tuple | list) else [inputs]
        found = go_back([(self, array)], several, bool(retain_graph), others=False)
        for leaf, part in zip(several, found, strict=True):
            if part is not None:
                NumPyTensor.accumulate(leaf, part, fresh=True)

    def accumulate(self, gradient: NDArray, fresh: bool) -> None:
        for hook in list((self._hooks or {}).values()):
            changed = hook(new(gradient))
            if changed is not None:
                gradient, fresh = changed._data, False
        super().accumulate(gradient, fresh)

    def register_hook(self, hook: Callable[["Tensor"], Any]) -> Any:
        """Call `hook(gradient)` when the gradient with respect to this tensor is there; what it returns replaces it."""
        if not self._requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._op is None:
            if self._hooks is None:
                self._hooks = {}
            hooks = self._hooks
        else:
            if not isinstance(self._op, Op):  # one of several results
                become(self, run(_Hooked({}), self))
            if self._op.hooks is None:
                self._op.hooks = {}
            hooks, hook = self._op.hooks, _of_operation(hook)
        key = object()
        hooks[key] = hook
        return _Handle(hooks, key)

    def retain_grad(self) -> None:
        """Let a result, too, keep its gradient in `grad`."""
        if not self._requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._op is not None:
            me = weakref.ref(self)

            def keep(gradient: Tensor) -> None:
                tensor = me()
                if tensor is not None:
                    NumPyTensor.accumulate(tensor, gradient._data, fresh=False)

            self.register_hook(keep)

    # ---- writing into it ---------------------------------------------------------------------------------------------
    def __setitem__(self, index: Any, value: Any) -> None:
        from fastnn.compat.torch._indexing import own_index

        index = own_index(self, index)
        if not isinstance(value, NumPyTensor):
            value = new(np.asarray(value, None if isinstance(value, np.ndarray) else self._data.dtype))
        if RECORDING.get() and (self._requires_grad or value._requires_grad):
            _refuse_leaf(self)
            become(self, run(WriteInto(index), self, value))
            return
        array = _memory_of(self)
        array[index] = value._data.astype(array.dtype, copy=False)
        self.written()

    def _in_place(self, ufunc: np.ufunc, other: Any) -> "Tensor":
        raise NotImplementedError  # every operator is defined below

    # ---- Python's protocols ------------------------------------------------------------------------------------------
    def __iter__(self) -> Iterator["Tensor"]:
        if not self._data.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self._data.reshape(()))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def __index__(self) -> int:
        return operator.index(self._data.item())

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from fastnn.compat.torch._printing import text_of

        return text_of(self)

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        if not self._data.ndim:
            return format(self._data.item(), specification)
        return format(str(self), specification)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        if self._op is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user support the deepcopy protocol at the moment"
            )
        y = new(self._data.copy("K"), type(self))
        y._requires_grad = self._requires_grad
        y._grad = None if self._grad is None else self._grad.copy("K")
        memo[id(self)] = y
        return y


def _address(array: NDArray) -> int:
    return array.__array_interface__["data"][0]


Tensor._kind = Tensor


# ---- making them -----------------------------------------------------------------------------------------------------
def new(array: NDArray, kind: type[Tensor] = Tensor) -> Tensor:
    """A leaf with this array."""
    return new_tensor(array, None, kind)  # type: ignore[return-value]


def in_float32(x: Any) -> Any:
    """float16 as float32, with its gradient; others as they are."""
    return x.float() if x._data.dtype == np.float16 else x


def wrapped(result: Any) -> Tensor:
    """A leaf with what a function of NumPy gave."""
    return new(result if type(result) is np.ndarray else np.asarray(result))


def array_from(value: Any, dtype: np.dtype | None = None) -> NDArray:
    """The numbers of a tensor, an array, or of (nested) numbers, as an array, in this dtype if it is given; else floats
    of Python in the default dtype.
    """
    if isinstance(value, NumPyTensor | np.ndarray):
        array = value._data if isinstance(value, NumPyTensor) else value
        return array if dtype is None else array.astype(dtype, copy=False)
    if isinstance(value, tuple | list):
        value = _plain(value)
    array = np.asarray(value)
    if dtype is not None and array.dtype.kind in "fiub":
        return array.astype(dtype, copy=False)
    if array.dtype == np.float64 and not isinstance(value, np.generic):
        has_arrays = isinstance(value, list) and any(isinstance(part, np.ndarray | np.generic) for part in value)
        array = array if has_arrays else array.astype(default_numpy_dtype())
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a tensor holds numbers. Received: {type(value).__name__} of dtype {array.dtype}")
    return array


def from_sizes_or_numbers(data: tuple[Any, ...], dtype: np.dtype) -> NDArray:
    """What old constructors make of their arguments: sizes, one by one or as a torch.Size, or numbers."""
    if len(data) == 1 and not isinstance(data[0], int | Size):
        return np.array(array_from(data[0], dtype))
    return np.zeros(data[0] if len(data) == 1 and isinstance(data[0], Size) else data or 0, dtype)


def _plain(values: Any) -> list[Any]:
    return [
        part._data if isinstance(part, NumPyTensor) else _plain(part) if isinstance(part, tuple | list) else part
        for part in values
    ]


def refuse_create_graph(name: str, create_graph: bool) -> None:
    """Second derivatives are not there."""
    if create_graph:
        raise RuntimeError(
            f"{name}: create_graph=True is not there: fastnn's gradients are numbers without a history, so there are "
            "no second derivatives"
        )


# ---- changing them ---------------------------------------------------------------------------------------------------
def _of_operation(hook: Callable[[Tensor], Any]) -> Callable[[NDArray], tuple[NDArray]]:
    """A hook of a script as one of the tape, of arrays."""

    def see(dy: NDArray) -> tuple[NDArray]:
        changed = hook(new(dy))
        return (dy if changed is None else changed._data,)

    return see


class _Hooked(Op):
    """x itself, whose gradient passes some hooks."""

    is_exact = is_view = True
    keeps: ClassVar = {}

    def __init__(self, hooks: dict[Any, Callable[[NDArray], tuple[NDArray]]]) -> None:
        self.hooks = hooks

    def forward(self, x: NDArray) -> NDArray:
        return x

    def backward(self, dy: NDArray) -> NDArray:
        return dy


class _Handle:
    """Removes a hook."""

    def __init__(self, hooks: dict[Any, Any], key: object) -> None:
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        self._hooks.pop(self._key, None)

    def __enter__(self) -> "_Handle":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _refuse_leaf(x: Tensor) -> None:
    if x._op is None and x._requires_grad:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


def _memory_of(x: Tensor) -> NDArray:
    """The array of x to write into."""
    if x._memory is BORROWED or not x._data.flags.writeable:
        raise RuntimeError(
            "this tensor shares the memory of a result whose gradient may need it: clone() it before writing into it"
        )
    return x._data


def become(x: Tensor, y: Any) -> Tensor:
    """Let x be what y is, as `x += ...` on a recorded tensor means; its base and the views of that follow."""
    base = x._base
    if base is not None:
        _refuse_leaf(base)
        become(base, run(WriteIntoView(base._data, x._data), base, y))
        return x
    before, views = x._data, _living(x._views)
    if views and y._data.strides != before.strides:
        y = run(WriteIntoView(before, before), x, y)
    x._data, x._op, x._memory, x._requires_grad = y._data, y._op, y._memory, y._requires_grad
    for view in views:
        seen: Any = run(View(before, view._data), x)
        view._data, view._op, view._memory, view._requires_grad = seen._data, seen._op, seen._memory, True
    return x


def _living(views: Any) -> list[Tensor]:
    return [view for view in (reference() for reference in views or ()) if view is not None]


def array_to_write(x: Tensor, other: Any = None) -> NDArray | None:
    """The array of x, if something computed from x and `other` may be written straight into it: nothing is recorded,
    nobody looks, and no operation needs what is there. None means that `in_place` has to see to it.
    """
    if isinstance(x, Deferred) or x._op is not None or x._memory is BORROWED or OBSERVERS.get():
        return None
    if RECORDING.get() and (x._requires_grad or (isinstance(other, NumPyTensor) and other._requires_grad)):
        return None
    return x._data if x._data.flags.writeable else None


def in_place(x: Tensor, y: Any) -> Tensor:
    """Put the result `y` of something into `x`."""
    if not isinstance(y, NumPyTensor):
        y = wrapped(y)
    if isinstance(x, Deferred) and x.fits(y):  # nobody has looked at it
        return settle(x, y)
    before, after = x._data, y._data
    if after.shape != before.shape:
        raise RuntimeError(
            f"output with shape {list(before.shape)} doesn't match the broadcast shape {list(after.shape)}"
        )
    if after.dtype != before.dtype:
        if "biuf".index(after.dtype.kind.replace("u", "i")) > "biuf".index(before.dtype.kind.replace("u", "i")):
            raise RuntimeError(
                f"result type {torch_dtype(after.dtype)!r} can't be cast to the desired output type "
                f"{torch_dtype(before.dtype)!r}"
            )
        y = y.to(x.dtype)
        after = y._data
    if RECORDING.get() and (x._requires_grad or y._requires_grad):
        _refuse_leaf(x)
        return become(x, y)
    if x._op is not None:  # within no_grad: what the gradient is computed from stays
        x._data, x._memory = x._data.copy("K"), None
    array = _memory_of(x)
    array[...] = after
    x.written()
    return x


_IN_PLACE: dict[str, tuple[Any, ...]] = {"relu": ("relu",), "relu6": ("hardtanh", 0.0, 6.0), "silu": ("silu",)}


def activate_in_place(x: Any, function: str) -> bool:
    """Replace x by relu, relu6 or silu of it without an array in between; False if `in_place` has to see to it."""
    array = array_to_write(x) if isinstance(x, Tensor) else None
    if array is None or not write_over(array, *_IN_PLACE[function]):
        return False
    x.written()
    return True


def view_of(x: Any, y: Any) -> Any:
    """y, noted as a view of x, if it is one."""
    base = x if x._base is None else x._base
    if y is not x and shares_memory(y._data, base._data):
        _note_view(base, y)
    return y


def _note_view(base: Any, y: Any) -> None:
    y._base = base
    views = base._views
    if views is None:
        views = base._views = []
    elif len(views) >= 16:  # those of a weight, in every forward
        views[:] = [reference for reference in views if reference() is not None]
    views.append(weakref.ref(y))


def viewed(x: Any, op: Op) -> Any:
    """The result of `op`, noted as a view of x, if it is one."""
    if (x._requires_grad and RECORDING.get()) or OBSERVERS.get():
        y: Any = run(op, x)
        if y._data.base is x._data or (y._data.base is not None and y._data.base is x._data.base):
            _note_view(x if x._base is None else x._base, y)  # the usual case of `view_of`
            return y
        return view_of(x, y)
    data = x._data
    array = op.forward(data)
    base = array.base
    if (base is not data and (base is None or base is not data.base)) and not shares_memory(array, data):
        return new_tensor(array if type(array) is np.ndarray else np.asarray(array), None, x._kind)
    memory = x._shared_memory() if x._op is None else BORROWED  # nobody may write into what operations may keep
    y = new_tensor(array, memory, x._kind)
    _note_view(x if x._base is None else x._base, y)
    return y


# ---- functions as methods --------------------------------------------------------------------------------------------
@overload
def method(function: Function) -> Function: ...
@overload
def method(*, in_place: bool = ..., names: tuple[str, ...] = ...) -> Callable[[Function], Function]: ...
def method(function: Any = None, *, in_place: bool = False, names: tuple[str, ...] = ()) -> Any:
    """Make of a function of `input` a method, under its name and others; and one that writes its result into `self`."""

    def register(function: Any) -> Any:
        function = takes_names(function)
        for name in (function.__name__, *names):
            setattr(Tensor, name, function)
            if in_place:
                setattr(Tensor, f"{name}_", _writing(function, f"{name}_"))
        return function

    return register if function is None else register(function)


# PyTorch takes NumPy's names of arguments, too.
_SYNONYMS = {"axis": "dim", "keepdims": "keepdim"}


def takes_names(function: Function) -> Function:
    """The function, which takes NumPy's names of its arguments as well, and `*dims` as `dims=`."""
    parameters = inspect.signature(function).parameters
    spread = next((name for name, parameter in parameters.items() if parameter.kind is parameter.VAR_POSITIONAL), None)
    synonyms = {name: own for name, own in _SYNONYMS.items() if own in parameters and name not in parameters}
    if not synonyms and spread is None:
        return function

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        if keywords:
            for name in [name for name in keywords if name in synonyms]:
                keywords[synonyms[name]] = keywords.pop(name)
            if spread in keywords:
                arguments += (keywords.pop(spread),)
        return function(*arguments, **keywords)

    call.synonyms = [*synonyms, *([] if spread is None else [spread])]  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def _writing(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def write(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        return in_place(self, function(self, *arguments, **keywords))

    write.__name__ = write.__qualname__ = name
    write.__doc__ = f"`{function.__name__}`, written into the tensor itself."
    return write


def checked_out(result: Tensor, out: Any) -> Tensor:
    """`result`, in the tensor `out` if there is one."""
    if out is None:
        return result
    if out._data.shape != result._data.shape:
        out._data = np.empty(result._data.shape, out._data.dtype)
    return in_place(out, result)


def dtype_or(value: Any, otherwise: np.dtype) -> np.dtype:
    return otherwise if value is None else numpy_dtype(value)
