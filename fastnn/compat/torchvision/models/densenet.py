"""DenseNet.

Source: Huang et al., 2017, "Densely connected convolutional networks".
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

import fastnn.compat.torch as torch
from fastnn.compat.torch import nn
from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.models._weights import init, loaded, weights_of

__all__ = [
    "DenseNet", "DenseNet121_Weights", "DenseNet161_Weights", "DenseNet169_Weights", "DenseNet201_Weights",
    "densenet121", "densenet161", "densenet169", "densenet201",
]  # fmt: skip

__getattr__ = missing(__name__)


class _DenseLayer(nn.Module):
    """A 1x1 and a 3x3 convolution of all maps before."""

    def __init__(self, c_in: int, growth_rate: int, bn_size: int, drop_rate: float) -> None:
        super().__init__()
        width = bn_size * growth_rate
        self.norm1, self.relu1 = nn.BatchNorm2d(c_in), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, growth_rate, 3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)

    def forward(self, maps: list[Any]) -> Any:
        x = self.conv1(self.relu1(self.norm1(torch.cat(maps, 1))))
        x = self.conv2(self.relu2(self.norm2(x)))
        return nn.functional.dropout(x, p=self.drop_rate, training=self.training) if self.drop_rate > 0 else x


class _DenseBlock(nn.ModuleDict):
    """Layers, each of which sees the maps of all before it."""

    def __init__(self, n: int, c_in: int, bn_size: int, growth_rate: int, drop_rate: float) -> None:
        super().__init__()
        for number in range(n):
            layer = _DenseLayer(c_in + number * growth_rate, growth_rate, bn_size, drop_rate)
            self.add_module(f"denselayer{number + 1}", layer)

    def forward(self, x: Any) -> Any:
        maps = [x]
        for layer in self.values():
            maps.append(layer(maps))
        return torch.cat(maps, 1)


class _Transition(nn.Sequential):
    """A 1x1 convolution, and half the size."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.norm, self.relu = nn.BatchNorm2d(c_in), nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.pool = nn.AvgPool2d(2, stride=2)


class DenseNet(nn.Module):
    """Blocks in which every layer sees the maps of all before it.

    Args:
        growth_rate: maps that a layer adds.
        block_config: layers of each block.
        num_init_features: maps of the first convolution.
        bn_size: width of the 1x1 convolutions, in units of the growth rate.
        drop_rate: of dropout after each layer.
        memory_efficient: changes nothing.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, Any] = OrderedDict(
            conv0=nn.Conv2d(3, num_init_features, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(num_init_features),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        width = num_init_features
        for number, n in enumerate(block_config, 1):
            layers[f"denseblock{number}"] = _DenseBlock(n, width, bn_size, growth_rate, drop_rate)
            width += n * growth_rate
            if number < len(block_config):
                layers[f"transition{number}"] = _Transition(width, width // 2)
                width //= 2
        layers["norm5"] = nn.BatchNorm2d(width)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.Linear):
                init.constant_(module.bias, 0)

    def forward(self, x: Any) -> Any:
        x = nn.functional.relu(self.features(x))
        return self.classifier(torch.flatten(nn.functional.adaptive_avg_pool2d(x, (1, 1)), 1))


DenseNet121_Weights = weights_of("DenseNet121", "densenet121-a639ec97.pth")
DenseNet161_Weights = weights_of("DenseNet161", "densenet161-8d451a50.pth")
DenseNet169_Weights = weights_of("DenseNet169", "densenet169-b2777c0a.pth")
DenseNet201_Weights = weights_of("DenseNet201", "densenet201-c1103571.pth")


def densenet121(weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """121 layers, 8.0 M parameters."""
    return loaded(DenseNet, DenseNet121_Weights, weights, kwargs, "densenet121")


def densenet161(weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """161 layers, 28.7 M parameters."""
    make = partial(DenseNet, 48, (6, 12, 36, 24), 96)
    return loaded(make, DenseNet161_Weights, weights, kwargs, "densenet161")


def densenet169(weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """169 layers, 14.1 M parameters."""
    make = partial(DenseNet, 32, (6, 12, 32, 32), 64)
    return loaded(make, DenseNet169_Weights, weights, kwargs, "densenet169")


def densenet201(weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """201 layers, 20.0 M parameters."""
    make = partial(DenseNet, 32, (6, 12, 48, 32), 64)
    return loaded(make, DenseNet201_Weights, weights, kwargs, "densenet201")
