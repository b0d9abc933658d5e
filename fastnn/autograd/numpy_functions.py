"""NumPy's functions on tensors: what they compute, and their gradients."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.autograd.methods import FUNCTIONS
from fastnn.autograd.tape import Op, run


class Sum(Op):
    """x.sum(axis, keepdims)"""

    is_exact = True
    keeps: ClassVar = {}

    def __init__(self, axis: Any, keepdims: bool) -> None:
        self.axis, self.keepdims = axis, keepdims

    def forward(self, x: NDArray) -> NDArray:
        self.shape = x.shape
        return np.sum(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, dy: NDArray) -> NDArray:
        if not self.keepdims and self.axis is not None:
            dy = np.expand_dims(dy, self.axis)
        return np.broadcast_to(dy, self.shape)


def _sum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return run(Sum(axis, keepdims), a)


FUNCTIONS[np.sum] = _sum
