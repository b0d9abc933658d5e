"""What layers compute, by PyTorch's signatures."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from fastnn import _random, functional
from fastnn.autograd.methods import FUNCTIONS, UFUNCS
from fastnn.autograd.tape import Op, run
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._tensor import Tensor, in_place, new
from fastnn.compat.torch.nn._functional_activation import norm_along

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices", "affine_grid", "alpha_dropout", "avg_pool1d",
    "avg_pool2d", "batch_norm", "bilinear", "channel_shuffle", "conv1d", "conv2d", "conv_transpose1d",
    "conv_transpose2d", "cosine_similarity", "dropout", "dropout1d", "dropout2d", "embedding", "fold", "group_norm",
    "instance_norm", "interpolate", "layer_norm", "linear", "local_response_norm", "lp_pool1d", "lp_pool2d",
    "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices", "max_unpool1d", "max_unpool2d",
    "native_channel_shuffle", "one_hot", "pad", "pairwise_distance", "pdist", "pixel_shuffle", "pixel_unshuffle",
    "rms_norm", "scaled_dot_product_attention", "unfold", "upsample", "upsample_bilinear", "upsample_nearest",
]  # fmt: skip

F: Any = functional  # arrays in, arrays out; here it is tensors
_reshape, _multiply, _add = FUNCTIONS[np.reshape], UFUNCS[np.multiply], UFUNCS[np.add]
_sum = FUNCTIONS[np.sum]


def _in_batch(function: Callable[[Any], Any], x: Any, ndim: int) -> Any:
    """Of one image without the axis of the batch, too."""
    if x._data.ndim != ndim - 1:
        return function(x)
    y = function(_reshape(x, (1, *x._data.shape)))
    if isinstance(y, tuple):
        return tuple(_reshape(part, part._data.shape[1:]) for part in y)
    return _reshape(y, y._data.shape[1:])


def _as_image(x: Any) -> Any:
    """A sequence as an image of one row."""
    return FUNCTIONS[np.expand_dims](x, -2)


def _as_sequence(y: Any) -> Any:
    if isinstance(y, tuple):
        return tuple(map(_as_sequence, y))
    return FUNCTIONS[np.squeeze](y, -2)


def _pair(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Sequence) else (value, value)


def _one(value: Any) -> Any:
    """An argument of a sequence, a number or a tuple of one."""
    return value[0] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _row(value: Any, first: int) -> Any:
    """An argument of a sequence as that of an image of one row; 'same' and 'valid' are that already."""
    return value if isinstance(value, str) or value is None else (first, _one(value))


# ---- products --------------------------------------------------------------------------------------------------------
def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """x @ weight.T + bias"""
    if weight._data.ndim == 1:
        y = UFUNCS[np.matmul](input, weight)
        return y if bias is None else _add(y, bias)
    if input._data.ndim == 1:
        return _in_batch(lambda x: F.linear(x, weight, bias), input, 2)
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
    return _in_batch(lambda x: F.conv2d(x, weight, bias, stride, padding, dilation, groups), input, 4)


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """The cross-correlation of sequences with filters"""
    settings = _row(stride, 1), _row(padding, 0), _row(dilation, 1)
    return _as_sequence(conv2d(_as_image(input), _as_image(weight), bias, *settings, groups))


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
    return _in_batch(lambda x: F.conv_transpose2d(x, weight, bias, *settings), input, 4)


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
    settings = _row(stride, 1), _row(padding, 0), _row(output_padding, 0), groups, _row(dilation, 1)
    return _as_sequence(conv_transpose2d(_as_image(input), _as_image(weight), bias, *settings))


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
    if enable_gqa:
        times = query._data.shape[-3] // key._data.shape[-3]
        key, value = (FUNCTIONS[np.repeat](x, times, -3) for x in (key, value))
    return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale)


# ---- pooling ---------------------------------------------------------------------------------------------------------
def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest pixel of each window"""
    settings = kernel_size, stride or None, padding, dilation, ceil_mode, return_indices
    if input._data.ndim == 4:
        return F.max_pool2d(input, *settings)
    return _in_batch(lambda x: F.max_pool2d(x, *settings), input, 4)


def max_pool2d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest pixel of each window, and where it is"""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of a sequence"""
    settings = _row(kernel_size, 1), _row(stride or None, 1), _row(padding, 0), _row(dilation, 1)
    return _as_sequence(max_pool2d(_as_image(input), *settings, ceil_mode, return_indices))


