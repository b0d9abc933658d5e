"""What a type checker makes of a user's code: `make lint` runs mypy over this file; nothing imports it."""

from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import functional as F
from fastnn import nn


class TwoInputs(nn.Module):
    """A forward with any arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: fastnn.Tensor, z: fastnn.Tensor) -> fastnn.Tensor:
        return F.relu(self.conv(x)) + z


class HandWritten(nn.Module):
    """A backward of one's own."""

    def forward(self, x: NDArray) -> NDArray:
        self.x = x
        return 2 * x

    def backward(self, dy: NDArray) -> NDArray:
        return 2 * dy


class Square(fastnn.Op):
    """An operation of one's own."""

    def forward(self, x: NDArray) -> NDArray:
        self.x = x
        return x * x

    def backward(self, dy: NDArray) -> NDArray:
        return 2 * self.x * dy


array = np.zeros((2, 3, 8, 8), np.float32)
tensor = fastnn.tensor(array)
model = TwoInputs()
assert_type(model(array, array), NDArray)
assert_type(model(tensor, tensor), fastnn.Tensor)
assert_type(HandWritten()(array), NDArray)
assert_type(nn.Conv2d(3, 4, 3).weight, nn.Parameter)
assert_type(nn.Conv2d(3, 4, 3).bias, nn.Parameter | None)
assert_type(F.relu(array), NDArray)
assert_type(F.relu(tensor), fastnn.Tensor)
assert_type((1 - tensor / 2) @ tensor, fastnn.Tensor)
assert_type(tensor.sum(axis=(2, 3)), fastnn.Tensor)
assert_type(tensor[:, 0], fastnn.Tensor)
assert_type(fastnn.save(model, "weights.safetensors"), None)


@fastnn.no_grad()
def first(x: int) -> int:
    """A decorated function keeps its type."""
    return x


@fastnn.no_grad
def second(x: int) -> int:
    """The same without parentheses."""
    return x


assert_type(first(1), int)
assert_type(second(1), int)
with fastnn.no_grad(), fastnn.enable_grad():
    pass
