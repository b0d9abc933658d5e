"""A trainable array and its gradient."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import _check

__all__ = ["Parameter"]


class Parameter:
    """A trainable array.

    Args:
        data: float32 or float64. It is not copied, unless it is read-only.
        requires_grad: whether optimisers change it and layers compute its gradient.

    Attributes:
        data: the array. Layers read it, optimisers write into it.
        grad: the gradient of the loss, or None before the first backward pass.
        requires_grad: as given.

    Example:
        >>> p = Parameter(np.zeros((2, 3), np.float32))
        >>> p.shape, p.grad is None
        ((2, 3), True)
    """

    __slots__ = ("__weakref__", "data", "grad", "requires_grad")

    def __init__(self, data: NDArray, requires_grad: bool = True) -> None:
        array = _check.floats("Parameter", "data", data)
        if not np.asarray(data).dtype.isnative:  # a copy would no longer be the caller's array
            raise TypeError(f"Parameter: data must be float32 or float64 of this machine. Received: {data.dtype.str}")
        self.data: Any = array if array.flags.writeable else array.copy()
        self.grad: Any = None
        self.requires_grad = _check.boolean("Parameter", "requires_grad", requires_grad)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    def add_grad(self, gradient: NDArray) -> None:
        """Add to the gradient; gradients of several backward passes sum up until `zero_grad`.

        Raises:
            ValueError: the gradient does not have the parameter's shape.
        """
        if type(gradient) is not np.ndarray or gradient.dtype.kind != "f":
            gradient = _check.reals("Parameter.add_grad", "gradient", gradient)
        if gradient.shape != self.data.shape:
            raise _check.fail("Parameter.add_grad", f"gradient must have shape {self.data.shape}", gradient=gradient)
        if self.requires_grad:
            self.grad = gradient if self.grad is None else self.grad + gradient

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        """The data, for NumPy's functions: `np.asarray(parameter)` shares memory, `np.array(parameter)` does not."""
        array = self.data if dtype is None else self.data.astype(dtype, copy=False)
        if copy is False and array is not self.data:
            raise ValueError(f"Parameter: {self.dtype} cannot be given as {array.dtype} without a copy")
        return array.copy() if copy and array is self.data else array

    def __len__(self) -> int:
        """The length of the first axis."""
        if not self.data.ndim:
            raise TypeError("Parameter: one without axes has no length")
        return len(self.data)

    def __bool__(self) -> bool:
        """True, whatever the length: `if layer.bias` asks whether there is one."""
        return True

    def __repr__(self) -> str:
        note = "" if self.requires_grad else ", requires_grad=False"
        return f"Parameter(shape={self.shape}, dtype={self.dtype}{note})"
