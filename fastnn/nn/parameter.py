"""A trainable array and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn.autograd.tensor import Tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A trainable array: a tensor that a module owns.

    Args:
        data: float32 or float64. It is not copied, unless it is read-only.
        requires_grad: whether optimisers change it and its gradient is computed.

    Attributes:
        data: the array. Layers read it, optimisers write into it.
        grad: the gradient of the loss, or None before the first backward pass.
        requires_grad: as given.

    Example:
        >>> p = Parameter(np.zeros((2, 3), np.float32))
        >>> p.shape, p.grad is None
        ((2, 3), True)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if isinstance(data, Tensor):
            data = data._data
        array = _check.floats("Parameter", "data", data)
        if not np.asarray(data).dtype.isnative:  # a copy would no longer be the caller's array
            raise TypeError(f"Parameter: data must be float32 or float64 of this machine. Received: {data.dtype.str}")
        requires_grad = _check.boolean("Parameter", "requires_grad", requires_grad)
        super().__init__(array if array.flags.writeable else array.copy(), requires_grad)

    def add_grad(self, gradient: NDArray) -> None:
        """Add to the gradient; gradients of several backward passes sum up until `zero_grad`.

        Raises:
            ValueError: the gradient does not have the parameter's shape.
        """
        if type(gradient) is not np.ndarray or gradient.dtype.kind != "f":
            gradient = _check.reals("Parameter.add_grad", "gradient", gradient)
        if gradient.shape != self._data.shape:
            raise _check.fail("Parameter.add_grad", f"gradient must have shape {self._data.shape}", gradient=gradient)
        if self._requires_grad:
            self.accumulate(gradient, fresh=False)

    def __bool__(self) -> bool:
        """True, whatever the length: `if layer.bias` asks whether there is one."""
        return True

    def __repr__(self) -> str:
        note = "" if self.requires_grad else ", requires_grad=False"
        return f"Parameter(shape={self.shape}, dtype={self.dtype}{note})"
