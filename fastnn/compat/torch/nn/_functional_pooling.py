"""Pooling, by PyTorch's signatures."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fastnn import functional
from fastnn.autograd.methods import UFUNCS
from fastnn.autograd.tape import Op, run
from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.nn._functional_axes import as_floats, as_image, as_sequence, in_batch, pair, row

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices", "avg_pool1d", "avg_pool2d", "lp_pool1d", "lp_pool2d",
    "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices", "max_unpool1d", "max_unpool2d",
]  # fmt: skip

F: Any = functional  # arrays in, arrays out; here it is tensors
_multiply = UFUNCS[np.multiply]


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
        if input._data.dtype.kind != "f":
            return as_floats(lambda x: F.max_pool2d(x, *settings), input)
        return F.max_pool2d(input, *settings)
    return in_batch(lambda x: max_pool2d(x, *settings), input, 4)


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
    settings = row(kernel_size, 1), row(stride or None, 1), row(padding, 0), row(dilation, 1)
    return as_sequence(max_pool2d(as_image(input), *settings, ceil_mode, return_indices))


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
    y = in_batch(lambda x: F.avg_pool2d(x, *settings), input, 4)
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
    settings = row(kernel_size, 1), row(stride or None, 1), row(padding, 0), ceil_mode, count_include_pad
    return as_sequence(avg_pool2d(as_image(input), *settings))


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Tensor:
    """Means of windows, as many as `output_size` says"""
    return in_batch(lambda x: F.adaptive_avg_pool2d(x, output_size), input, 4)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Tensor:
    """Means of windows of a sequence"""
    return as_sequence(adaptive_avg_pool2d(as_image(input), row(output_size, 1)))


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows, as many as `output_size` says"""
    return in_batch(lambda x: F.adaptive_max_pool2d(x, output_size, return_indices), input, 4)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows of a sequence"""
    return as_sequence(adaptive_max_pool2d(as_image(input), row(output_size, 1), return_indices))


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
    return as_sequence(lp_pool2d(as_image(input), norm_type, row(kernel_size, 1), row(stride or None, 1), ceil_mode))


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Pixels put where a max pooling found them, zeros elsewhere"""
    kernel, pads = pair(kernel_size), pair(padding)
    steps = kernel if stride is None else pair(stride)
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
    settings = row(kernel_size, 1), row(stride or None, 1), row(padding, 0), sizes
    return as_sequence(max_unpool2d(as_image(input), as_image(indices), *settings))


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
