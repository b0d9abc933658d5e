"""Residual networks for ImageNet.

Sources: He et al., 2016, "Deep residual learning for image recognition" (with the stride in the 3x3 convolution); Xie
et al., 2017, "Aggregated residual transformations for deep neural networks"; Zagoruyko and Komodakis, 2016, "Wide
residual networks".
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import fastnn.compat.torch as torch
from fastnn.compat.torch import nn
from fastnn.compat.torch._missing import missing
from fastnn.compat.torchvision.models._weights import init, loaded, weights_of

__all__ = [
    "ResNeXt50_32X4D_Weights",
    "ResNeXt101_32X8D_Weights",
    "ResNet",
    "ResNet18_Weights",
    "ResNet34_Weights",
    "ResNet50_Weights",
    "ResNet101_Weights",
    "ResNet152_Weights",
    "Wide_ResNet50_2_Weights",
    "Wide_ResNet101_2_Weights",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "wide_resnet50_2",
    "wide_resnet101_2",
]

Norm = Callable[..., Any]

__getattr__ = missing(__name__)


def conv3x3(in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> Any:
    """A convolution that keeps the size, but for its stride."""
    return nn.Conv2d(
        in_planes, out_planes, 3, stride=stride, padding=dilation, groups=groups, bias=False, dilation=dilation
    )


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> Any:
    """A convolution of single pixels."""
    return nn.Conv2d(in_planes, out_planes, 1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, and the input added."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Any = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock")
        self.conv1, self.bn1 = conv3x3(inplanes, planes, stride), norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv3x3(planes, planes), norm(planes)
        self.downsample, self.stride = downsample, stride

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """A 3x3 convolution of few channels between two 1x1 convolutions, and the input added."""

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Any = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64)) * groups
        self.conv1, self.bn1 = conv1x1(inplanes, width), norm(width)
        self.conv2, self.bn2 = conv3x3(width, width, stride, groups, dilation), norm(width)
        self.conv3, self.bn3 = conv1x1(width, planes * self.expansion), norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample, self.stride = downsample, stride

    def forward(self, x: Any) -> Any:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """A 7x7 convolution and max-pooling, four stages of blocks, the mean, a linear layer.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: blocks of each stage.
        zero_init_residual: let each block begin as the identity.
        groups, width_per_group: of the 3x3 convolutions in bottlenecks.
        replace_stride_with_dilation: for each stage but the first.
        norm_layer: in the place of `nn.BatchNorm2d`.
    """

    def __init__(
        self,
        block: Any,
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        dilated = replace_stride_with_dilation or (False, False, False)
        if len(dilated) != 3:
            raise ValueError(f"replace_stride_with_dilation should be None or a 3-element tuple, got {dilated}")
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = 64, 1, groups, width_per_group
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilated[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilated[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilated[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
                init.constant_(module.weight, 1)
                init.constant_(module.bias, 0)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, BasicBlock | Bottleneck):
                    last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                    init.constant_(last.weight, 0)

    def _make_layer(self, block: Any, planes: int, blocks: int, stride: int = 1, dilate: bool = False) -> Any:
        first_dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        width = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != width:
            downsample = nn.Sequential(conv1x1(self.inplanes, width, stride), self._norm_layer(width))
        common = (self.groups, self.base_width)
        made = [block(self.inplanes, planes, stride, downsample, *common, first_dilation, self._norm_layer)]
        self.inplanes = width
        for _ in range(1, blocks):
            made.append(block(width, planes, 1, None, *common, self.dilation, self._norm_layer))
        return nn.Sequential(*made)

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


ResNet18_Weights = weights_of("ResNet18", "resnet18-f37072fd.pth")
ResNet34_Weights = weights_of("ResNet34", "resnet34-b627a593.pth")
ResNet50_Weights = weights_of("ResNet50", "resnet50-0676ba61.pth", "resnet50-11ad3fa6.pth")
ResNet101_Weights = weights_of("ResNet101", "resnet101-63fe2227.pth", "resnet101-cd907fc2.pth")
ResNet152_Weights = weights_of("ResNet152", "resnet152-394f9c45.pth", "resnet152-f82ba261.pth")
ResNeXt50_32X4D_Weights = weights_of("ResNeXt50_32X4D", "resnext50_32x4d-7cdf4587.pth", "resnext50_32x4d-1a0047aa.pth")
ResNeXt101_32X8D_Weights = weights_of(
    "ResNeXt101_32X8D", "resnext101_32x8d-8ba56ff5.pth", "resnext101_32x8d-110c445d.pth"
)
Wide_ResNet50_2_Weights = weights_of("Wide_ResNet50_2", "wide_resnet50_2-95faca4d.pth", "wide_resnet50_2-9ba9bcbe.pth")
Wide_ResNet101_2_Weights = weights_of(
    "Wide_ResNet101_2", "wide_resnet101_2-32ee1156.pth", "wide_resnet101_2-d733dc28.pth"
)


def resnet18(weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """18 layers, 11.7 M parameters."""
    return loaded(partial(ResNet, BasicBlock, (2, 2, 2, 2)), ResNet18_Weights, weights, kwargs, "resnet18")


def resnet34(weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """34 layers, 21.8 M parameters."""
    return loaded(partial(ResNet, BasicBlock, (3, 4, 6, 3)), ResNet34_Weights, weights, kwargs, "resnet34")


def resnet50(weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """50 layers, 25.6 M parameters."""
    return loaded(partial(ResNet, Bottleneck, (3, 4, 6, 3)), ResNet50_Weights, weights, kwargs, "resnet50")


def resnet101(weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """101 layers, 44.5 M parameters."""
    return loaded(partial(ResNet, Bottleneck, (3, 4, 23, 3)), ResNet101_Weights, weights, kwargs, "resnet101")


def resnet152(weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """152 layers, 60.2 M parameters."""
    return loaded(partial(ResNet, Bottleneck, (3, 8, 36, 3)), ResNet152_Weights, weights, kwargs, "resnet152")


def resnext50_32x4d(weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """50 layers in 32 groups, 25.0 M parameters."""
    kwargs.setdefault("groups", 32)
    kwargs.setdefault("width_per_group", 4)
    return loaded(
        partial(ResNet, Bottleneck, (3, 4, 6, 3)), ResNeXt50_32X4D_Weights, weights, kwargs, "resnext50_32x4d"
    )


def resnext101_32x8d(weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """101 layers in 32 groups, 88.8 M parameters."""
    kwargs.setdefault("groups", 32)
    kwargs.setdefault("width_per_group", 8)
    return loaded(
        partial(ResNet, Bottleneck, (3, 4, 23, 3)), ResNeXt101_32X8D_Weights, weights, kwargs, "resnext101_32x8d"
    )


def wide_resnet50_2(weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """50 layers of twice the width, 68.9 M parameters."""
    kwargs.setdefault("width_per_group", 128)
    return loaded(
        partial(ResNet, Bottleneck, (3, 4, 6, 3)), Wide_ResNet50_2_Weights, weights, kwargs, "wide_resnet50_2"
    )


def wide_resnet101_2(weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """101 layers of twice the width, 126.9 M parameters."""
    kwargs.setdefault("width_per_group", 128)
    return loaded(
        partial(ResNet, Bottleneck, (3, 4, 23, 3)), Wide_ResNet101_2_Weights, weights, kwargs, "wide_resnet101_2"
    )
