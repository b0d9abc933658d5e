"""Networks for images: those that the training recipes use, and a function that makes them by name."""

from collections.abc import Callable
from typing import Any

from fastnn import _check, nn
from fastnn.models._chain import Chain
from fastnn.models._observe import observe
from fastnn.models.airbench import Airbench, Scale, airbench, airbench94, whitening_filters
from fastnn.models.keras_cnn import keras_cnn
from fastnn.models.resnet import resnet20
from fastnn.models.summary import LayerSummary, Summary, summarize
from fastnn.models.vgg import vgg_a, vgg_a_bn, vgg_a_light, vgg_a_light_bn

__all__ = [
    "Airbench",
    "Chain",
    "LayerSummary",
    "Scale",
    "Summary",
    "airbench",
    "airbench94",
    "create",
    "keras_cnn",
    "names",
    "observe",
    "resnet20",
    "summarize",
    "vgg_a",
    "vgg_a_bn",
    "vgg_a_light",
    "vgg_a_light_bn",
    "whitening_filters",
]

_MODELS: dict[str, Callable[..., nn.Module]] = {
    "airbench": airbench,
    "airbench94": airbench94,
    "keras_cnn": keras_cnn,
    "resnet20": resnet20,
    "vgg_a": vgg_a,
    "vgg_a_bn": vgg_a_bn,
    "vgg_a_light": vgg_a_light,
    "vgg_a_light_bn": vgg_a_light_bn,
}


def names() -> list[str]:
    """The names of the networks that `create` makes.

    Example:
        >>> from fastnn import models
        >>> models.names()
        ['airbench', 'airbench94', 'keras_cnn', 'resnet20', 'vgg_a', 'vgg_a_bn', 'vgg_a_light', 'vgg_a_light_bn']
    """
    return sorted(_MODELS)


def create(name: str, **kwargs: Any) -> nn.Module:
    """Make the network of this name, with new random weights.

    Args:
        name: one of `names()`.
        **kwargs: arguments for the function of that name, for example `num_classes`.
    Raises:
        ValueError: there is no network of that name, or an argument is out of its range.
        TypeError: an argument has the wrong type.
    Example:
        >>> import numpy as np
        >>> from fastnn import models
        >>> models.create("resnet20", num_classes=100)(np.zeros((1, 3, 32, 32), np.float32)).shape
        (1, 100)
    """
    if not isinstance(name, str) or name not in _MODELS:
        raise ValueError(f"create: there is no model {_check.shown(name)}; choose from {', '.join(names())}")
    return _MODELS[name](**kwargs)
