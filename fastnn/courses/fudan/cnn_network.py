"""Fudan, project 2: the network of one's own."""

from collections.abc import Callable

from fastnn import nn
from fastnn.models import Chain

__all__ = ["count_parameters", "network"]


def network(
    filters: int = 16,
    activation: Callable[[], nn.Module] = nn.ReLU,
    dropout: float = 0.25,
    batch_norm: bool = True,
    residual: bool = True,
) -> Chain:
    """Seven convolutions, four of them in two residual blocks, and two fully connected layers, for 32x32 images.

    Args:
        filters: of the first convolution; the next ones have twice and four times as many.
        activation: makes a layer.
        dropout: probability, before the last layer.
        batch_norm: after each convolution, which then has no bias.
        residual: add the input of a block to its result.
    Shape:
        - Input: (N, 3, 32, 32)
        - Output: (N, 10)
    """

    def conv(c_in: int, c_out: int) -> nn.Conv2d:
        return nn.Conv2d(c_in, c_out, 3, padding=1, bias=not batch_norm)

    def norm(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if batch_norm else nn.Identity()

    def block(channels: int) -> nn.Module:
        body = nn.Sequential(
            conv(channels, channels), norm(channels), activation(), conv(channels, channels), norm(channels)
        )
        return nn.Residual(body) if residual else body

    small, middle, large = filters, 2 * filters, 4 * filters
    return Chain(
        conv1=conv(3, small), norm1=norm(small), act1=activation(), pool1=nn.MaxPool2d(2),
        conv2=conv(small, middle), norm2=norm(middle), act2=activation(), pool2=nn.MaxPool2d(2),
        block1=block(middle), act3=activation(),
        conv3=conv(middle, large), norm3=norm(large), act4=activation(), pool3=nn.MaxPool2d(2),
        block2=block(large), act5=activation(),
        flatten=nn.Flatten(), fc1=nn.Linear(16 * large, 128), act6=activation(), dropout=nn.Dropout(dropout),
        fc2=nn.Linear(128, 10),
    )  # fmt: skip


def count_parameters(filters: int) -> int:
    """Of `network(filters)`, by hand: all convolutions, two numbers for each normalised channel, the two layers."""
    f = filters
    convolutions = 9 * (3 * f + f * 2 * f + 2 * (2 * f) ** 2 + 2 * f * 4 * f + 2 * (4 * f) ** 2)
    norms = 2 * (f + 2 * f + 2 * 2 * f + 4 * f + 2 * 4 * f)
    fully_connected = (4 * f * 4 * 4) * 128 + 128 + 128 * 10 + 10
    return convolutions + norms + fully_connected
