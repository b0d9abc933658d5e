"""A synthetic data set of 32 x 32 colour images that needs no download."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn.data.dataset import Dataset

_SIZE = 32
_MOST = 10_000_000  # 31 GB
_BLOCK = 256  # images drawn together from one stream: their planes stay in the cache

Plane = NDArray[Any]  # float32

# What each class looks like: a function of coordinates (u, v) in the shape's own frame, where it reaches to
# about 1. It is positive inside, zero on the outline, and grows about as fast as the distance from it.
_SHAPES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "disc": lambda u, v: 0.9 - _length(u, v),
    "ring": lambda u, v: 0.22 - abs(_length(u, v) - 0.75),
    "square": lambda u, v: 0.8 - np.maximum(abs(u), abs(v)),
    "frame": lambda u, v: 0.2 - abs(np.maximum(abs(u), abs(v)) - 0.65),
    "triangle": lambda u, v: 0.55 - np.maximum(-v, v * 0.5 + abs(u) * 0.866),
    "cross": lambda u, v: np.minimum(0.28 - np.minimum(abs(u), abs(v)), 1 - np.maximum(abs(u), abs(v))),
    "half disc": lambda u, v: np.minimum(1 - _length(u, v), v + 0.1),
    "stripes": lambda u, v: np.minimum(0.18 - abs(abs(u) - 0.62), 0.9 - abs(v)),
    "checker": lambda u, v: np.minimum(np.minimum(abs(u), abs(v)) * np.sign(u * v), 0.9 - np.maximum(abs(u), abs(v))),
    "two discs": lambda u, v: 0.42 - _length(abs(u) - 0.56, v),
}


def _length(u: Plane, v: Plane) -> Plane:
    return np.sqrt(u * u + v * v)


class Shapes32(Dataset):
    """Ten kinds of shapes at random positions, sizes, angles and colours, on uneven, noisy backgrounds.

    Position and colour say nothing about the class. A linear model stays below 25 % accuracy; a small convolutional
    network passes 90 % in a few epochs. The images are computed with operations that IEEE arithmetic defines exactly,
    so a seed gives the same bytes on every machine. The first images of a larger set are those of a smaller one.

    Args:
        n: the number of images. Default: 10,000 for training and 2,000 for testing.
        seed: an integer >= 0 that determines the images. Default 0.
        train: True (default) for training images, False for test images, which are drawn independently.
    Shape:
        - images: (n, 3, 32, 32), uint8
        - labels: (n,), int64 in [0, 10)
    Raises:
        ValueError: n or seed is negative.
    Example:
        >>> from fastnn import data
        >>> shapes = data.Shapes32(1000, seed=0)
        >>> shapes.images.shape, shapes.classes[:3]
        ((1000, 3, 32, 32), ('disc', 'ring', 'square'))
    """

    names = tuple(_SHAPES)
    mean = (0.45, 0.45, 0.45)
    std = (0.158, 0.158, 0.158)

    def __init__(self, n: int | None = None, seed: int = 0, train: bool = True) -> None:
        n = (10_000 if train else 2_000) if n is None else _check.integer("Shapes32", "n", n, 0, _MOST)
        train = _check.boolean("Shapes32", "train", train)
        seed = _check.integer("Shapes32", "seed", seed, 0)
        images = np.empty((n, 3, _SIZE, _SIZE), np.uint8)
        labels = np.empty(n, np.int64)
        for block, begin in enumerate(range(0, n, _BLOCK)):
            end = min(n, begin + _BLOCK)
            stream = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(int(train), block)))
            drawn_images, drawn_labels = _draw(stream)
            images[begin:end] = drawn_images[: end - begin]
            labels[begin:end] = drawn_labels[: end - begin]
        super().__init__(images, labels, self.names)


def _draw(stream: np.random.PCG64) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One block of images and labels.

    Only the raw bits of the generator are used, whose sequence NumPy promises, and only +, -, *, /, sqrt and
    comparisons: sine, exponential and normal numbers may differ between machines in the last bit.
    """

    def uniform(low: float, high: float, *shape: int) -> Plane:
        bits = stream.random_raw(_BLOCK * math.prod(shape)).reshape(_BLOCK, *shape)
        return ((bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24) * np.float32(high - low)) + np.float32(
            low
        )

    labels = (stream.random_raw(_BLOCK) >> np.uint64(32)).astype(np.int64) % len(_SHAPES)
    radius = uniform(7, 13, 1, 1)
    centre_y, centre_x = (uniform(0, 1, 1, 1) * (31 - 1.8 * radius) + 0.9 * radius for _ in range(2))
    # An angle of up to 44 degrees either way, by the rational parametrisation of the circle.
    t = uniform(-0.4, 0.4, 1, 1)
    cosine, sine = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)

    position = np.arange(_SIZE, dtype=np.float32)
    y, x = position[:, None] - centre_y, position - centre_x
    u, v = (x * cosine + y * sine) / radius, (y * cosine - x * sine) / radius
    coverage = np.empty((_BLOCK, _SIZE, _SIZE), np.float32)
    for label, shape in enumerate(_SHAPES.values()):
        chosen = labels == label
        # Antialiased: a pixel that the outline halves is half covered.
        coverage[chosen] = np.clip(shape(u[chosen], v[chosen]) * radius[chosen] + np.float32(0.5), 0, 1)

    # The ground varies linearly across the image; three shapes in four are lighter than it, the others
    # darker.
    ground = uniform(60, 160, 3, 1, 1) + uniform(-1.6, 1.6, 3, 1, 1) * (position[:, None] - 15.5)
    ground = ground + uniform(-1.6, 1.6, 3, 1, 1) * (position - 15.5)
    contrast = uniform(15, 90, 3, 1, 1) * np.where(uniform(0, 1, 1, 1, 1) < 0.25, np.float32(-1), np.float32(1))
    image = ground + contrast * coverage[:, None]
    noise = stream.random_raw(_BLOCK * 3 * _SIZE * _SIZE // 8).astype("<u8").view(np.int8)
    amplitude = uniform(0, 0.25, 1, 1, 1)
    image += noise.reshape(image.shape) * amplitude
    return np.clip(image + np.float32(0.5), 0, 255).astype(np.uint8), labels
