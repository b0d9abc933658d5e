"""The residual network for 32x32 images."""

from collections.abc import Sequence

from fastnn import _check, nn
from fastnn.models._chain import Chain

__all__ = ["resnet20"]


def _block(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """Two 3x3 convolutions around which the input is added; a 1x1 convolution where shapes differ (option B)."""
    body = Chain(
        conv1=nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False),
        bn1=nn.BatchNorm2d(c_out),
        relu=nn.ReLU(),
        conv2=nn.Conv2d(c_out, c_out, 3, padding=1, bias=False),
        bn2=nn.BatchNorm2d(c_out),
    )
    shortcut = None
    if stride != 1 or c_in != c_out:
        shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False), nn.BatchNorm2d(c_out))
    return Chain(residual=nn.Residual(body, shortcut), relu=nn.ReLU())


def resnet20(num_classes: int = 10, widths: Sequence[int] = (16, 32, 64), blocks: int = 3) -> Chain:
    """ResNet-20: a convolution, three stages of three residual blocks, and a linear layer. 0.27 million parameters.

    Args:
        num_classes: the number of classes. Default 10.
        widths: the number of channels of each stage. Each stage but the first halves the image. Default (16, 32, 64).
        blocks: the number of residual blocks in a stage. 3 (default), 5, 7 and 9 give the networks of 20, 32, 44 and 56
            layers of the paper.
    Shape:
        - Input: (N, 3, H, W)
        - Output: (N, num_classes)
    Raises:
        ValueError: a number is not positive.
        TypeError: an argument has the wrong type.
    Example:
        >>> from fastnn import models
        >>> sum(p.size for p in models.resnet20().parameters())
        272474

    Source: He et al., 2016, "Deep residual learning for image recognition", section 4.2, with shortcuts of option B;
    weights initialised as there (He et al., 2015, normal, by fan-out).
    """
    num_classes = _check.integer("resnet20", "num_classes", num_classes, 1)
    widths = _check.integers("resnet20", "widths", widths, 1)
    blocks = _check.integer("resnet20", "blocks", blocks, 1, 10_000)
    stages: dict[str, nn.Module] = {}
    c_in = widths[0]
    for stage, width in enumerate(widths):
        layers = []
        for index in range(blocks):
            layers.append(_block(c_in, width, stride=2 if stage and not index else 1))
            c_in = width
        stages[f"stage{stage + 1}"] = nn.Sequential(*layers)
    model = Chain(
        conv=nn.Conv2d(3, widths[0], 3, padding=1, bias=False),
        bn=nn.BatchNorm2d(widths[0]),
        relu=nn.ReLU(),
        **stages,
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        classifier=nn.Linear(c_in, num_classes),
    )
    return model.apply(_init_weights)


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
