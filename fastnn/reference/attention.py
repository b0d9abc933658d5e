"""Attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.reference.softmax import softmax

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: NDArray, key: NDArray, value: NDArray, attn_mask: Any = None, scale: float | None = None
) -> NDArray:
    """For each query, the mean of the values, weighted by how well their keys fit it.

    a[i, j] = softmax over j of (query[i] @ key[j] * scale + mask[i, j])
    y[i]    = sum over j of a[i, j] * value[j]

    The mask is True where j may be looked at, or numbers to add. Rows that may look at nothing are 0.
    """
    scores = np.einsum("...id,...jd->...ij", query, key) * (scale or 1 / math.sqrt(query.shape[-1]))
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    sees_nothing = (scores == -np.inf).all(axis=-1, keepdims=True)
    weights = np.where(sees_nothing, 0, softmax(np.where(sees_nothing, 0, scores), scores.ndim - 1))
    return np.einsum("...ij,...jd->...id", weights, value).astype(query.dtype)
