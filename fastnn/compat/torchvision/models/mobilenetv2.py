"""MobileNetV2.

Source: Sandler et al., 2018, "MobileNetV2: Inverted residuals and linear bottlenecks".
"""

from collections.abc import Callable, Sequence
from typing import Any

import fastnn.compat.torch as torch
from fastnn.compat.torch import nn
from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.models._weights import init, loaded, weights_of

__all__ = ["MobileNetV2", "MobileNet_V2_Weights", "mobilenet_v2"]

Norm = Callable[..., Any]

__getattr__ = missing(__name__)

# Expansion, channels, blocks, stride of the first of these.
_SETTING = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


def _convolution(c_in: int, c_out: int, kernel: int, stride: int, groups: int, norm: Norm) -> Any:
    padding = (kernel - 1) // 2
    layer = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=padding, groups=groups, bias=False)
    return nn.Sequential(layer, norm(c_out), nn.ReLU6(inplace=True))


def _divisible(value: float, divisor: int) -> int:
    """The nearest multiple, but not less than nine tenths of the value."""
    nearest = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest


class InvertedResidual(nn.Module):
    """A 1x1 convolution to more channels, a depthwise 3x3, a 1x1 to few; and the input added where shapes agree."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int, norm_layer: Norm | None = None) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm = norm_layer or nn.BatchNorm2d
        hidden = round(inp * expand_ratio)
        layers = [] if expand_ratio == 1 else [_convolution(inp, hidden, 1, 1, 1, norm)]
        layers += [_convolution(hidden, hidden, 3, stride, hidden, norm)]
        layers += [nn.Conv2d(hidden, oup, 1, bias=False), norm(oup)]
        self.conv = nn.Sequential(*layers)
        self.stride, self.out_channels = stride, oup
        self.use_res_connect = stride == 1 and inp == oup

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """3.5 M parameters.

    Args:
        width_mult: factor of all widths.
        inverted_residual_setting: for each stage its expansion, channels, blocks and stride.
        round_nearest: what widths are multiples of.
        block, norm_layer: in the place of `InvertedResidual` and `nn.BatchNorm2d`.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., Any] | None = None,
        norm_layer: Norm | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        make, norm = block or InvertedResidual, norm_layer or nn.BatchNorm2d
        width = _divisible(32 * width_mult, round_nearest)
        self.last_channel = _divisible(1280 * max(1.0, width_mult), round_nearest)
        layers = [_convolution(3, width, 3, 2, 1, norm)]
        for expansion, channels, n, stride in inverted_residual_setting or _SETTING:
            c_out = _divisible(channels * width_mult, round_nearest)
            for number in range(n):
                layers.append(make(width, c_out, 1 if number else stride, expand_ratio=expansion, norm_layer=norm))
                width = c_out
        layers.append(_convolution(width, self.last_channel, 1, 1, 1, norm))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                init.normal_(module.weight, 0, 0.01)
                init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


MobileNet_V2_Weights = weights_of("MobileNet_V2", "mobilenet_v2-b0353104.pth", "mobilenet_v2-7ebf99e0.pth")


def mobilenet_v2(weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV2:
    """MobileNetV2, 3.5 M parameters."""
    return loaded(MobileNetV2, MobileNet_V2_Weights, weights, kwargs, "mobilenet_v2")
