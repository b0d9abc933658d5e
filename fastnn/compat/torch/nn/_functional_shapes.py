"""Shapes and distances, by PyTorch's signatures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import functional
from fastnn.autograd.methods import FUNCTIONS, UFUNCS
from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn._functional_activation import norm_along
from fastnn.compat.torch.nn._functional_axes import as_image, as_sequence, in_batch

__all__ = [
    "channel_shuffle", "cosine_similarity", "fold", "native_channel_shuffle", "one_hot", "pad", "pairwise_distance",
    "pdist", "pixel_shuffle", "pixel_unshuffle", "unfold",
]  # fmt: skip

F: Any = functional  # arrays in, arrays out; here it is tensors
_reshape, _multiply, _add, _sum = FUNCTIONS[np.reshape], UFUNCS[np.multiply], UFUNCS[np.add], FUNCTIONS[np.sum]


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
    images = input if axes == 2 else as_image(input)
    y = in_batch(lambda x: F.pad(x, pad if axes == 2 else (*pad, 0, 0), mode), images, 4)
    return y if axes == 2 else as_sequence(y)


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


def pixel_shuffle(input: Any, upscale_factor: int) -> Tensor:
    """Channels as pixels"""
    return in_batch(lambda x: F.pixel_shuffle(x, upscale_factor), input, 4)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Tensor:
    """Pixels as channels"""
    return in_batch(lambda x: F.pixel_unshuffle(x, downscale_factor), input, 4)


def channel_shuffle(input: Any, groups: int) -> Tensor:
    """Channels dealt out to the groups in turn"""
    n, channels, *sizes = input._data.shape
    grouped = _reshape(input, (n, groups, channels // groups, *sizes))
    return _reshape(FUNCTIONS[np.swapaxes](grouped, 1, 2), (n, channels, *sizes))


native_channel_shuffle = channel_shuffle


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Patches of images as columns"""
    return in_batch(lambda x: F.im2col(x, kernel_size, stride, padding, dilation), input, 4)


def fold(
    input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Images from patches in columns, which are added where they overlap"""
    return in_batch(lambda x: F.col2im(x, output_size, kernel_size, stride, padding, dilation), input, 3)


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
