"""Attention: sums of values, weighted by how well their keys fit a query."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check
from fastnn.autograd.products import matmul
from fastnn.autograd.tensor import Tensor, array_of
from fastnn.functional.dropout import dropout
from fastnn.functional.softmax import softmax

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """softmax(query @ key.T * scale + mask) @ value, over the last two axes.

    Args:
        query: what is asked, by L places.
        key: what the S places offer.
        value: what they give.
        attn_mask: True where a query may look at a key, or numbers to add, -inf where it may not. The result for a
            query that may look at nothing is 0.
        dropout_p: the probability that a weight is dropped.
        is_causal: let query i look at the keys 0 to i only; without attn_mask.
        scale: None for 1 / sqrt(E).
    Shape:
        - query: (..., L, E), float32 or float64; key: (..., S, E); value: (..., S, E_v)
        - attn_mask: broadcasts to (..., L, S); bool, or the dtype of query
        - Result: (..., L, E_v)
    Raises:
        ValueError: shapes do not fit; a mask together with is_causal.
        TypeError: another dtype, or several.
    Example:
        >>> query, key = np.zeros((1, 2)), np.ones((2, 2))
        >>> scaled_dot_product_attention(query, key, np.array([[1.0], [3.0]]))
        array([[2.]])

    Source: Vaswani et al., 2017, "Attention is all you need".
    """
    name = "scaled_dot_product_attention"
    given = {"query": query, "key": key, "value": value}
    arrays = {word: _check.floats(name, word, array_of(array)) for word, array in given.items()}
    _check.same_dtype(name, **arrays)
    q, k, v = arrays.values()
    if min(q.ndim, k.ndim, v.ndim) < 2 or not q.shape[:-2] == k.shape[:-2] == v.shape[:-2]:
        raise _check.fail(name, "all axes but the last two must be the same, and these be there", **arrays)
    if q.shape[-1] != k.shape[-1] or not q.shape[-1]:
        raise _check.fail(name, "query and key need the same number of features, at least one", query=q, key=k)
    if k.shape[-2] != v.shape[-2]:
        raise _check.fail(name, "key and value must have the same length", key=k, value=v)
    dropout_p = _check.number(name, "dropout_p", dropout_p, 0, 1)
    is_causal = _check.boolean(name, "is_causal", is_causal)
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else _check.number(name, "scale", scale, finite=True)
    shape = (*q.shape[:-1], k.shape[-2])
    allowed: NDArray | None = None
    addend: Any = None
    if is_causal:
        if attn_mask is not None:
            raise ValueError(f"{name}: with is_causal, attn_mask must be None. {_check.received(attn_mask=attn_mask)}")
        allowed = np.tri(*shape[-2:], dtype=np.bool_)
    elif attn_mask is not None:
        mask = mask_of(name, "attn_mask", attn_mask, q.dtype)
        if not broadcasts(mask.shape, shape):
            raise _check.fail(name, f"attn_mask must broadcast to {shape}", attn_mask=mask)
        if mask.dtype == bool:
            allowed = mask
        else:
            addend = attn_mask if isinstance(attn_mask, Tensor) else mask
    inputs = [x if isinstance(x, Tensor) else arrays[word] for word, x in given.items()]
    return attend(*[*inputs, allowed, addend, dropout_p, scale])[0]


def broadcasts(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether an array of the shape `given` can meet one of `shape`, which stays as it is."""
    sizes = zip(reversed(given), reversed(shape), strict=False)
    return len(given) <= len(shape) and all(size in (1, wanted) for size, wanted in sizes)


def mask_of(operation: str, name: str, mask: Any, dtype: np.dtype) -> NDArray:
    """The array of a mask, of bool or of this dtype."""
    array = _check.array(operation, name, array_of(mask))
    if array.dtype.kind == "f":
        array = _check.floats(operation, name, array)  # in the byte order of this machine
    if array.dtype != bool and array.dtype != dtype:
        raise TypeError(f"{operation}: {name} must be of bool or {dtype}. Received: dtype={array.dtype}")
    return array


def attend(
    query: Any, key: Any, value: Any, allowed: Any, addend: Any, dropout_p: float, scale: float
) -> tuple[Any, Any]:
    """The attention and its weights; `allowed` is True where a query may look, `addend` is added to the scores."""
    scores = matmul(query * scale, key.swapaxes(-1, -2))
    if addend is not None:
        scores = scores + addend
        somewhere: NDArray = np.not_equal(array_of(addend), -np.inf)
        if not somewhere.all():
            allowed = somewhere if allowed is None else np.logical_and(allowed, somewhere)
    blind: Any = None  # who may look at nothing, which is no softmax of anything
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
        blind = ~allowed.any(axis=-1, keepdims=True)
        if np.any(blind):
            scores = np.where(blind, 0, scores)
        else:
            blind = None
    rows = math.prod(scores.shape[:-1]), scores.shape[-1]
    weights = softmax(scores.reshape(rows), 1).reshape(scores.shape)
    if blind is not None:
        weights = np.where(blind, 0, weights)
    if dropout_p > 0:
        weights = dropout(weights, dropout_p)
    return matmul(weights, value), weights
