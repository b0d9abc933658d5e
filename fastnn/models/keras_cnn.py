"""The small convolutional network of many first tutorials."""

from collections.abc import Sequence

from fastnn import _check, nn
from fastnn.models._chain import Chain

__all__ = ["keras_cnn"]


def keras_cnn(num_classes: int = 10, widths: Sequence[int] = (32, 64), hidden: int = 512, size: int = 32) -> Chain:
    """Pairs of 3x3 convolutions, each with batch norm and ReLU, then a pool; one hidden layer. 2.17 million parameters.

    Args:
        num_classes: the number of classes. Default 10.
        widths: the number of channels of each pair of convolutions. Each pair ends with a pool that halves the image.
            Default (32, 64).
        hidden: the number of units of the hidden layer. Default 512.
        size: the height and width of the images in pixels. Default 32.
    Shape:
        - Input: (N, 3, size, size)
        - Output: (N, num_classes)
    Raises:
        ValueError: the pools leave no pixel, or a size is not positive.
    Example:
        >>> from fastnn import models
        >>> sum(p.size for p in models.keras_cnn().parameters())
        2168746

    Source: the CIFAR-10 example of Keras, with batch norm in place of its dropout.
    """
    num_classes = _check.integer("keras_cnn", "num_classes", num_classes, 1)
    widths = _check.integers("keras_cnn", "widths", widths, 1)
    hidden = _check.integer("keras_cnn", "hidden", hidden, 1)
    size = _check.integer("keras_cnn", "size", size, 1)
    if size >> len(widths) < 1:
        raise ValueError(f"keras_cnn: {len(widths)} pools leave nothing of size={size}; give fewer widths")
    layers: list[nn.Module] = []
    c_in = 3
    for width in widths:
        for _ in range(2):
            layers += [nn.Conv2d(c_in, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            c_in = width
        layers.append(nn.MaxPool2d(2))
    features = c_in * (size >> len(widths)) ** 2
    return Chain(
        features=nn.Sequential(*layers),
        flatten=nn.Flatten(),
        classifier=nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, num_classes)),
    )
