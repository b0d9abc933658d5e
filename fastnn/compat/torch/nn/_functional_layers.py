"""What layers compute, by PyTorch's signatures: products, normalisations, dropout."""

import math
from typing import Any

import numpy as np

from fastnn import _random, functional
from fastnn.autograd.methods import FUNCTIONS, UFUNCS
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._tensor import Tensor, in_float32, in_place, new
from fastnn.compat.torch.nn._functional_axes import as_image, as_sequence, in_batch, row

__all__ = [
    "alpha_dropout", "batch_norm", "bilinear", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "dropout",
    "dropout1d", "dropout2d", "embedding", "group_norm", "instance_norm", "layer_norm", "linear",
    "local_response_norm", "rms_norm", "scaled_dot_product_attention",
]  # fmt: skip

F: Any = functional  # arrays in, arrays out; here it is tensors
_multiply, _add = UFUNCS[np.multiply], UFUNCS[np.add]


# ---- products --------------------------------------------------------------------------------------------------------
def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """x @ weight.T + bias"""
    if weight._data.ndim == 1:
        y = UFUNCS[np.matmul](input, weight)
        return y if bias is None else _add(y, bias)
    if input._data.ndim == 1:
        return in_batch(lambda x: F.linear(x, weight, bias), input, 2)
    return F.linear(input, weight, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Tensor:
    """y[..., k] = sum over i, j of x1[..., i] * weight[k, i, j] * x2[..., j] + bias[k]"""
    y = FUNCTIONS[np.einsum]("...i,kij,...j->...k", input1, weight, input2)
    return y if bias is None else _add(y, bias)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """The cross-correlation of images with filters"""
    if input._data.ndim == 4:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    return in_batch(lambda x: F.conv2d(x, weight, bias, stride, padding, dilation, groups), input, 4)


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """The cross-correlation of sequences with filters"""
    settings = row(stride, 1), row(padding, 0), row(dilation, 1)
    return as_sequence(conv2d(as_image(input), as_image(weight), bias, *settings, groups))


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transposed convolution of images"""
    settings = stride, padding, output_padding, groups, dilation
    return in_batch(lambda x: F.conv_transpose2d(x, weight, bias, *settings), input, 4)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transposed convolution of sequences"""
    settings = row(stride, 1), row(padding, 0), row(output_padding, 0), groups, row(dilation, 1)
    return as_sequence(conv_transpose2d(as_image(input), as_image(weight), bias, *settings))


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of `weight`"""
    if scale_grad_by_freq:
        raise ValueError(
            "embedding: scale_grad_by_freq is not there: after backward(), divide rows of weight.grad by their counts"
        )
    if max_norm is not None:
        _shorten(weight, np.unique(input._data), max_norm, norm_type)
    return F.embedding(input._data, weight, padding_idx)


def _shorten(weight: Any, rows: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are longer than `max_norm`, in place."""
    array = weight._data
    norms = np.linalg.norm(array[rows], norm_type, 1)
    is_long = norms > max_norm
    if is_long.any():
        array[rows[is_long]] *= (max_norm / (norms[is_long] + 1e-7)).astype(array.dtype)[:, None]
        weight.written()


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value"""
    query, key, value = in_float32(query), in_float32(key), in_float32(value)
    if enable_gqa:
        times = query._data.shape[-3] // key._data.shape[-3]
        key, value = (FUNCTIONS[np.repeat](x, times, -3) for x in (key, value))
    return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale)


# ---- normalisation ---------------------------------------------------------------------------------------------------
def _moved(running: tuple[Any, Any], result: Any) -> Tensor:
    """Write new running statistics into the tensors of a caller."""
    for tensor, new_value in zip(running, (result.running_mean, result.running_var), strict=True):
        if tensor is not None and new_value is not None:
            tensor._data[...] = new_value._data if isinstance(new_value, NumPyTensor) else new_value
            tensor.written()
    return result.y


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, over all axes but that of the channels"""
    arrays = [None if value is None else value._data for value in (running_mean, running_var)]
    result = F.batch_norm(input, *arrays, weight, bias, training, momentum, eps)
    return _moved((running_mean, running_var), result) if training else result.y


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation of each image for itself"""
    arrays = [None if value is None else value._data for value in (running_mean, running_var)]
    result = F.instance_norm(in_float32(input), *arrays, weight, bias, use_input_stats, momentum, eps)
    return _moved((running_mean, running_var), result) if use_input_stats else result.y


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Normalisation over the last axes"""
    return F.layer_norm(input, tuple(normalized_shape), weight, bias, eps).y


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Normalisation over groups of channels"""
    return F.group_norm(input, num_groups, weight, bias, eps).y


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Tensor:
    """x / sqrt(mean of x^2 + eps) * weight, over the last axes"""
    return F.rms_norm(in_float32(input), tuple(normalized_shape), weight, eps)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x, divided by what its neighbours among the channels sum up to"""
    if input._data.ndim == 3:  # sequences
        return as_sequence(F.local_response_norm(as_image(input), size, alpha, beta, k))
    return F.local_response_norm(input, size, alpha, beta, k)


# ---- dropout ---------------------------------------------------------------------------------------------------------
def _probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, 0 with probability p, else x / (1 - p)"""
    _probability(p)
    y = F.dropout(input, p) if training and p > 0 else input
    return in_place(input, y) if inplace and y is not input else y


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels"""
    _probability(p)
    if not training or p == 0:
        return input
    if input._data.ndim == 2:  # PyTorch warns and drops single elements
        y = F.dropout(input, p)
    elif input._data.ndim == 3:  # (N, C, L), as PyTorch takes it
        y = as_sequence(F.dropout2d(as_image(input), p))
    else:
        y = F.dropout2d(input, p)
    return in_place(input, y) if inplace else y


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of sequences"""
    _probability(p)
    if not training or p == 0:
        return input
    y = in_batch(lambda x: as_sequence(F.dropout2d(as_image(x), p)), input, 3)
    return in_place(input, y) if inplace else y


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean and variance of what comes from selu"""
    _probability(p)
    if not training or p == 0:
        return input
    alpha = 1.7580993408473766
    dtype, keep = input._data.dtype, 1 - p
    scale = 0.0 if keep == 0 else 1 / math.sqrt(keep * (alpha**2 * p + 1))
    mask = _random.generator().random(input._data.shape) < keep
    shift = np.where(mask, 0, -alpha) * scale + alpha * scale * p
    y = _add(_multiply(input, new((mask * scale).astype(dtype))), new(shift.astype(dtype)))
    return in_place(input, y) if inplace else y
