"""Convolutions."""

import math
from typing import Any, ClassVar

from fastnn import nn as array
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn import functional as F
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.modules.lazy import LazyModuleMixin, unseen
from fastnn.compat.torch.nn.modules.linear import drawn, redraw
from fastnn.compat.torch.nn.modules.module import Module, extends, made
from fastnn.compat.torch.nn.modules.utils import _single
from fastnn.compat.torch.nn.parameter import UninitializedParameter

__all__ = [
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
]

__getattr__ = missing(__name__, ABSENT)


class _ConvNd(Module):
    """What all convolutions have in common."""

    transposed: ClassVar[bool] = False
    output_padding: Any = (0, 0)
    padding_mode: str = "zeros"

    def _bound(self) -> float:
        return 1 / math.sqrt(max(math.prod(self.weight._data.shape[1:]), 1))

    def reset_parameters(self) -> None:
        redraw(self, self._bound())

    def extra_repr(self) -> str:
        words = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        n = len(self.kernel_size)
        defaults = {"padding": (0,) * n, "dilation": (1,) * n, "output_padding": (0,) * n, "groups": 1}
        for name, value in defaults.items():
            now = getattr(self, name)
            if now != value:
                words.append(f"{name}={now}")
        words += [] if self.bias is not None else ["bias=False"]
        return ", ".join(words + ([] if self.padding_mode == "zeros" else [f"padding_mode={self.padding_mode}"]))


_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _check_padding_mode(padding_mode: str) -> str:
    if padding_mode not in _PADDING_MODES:
        words = ", ".join(map(repr, _PADDING_MODES))
        raise ValueError(f"padding_mode must be one of {{{words}}}, but got padding_mode='{padding_mode}'")
    return padding_mode


def _widths(layer: Any) -> list[int]:
    """How much to put around, as `functional.pad` takes it."""
    padding, widths = layer.padding, []
    for axis in reversed(range(len(layer.kernel_size))):
        if isinstance(padding, str):
            total = 0 if padding == "valid" else layer.dilation[axis] * (layer.kernel_size[axis] - 1)
            widths += [total // 2, total - total // 2]
        else:
            widths += [padding[axis]] * 2
    return widths


_convolve: Any = array.Conv2d.forward.entered  # type: ignore[attr-defined]


class Conv2d(array.Conv2d, _ConvNd):
    """The cross-correlation of images with learned filters"""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bool(bias))
        self.padding_mode = _check_padding_mode(padding_mode)
        made(self, device, dtype)

    @extends(array.Conv2d.forward)
    def forward(self, input: Any) -> Any:
        if self.padding_mode == "zeros" and input.ndim == 4:
            return _convolve(self, input)
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, _widths(self), self.padding_mode), (0, 0)
        return F.conv2d(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    extra_repr = _ConvNd.extra_repr


class ConvTranspose2d(array.ConvTranspose2d, _ConvNd):
    """The transposed convolution of images"""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError('Only "zeros" padding mode is supported for ConvTranspose2d')
        settings = stride, padding, output_padding, groups, bool(bias), dilation
        super().__init__(in_channels, out_channels, kernel_size, *settings)
        made(self, device, dtype)

    def forward(self, input: Any, output_size: Any = None) -> Any:
        output_padding: Any = self.output_padding
        if output_size is not None:
            output_padding = _padding_for(self, input, output_size)
        settings = self.stride, self.padding, output_padding, self.groups, self.dilation
        return F.conv_transpose2d(input, self.weight, self.bias, *settings)

    extra_repr = _ConvNd.extra_repr


def _padding_for(layer: Any, input: Any, output_size: Any) -> list[int]:
    """The output_padding that gives results of this size."""
    n = len(layer.kernel_size)
    return [
        size - ((length - 1) * stride - 2 * pad + dilation * (kernel - 1) + 1)
        for size, length, stride, pad, dilation, kernel in zip(
            tuple(output_size)[-n:], input._data.shape[-n:], layer.stride, layer.padding, layer.dilation,
            layer.kernel_size, strict=True,
        )
    ]  # fmt: skip


class _OfSequences(_ConvNd):
    def __init__(
        self, channels: tuple[int, int], settings: dict[str, Any], bias: bool, device: Any, dtype: Any
    ) -> None:
        super().__init__()
        in_channels, out_channels = channels
        self.in_channels, self.out_channels = in_channels, out_channels
        for name, value in settings.items():
            is_number = name == "groups" or isinstance(value, str)
            setattr(self, name, value if is_number else _single(value))
        if in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % self.groups:
            raise ValueError("out_channels must be divisible by groups")
        rows, columns = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = rows, columns // self.groups, *self.kernel_size
        bound = 1 / math.sqrt(max(math.prod(shape[1:]), 1))
        self.weight = drawn(shape, bound)
        self.register_parameter("bias", drawn((out_channels,), bound) if bias else None)
        made(self, device, dtype)


class Conv1d(_OfSequences):
    """The cross-correlation of sequences with learned filters"""

    output_padding: Any = (0,)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        settings = {
            "kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups
        }  # fmt: skip
        super().__init__((in_channels, out_channels), settings, bias, device, dtype)
        self.padding_mode = _check_padding_mode(padding_mode)

    def forward(self, input: Any) -> Any:
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, _widths(self), self.padding_mode), (0,)
        return F.conv1d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class ConvTranspose1d(_OfSequences):
    """The transposed convolution of sequences"""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError('Only "zeros" padding mode is supported for ConvTranspose1d')
        settings = {
            "kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation,
            "output_padding": output_padding, "groups": groups,
        }  # fmt: skip
        super().__init__((in_channels, out_channels), settings, bias, device, dtype)

    def forward(self, input: Any, output_size: Any = None) -> Any:
        output_padding = self.output_padding if output_size is None else _padding_for(self, input, output_size)
        settings = self.stride, self.padding, output_padding, self.groups, self.dilation
        return F.conv_transpose1d(input, self.weight, self.bias, *settings)


