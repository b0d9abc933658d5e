"""The small network of many a first tutorial."""

from collections.abc import Sequence

from fastnn import _check, nn
from fastnn.models._chain import Chain

__all__ = ["keras_cnn"]


def keras_cnn(num_classes: int = 10, widths: Sequence[int] = (32, 64), hidden: int = 512, size: int = 32) -> Chain:
    """Two convolutions per width, each with batch norm and ReLU, then a pool; one hidden layer. 2.17 M parameters.

    Args:
        num_classes: classes to tell apart.
        widths: channels of the pairs of convolutions; each pair ends with a pool that halves the image.
        hidden: units of the hidden layer.
        size: height and width of the images.
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
