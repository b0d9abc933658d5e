"""torch.autograd.Variable: what tensors with gradients were called before PyTorch 0.4."""

from typing import Any

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.notes import note
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor, new

__all__ = ["Variable"]


class _IsTensor(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, NumPyTensor)


class Variable(metaclass=_IsTensor):
    """A leaf with the memory of a tensor: `Variable(x, requires_grad=True)`. Every tensor is an instance."""

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: Any = None) -> Any:
        if volatile is not None:
            note("Variable: volatile was removed from PyTorch and has no effect: use `with torch.no_grad():`")
        if data is None:
            return Tensor()
        if not isinstance(data, NumPyTensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        variable = data.detach() if isinstance(data, Tensor) else new(data._data)
        return variable.requires_grad_(requires_grad)


__getattr__ = missing(__name__)
