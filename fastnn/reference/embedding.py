"""Rows of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["embedding"]


def embedding(x: NDArray, weight: Any) -> Any:
    """y[...] = weight[x[...]], as the product of one-hot rows and the table"""
    one_hot = (x[..., None] == np.arange(len(weight))).astype(weight.dtype)
    return np.matmul(one_hot, weight)
