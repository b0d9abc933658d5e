"""A trainable array and its gradient."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        array = np.asarray(data)
        if array.dtype not in (np.float32, np.float64):
            raise TypeError(f"Parameter: float32 or float64 is needed. Received: dtype={array.dtype}")
        self.data: Any = array if array.flags.writeable else array.copy()
        self.grad: Any = None
        self.requires_grad = bool(requires_grad)

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
        if gradient.shape != self.data.shape:
            raise ValueError(f"a gradient of shape {gradient.shape} for a parameter of shape {self.data.shape}")
        if self.requires_grad:
            self.grad = gradient if self.grad is None else self.grad + gradient

    def __repr__(self) -> str:
        note = "" if self.requires_grad else ", requires_grad=False"
        return f"Parameter(shape={self.shape}, dtype={self.dtype}{note})"
