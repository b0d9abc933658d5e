"""Tensors that belong to modules."""

from typing import Any

import numpy as np

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, array_from, new
from fastnn.nn.parameter import Parameter as ArrayParameter

__all__ = ["Buffer", "Parameter", "parameter_from"]

__getattr__ = missing(
    __name__,
    dict.fromkeys(
        ("UninitializedParameter", "UninitializedBuffer"),
        "give layers the size of their input: nn.Linear(in_features, out_features)",
    ),
)


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
