"""The layer that turns numbers of words into vectors."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _check
from fastnn._random import generator
from fastnn.autograd.tape import run
from fastnn.autograd.tensor import array_of
from fastnn.functional.embedding import Embedding as RowsOf
from fastnn.functional.embedding import row_argument, rows_of
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """A table of vectors: y[...] = weight[x[...]].

    Args:
        num_embeddings: rows of the table: how many different words there are.
        embedding_dim: the size of each vector.
        padding_idx: a row that is zeros at first and gets no gradient, for places that hold nothing; negative numbers
            count from the end.
        max_norm: accepted for scripts written for PyTorch; only None is possible.
    Shape:
        - Input: any, of any integer dtype; all indices in [0, num_embeddings)
        - Output: (*input, embedding_dim)
    Attributes:
        weight: Parameter (num_embeddings, embedding_dim), normal with standard deviation 1
    Raises:
        TypeError: the input does not hold integers.
        IndexError: the table has no such row; the message names the first one.
    Example:
        >>> layer = nn.Embedding(10, 3, padding_idx=0)
        >>> layer(np.array([[1, 2, 0, 0]])).shape
        (1, 4, 3)

    Source: Bengio et al., 2003, "A neural probabilistic language model".
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = _check.integer("Embedding", "num_embeddings", num_embeddings, 1)
        self.embedding_dim = _check.integer("Embedding", "embedding_dim", embedding_dim, 1)
        shape = self.num_embeddings, self.embedding_dim
        _check.fits_memory("Embedding", "a weight", shape)
        try:
            self.padding_idx = row_argument("Embedding", padding_idx, self.num_embeddings)
        except ValueError:
            raise ValueError(
                f"Embedding: padding_idx must be a row of the table. Received: {_check.shown(padding_idx)}, "
                f"num_embeddings={num_embeddings}"
            ) from None
        if max_norm is not None:
            raise ValueError(
                "Embedding: max_norm must be None: shorten the rows of weight within no_grad() after each step. "
                f"Received: {_check.shown(max_norm)}"
            )
        self.weight = Parameter(generator().standard_normal(shape).astype(np.float32))
        if self.padding_idx is not None:
            self.weight._data[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings: ArrayLike, freeze: bool = True, padding_idx: int | None = None) -> Self:
        """A layer with a copy of this table, whose weight gets no gradient if `freeze`.

        Shape:
            - embeddings: (num_embeddings, embedding_dim), float32 or float64
        Example:
            >>> nn.Embedding.from_pretrained(np.eye(2))(1)
            array([0., 1.])
        """
        table = _check.floats("Embedding.from_pretrained", "embeddings", embeddings, 2)
        freeze = _check.boolean("Embedding.from_pretrained", "freeze", freeze)
        layer = cls(len(table), table.shape[1], padding_idx)
        layer.weight = Parameter(np.array(table, order="C"), requires_grad=not freeze)
        return layer

    def forward(self, x: Any) -> Any:
        rows = rows_of("Embedding", x, self.num_embeddings)
        return run(RowsOf(rows, self.padding_idx, array_of(x)), self.weight)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
