"""From the loss of each element to the loss, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def reduced(losses: NDArray, reduction: str, total: float, dtype: DTypeLike) -> Any:
    """'none': the losses; 'sum': their sum; 'mean': the sum / total. Sums are in double precision."""
    if reduction == "none":
        return losses.astype(dtype)
    with np.errstate(invalid="ignore", divide="ignore"):  # a mean over nothing is NaN
        return float(losses.sum(dtype=np.float64) / np.float64(total if reduction == "mean" else 1))


def upstream(dloss: NDArray, reduction: str, total: float) -> NDArray:
    """The gradient that reaches each loss: dloss, for a mean dloss / total."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(dloss / np.float64(total) if reduction == "mean" else dloss)