# ---- with the channels of the first input ----------------------------------------------------------------------------
class _LazyConv(LazyModuleMixin):
    """What all convolutions that wait for their first input have in common."""

    in_channels: int
    out_channels: int
    groups: int
    kernel_size: Any
    transposed: bool
    weight: Any
    bias: Any

    def __init__(self, out_channels: int, groups: int, bias: bool, device: Any, dtype: Any, settings: Any) -> None:
        with unseen():
            super().__init__(groups, out_channels, groups=groups, bias=False, **settings)
        self.in_channels = 0
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Any, *args: Any, **kwargs: Any) -> None:
        if not self.has_uninitialized_params():  # they were loaded
            self.in_channels = self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups
            return
        shape, n = input.shape, len(self.kernel_size)
        if len(shape) not in (n + 1, n + 2):
            raise RuntimeError(
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {type(self).__name__}, but got input "
                f"of size: {shape}"
            )
        channels = shape[-n - 1]
        if channels % self.groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        self.in_channels = channels
        rows, columns = (channels, self.out_channels) if self.transposed else (self.out_channels, channels)
        self._materialize("weight", (rows, columns // self.groups, *self.kernel_size))
        if self.bias is not None:
            self._materialize("bias", (self.out_channels,))
        self.reset_parameters()


class LazyConv1d(_LazyConv, Conv1d):
    """A `Conv1d` that takes in_channels from its first input."""

    cls_to_become = Conv1d

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        settings = {
            "kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation,
            "padding_mode": padding_mode,
        }  # fmt: skip
        super().__init__(out_channels, groups, bias, device, dtype, settings)


class LazyConv2d(_LazyConv, Conv2d):
    """A `Conv2d` that takes in_channels from its first input."""

    cls_to_become = Conv2d
    _weight_in_memory = (2, 3, 1, 0)

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        settings = {
            "kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation,
            "padding_mode": padding_mode,
        }  # fmt: skip
        super().__init__(out_channels, groups, bias, device, dtype, settings)


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """A `ConvTranspose1d` that takes in_channels from its first input."""

    cls_to_become = ConvTranspose1d

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        settings = {
            "kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation,
            "output_padding": output_padding, "padding_mode": padding_mode,
        }  # fmt: skip
        super().__init__(out_channels, groups, bias, device, dtype, settings)


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """A `ConvTranspose2d` that takes in_channels from its first input."""

    cls_to_become = ConvTranspose2d
    _weight_in_memory = (2, 3, 1, 0)

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        settings = {
            "kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation,
            "output_padding": output_padding, "padding_mode": padding_mode,
        }  # fmt: skip
        super().__init__(out_channels, groups, bias, device, dtype, settings)
