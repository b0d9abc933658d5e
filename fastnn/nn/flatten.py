"""From images to rows of features."""

from __future__ import annotations

from numpy.typing import NDArray

from fastnn import _check
from fastnn.autograd.tape import run
from fastnn.functional.flatten import Flatten as Operation
from fastnn.nn.module import Module

__all__ = ["Flatten"]


class Flatten(Module):
    """Join the axes start_dim to end_dim into one, in the order of their indices, however they lie in memory.

    Args:
        start_dim: the first axis to join; negative numbers count from the end.
        end_dim: the last axis to join; negative numbers count from the end.
    Shape:
        - Input: any; with the defaults (N, C, H, W)
        - Output: with the defaults (N, C * H * W)
    Raises:
        IndexError: the input has no such axis.
        ValueError: start_dim comes after end_dim.
    Example:
        >>> nn.Flatten()(np.zeros((2, 3, 4, 4))).shape
        (2, 48)

    Source: PyTorch's definition.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = _check.integer("Flatten", "start_dim", start_dim, -(2**63))
        self.end_dim = _check.integer("Flatten", "end_dim", end_dim, -(2**63))

    def forward(self, x: NDArray) -> NDArray:
        return run(Operation(self.start_dim, self.end_dim), x)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
