"""The transposed convolution layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn._random import generator
from fastnn.autograd.tape import run
from fastnn.functional.conv_transpose2d import ConvTranspose2d as Convolution
from fastnn.functional.conv_transpose2d import Settings, check_settings
from fastnn.nn.module import Module
from fastnn.nn.parameter import Parameter

__all__ = ["ConvTranspose2d"]


class ConvTranspose2d(Module):
    """Put a copy of learned filters, weighted by the pixel, around every pixel, and add them all up.

    y[n, k, i', j'] = bias[k] + sum over c and all (i, p) with i * stride_h + p * dilation_h - pad_h = i', (j, q) alike,
        of  x[n, c, i, j] * weight[c, k, p, q]

    With kernel_size=2 and stride=2, or 4, 2 and padding=1, it doubles height and width.

    Args:
        in_channels: the number of input channels, C_in.
        out_channels: the number of output channels, C_out.
        kernel_size: height and width of the filters, one number or two.
        stride: pixels of the output between two pixels of the input.
        padding: rows and columns that are cut off all around the output.
        output_padding: rows and columns that are kept below and to the right in spite of it, fewer than stride or
            dilation.
        groups: cut the channels into groups with filters of their own.
        bias: whether to add one.
        dilation: pixels of the output between two taps of a filter.
        padding_mode: only 'zeros' is possible.
    Shape:
        - Input: (N, C_in, H, W), float32 or float64
        - Output: (N, C_out, H_out, W_out),
          H_out = (H - 1) stride_h - 2 pad_h + dilation_h (kernel_h - 1) + output_padding_h + 1
    Attributes:
        weight: Parameter (C_in, C_out / groups, kernel_h, kernel_w), uniform in +-1 / sqrt(C_out / groups * kernel_h *
            kernel_w); in memory the taps come first, so that the kernels read it as it is
        bias: Parameter (C_out,), from the same distribution, or None
    Raises:
        ValueError: the input does not fit; the message shows the shapes.
    Example:
        >>> nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1)(np.zeros((2, 8, 16, 16), np.float32)).shape
        (2, 3, 32, 32)

    Source: Zeiler et al., 2010, "Deconvolutional networks"; Radford et al., 2015, "Unsupervised representation learning
    with deep convolutional generative adversarial networks".
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__()
        self.in_channels = _check.integer("ConvTranspose2d", "in_channels", in_channels, 1)
        self.out_channels = _check.integer("ConvTranspose2d", "out_channels", out_channels, 1)
        self.kernel_size = _check.pair("ConvTranspose2d", "kernel_size", kernel_size, 1)
        settings = check_settings("ConvTranspose2d", stride, padding, output_padding, groups, dilation)
        self.stride, self.padding, self.output_padding, self.dilation, self.groups = settings
        _check.one_of("ConvTranspose2d", "padding_mode", padding_mode, ("zeros",))
        has_bias = _check.boolean("ConvTranspose2d", "bias", bias)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"ConvTranspose2d: groups must divide the channels. "
                f"Received: in_channels={in_channels}, out_channels={out_channels}, groups={groups}"
            )
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        _check.fits_memory("ConvTranspose2d", "a weight", shape)
        bound = 1 / np.sqrt(math.prod(shape[1:]))
        draw = generator().uniform(-bound, bound, shape)
        taps_first = np.ascontiguousarray(draw.transpose(2, 3, 1, 0), np.float32)
        self.weight = Parameter(taps_first.transpose(3, 2, 0, 1))
        drawn = Parameter(generator().uniform(-bound, bound, out_channels).astype(np.float32)) if has_bias else None
        self.register_parameter("bias", drawn)

    def forward(self, x: NDArray) -> NDArray:
        settings = Settings(self.stride, self.padding, self.output_padding, self.dilation, self.groups)
        own = self._parameters  # reading attributes takes its time
        return run(Convolution(settings), x, own["weight"], own.get("bias"))

    def extra_repr(self) -> str:
        words = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        defaults = {"padding": (0, 0), "output_padding": (0, 0), "groups": 1, "dilation": (1, 1)}
        words += [f"{name}={getattr(self, name)!r}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join(words + ([] if self.bias is not None else ["bias=False"]))
