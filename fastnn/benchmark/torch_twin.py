"""The PyTorch twin of a network of fastnn's layers: the same structure, the same names, the same weights.

PyTorch is imported when the first twin is made, since fastnn works without it.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import nn

__all__ = ["twin"]


def twin(model: nn.Module) -> Any:
    """The same network in PyTorch, with copies of the weights and buffers, and the same `requires_grad`.

    Args:
        model: the network.
    Raises:
        ImportError: PyTorch is not installed.
        TypeError: a layer has no known twin in PyTorch.
    """
    import torch

    result = _twin(model)
    result.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in model.state_dict().items()})
    trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, parameter in result.named_parameters():
        parameter.requires_grad_(trained[name])
    return result


def _twin(layer: Any) -> Any:
    from torch import nn as tnn

    if isinstance(layer, nn.Sequential):
        result = tnn.Sequential()
        for name, child in layer.named_children():
            result.add_module(name, _twin(child))
        return result
    name, makers = type(layer).__name__, _makers()
    if name not in makers:
        raise TypeError(f"no PyTorch twin is known for {name}")
    return makers[name](layer)


def _copy(cls: type, *names: str, **fixed: Any) -> Callable[[Any], Any]:
    """Make a `cls` from the attributes `names` of our layer, which has PyTorch's names for them."""
    return lambda layer: cls(**{name: getattr(layer, name) for name in names}, **fixed)


@functools.cache
def _makers() -> dict[str, Callable[[Any], Any]]:
    """Class name of ours -> how to make PyTorch's."""
    from torch import nn as tnn

    def conv2d(layer: Any) -> Any:
        return tnn.Conv2d(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
            layer.groups, bias=layer.bias is not None,
        )  # fmt: skip

    def batch_norm(cls: type) -> Callable[[Any], Any]:
        return lambda layer: cls(
            layer.num_features, eps=layer.eps, momentum=layer.momentum, affine=layer.weight is not None
        )

    residual, scale = _own_classes()
    return {
        "AdaptiveAvgPool2d": _copy(tnn.AdaptiveAvgPool2d, "output_size"),
        "AvgPool2d": _copy(tnn.AvgPool2d, "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
        "BatchNorm1d": batch_norm(tnn.BatchNorm1d),
        "BatchNorm2d": batch_norm(tnn.BatchNorm2d),
        "Conv2d": conv2d,
        "Flatten": _copy(tnn.Flatten, "start_dim", "end_dim"),
        "GELU": _copy(tnn.GELU, "approximate"),
        "Identity": _copy(tnn.Identity),
        "Linear": lambda layer: tnn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None),
        "MaxPool2d": _copy(tnn.MaxPool2d, "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
        "ReLU": _copy(tnn.ReLU, inplace=True),  # what a fast PyTorch script writes
        "Residual": lambda layer: residual(_twin(layer.body), _twin(layer.shortcut)),
        "Scale": _copy(scale, "factor"),
        "SiLU": _copy(tnn.SiLU),
    }


def _own_classes() -> tuple[type, type]:
    """The modules that PyTorch lacks: y = body(x) + shortcut(x), and y = factor * x."""
    from torch import nn as tnn

    class Residual(tnn.Module):
        def __init__(self, body: Any, shortcut: Any) -> None:
            super().__init__()
            self.body = body
            self.shortcut = shortcut

        def forward(self, x: Any) -> Any:
            return self.body(x) + self.shortcut(x)

    class Scale(tnn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Any) -> Any:
            return self.factor * x

    return Residual, Scale
