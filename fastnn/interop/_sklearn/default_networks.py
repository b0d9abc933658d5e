"""The networks that the estimators train if they are given none."""

from collections.abc import Sequence

from fastnn import nn
from fastnn.models import Chain

__all__ = ["default_network"]

_WIDTHS = (16, 32, 64)  # channels of the stages
_SMALLEST_HALVED = 4  # pixels: a smaller image is not halved


def default_network(input_shape: tuple[int, ...], n_outputs: int, hidden_layer_sizes: Sequence[int]) -> Chain:
    """For features (n,): hidden layers with ReLU, then a linear layer. For images (C, H, W) convolutions before these.

    Convolutions are up to three stages of two 3x3 convolutions with batch norm and ReLU, each of which halves the
    image. The second and the third are left out if the image is smaller than 4 pixels there.

    Shape:
        - Input: (N, *input_shape)
        - Output: (N, n_outputs)
    """
    if len(input_shape) == 1:
        return _head(input_shape[0], n_outputs, hidden_layer_sizes)
    channels, height, width = input_shape
    layers: list[nn.Module] = []
    for stage, stage_width in enumerate(_WIDTHS):
        if stage and min(height, width) < _SMALLEST_HALVED:
            break
        for _ in range(2):
            layers += [nn.Conv2d(channels, stage_width, 3, padding=1), nn.BatchNorm2d(stage_width), nn.ReLU()]
            channels = stage_width
        if min(height, width) >= _SMALLEST_HALVED:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    features = nn.Sequential(*layers)
    return Chain(
        features=features, flatten=nn.Flatten(), head=_head(channels * height * width, n_outputs, hidden_layer_sizes)
    )


def _head(n_features: int, n_outputs: int, hidden_layer_sizes: Sequence[int]) -> Chain:
    layers: list[nn.Module] = []
    for size in hidden_layer_sizes:
        layers += [nn.Linear(n_features, size), nn.ReLU()]
        n_features = size
    return Chain(hidden=nn.Sequential(*layers), output=nn.Linear(n_features, n_outputs))
