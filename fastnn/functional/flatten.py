"""From images to rows of features."""

import math
from typing import ClassVar

from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout
from fastnn.autograd.tape import Op, run

__all__ = ["flatten"]


def flatten(x: ArrayLike, start_dim: int = 1, end_dim: int = -1) -> NDArray:
    """Join the axes start_dim to end_dim into one, in the order of their indices, however they lie in memory.

    Args:
        x: any array.
        start_dim: the first axis to join; negative numbers count from the end.
        end_dim: the last one.
    Shape:
        - x: any; with the defaults (N, C, H, W)
        - Result: with the defaults (N, C * H * W)
    Raises:
        IndexError: x has no such axis.
        ValueError: start_dim comes after end_dim.
    Example:
        >>> flatten(np.zeros((2, 3, 4, 4))).shape
        (2, 48)

    Source: PyTorch's definition, where start_dim is 0 by default.
    """
    return run(Flatten(start_dim, end_dim), x)


class Flatten(Op):
    """`flatten` of these axes."""

    keeps: ClassVar = {}
    is_exact = is_view = True

    def __init__(self, start_dim: int, end_dim: int) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: ArrayLike) -> NDArray:
        array = _check.array("Flatten", "x", x)
        first, last = self._axis(self.start_dim, array), self._axis(self.end_dim, array)
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
        dy = _check.floats("Flatten.backward", "dy", dy)
        if dy.shape != self.output_size:
            raise _check.fail("Flatten.backward", f"dy must have shape {self.output_size}", dy=dy)
        dx = _layout.contiguous(dy).reshape(self.input_size)
        # Pixel-major, so that the layer below reads it as it is.
        return _layout.images(_layout.pixels(dx)) if dx.ndim == 4 else dx

    def _axis(self, axis: int, x: NDArray) -> int:
        axis = _check.integer("Flatten", "dim", axis, -(2**63))
        if not -x.ndim <= axis < x.ndim:
            raise IndexError(f"Flatten: there is no axis {axis}. Received: x.shape={x.shape}")
        return axis % x.ndim
