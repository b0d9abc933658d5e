"""From images to rows of features."""

import math

from numpy.typing import NDArray

from fastnn import _check, _layout
from fastnn.nn.module import Module

__all__ = ["Flatten"]


class Flatten(Module):
    """Join the axes start_dim to end_dim into one, in the order of their indices, however they lie in memory.

    Args:
        start_dim: the first axis to join; negative numbers count from the end.
        end_dim: the last one.
    Shape:
        - Input: any; with the defaults (N, C, H, W)
        - Output: with the defaults (N, C * H * W)
    Raises:
        IndexError: the input has no such axis.
        ValueError: start_dim comes after end_dim.
    Example:
        >>> nn.Flatten()(np.zeros((2, 3, 4, 4))).shape
        (2, 48)
    """

    _noted_for_backward = ("_input_size", "_output_size")

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = _check.integer("Flatten", "start_dim", start_dim, -(2**63))
        self.end_dim = _check.integer("Flatten", "end_dim", end_dim, -(2**63))

    def forward(self, x: NDArray) -> NDArray:
        x = _check.array("Flatten", "x", x)
        first, last = self._axis(self.start_dim, x), self._axis(self.end_dim, x)
        if first > last:
            raise ValueError(
                f"Flatten: start_dim comes after end_dim. "
                f"Received: x.shape={x.shape}, start_dim={self.start_dim}, end_dim={self.end_dim}"
            )
        self._input_size = x.shape
        self._output_size = (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])
        ordered = _layout.to_nchw(x) if x.ndim == 4 else _layout.contiguous(x)
        return ordered.reshape(self._output_size)

    def backward(self, dy: NDArray) -> NDArray:
        dy = _check.floats("Flatten.backward", "dy", dy)
        if dy.shape != self._output_size:
            raise _check.fail("Flatten.backward", f"dy must have shape {self._output_size}", dy=dy)
        dx = _layout.contiguous(dy).reshape(self._input_size)
        # Pixel-major, so that the layer below reads it as it is.
        return _layout.images(_layout.pixels(dx)) if dx.ndim == 4 else dx

    def _axis(self, axis: int, x: NDArray) -> int:
        if not -x.ndim <= axis < x.ndim:
            raise IndexError(f"Flatten: there is no axis {axis}. Received: x.shape={x.shape}")
        return axis % x.ndim

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
