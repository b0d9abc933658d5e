"""Axes joined and cut."""

from typing import Any

import numpy as np

from fastnn import nn as array
from fastnn.autograd.methods import FUNCTIONS
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.module import Module

__all__ = ["Flatten", "Unflatten"]

__getattr__ = missing(__name__, ABSENT)


class Flatten(array.Flatten, Module):
    """The axes start_dim to end_dim as one"""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__(start_dim, end_dim)


class Unflatten(Module):
    """One axis as several"""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        if not isinstance(dim, int) or not isinstance(unflattened_size, tuple | list):
            raise TypeError(
                f"Unflatten: dim must be a number and unflattened_size a tuple of them: axes have no names here. "
                f"Received: {dim!r}, {unflattened_size!r}"
            )
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Any) -> Any:
        shape = input._data.shape
        dim = self.dim % len(shape)
        return FUNCTIONS[np.reshape](input, (*shape[:dim], *self.unflattened_size, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
