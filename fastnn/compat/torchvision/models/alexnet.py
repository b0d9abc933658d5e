"""AlexNet.

Source: Krizhevsky, 2014, "One weird trick for parallelizing convolutional neural networks".
"""

from typing import Any

import fastnn.compat.torch as torch
from fastnn.compat.torch import nn
from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.models._weights import loaded, weights_of

__all__ = ["AlexNet", "AlexNet_Weights", "alexnet"]

__getattr__ = missing(__name__)


class AlexNet(nn.Module):
    """Five convolutions and three linear layers, 61.1 M parameters."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        layers: list[Any] = []
        c_in = 3
        for c_out, kernel, stride, padding, is_pooled in (
            (64, 11, 4, 2, True),
            (192, 5, 1, 2, True),
            (384, 3, 1, 1, False),
            (256, 3, 1, 1, False),
            (256, 3, 1, 1, True),
        ):
            layers += [nn.Conv2d(c_in, c_out, kernel, stride, padding), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(3, stride=2)] if is_pooled else []
            c_in = c_out
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Any) -> Any:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


AlexNet_Weights = weights_of("AlexNet", "alexnet-owt-7be5be79.pth")


def alexnet(weights: Any = None, progress: bool = True, **kwargs: Any) -> AlexNet:
    """AlexNet, 61.1 M parameters."""
    return loaded(AlexNet, AlexNet_Weights, weights, kwargs, "alexnet")
