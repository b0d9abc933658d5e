"""Automatic differentiation: tensors, operations, and the backward pass through them."""

from fastnn.autograd import numpy_functions  # noqa: F401 - says what NumPy's functions do with tensors
from fastnn.autograd.modes import enable_grad, is_grad_enabled, no_grad
from fastnn.autograd.observer import Observer, observing
from fastnn.autograd.tape import Op, grad, run
from fastnn.autograd.tensor import Tensor, array_of, tensor

__all__ = [
    "Observer",
    "Op",
    "Tensor",
    "array_of",
    "enable_grad",
    "grad",
    "is_grad_enabled",
    "no_grad",
    "observing",
    "run",
    "tensor",
]
