"""Rows of a table, by their numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor, array_of

__all__ = ["embedding"]


def embedding(x: ArrayLike, weight: ArrayLike, padding_idx: int | None = None) -> Any:
    """y[...] = weight[x[...]]: for every index a row of the table.

    The gradient with respect to a row is the sum over all places where it was taken.

    Args:
        x: indices.
        weight: the table.
        padding_idx: a row that gets no gradient; negative numbers count from the end.
    Shape:
        - x: any, of any integer dtype
        - weight: (num_embeddings, embedding_dim), float32 or float64
        - Result: (*x.shape, embedding_dim)
    Raises:
        TypeError: x does not hold integers.
        IndexError: there is no such row; the message names the first one.
        ValueError: padding_idx is no row of the table.
    Example:
        >>> embedding([0, 2], np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]))
        array([[0., 1.],
               [4., 5.]])

    Source: Bengio et al., 2003, "A neural probabilistic language model".
    """
    table = _check.floats("embedding", "weight", array_of(weight), 2)
    padding = row_argument("embedding", padding_idx, len(table))
    indices = rows_of("embedding", x, len(table))
    return run(Embedding(indices, padding, array_of(x)), weight if isinstance(weight, Tensor) else table)


class Embedding(Op):
    """`embedding` of a table; `given` are the indices as the caller has them, by which observers know them."""

    keeps: ClassVar = {}
    is_exact = is_fresh = True

    def __init__(self, indices: NDArray[np.intp], padding_idx: int | None, given: Any = None) -> None:
        self.indices, self.padding_idx, self.given = indices, padding_idx, given

    def forward(self, weight: Any) -> NDArray:
        weight = _check.floats("embedding", "weight", weight)
        self.shape = weight.shape
        return np.asarray(weight.take(self.indices, axis=0))

    def backward(self, dy: NDArray) -> NDArray:
        dweight = np.zeros(self.shape, dy.dtype)
        if dy.size:
            rows, sums = sums_by_row(self.indices.reshape(-1), dy.reshape(-1, self.shape[1]))
            dweight[rows] = sums
        if self.padding_idx is not None:
            dweight[self.padding_idx] = 0
        return dweight


# So often a row may come to be added to, together with others, before it is worth a sum of its own: of 8192 rows of
# 128 floats among 10,000, 3 ms, where np.add.reduceat takes 21 and np.add.at 33.
_TOGETHER = 8


def sums_by_row(indices: NDArray[np.intp], values: NDArray) -> tuple[NDArray[np.intp], NDArray]:
    """The different indices in order, and for each the sum of its values, always added up in the same order."""
    order = np.argsort(indices, kind="stable")
    indices = indices[order]
    starts = np.flatnonzero(np.diff(indices, prepend=-1))
    counts = np.diff(starts, append=len(indices))
    sums = values[order[starts]]
    left = np.flatnonzero(counts > 1)  # what is still to come for these
    for n in range(1, _TOGETHER):
        sums[left] += values[order[starts[left] + n]]
        left = left[counts[left] > n + 1]
    for row in left:
        own = order[starts[row] + _TOGETHER : starts[row] + counts[row]]
        sums[row] += values[own].sum(axis=0, dtype=np.float64).astype(values.dtype)
    return indices[starts], sums


def row_argument(operation: str, padding_idx: int | None, n: int) -> int | None:
    """`padding_idx` counted from the first of n rows."""
    if padding_idx is None:
        return None
    try:
        return _check.integer(operation, "padding_idx", padding_idx, -n, n - 1) % n
    except TypeError:
        shown = _check.shown(padding_idx)
        raise TypeError(f"{operation}: padding_idx must be an integer or None. Received: {shown}") from None


def rows_of(operation: str, x: ArrayLike, n: int) -> NDArray[np.intp]:
    """A copy of the indices `x`, all of which lie in [0, n)."""
    given = _check.array(operation, "x", array_of(x))
    if given.dtype.kind not in "iu":
        raise TypeError(f"{operation}: x must hold integers (rows of the table). Received: dtype={given.dtype}")
    outside = (given < 0) | (given >= n)
    if outside.any():
        place = np.unravel_index(int(np.argmax(outside)), outside.shape)
        words = ", ".join(str(int(i)) for i in place)
        where = f"x[{words}]" if words else "x"
        raise IndexError(
            f"{operation}: {where} is {given[place]}, but the rows of the table are 0 to {n - 1}. "
            f"{_check.received(x=given)}"
        )
    return np.array(given, np.intp, order="C")
