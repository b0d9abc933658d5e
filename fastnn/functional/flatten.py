"""From images to rows of features."""

from __future__ import annotations

import math
from typing import ClassVar

from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout
from fastnn.autograd.tape import Op

__all__ = ["Flatten"]


class Flatten(Op):
    """The axes start_dim to end_dim of x as one, in the order of their indices, however they lie in memory."""

    keeps: ClassVar = {}
    is_exact = is_view = True

    def __init__(self, start_dim: int, end_dim: int) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: ArrayLike) -> NDArray:
        array = _check.array("Flatten", "x", x)
        first, last = self._axis("start_dim", array), self._axis("end_dim", array)
        if first > last:
            raise ValueError(
                f"Flatten: start_dim comes after end_dim. "
                f"Received: x.shape={array.shape}, start_dim={self.start_dim}, end_dim={self.end_dim}"
            )
        shape = array.shape
        self.input_size = shape
        self.output_size = (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])
        ordered = _layout.to_nchw(array) if array.ndim == 4 else _layout.contiguous(array)
        return ordered.reshape(self.output_size)

    def backward(self, dy: NDArray) -> NDArray:
        dx = _layout.contiguous(dy).reshape(self.input_size)
        # Pixel-major, so that the layer below reads it as it is.
        return _layout.images(_layout.pixels(dx)) if dx.ndim == 4 else dx

    def _axis(self, which: str, x: NDArray) -> int:
        axis = _check.integer("Flatten", which, getattr(self, which), -(2**63))
        if not -x.ndim <= axis < x.ndim:
            raise IndexError(f"Flatten: there is no axis {axis}. Received: x.shape={x.shape}")
        return axis % x.ndim
