"""VGG-A for 32x32 images, with the classifier of Fudan's course on neural networks."""

from collections.abc import Sequence

from fastnn import _check, nn
from fastnn.models._chain import Chain

__all__ = ["vgg_a", "vgg_a_bn", "vgg_a_light", "vgg_a_light_bn"]

_STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))
_LIGHT_STAGES = ((16,), (32,))


def _vgg(
    name: str, num_classes: int, stages: Sequence[Sequence[int]], hidden: int, batch_norm: bool, pixels: int = 1
) -> Chain:
    """`name`: of the function that was called; `pixels`: how many the last stage leaves."""
    num_classes = _check.integer(name, "num_classes", num_classes, 1)
    hidden = _check.integer(name, "hidden", hidden, 1)
    if not isinstance(stages, list | tuple) or not stages:
        raise TypeError(f"{name}: stages must be a list of lists of channels. Received: {_check.shown(stages)}")
    stages = [_check.integers(name, "stages", stage, 1) for stage in stages]
    layers: list[nn.Module] = []
    c_in = 3
    for stage in stages:
        for width in stage:
            layers.append(nn.Conv2d(c_in, width, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU())
            c_in = width
        layers.append(nn.MaxPool2d(2))
    classifier = nn.Sequential(
        nn.Linear(c_in * pixels, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, num_classes),
    )
    return Chain(features=nn.Sequential(*layers), flatten=nn.Flatten(), classifier=classifier)


def _init_weights(module: nn.Module) -> None:
    """The course's initialisation: Xavier's normal distribution, biases zero."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def vgg_a(num_classes: int = 10, stages: Sequence[Sequence[int]] = _STAGES, hidden: int = 512) -> Chain:
    """VGG-A: eight 3x3 convolutions in five stages, a pool after each, and three linear layers. 9,750,922 parameters.

    Weights are initialised with Xavier's normal distribution, biases with 0.

    Args:
        num_classes: the number of classes. Default 10.
        stages: the channels of the convolutions, a list for each stage. Each stage halves the image, and the last must
            leave one pixel.
        hidden: the number of units of the two hidden layers. Default 512.
    Shape:
        - Input: (N, 3, 32, 32) for five stages
        - Output: (N, num_classes)
    Raises:
        TypeError: stages is not a list of lists of integers.
        ValueError: a number is not positive.
    Example:
        >>> from fastnn import models
        >>> sum(p.size for p in models.vgg_a().parameters())
        9750922

    Source: Simonyan and Zisserman, 2015, "Very deep convolutional networks for large-scale image recognition",
    configuration A, with the classifier of Fudan's course on neural networks.
    """
    return _vgg("vgg_a", num_classes, stages, hidden, batch_norm=False).apply(_init_weights)


def vgg_a_bn(num_classes: int = 10, stages: Sequence[Sequence[int]] = _STAGES, hidden: int = 512) -> Chain:
    """`vgg_a` with batch norm between each convolution and its ReLU. 9,756,426 parameters.

    Args:
        num_classes: the number of classes. Default 10.
        stages: the channels of the convolutions, a sequence for each stage. Each stage halves the image, and the last
            must leave one pixel.
        hidden: the number of units of the two hidden layers. Default 512.
    Shape:
        - Input: (N, 3, 32, 32) for five stages
        - Output: (N, num_classes)
    Raises:
        ValueError: a number is not positive.
        TypeError: an argument has the wrong type.
    Example:
        >>> from fastnn import models
        >>> sum(p.size for p in models.vgg_a_bn().parameters())
        9756426

    Source: the batch norm exercise of Fudan's course; Ioffe and Szegedy, 2015, "Batch normalization".
    """
    return _vgg("vgg_a_bn", num_classes, stages, hidden, batch_norm=True).apply(_init_weights)


def vgg_a_light(num_classes: int = 10, hidden: int = 128) -> Chain:
    """A small relative of `vgg_a`: two 3x3 convolutions, a pool after each, three linear layers. 285,162 parameters.

    Its weights have the default initialisation of their layers.

    Args:
        num_classes: the number of classes. Default 10.
        hidden: the number of units of the two hidden layers. Default 128.
    Shape:
        - Input: (N, 3, 32, 32)
        - Output: (N, num_classes)
    Raises:
        ValueError: a number is not positive.
        TypeError: an argument has the wrong type.
    Example:
        >>> from fastnn import models
        >>> sum(p.size for p in models.vgg_a_light().parameters())
        285162

    Source: the small network of the batch norm exercise of Fudan's course.
    """
    return _vgg("vgg_a_light", num_classes, _LIGHT_STAGES, hidden, batch_norm=False, pixels=64)


def vgg_a_light_bn(num_classes: int = 10, hidden: int = 128) -> Chain:
    """`vgg_a_light` with batch norm between each convolution and its ReLU. 285,258 parameters.

    Args:
        num_classes: the number of classes. Default 10.
        hidden: the number of units of the two hidden layers. Default 128.
    Shape:
        - Input: (N, 3, 32, 32)
        - Output: (N, num_classes)
    Raises:
        ValueError: a number is not positive.
        TypeError: an argument has the wrong type.
    Example:
        >>> from fastnn import models
        >>> sum(p.size for p in models.vgg_a_light_bn().parameters())
        285258

    Source: the small network of Fudan's course, which has no batch norm, with batch norm added as in `vgg_a_bn`.
    """
    return _vgg("vgg_a_light_bn", num_classes, _LIGHT_STAGES, hidden, batch_norm=True, pixels=64)
