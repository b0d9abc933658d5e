"""The convolution layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn._random import generator
from fastnn.autograd.tape import run
from fastnn.functional._conv2d_algorithm import check_algorithm
from fastnn.functional._conv2d_geometry import padding_argument, total_padding
from fastnn.functional.conv2d import Conv2d as Convolution
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["Conv2d"]


class Conv2d(Module):
    """Cross-correlate a batch of images with learned filters.

    y[n, k, i, j] = bias[k] + sum over c, p, q of
        weight[k, c, p, q] * x_padded[n, c, i * stride_h + p * dilation_h, j * stride_w + q * dilation_w]

    Args:
        in_channels: the number of input channels, C_in.
        out_channels: the number of filters, C_out.
        kernel_size: height and width of the filters, one number or two.
        stride: pixels between two positions of a filter.
        padding: rows and columns of zeros around the image, 'valid' for none, 'same' to keep its size.
        dilation: pixels between two taps of a filter.
        groups: cut the channels into groups with filters of their own; groups=in_channels is a depthwise convolution.
        bias: whether to add one.
        padding_mode: only 'zeros' is possible.
        algorithm: 'auto', 'direct', 'winograd', 'winograd24', 'winograd4' or 'im2col'; see `functional.conv2d`.
    Shape:
        - Input: (N, C_in, H, W), float32 or float64
        - Output: (N, C_out, H_out, W_out), H_out = (H + 2 pad_h - dilation_h (kernel_h - 1) - 1) // stride_h + 1
    Attributes:
        weight: Parameter (C_out, C_in / groups, kernel_h, kernel_w), uniform in +-1 / sqrt(C_in / groups * kernel_h *
            kernel_w); in memory the taps come first, so that the kernels read it as it is
        bias: Parameter (C_out,), from the same distribution, or None
    Raises:
        ValueError: the input does not fit, or the algorithm cannot do such a convolution; the message shows the shapes.
    Example:
        >>> nn.Conv2d(3, 8, 3, padding=1)(np.zeros((2, 3, 32, 32), np.float32)).shape
        (2, 8, 32, 32)

    Source: LeCun et al., 1998, "Gradient-based learning applied to document recognition".
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        algorithm: str = "auto",
    ) -> None:
        super().__init__()
        self.in_channels = _check.integer("Conv2d", "in_channels", in_channels, 1)
        self.out_channels = _check.integer("Conv2d", "out_channels", out_channels, 1)
        self.groups = _check.integer("Conv2d", "groups", groups, 1)
        self.kernel_size = _check.pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = _check.pair("Conv2d", "stride", stride, 1)
        self.padding = padding_argument("Conv2d", padding)
        self.dilation = _check.pair("Conv2d", "dilation", dilation, 1)
        self.algorithm = algorithm
        pad_h, pad_w = total_padding(self.padding, self.kernel_size, self.dilation)
        pad = pad_h // 2, pad_w // 2
        check_algorithm("Conv2d", algorithm, self.kernel_size, self.stride, pad, self.dilation, self.groups)
        _check.one_of("Conv2d", "padding_mode", padding_mode, ("zeros",))
        has_bias = _check.boolean("Conv2d", "bias", bias)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: groups must divide the channels. "
                f"Received: in_channels={in_channels}, out_channels={out_channels}, groups={groups}"
            )
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        _check.fits_memory("Conv2d", "a weight", shape)
        bound = 1 / np.sqrt(math.prod(shape[1:]))
        draw = generator().uniform(-bound, bound, shape)
        taps_first = np.ascontiguousarray(draw.transpose(2, 3, 1, 0), np.float32)
        self.weight = Parameter(taps_first.transpose(3, 2, 0, 1))
        drawn = Parameter(generator().uniform(-bound, bound, out_channels).astype(np.float32)) if has_bias else None
        self.register_parameter("bias", drawn)

    def forward(self, x: NDArray) -> NDArray:
        own = self._parameters  # reading attributes takes its time
        return run(Convolution(*self.settings()), x, own["weight"], own.get("bias"))

    def settings(self) -> tuple[Any, Any, Any, int, str]:
        """Stride, padding, dilation, groups and algorithm, as `functional.conv2d` takes them."""
        return self.stride, self.padding, self.dilation, self.groups, self.algorithm

    def extra_repr(self) -> str:
        words = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        defaults = {"padding": (0, 0), "dilation": (1, 1), "groups": 1, "algorithm": "auto"}
        words += [f"{name}={getattr(self, name)!r}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join(words + ([] if self.bias is not None else ["bias=False"]))
