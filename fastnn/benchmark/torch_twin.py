"""The PyTorch twin of a network made of fastnn's layers: the same structure, the same names, the same weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn as tnn

from fastnn import nn


class Residual(tnn.Module):
    """y = body(x) + shortcut(x)."""

    def __init__(self, body: tnn.Module, shortcut: tnn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


class Scale(tnn.Module):
    """y = factor * x."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


def _copy(cls: type, *names: str, **fixed: Any) -> Callable[[Any], tnn.Module]:
    """Make a `cls` from the attributes `names` of our layer, which has PyTorch's names for them."""
    return lambda layer: cls(**{name: getattr(layer, name) for name in names}, **fixed)


def _conv2d(layer: Any) -> tnn.Module:
    return tnn.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
        layer.groups, bias=layer.bias is not None,
    )  # fmt: skip


def _linear(layer: Any) -> tnn.Module:
    return tnn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)


def _batch_norm(cls: type) -> Callable[[Any], tnn.Module]:
    return lambda layer: cls(
        layer.num_features, eps=layer.eps, momentum=layer.momentum, affine=layer.weight is not None
    )


# Class name of ours -> how to make PyTorch's.
_MAKERS: dict[str, Callable[[Any], tnn.Module]] = {
    "AdaptiveAvgPool2d": _copy(tnn.AdaptiveAvgPool2d, "output_size"),
    "AvgPool2d": _copy(tnn.AvgPool2d, "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    "BatchNorm1d": _batch_norm(tnn.BatchNorm1d),
    "BatchNorm2d": _batch_norm(tnn.BatchNorm2d),
    "Conv2d": _conv2d,
    "Flatten": _copy(tnn.Flatten, "start_dim", "end_dim"),
    "GELU": _copy(tnn.GELU, "approximate"),
    "Identity": _copy(tnn.Identity),
    "Linear": _linear,
    "MaxPool2d": _copy(tnn.MaxPool2d, "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "ReLU": _copy(tnn.ReLU, inplace=True),  # what a fast PyTorch script writes
    "Residual": lambda layer: Residual(_twin(layer.body), _twin(layer.shortcut)),
    "Scale": _copy(Scale, "factor"),
    "SiLU": _copy(tnn.SiLU),
}


def _twin(layer: Any) -> tnn.Module:
    if isinstance(layer, nn.Sequential):
        twin: tnn.Module = tnn.Sequential()
        for name, child in layer.named_children():
            twin.add_module(name, _twin(child))
        return twin
    name = type(layer).__name__
    if name not in _MAKERS:
        raise TypeError(f"no PyTorch twin is known for {name}")
    return _MAKERS[name](layer)


def twin(model: nn.Module) -> tnn.Module:
    """The same network in PyTorch, with a copy of the weights, buffers and `requires_grad` of `model`."""
    result = _twin(model)
    result.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in model.state_dict().items()})
    trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, parameter in result.named_parameters():
        parameter.requires_grad_(trained[name])
    return result
