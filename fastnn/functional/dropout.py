"""Dropout: of elements, and of whole channels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _random, _runtime, reference
from fastnn._watching import kernel_ran
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import AnyArray

__all__ = ["dropout", "dropout2d", "dropout2d_backward", "dropout_backward"]


def dropout(x: AnyArray, p: float = 0.5, training: bool = True, key: int | None = None) -> AnyArray:
    """Set each element to 0 with probability p and divide the others by 1 - p, so that the expectation stays x.

    The mask is a function of `key` and of an element's index alone: it is the same for every number of threads,
    every instruction set and every memory layout. Dropped elements are 0 even where x is NaN.

    Args:
        x: any array.
        p: the probability that an element is dropped.
        training: if False, the result is x itself.
        key: 64 bits that select the mask; None draws them from the generator that `fastnn.manual_seed` seeds.
    Shape:
        - x: any, float32 or float64
        - Result: the same
    Raises:
        ValueError: p does not lie in [0, 1], or the key does not fit into 64 bits.
    Example:
        >>> dropout(np.ones(6), 0.5, key=3)
        array([2., 2., 0., 2., 0., 0.])

    Source: Srivastava et al., 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """
    return run(Dropout(p, training, key), x)


class Dropout(Op):
    """`dropout` with these settings. The mask is not kept: backward computes it again from the key."""

    keeps: ClassVar = {}
    is_exact = True
    name = "dropout"
    dimensions: ClassVar[int | None] = None

    def __init__(self, p: float, training: bool = True, key: int | None = None) -> None:
        self.p, self.training, self.key = p, training, key

    def forward(self, x: ArrayLike) -> NDArray:
        x = _check.floats(self.name, "x", x, self.dimensions)
        self.p = probability(self.name, self.p)
        self.is_view = not _check.boolean(self.name, "training", self.training)
        if self.is_view:
            return x
        self.key = _key(self.name, self.key)
        return self._masked(x)

    def backward(self, dy: NDArray) -> NDArray:
        return dy if self.is_view else self._masked(_check.floats(f"{self.name}_backward", "dy", dy, self.dimensions))

    def _masked(self, x: NDArray) -> NDArray:
        return _dropout(self.name, x, self.p, self.key)


class Dropout2d(Dropout):
    """`dropout2d` with these settings."""

    name = "dropout2d"
    dimensions = 4

    def _masked(self, x: NDArray) -> NDArray:
        return _dropout2d(self.name, x, self.p, self.key)


def dropout_backward(dy: ArrayLike, p: float, key: int) -> NDArray:
    """The gradient with respect to x: `dropout` of dy with the same key.

    Args:
        dy: gradient of the loss with respect to the result.
        p, key: as in `dropout`.
    Shape:
        - dy: that of x, float32 or float64
        - Result: the same
    """
    dy = _check.floats("dropout_backward", "dy", dy)
    p = probability("dropout_backward", p)
    if key is None:
        raise TypeError("dropout_backward: key must be that of the forward pass. Received: None")
    return _dropout("dropout_backward", dy, p, key)


def dropout2d(x: AnyArray, p: float = 0.5, training: bool = True, key: int | None = None) -> AnyArray:
    """Like `dropout`, but each channel of each image is dropped or kept as a whole.

    Neighbouring pixels of a feature map say nearly the same, so that dropping single ones hides little.

    Args:
        x: images.
        p, training, key: as in `dropout`.
    Shape:
        - x: (N, C, H, W), float32 or float64
        - Result: the same
    Raises:
        ValueError: as in `dropout`, or x is not four-dimensional.
    Example:
        >>> dropout2d(np.ones((1, 4, 1, 2)), 0.5, key=3)[0, :, 0]
        array([[2., 2.],
               [2., 2.],
               [0., 0.],
               [2., 2.]])

    Source: Tompson et al., 2015, "Efficient object localization using convolutional networks".
    """
    return run(Dropout2d(p, training, key), x)


def dropout2d_backward(dy: ArrayLike, p: float, key: int) -> NDArray:
    """The gradient with respect to x: `dropout2d` of dy with the same key.

    Args:
        dy: gradient of the loss with respect to the result.
        p, key: as in `dropout2d`.
    Shape:
        - dy: (N, C, H, W), float32 or float64
        - Result: the same
    """
    dy = _check.floats("dropout2d_backward", "dy", dy, 4)
    p = probability("dropout2d_backward", p)
    if key is None:
        raise TypeError("dropout2d_backward: key must be that of the forward pass. Received: None")
    return _dropout2d("dropout2d_backward", dy, p, key)


def probability(operation: str, p: float) -> float:
    """`p` as a float in [0, 1]."""
    return _check.number(operation, "p", p, 0, 1)


def _key(operation: str, key: int | None) -> int:
    if key is None:
        return _random.draw_key()
    return _check.integer(operation, "key", key, 0, 2**64 - 1)


def _dropout(operation: str, x: NDArray, p: float, key: int | None) -> NDArray:
    key = _key(operation, key)
    if _runtime.uses_reference():
        return reference.dropout(x, p, key)
    # The order in which reference.dropout numbers the elements.
    order = (2, 3, 0, 1) if x.ndim == 4 else tuple(range(x.ndim))
    x_ordered = _layout.ordered(x, order)
    buffer = _memory.empty(x_ordered.shape, x.dtype)
    if p == 1:
        buffer.fill(0)
    elif x.size:
        threshold = min(round(p * 2**32), 2**32 - 1)
        arguments = key, threshold, 1 / (1 - p), _runtime.num_threads()
        _runtime._native.dropout(x_ordered.reshape(-1), buffer.reshape(-1), *arguments)
        kernel_ran("dropout")
    return _layout.unordered(buffer, order)


def _dropout2d(operation: str, x: NDArray, p: float, key: int | None) -> NDArray:
    key = _key(operation, key)
    if _runtime.uses_reference():
        return reference.dropout2d(x, p, key)
    y = _layout.empty_images(x.shape, x.dtype)
    if x.size:
        n, c, h, w = x.shape
        factors = _dropout(operation, np.ones(n * c, x.dtype), p, key)
        x_rows, y_rows = _layout.pixels(x).reshape(h * w, n * c), _layout.pixels(y).reshape(h * w, n * c)
        _runtime._native.dropout_channels(x_rows, factors, y_rows, _runtime.num_threads())
        kernel_ran("dropout_channels")
    return y
