"""Attention: sums of values, weighted by how well their keys fit a query."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _layout, _memory, _runtime
from fastnn._watching import kernel_ran
from fastnn.autograd.products import matmul
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor, array_of
from fastnn.functional.dropout import dropout
from fastnn.functional.softmax import softmax

__all__ = ["scaled_dot_product_attention"]


class Attention(Op):
    """softmax(query @ key.T * scale) @ value where nothing else is wanted: without a matrix of all weights.

    To the bits of the operations one by one, whose products sum fewer than 1024 rows. Results and gradients lie as
    (..., places, heads, features), the order in which a layer joins its heads.
    """

    keeps: ClassVar = {0: "query", 1: "key", 2: "value"}
    is_exact = is_fresh = True

    query: Any = None
    key: Any = None
    value: Any = None

    def __init__(self, scale: float, is_causal: bool) -> None:
        self.scale, self.is_causal = scale, is_causal

    def forward(self, query: NDArray, key: NDArray, value: NDArray) -> NDArray:
        if any(self.needs_grad):
            self.query, self.key, self.value = query, key, value
        q, k, v = map(_in_heads, (query, key, value))
        y = _empty_heads((*q.shape[:3], v.shape[3]), q.dtype)
        workspace, threads = self._workspace(False, q, k, v), _runtime.num_threads()
        _runtime._native.attention_forward(q, k, v, self.scale, self.is_causal, y, workspace, threads)
        kernel_ran("attention_forward")
        return y.reshape(*query.shape[:-1], v.shape[3])

    def backward(self, dy: NDArray) -> tuple[NDArray | None, ...]:
        given = self.query, self.key, self.value
        q, k, v = map(_in_heads, given)
        dy = _in_heads(dy)
        gradients = [_empty_heads(x.shape, x.dtype) for x in (q, k, v)]
        last = self._workspace(True, q, k, v), _runtime.num_threads()
        _runtime._native.attention_backward(dy, q, k, v, self.scale, self.is_causal, *gradients, *last)
        kernel_ran("attention_backward")
        shaped = [d.reshape(x.shape) for d, x in zip(gradients, given, strict=True)]
        return tuple(d if need else None for d, need in zip(shaped, self.needs_grad, strict=True))

    @staticmethod
    def _workspace(is_backward: bool, q: NDArray, k: NDArray, v: NDArray) -> NDArray:
        shapes = q.shape, k.shape, v.shape
        n_bytes = _runtime._native.attention_workspace(q.dtype.name, is_backward, *shapes, _runtime.num_threads())
        return _memory.workspace(n_bytes)


def _in_heads(x: NDArray) -> NDArray:
    """`x` as (n, heads, places, features), each feature beside the next."""
    size = x.itemsize
    if x.strides[-1] != size or not x.flags.aligned or any(stride % size for stride in x.strides):
        x = _layout.contiguous(x)
    if x.ndim == 4:
        return x
    return x[None, None] if x.ndim == 2 else x.reshape(-1, 1, *x.shape[-2:])


def _empty_heads(shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    n, heads, places, features = shape
    return _memory.empty((n, places, heads, features), dtype).transpose(0, 2, 1, 3)


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
        query: the L queries, vectors of E numbers.
        key: the S keys, with which the queries are compared.
        value: the S values, whose weighted means are the result.
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
    if attn_mask is None and dropout_p == 0 and runs_at_once(q, k, v):
        return run(Attention(scale, is_causal), *inputs)
    return attend(*[*inputs, allowed, addend, dropout_p, scale])[0]


def runs_at_once(*given: Any) -> bool:
    """Whether `Attention` can compute with these arrays or tensors: in C, and none is empty."""
    return not _runtime.uses_reference() and all(math.prod(x.shape) for x in given)


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
