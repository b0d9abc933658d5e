"""SqueezeNet.

Source: Iandola et al., 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size".
"""

from functools import partial
from typing import Any

import fastnn.compat.torch as torch
from fastnn.compat.torch import nn
from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.models._weights import init, loaded, weights_of

__all__ = ["SqueezeNet", "SqueezeNet1_0_Weights", "SqueezeNet1_1_Weights", "squeezenet1_0", "squeezenet1_1"]

__getattr__ = missing(__name__)


class Fire(nn.Module):
    """A 1x1 convolution to few channels, and of these a 1x1 and a 3x3 convolution beside each other."""

    def __init__(self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze, self.squeeze_activation = nn.Conv2d(inplanes, squeeze_planes, 1), nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        x = self.squeeze_activation(self.squeeze(x))
        both = [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))]
        return torch.cat(both, 1)


# Widths of the squeezing convolutions; each expands to eight times as many, and 0 is max-pooling.
_PLANS = {
    "1_0": (96, 7, (0, 16, 16, 32, 0, 32, 48, 48, 64, 0, 64)),
    "1_1": (64, 3, (0, 16, 16, 0, 32, 32, 0, 48, 48, 64, 64)),
}


class SqueezeNet(nn.Module):
    """Of version "1_0" (1.25 M parameters) or "1_1" (1.24 M, and a third of the work)."""

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        if version not in _PLANS:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        self.num_classes = num_classes
        width, kernel, squeezes = _PLANS[version]
        layers: list[Any] = [nn.Conv2d(3, width, kernel, stride=2), nn.ReLU(inplace=True)]
        for squeeze in squeezes:
            if squeeze:
                layers.append(Fire(width, squeeze, 4 * squeeze, 4 * squeeze))
                width = 8 * squeeze
            else:
                layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(512, num_classes, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is last:
                    init.normal_(module.weight, mean=0.0, std=0.01)
                else:
                    init.kaiming_uniform_(module.weight)
                init.constant_(module.bias, 0)

    def forward(self, x: Any) -> Any:
        return torch.flatten(self.classifier(self.features(x)), 1)


SqueezeNet1_0_Weights = weights_of("SqueezeNet1_0", "squeezenet1_0-b66bff10.pth")
SqueezeNet1_1_Weights = weights_of("SqueezeNet1_1", "squeezenet1_1-b8a52dc0.pth")


def squeezenet1_0(weights: Any = None, progress: bool = True, **kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.0."""
    return loaded(partial(SqueezeNet, "1_0"), SqueezeNet1_0_Weights, weights, kwargs, "squeezenet1_0")


def squeezenet1_1(weights: Any = None, progress: bool = True, **kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.1."""
    return loaded(partial(SqueezeNet, "1_1"), SqueezeNet1_1_Weights, weights, kwargs, "squeezenet1_1")
