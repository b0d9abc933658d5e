"""Published networks, written once with PyTorch's names, for PyTorch and for `fastnn.compat.torch`.

They are as in their papers, with random weights. `fastnn bench --suite networks` times them on both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["NETWORKS", "Network", "make"]


@dataclass(frozen=True)
class Network:
    """What a network takes, and how it is timed.

    Attributes:
        name: its name, for tables and for `make`.
        shape: the shape of one image.
        classes: the number of classes of its labels.
        training: the number of images in a training step.
        inference: the number of images in an inference step.
        labels: the shape of the labels of one image; () for one label.
    """

    name: str
    shape: tuple[int, ...]
    classes: int
    training: int
    inference: int = 1
    labels: tuple[int, ...] = ()


NETWORKS = (
    Network("MLP", (3072,), 10, 128),
    Network("LeNet-5", (1, 32, 32), 10, 64),
    Network("AlexNet", (3, 224, 224), 1000, 16),
    Network("VGG-16", (3, 224, 224), 1000, 2),
    Network("ResNet-18", (3, 224, 224), 1000, 8),
    Network("ResNet-20", (3, 32, 32), 10, 64),
    Network("ResNet-50", (3, 224, 224), 1000, 4),
    Network("DenseNet-121", (3, 224, 224), 1000, 4),
    Network("MobileNetV2", (3, 224, 224), 1000, 8),
    Network("EfficientNet-B0", (3, 224, 224), 1000, 4),
    Network("ConvNeXt-T", (3, 224, 224), 1000, 4),
    Network("U-Net", (3, 128, 128), 2, 4, labels=(128, 128)),
    Network("ViT-Ti", (3, 224, 224), 1000, 8),
)


def make(torch: Any, name: str) -> Any:
    """Make the network of this name from the layers of `torch`.

    Args:
        torch: the module PyTorch, or `fastnn.compat.torch`.
        name: the name of the network.
    Raises:
        ValueError: there is no network of that name.
    Example:
        >>> import fastnn.compat.torch as torch
        >>> sum(p.numel() for p in make(torch, "MobileNetV2").parameters())
        3504872
    """
    makers = {**_plain(torch), **_residual(torch), **_efficient(torch), **_attention(torch)}
    if name not in makers:
        raise ValueError(f"make: there is no network {name!r}; choose from {', '.join(makers)}")
    return makers[name]()


def _plain(torch: Any) -> dict[str, Callable[[], Any]]:
    """Chains of layers, and U-Net.

    Source: LeCun et al., 1998; Krizhevsky, 2014, "One weird trick"; Simonyan and Zisserman, 2014; Ronneberger et al.,
    2015, with padding and 64 to 512 channels.
    """
    nn = torch.nn

    def mlp() -> Any:
        return nn.Sequential(nn.Linear(3072, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))

    def lenet() -> Any:
        return nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
        )  # fmt: skip

    def alexnet() -> Any:
        def convolution(*arguments: int) -> list[Any]:
            return [nn.Conv2d(*arguments), nn.ReLU(inplace=True)]

        return nn.Sequential(
            *convolution(3, 64, 11, 4, 2), nn.MaxPool2d(3, 2), *convolution(64, 192, 5, 1, 2), nn.MaxPool2d(3, 2),
            *convolution(192, 384, 3, 1, 1), *convolution(384, 256, 3, 1, 1), *convolution(256, 256, 3, 1, 1),
            nn.MaxPool2d(3, 2), nn.Flatten(), nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(inplace=True),
            nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Linear(4096, 1000),
        )  # fmt: skip

    def vgg() -> Any:
        layers, c_in = [], 3
        for c_out, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(count):
                layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(inplace=True)]
                c_in = c_out
            layers.append(nn.MaxPool2d(2))
        return nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(25088, 4096), nn.ReLU(inplace=True), nn.Dropout(),
            nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4096, 1000),
        )  # fmt: skip

    def double(c_in: int, c_out: int) -> Any:
        layers = []
        for channels in (c_in, c_out):
            layers += [
                nn.Conv2d(channels, c_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(c_out),
                nn.ReLU(inplace=True),
            ]
        return nn.Sequential(*layers)

    class UNet(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            widths = (64, 128, 256, 512)
            self.down = nn.ModuleList(double(a, b) for a, b in zip((3, *widths), widths, strict=False))
            pairs = tuple(zip(widths[:0:-1], widths[-2::-1], strict=True))
            self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairs)
            self.join = nn.ModuleList(double(a, b) for a, b in pairs)
            self.pool, self.last = nn.MaxPool2d(2), nn.Conv2d(64, 2, 1)

        def forward(self, x: Any) -> Any:
            kept: list[Any] = []
            for block in self.down:
                x = block(self.pool(x) if kept else x)
                kept.append(x)
            for up, join, other in zip(self.up, self.join, kept[-2::-1], strict=True):
                x = join(torch.cat([other, up(x)], dim=1))
            return self.last(x)

    return {"MLP": mlp, "LeNet-5": lenet, "AlexNet": alexnet, "VGG-16": vgg, "U-Net": UNet}


def _residual(torch: Any) -> dict[str, Callable[[], Any]]:
    """Networks of residual and dense blocks.

    Source: He et al., 2015, the stride of a bottleneck in its 3x3; Huang et al., 2016.
    """
    nn = torch.nn

    def convolution(c_in: int, c_out: int, kernel: int, stride: int = 1) -> list[Any]:
        return [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(c_out)]

    class Block(nn.Module):  # type: ignore[name-defined]
        def __init__(self, c_in: int, width: int, stride: int, bottleneck: bool) -> None:
            super().__init__()
            c_out = 4 * width if bottleneck else width
            relu = nn.ReLU(inplace=True)
            if bottleneck:
                layers = [*convolution(c_in, width, 1), relu, *convolution(width, width, 3, stride), relu]
                layers += convolution(width, c_out, 1)
            else:
                layers = [*convolution(c_in, width, 3, stride), relu, *convolution(width, width, 3)]
            self.body, self.relu = nn.Sequential(*layers), relu
            same = stride == 1 and c_in == c_out
            self.shortcut = nn.Identity() if same else nn.Sequential(*convolution(c_in, c_out, 1, stride))

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.shortcut(x))

    def stages(c_in: int, widths: tuple[int, ...], counts: tuple[int, ...], bottleneck: bool) -> list[Any]:
        blocks = []
        for stage, (width, count) in enumerate(zip(widths, counts, strict=True)):
            for number in range(count):
                blocks.append(Block(c_in, width, 2 if stage and not number else 1, bottleneck))
                c_in = 4 * width if bottleneck else width
        return [*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()]

    def resnet(counts: tuple[int, ...], bottleneck: bool) -> Any:
        stem = [*convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        blocks = stages(64, (64, 128, 256, 512), counts, bottleneck)
        return nn.Sequential(*stem, *blocks, nn.Linear(2048 if bottleneck else 512, 1000))

    def resnet20() -> Any:
        blocks = stages(16, (16, 32, 64), (3, 3, 3), False)
        return nn.Sequential(*convolution(3, 16, 3), nn.ReLU(inplace=True), *blocks, nn.Linear(64, 10))

    class Dense(nn.Module):  # type: ignore[name-defined]
        def __init__(self, c_in: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.BatchNorm2d(c_in), nn.ReLU(inplace=True), nn.Conv2d(c_in, 128, 1, bias=False),
                nn.BatchNorm2d(128), nn.ReLU(inplace=True), nn.Conv2d(128, 32, 3, padding=1, bias=False),
            )  # fmt: skip

        def forward(self, x: Any) -> Any:
            return torch.cat([x, self.body(x)], 1)

    def densenet() -> Any:
        layers, channels = [*convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], 64
        for count in (6, 12, 24, 16):
            for _ in range(count):
                layers.append(Dense(channels))
                channels += 32
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            if count != 16:
                layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
                channels //= 2
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))

    return {
        "ResNet-18": lambda: resnet((2, 2, 2, 2), False),
        "ResNet-20": resnet20,
        "ResNet-50": lambda: resnet((3, 4, 6, 3), True),
        "DenseNet-121": densenet,
    }


def _efficient(torch: Any) -> dict[str, Callable[[], Any]]:
    """Networks of depthwise convolutions.

    Source: Sandler et al., 2018; Tan and Le, 2019; Liu et al., 2022.
    """
    nn = torch.nn

    def convolution(c_in: int, c_out: int, kernel: int, stride: int, groups: int, activation: Any) -> list[Any]:
        layer = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        return [layer, nn.BatchNorm2d(c_out), *([] if activation is None else [activation(inplace=True)])]

    class Squeeze(nn.Module):  # type: ignore[name-defined]
        def __init__(self, channels: int, squeezed: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, squeezed, 1), nn.SiLU(), nn.Conv2d(squeezed, channels, 1),
                nn.Sigmoid(),
            )  # fmt: skip

        def forward(self, x: Any) -> Any:
            return x * self.body(x)

    class Inverted(nn.Module):  # type: ignore[name-defined]
        def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, times: int, activation: Any) -> None:
            super().__init__()
            width, squeezes = c_in * times, activation is nn.SiLU
            layers = [] if times == 1 else convolution(c_in, width, 1, 1, 1, activation)
            layers += convolution(width, width, kernel, stride, width, activation)
            layers += [Squeeze(width, c_in // 4)] if squeezes else []
            self.body = nn.Sequential(*layers, *convolution(width, c_out, 1, 1, 1, None))
            self.adds = stride == 1 and c_in == c_out

        def forward(self, x: Any) -> Any:
            return x + self.body(x) if self.adds else self.body(x)

    def inverted(stages: tuple[tuple[int, ...], ...], activation: Any) -> Any:
        layers, c_in = convolution(3, 32, 3, 2, 1, activation), 32
        for times, c_out, count, stride, kernel in stages:
            for number in range(count):
                layers.append(Inverted(c_in, c_out, kernel, 1 if number else stride, times, activation))
                c_in = c_out
        layers += [*convolution(c_in, 1280, 1, 1, 1, activation), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(1280, 1000))

    def mobilenet() -> Any:
        stages = (
            (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3), (6, 160, 3, 2, 3),
            (6, 320, 1, 1, 3),
        )  # fmt: skip
        return inverted(stages, nn.ReLU6)

    def efficientnet() -> Any:
        stages = (
            (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
            (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
        )  # fmt: skip
        return inverted(stages, nn.SiLU)

    class ChannelNorm(nn.Module):  # type: ignore[name-defined]
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(channels, eps=1e-6)

        def forward(self, x: Any) -> Any:
            return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    class Next(nn.Module):  # type: ignore[name-defined]
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
            self.body = nn.Sequential(
                nn.LayerNorm(channels, eps=1e-6), nn.Linear(channels, 4 * channels), nn.GELU(),
                nn.Linear(4 * channels, channels),
            )  # fmt: skip
            self.scale = nn.Parameter(torch.full((channels,), 1e-6))

        def forward(self, x: Any) -> Any:
            y = self.scale * self.body(self.depthwise(x).permute(0, 2, 3, 1))
            return x + y.permute(0, 3, 1, 2)

    def convnext() -> Any:
        layers, c_in = [nn.Conv2d(3, 96, 4, 4), ChannelNorm(96)], 96
        for channels, count in ((96, 3), (192, 3), (384, 9), (768, 3)):
            if channels != c_in:
                layers += [ChannelNorm(c_in), nn.Conv2d(c_in, channels, 2, 2)]
                c_in = channels
            layers += [Next(channels) for _ in range(count)]
        return nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(768, eps=1e-6), nn.Linear(768, 1000)
        )

    return {"MobileNetV2": mobilenet, "EfficientNet-B0": efficientnet, "ConvNeXt-T": convnext}


def _attention(torch: Any) -> dict[str, Callable[[], Any]]:
    """A vision transformer.

    Source: Dosovitskiy et al., 2020; of the width of Touvron et al., 2020.
    """
    nn = torch.nn
    width, heads, tokens = 192, 3, 197

    class Attention(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            n = x.shape[0]
            q, k, v = self.qkv(x).reshape(n, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            y = nn.functional.scaled_dot_product_attention(q, k, v)
            return self.out(y.transpose(1, 2).reshape(n, tokens, width))

    class Encoder(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.Sequential(nn.LayerNorm(width, eps=1e-6), Attention())
            self.mlp = nn.Sequential(
                nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(x)
            return x + self.mlp(x)

    class ViT(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, width, 16, 16)
            self.token = nn.Parameter(torch.zeros(1, 1, width))
            self.position = nn.Parameter(0.02 * torch.randn(1, tokens, width))
            self.blocks = nn.Sequential(*(Encoder() for _ in range(12)))
            self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 1000)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
            return self.head(self.norm(self.blocks(x))[:, 0])

    return {"ViT-Ti": ViT}
