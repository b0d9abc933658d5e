"""Tensors that belong to modules."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._device import check_device
from fastnn.compat.torch._dtype import default_numpy_dtype, numpy_dtype, torch_dtype
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, array_from, new
from fastnn.nn.parameter import Parameter as ArrayParameter

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
    "parameter_from",
]

__getattr__ = missing(__name__)


class Parameter(Tensor, ArrayParameter):
    """A tensor that a module finds when it is assigned to an attribute. It shares memory with `data`.

    Example:
        >>> import fastnn.compat.torch as torch
        >>> torch.nn.Parameter(torch.Tensor([1.0, 2.0])).requires_grad
        True
    """

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        array = np.zeros(0, np.float32) if data is None else array_from(data)
        if requires_grad and array.dtype.kind != "f":
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        self._data, self._op, self._memory, self._grad = array, None, None, None
        if isinstance(data, Tensor):
            self._memory = data._memory if data._op is None else None
        self._requires_grad = bool(requires_grad)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Parameter":
        y = super().__deepcopy__(memo)
        y._grad = None
        return y  # type: ignore[return-value]

    def __bool__(self) -> bool:
        return Tensor.__bool__(self)


def parameter_from(value: ArrayParameter) -> Parameter:
    """A parameter of fastnn's as one with PyTorch's methods, of the same array."""
    if isinstance(value, Parameter):
        return value
    made = new(value._data, Parameter)
    made._requires_grad, made._grad = value._requires_grad, value._grad
    return made  # type: ignore[return-value]


def Buffer(data: Any = None, *, persistent: bool = True) -> Tensor:  # a class in PyTorch
    """A tensor that a module registers as a buffer when it is assigned to an attribute."""
    y = new(np.zeros(0, np.float32) if data is None else array_from(data))
    y._is_buffer, y._is_persistent = True, persistent  # type: ignore[attr-defined]
    return y


# ---- of layers that wait for their first input -----------------------------------------------------------------------
class Unsized(np.ndarray):
    """What a module keeps in the place of a buffer until its shape is known: an empty array of the dtype."""


# Where tensors keep their array; those below let nobody read it.
_array: Any = NumPyTensor.__dict__["_data"]


class UninitializedTensorMixin:
    """A parameter or a buffer whose shape is not known yet: it becomes one with numbers by `materialize`."""

    cls_to_become: ClassVar[type[Tensor]]
    _owner: Any = None  # the attributes of the module whose buffer it is, and its name there

    @property
    def _data(self) -> NDArray:
        kind = type(self).__name__
        raise ValueError(
            "Attempted to use an uninitialized parameter. This error happens when you are using a `LazyModule` or "
            f"explicitly manipulating `torch.nn.parameter.{kind}` objects. When using LazyModules Call `forward` with "
            "a dummy batch to initialize the parameters before calling torch functions"
        )

    @_data.setter
    def _data(self, array: NDArray) -> None:
        _array.__set__(self, array)

    @property
    def data(self) -> Tensor:
        """An empty tensor of the dtype."""
        return new(_array.__get__(self))

    @data.setter
    def data(self, value: Tensor) -> None:
        _array.__set__(self, value._data)

    @property
    def dtype(self) -> Any:
        return torch_dtype(_array.__get__(self).dtype)

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` "
            "to initialize the parameters before accessing their attributes."
        )

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become a parameter or a tensor of this shape, of zeros until it is initialised."""
        check_device(device)
        kind = _array.__get__(self).dtype if dtype is None else numpy_dtype(dtype)
        self._become(np.zeros(tuple(shape), kind))

    def _become(self, array: NDArray) -> None:
        if self._owner is not None:
            attributes, name = self.__dict__.pop("_owner")
            attributes["_buffers"][name] = array
        _array.__set__(self, array)
        self.__class__ = self.cls_to_become  # type: ignore[assignment]

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
            "before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        y = memo[id(self)] = type(self)(self._requires_grad, dtype=self.dtype)  # type: ignore[attr-defined, call-arg]
        return y

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self._requires_grad,)  # type: ignore[attr-defined]


def _empty(dtype: Any, device: Any) -> NDArray:
    check_device(device)
    return np.zeros(0, default_numpy_dtype() if dtype is None else numpy_dtype(dtype))


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]
    """A parameter whose shape is not known yet."""

    cls_to_become = Parameter

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        self._data, self._op, self._memory, self._grad = _empty(dtype, device), None, None, None
        self._requires_grad = bool(requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[misc]
    """A buffer whose shape is not known yet."""

    cls_to_become = Tensor

    def __init__(
        self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> None:
        self._data, self._op, self._memory, self._grad = _empty(dtype, device).view(Unsized), None, None, None
        self._requires_grad = bool(requires_grad)
        self._is_buffer, self._is_persistent = True, persistent


def is_lazy(param: Any) -> bool:
    """Whether it is a parameter or a buffer whose shape is not known yet."""
    return isinstance(param, UninitializedTensorMixin)


def buffer_that_waits(attributes: dict[str, Any], name: str) -> UninitializedBuffer:
    """The buffer `name` of a module with these attributes, the same each time."""
    tensors, array = attributes.setdefault("_buffer_tensors", {}), attributes["_buffers"][name]
    known = tensors.get(name)
    if not is_lazy(known) or _array.__get__(known) is not array:
        known = tensors[name] = UninitializedBuffer()
        known._data = array
    known._owner = attributes, name
    return known