def max_pool1d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of a sequence, and where it is"""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window"""
    if divisor_override is not None:
        if ceil_mode:
            raise ValueError("avg_pool2d: divisor_override with ceil_mode is not there: pad the images first")
        count_include_pad = True
    settings = kernel_size, stride or None, padding, ceil_mode, count_include_pad
    y = _in_batch(lambda x: F.avg_pool2d(x, *settings), input, 4)
    if divisor_override is None:
        return y
    taps = math.prod(kernel_size) if isinstance(kernel_size, Sequence) else kernel_size**2
    return _multiply(y, taps / divisor_override)


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of a sequence"""
    settings = _row(kernel_size, 1), _row(stride or None, 1), _row(padding, 0), ceil_mode, count_include_pad
    return _as_sequence(avg_pool2d(_as_image(input), *settings))


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Tensor:
    """Means of windows, as many as `output_size` says"""
    return _in_batch(lambda x: F.adaptive_avg_pool2d(x, output_size), input, 4)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Tensor:
    """Means of windows of a sequence"""
    return _as_sequence(adaptive_avg_pool2d(_as_image(input), _row(output_size, 1)))


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows, as many as `output_size` says"""
    return _in_batch(lambda x: F.adaptive_max_pool2d(x, output_size, return_indices), input, 4)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows of a sequence"""
    return _as_sequence(adaptive_max_pool2d(_as_image(input), _row(output_size, 1), return_indices))


def adaptive_max_pool2d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows, and where they are"""
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool1d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows of a sequence, and where they are"""
    return adaptive_max_pool1d(input, output_size, True)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The root of the sum of p-th powers of each window; no gradient where the sum is 0"""
    if math.isinf(norm_type):
        size = UFUNCS[np.absolute](input)
        size = size if norm_type > 0 else UFUNCS[np.negative](size)
        largest = max_pool2d(size, kernel_size, stride, ceil_mode=ceil_mode)
        return largest if norm_type > 0 else UFUNCS[np.negative](largest)
    taps = math.prod(kernel_size) if isinstance(kernel_size, Sequence) else kernel_size**2
    means = avg_pool2d(UFUNCS[np.power](input, norm_type), kernel_size, stride, 0, ceil_mode)
    signs = new(np.sign(means._data))
    sums = _multiply(_multiply(F.relu(UFUNCS[np.absolute](means)), signs), taps)
    return UFUNCS[np.power](sums, 1 / norm_type)


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-norm of each window of a sequence"""
    return _as_sequence(
        lp_pool2d(_as_image(input), norm_type, _row(kernel_size, 1), _row(stride or None, 1), ceil_mode)
    )


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Pixels put where a max pooling found them, zeros elsewhere"""
    kernel, pads = _pair(kernel_size), _pair(padding)
    steps = kernel if stride is None else _pair(stride)
    height, width = input._data.shape[-2:]
    usual = [
        (n - 1) * step + taps - 2 * pad for n, step, taps, pad in zip((height, width), steps, kernel, pads, strict=True)
    ]
    sizes = usual if output_size is None else [int(n) for n in tuple(output_size)[-2:]]
    for axis, (size, default, step) in enumerate(zip(sizes, usual, steps, strict=True)):
        if not default - step < size < default + step:
            raise ValueError(
                f'invalid output_size "{output_size}" (dim {axis} must be between {default - step} and '
                f"{default + step})"
            )
    places = indices._data.reshape(-1, height * width)
    if places.size and not 0 <= places.min() <= places.max() < math.prod(sizes):
        raise RuntimeError(
            f"max_unpool2d: indices must be places within {tuple(sizes)}. Received: {places.min()} to {places.max()}"
        )
    return run(_PutAt(places, sizes), input)


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Elements put where a max pooling found them, zeros elsewhere"""
    sizes = None if output_size is None else (1, tuple(output_size)[-1])
    settings = _row(kernel_size, 1), _row(stride or None, 1), _row(padding, 0), sizes
    return _as_sequence(max_unpool2d(_as_image(input), _as_image(indices), *settings))


class _PutAt(Op):
    """Images of zeros with the pixels of x at some places."""

    is_exact = is_fresh = True
    keeps: ClassVar = {}

    def __init__(self, places: Any, sizes: Sequence[int]) -> None:
        self.places, self.sizes = places, tuple(sizes)

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        y = np.zeros((len(self.places), math.prod(self.sizes)), x.dtype)
        np.put_along_axis(y, self.places, x.reshape(self.places.shape), 1)
        return y.reshape(*x.shape[:-2], *self.sizes)

    def backward(self, dy: Any) -> Any:
        return np.take_along_axis(dy.reshape(len(self.places), -1), self.places, 1).reshape(self.x_shape)


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
    result = F.instance_norm(input, *arrays, weight, bias, use_input_stats, momentum, eps)
    return _moved((running_mean, running_var), result) if use_input_stats else result.y


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Normalisation over the last axes"""
    return F.layer_norm(input, tuple(normalized_shape), weight, bias, eps).y


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Normalisation over groups of channels"""
    return F.group_norm(input, num_groups, weight, bias, eps).y


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Tensor:
    """x / sqrt(mean of x^2 + eps) * weight, over the last axes"""
    return F.rms_norm(input, tuple(normalized_shape), weight, eps)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x, divided by what its neighbours among the channels sum up to"""
    if input._data.ndim == 3:  # sequences
        return _as_sequence(F.local_response_norm(_as_image(input), size, alpha, beta, k))
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
    is_sequence = input._data.ndim == 3  # (N, C, L), as PyTorch takes it
    y = _as_sequence(F.dropout2d(_as_image(input), p)) if is_sequence else F.dropout2d(input, p)
    return in_place(input, y) if inplace else y


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of sequences"""
    _probability(p)
    if not training or p == 0:
        return input
    y = _in_batch(lambda x: _as_sequence(F.dropout2d(_as_image(x), p)), input, 3)
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


# ---- shapes ----------------------------------------------------------------------------------------------------------
def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """1 at the place of each class, 0 elsewhere"""
    classes = tensor._data
    if classes.dtype.kind not in "iu":
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if classes.size and classes.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(classes.max()) + 1
    elif classes.size and classes.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return new((classes[..., None] == np.arange(num_classes)).astype(np.int64))


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements around: `pad` holds two numbers for the last axis, then for the one before it, and so on"""
    pad = tuple(int(number) for number in pad)
    array = input._data
    if len(pad) % 2 or len(pad) > 2 * array.ndim:
        raise RuntimeError(f"Padding length must be even and at most twice the number of axes. Received: {pad}")
    if mode == "constant":
        return _constant_pad(input, pad, 0.0 if value is None else value)
    if value:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode == "circular":
        return _circular_pad(input, pad)
    if mode not in ("reflect", "replicate"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    axes = len(pad) // 2
    if axes > 2 or array.ndim not in (axes + 1, axes + 2):
        raise NotImplementedError(
            f"pad: {mode} pads the last axis or the last two, of tensors with one or two axes more. Received: "
            f"shape={tuple(array.shape)}, pad={pad}"
        )
    images = input if axes == 2 else _as_image(input)
    y = _in_batch(lambda x: F.pad(x, pad if axes == 2 else (*pad, 0, 0), mode), images, 4)
    return y if axes == 2 else _as_sequence(y)


def _constant_pad(input: Any, pad: tuple[int, ...], value: float) -> Tensor:
    array = input._data
    if array.ndim == 4 and len(pad) == 4 and min(pad) >= 0 and array.dtype.kind == "f":
        return F.pad(input, pad, "constant", value)
    widths = [(0, 0)] * array.ndim
    for number in range(len(pad) // 2):
        widths[-1 - number] = pad[2 * number], pad[2 * number + 1]
    if any(width < 0 for pair in widths for width in pair):
        part = tuple(
            slice(max(-before, 0), size - max(-after, 0))
            for (before, after), size in zip(widths, array.shape, strict=True)
        )
        input = NumPyTensor.__getitem__(input, part)
        widths = [(max(before, 0), max(after, 0)) for before, after in widths]
    return FUNCTIONS[np.pad](input, widths, "constant", constant_values=value)


def _circular_pad(input: Any, pad: tuple[int, ...]) -> Tensor:
    for number in range(len(pad) // 2):
        axis, (before, after) = -1 - number, pad[2 * number : 2 * number + 2]
        size = input._data.shape[axis]
        input = FUNCTIONS[np.take](input, np.arange(-before, size + after) % size, axis)
    return input


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The same images, or sequences, with more or fewer pixels"""
    is_sequence = input._data.ndim == 3
    if mode in ("bicubic", "trilinear", "nearest-exact") or antialias or input._data.ndim not in (3, 4):
        raise NotImplementedError(
            "interpolate: images (N, C, H, W) or sequences (N, C, L), with mode 'nearest', 'bilinear', 'linear' or "
            f"'area', are there. Received: shape={tuple(input._data.shape)}, mode={mode!r}, antialias={antialias}"
        )
    sizes = input._data.shape[2:]
    if recompute_scale_factor and scale_factor is not None:
        factors = scale_factor if isinstance(scale_factor, Sequence) else [scale_factor] * len(sizes)
        size, scale_factor = [math.floor(n * factor) for n, factor in zip(sizes, factors, strict=True)], None
    if mode == "area":
        if size is None:
            factors = scale_factor if isinstance(scale_factor, Sequence) else [scale_factor] * len(sizes)
            size = [math.floor(n * factor) for n, factor in zip(sizes, factors, strict=True)]
        return (adaptive_avg_pool1d if is_sequence else adaptive_avg_pool2d)(input, size)
    if not is_sequence:
        return F.interpolate(input, size, scale_factor, mode, align_corners)
    mode = "bilinear" if mode == "linear" else mode
    images = _as_image(input)
    return _as_sequence(F.interpolate(images, _row(size, 1), _row(scale_factor, 1), mode, align_corners))


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """`interpolate`, by its old name"""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with the nearest pixel, by its old name"""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` between four pixels with aligned corners, by its old name"""
    return interpolate(input, size, scale_factor, "bilinear", True)


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Where the pixels of an image come from, for matrices (N, 2, 3): places (N, H, W, 2) within [-1, 1]"""
    if len(size) != 4:
        raise NotImplementedError(f"affine_grid: sizes (N, C, H, W) are there. Received: {tuple(size)}")
    n, _, height, width = size
    x, y = (
        np.linspace(-1, 1, count) if align_corners else (np.arange(count) * 2 + 1) / count - 1
        for count in (width, height)
    )
    places = np.stack([*np.broadcast_arrays(x[None, :], y[:, None]), np.ones((height, width))], -1)
    rows = new(places.reshape(1, height * width, 3).astype(theta._data.dtype))
    return _reshape(UFUNCS[np.matmul](rows, FUNCTIONS[np.swapaxes](theta, 1, 2)), (n, height, width, 2))


def pixel_shuffle(input: Any, upscale_factor: int) -> Tensor:
    """Channels as pixels"""
    return _in_batch(lambda x: F.pixel_shuffle(x, upscale_factor), input, 4)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Tensor:
    """Pixels as channels"""
    return _in_batch(lambda x: F.pixel_unshuffle(x, downscale_factor), input, 4)


def channel_shuffle(input: Any, groups: int) -> Tensor:
    """Channels dealt out to the groups in turn"""
    n, channels, *sizes = input._data.shape
    grouped = _reshape(input, (n, groups, channels // groups, *sizes))
    return _reshape(FUNCTIONS[np.swapaxes](grouped, 1, 2), (n, channels, *sizes))


native_channel_shuffle = channel_shuffle


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Patches of images as columns"""
    return _in_batch(lambda x: F.im2col(x, kernel_size, stride, padding, dilation), input, 4)


def fold(
    input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Images from patches in columns, which are added where they overlap"""
    return _in_batch(lambda x: F.col2im(x, output_size, kernel_size, stride, padding, dilation), input, 3)


# ---- distances -------------------------------------------------------------------------------------------------------
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 @ x2 / (|x1| |x2|) along `dim`"""
    parts = [UFUNCS[np.true_divide](x, FUNCTIONS[np.clip](norm_along(x, 2, dim, True), eps, None)) for x in (x1, x2)]
    return _sum(_multiply(*parts), dim)


def pdist(input: Any, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of all pairs of rows"""
    first, second = np.triu_indices(len(input._data), 1)
    rows = [NumPyTensor.__getitem__(input, which) for which in (first, second)]
    return norm_along(UFUNCS[np.subtract](*rows), p, -1)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis"""
    return norm_along(_add(UFUNCS[np.subtract](x1, x2), eps), p, -1, keepdim)
