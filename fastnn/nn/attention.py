"""The layer with several heads of attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.autograd.tape import run
from fastnn.autograd.tensor import Tensor, array_of
from fastnn.functional.attention import Attention, attend, mask_of, runs_at_once
from fastnn.nn import init
from fastnn.nn.linear import Linear
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Several heads of attention side by side, each with a share of the features.

    q, k, v = query @ W_q.T + b_q, key @ W_k.T + b_k, value @ W_v.T + b_v, cut into num_heads parts
    head = softmax(q @ k.T / sqrt(embed_dim / num_heads) + mask) @ v
    y = all heads side by side @ out_proj.weight.T + out_proj.bias

    Args:
        embed_dim: features of queries and results; num_heads divides it.
        num_heads: number of heads.
        dropout: the probability with which a weight of the attention is dropped in training.
        bias: whether to add biases.
        add_bias_kv, add_zero_attn: accepted for scripts written for PyTorch; only False is possible.
        kdim, vdim: features of keys and of values; None for embed_dim.
        batch_first: whether input and output are (N, L, ...) instead of (L, N, ...).
    Shape:
        - Input: query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim), float32 or float64; with batch_first
          (N, L, embed_dim) and so on; without N for one sequence
        - key_padding_mask: (N, S), True at keys that nobody may look at, or numbers to add
        - attn_mask: (L, S), or (N * num_heads, L, S), True where a query may not look, or numbers to add: the opposite
          of `functional.scaled_dot_product_attention`, as in PyTorch
        - Output: (y, weights): y in the shape of query, weights (N, L, S), the mean over all heads, or, with
          average_attn_weights=False, (N, num_heads, L, S); None with need_weights=False. After a call with arrays,
          `backward((dy, None))` gives (dquery, dkey, dvalue)
    Attributes:
        in_proj_weight: Parameter (3 * embed_dim, embed_dim), W_q, W_k and W_v one above the other, from
            `init.xavier_uniform_`; None where kdim or vdim differ
        q_proj_weight, k_proj_weight, v_proj_weight: Parameter (embed_dim, embed_dim), (embed_dim, kdim) and
            (embed_dim, vdim) then, else None
        in_proj_bias: Parameter (3 * embed_dim,), zeros, or None
        out_proj: Linear, whose bias is zeros
    Raises:
        ValueError: inputs or masks do not fit; the message shows the shapes.
    Example:
        >>> x = np.zeros((5, 2, 8), np.float32)
        >>> y, weights = nn.MultiheadAttention(8, num_heads=4)(x, x, x)
        >>> y.shape, weights.shape
        ((5, 2, 8), (2, 5, 5))

    A query that may look at nothing gets 0 for its heads, where PyTorch gives NaN.

    Source: Vaswani et al., 2017, "Attention is all you need".
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ) -> None:
        super().__init__()
        name = "MultiheadAttention"
        self.embed_dim = _check.integer(name, "embed_dim", embed_dim, 1, _check.MOST_SETTING)
        self.num_heads = _check.integer(name, "num_heads", num_heads, 1, _check.MOST_SETTING)
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"{name}: num_heads must divide embed_dim. Received: num_heads={num_heads}, embed_dim={embed_dim}"
            )
        self.dropout = _check.number(name, "dropout", dropout, 0, 1)
        has_bias = _check.boolean(name, "bias", bias)
        for word, value in (("add_bias_kv", add_bias_kv), ("add_zero_attn", add_zero_attn)):
            if _check.boolean(name, word, value):
                raise ValueError(f"{name}: {word} must be False: append to key and value instead. Received: True")
        self.kdim = self.embed_dim if kdim is None else _check.integer(name, "kdim", kdim, 1, _check.MOST_SETTING)
        self.vdim = self.embed_dim if vdim is None else _check.integer(name, "vdim", vdim, 1, _check.MOST_SETTING)
        self.batch_first = _check.boolean(name, "batch_first", batch_first)
        _check.fits_memory(name, "a weight", (3 * self.embed_dim, max(self.embed_dim, self.kdim, self.vdim)))
        self._make_weights(has_bias)

    def _make_weights(self, has_bias: bool) -> None:
        size = self.embed_dim
        is_one = self.kdim == self.vdim == size
        apart = {"q_proj_weight": (size, size), "k_proj_weight": (size, self.kdim), "v_proj_weight": (size, self.vdim)}
        shapes = {key: None if is_one else shape for key, shape in apart.items()}
        for key, shape in {**shapes, "in_proj_weight": (3 * size, size) if is_one else None}.items():
            weight = None if shape is None else init.xavier_uniform_(Parameter(np.empty(shape, np.float32)))
            self.register_parameter(key, weight)
        self.register_parameter("in_proj_bias", Parameter(np.zeros(3 * size, np.float32)) if has_bias else None)
        self.out_proj = Linear(size, size, has_bias)
        if self.out_proj.bias is not None:
            self.out_proj.bias._data[...] = 0

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> Any:
        """The attention of `query` to `value` by `key`, and its weights.

        Args:
            query, key, value: three sequences, which may be one and the same.
            key_padding_mask: of keys that nobody may look at.
            need_weights: whether the weights are wanted, too.
            attn_mask: of pairs of query and key.
            average_attn_weights: whether the weights are the mean over all heads.
            is_causal: let query i look at the keys 0 to i only; without attn_mask.
        """
        name = "MultiheadAttention"
        need_weights = _check.boolean(name, "need_weights", need_weights)
        average = _check.boolean(name, "average_attn_weights", average_attn_weights)
        arrays = self._checked_inputs(query, key, value)
        has_batch = arrays["query"].ndim == 3
        if not has_batch:
            query, key, value = query[None], key[None], value[None]
        elif not self.batch_first:
            query, key, value = (x.swapaxes(0, 1) for x in (query, key, value))
        n, length, size = query.shape
        allowed, addend = self._masks((n, length, key.shape[1]), key_padding_mask, attn_mask, is_causal, arrays)
        q, k, v = (self._in_heads(x) for x in self._projected(query, key, value))
        p = self.dropout if self.training else 0.0
        scale = 1 / math.sqrt(size // self.num_heads)
        if allowed is None and addend is None and p == 0 and not need_weights and runs_at_once(q, k, v):
            heads: Any = run(Attention(scale, False), q, k, v)
            weights: Any = None
        else:
            heads, weights = attend(q, k, v, allowed, addend, p, scale)
        y = self.out_proj(np.transpose(heads, (0, 2, 1, 3)).reshape(n, length, size))
        if need_weights and average:
            weights = weights.mean(1)
        if not has_batch:
            y, weights = y[0], weights[0]
        elif not self.batch_first:
            y = y.swapaxes(0, 1)
        return y, weights if need_weights else None

    def _checked_inputs(self, query: Any, key: Any, value: Any) -> dict[str, NDArray]:
        """The three arrays, if they fit each other and this layer."""
        name, batch_axis = "MultiheadAttention", 0 if self.batch_first else 1
        given = {"query": query, "key": key, "value": value}
        arrays = {word: _check.floats(name, word, array_of(x), (2, 3)) for word, x in given.items()}
        _check.same_dtype(name, **arrays)
        if len({array.ndim for array in arrays.values()}) > 1:
            raise _check.fail(name, "query, key and value need the same number of dimensions", **arrays)
        settings = {"query": "embed_dim", "key": "kdim", "value": "vdim"}
        for word, setting in settings.items():
            features, wanted = arrays[word].shape[-1], getattr(self, setting)
            if features != wanted:
                raise _check.fail(name, f"{word} has {features} features, {setting} is {wanted}", **arrays)
        q, k, v = arrays.values()
        if k.shape[:-1] != v.shape[:-1]:
            raise _check.fail(name, "key and value must have the same length and number of sequences", key=k, value=v)
        if q.ndim == 3 and q.shape[batch_axis] != k.shape[batch_axis]:
            raise _check.fail(name, "query and key must have the same number of sequences", query=q, key=k)
        return arrays

    def _projected(self, *inputs: Any) -> list[Any]:
        own = self._parameters
        together = own["in_proj_weight"]
        apart = [own[f"{letter}_proj_weight"] for letter in "qkv"]
        weights: list[Any] = apart if together is None else np.split(together, 3)
        bias = own["in_proj_bias"]
        biases: list[Any] = [None] * 3 if bias is None else np.split(bias, 3)
        return [F.linear(x, weight, b) for x, weight, b in zip(inputs, weights, biases, strict=True)]

    def _in_heads(self, x: Any) -> Any:
        """(N, L, embed_dim) as (N, num_heads, L, features of a head)."""
        n, length, size = x.shape
        return np.transpose(x.reshape(n, length, self.num_heads, size // self.num_heads), (0, 2, 1, 3))

    def _masks(
        self, sizes: tuple[int, int, int], key_padding_mask: Any, attn_mask: Any, is_causal: bool, arrays: Any
    ) -> tuple[NDArray | None, Any]:
        """Where a query may look, or None for everywhere, and what is added to the scores, or None."""
        name, (n, length, keys) = "MultiheadAttention", sizes
        dtype, has_batch = arrays["query"].dtype, arrays["query"].ndim == 3
        allowed: NDArray | None = None
        addend: Any = None
        if _check.boolean(name, "is_causal", is_causal):
            if attn_mask is not None:
                raise ValueError(
                    f"{name}: with is_causal, attn_mask must be None. {_check.received(attn_mask=attn_mask)}"
                )
            allowed = np.tri(length, keys, dtype=np.bool_)
        pairs = {(length, keys): (1, 1), (n * self.num_heads, length, keys): (n, self.num_heads)}
        padding = {(n, keys) if has_batch else (keys,): (n, 1, 1)}
        for word, mask, shapes in (
            ("attn_mask", attn_mask, {shape: (*front, length, keys) for shape, front in pairs.items()}),
            ("key_padding_mask", key_padding_mask, {shape: (*front, keys) for shape, front in padding.items()}),
        ):
            if mask is None:
                continue
            array = mask_of(name, word, mask, dtype)
            if array.shape not in shapes:
                wanted = " or ".join(map(str, shapes))
                raise _check.fail(name, f"{word} must have shape {wanted}", **{word: array}, **arrays)
            shape = shapes[array.shape]
            if array.dtype == bool:
                may = ~array.reshape(shape)
                allowed = may if allowed is None else allowed & may
            else:
                more = (mask if isinstance(mask, Tensor) else array).reshape(shape)
                addend = more if addend is None else addend + more
        return allowed, addend

    def extra_repr(self) -> str:
        words = f"{self.embed_dim}, {self.num_heads}, dropout={self.dropout}, bias={self.in_proj_bias is not None}"
        if not self.kdim == self.vdim == self.embed_dim:
            words += f", kdim={self.kdim}, vdim={self.vdim}"
        return f"{words}, batch_first={self.batch_first}"
