"""VGG.

Source: Simonyan and Zisserman, 2015, "Very deep convolutional networks for large-scale image recognition".
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import fastnn.compat.torch as torch
from fastnn.compat.torch import nn
from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.models._weights import init, loaded, weights_of

__all__ = [
    "VGG",
    "VGG11_BN_Weights",
    "VGG11_Weights",
    "VGG13_BN_Weights",
    "VGG13_Weights",
    "VGG16_BN_Weights",
    "VGG16_Weights",
    "VGG19_BN_Weights",
    "VGG19_Weights",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

__getattr__ = missing(__name__)


class VGG(nn.Module):
    """Convolutions, and three linear layers on 7x7 pixels."""

    def __init__(self, features: Any, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                    init.constant_(module.bias, 0)
                elif isinstance(module, nn.Linear):
                    init.normal_(module.weight, 0, 0.01)
                    init.constant_(module.bias, 0)

    def forward(self, x: Any) -> Any:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def make_layers(cfg: Sequence[int | str], batch_norm: bool = False) -> Any:
    """3x3 convolutions of so many channels, and "M" for max-pooling."""
    layers: list[Any] = []
    c_in: Any = 3
    part: Any
    for part in cfg:
        if part == "M":
            layers.append(nn.MaxPool2d(2, stride=2))
            continue
        layers.append(nn.Conv2d(c_in, part, 3, padding=1))
        layers += [nn.BatchNorm2d(part), nn.ReLU(True)] if batch_norm else [nn.ReLU(True)]
        c_in = part
    return nn.Sequential(*layers)


def _plan(*blocks: int) -> list[int | str]:
    """So many convolutions in each of five blocks."""
    widths = (64, 128, 256, 512, 512)
    plan: list[int | str] = []
    for width, n in zip(widths, blocks, strict=True):
        plan += [*[width] * n, "M"]
    return plan


cfgs = {"A": _plan(1, 1, 2, 2, 2), "B": _plan(2, 2, 2, 2, 2), "D": _plan(2, 2, 3, 3, 3), "E": _plan(2, 2, 4, 4, 4)}


def _vgg(cfg: str, batch_norm: bool, **options: Any) -> VGG:
    return VGG(make_layers(cfgs[cfg], batch_norm), **options)


VGG11_Weights = weights_of("VGG11", "vgg11-8a719046.pth")
VGG11_BN_Weights = weights_of("VGG11_BN", "vgg11_bn-6002323d.pth")
VGG13_Weights = weights_of("VGG13", "vgg13-19584684.pth")
VGG13_BN_Weights = weights_of("VGG13_BN", "vgg13_bn-abd245e5.pth")
VGG16_Weights = weights_of("VGG16", "vgg16-397923af.pth")
VGG16_BN_Weights = weights_of("VGG16_BN", "vgg16_bn-6c64b313.pth")
VGG19_Weights = weights_of("VGG19", "vgg19-dcbb9e9d.pth")
VGG19_BN_Weights = weights_of("VGG19_BN", "vgg19_bn-c79401a0.pth")


def vgg11(weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """11 layers."""
    return loaded(partial(_vgg, "A", False), VGG11_Weights, weights, kwargs, "vgg11")


def vgg11_bn(weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """11 layers with batch normalisation."""
    return loaded(partial(_vgg, "A", True), VGG11_BN_Weights, weights, kwargs, "vgg11_bn")


def vgg13(weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """13 layers."""
    return loaded(partial(_vgg, "B", False), VGG13_Weights, weights, kwargs, "vgg13")


def vgg13_bn(weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """13 layers with batch normalisation."""
    return loaded(partial(_vgg, "B", True), VGG13_BN_Weights, weights, kwargs, "vgg13_bn")


def vgg16(weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """16 layers."""
    return loaded(partial(_vgg, "D", False), VGG16_Weights, weights, kwargs, "vgg16")


def vgg16_bn(weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """16 layers with batch normalisation."""
    return loaded(partial(_vgg, "D", True), VGG16_BN_Weights, weights, kwargs, "vgg16_bn")


def vgg19(weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """19 layers."""
    return loaded(partial(_vgg, "E", False), VGG19_Weights, weights, kwargs, "vgg19")


def vgg19_bn(weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """19 layers with batch normalisation."""
    return loaded(partial(_vgg, "E", True), VGG19_BN_Weights, weights, kwargs, "vgg19_bn")
