"""Parameters as one vector, and back."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnn.autograd.methods import FUNCTIONS
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]

__getattr__ = missing(__name__)


def parameters_to_vector(parameters: Iterable[Any]) -> Tensor:
    """All parameters in a row, as one vector; gradients go through"""
    rows = [FUNCTIONS[np.reshape](parameter, -1) for parameter in parameters]
    if not rows:
        raise RuntimeError("parameters_to_vector: expected a non-empty list of Tensors")
    return FUNCTIONS[np.concatenate](rows)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Any]) -> None:
    """Let the parameters be the parts of a vector, whose memory they share"""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    vector: Any = vec.detach()
    for parameter in parameters:
        shape, size = parameter._data.shape, parameter._data.size
        parameter.data = vector[start : start + size].view(shape)
        start += size
