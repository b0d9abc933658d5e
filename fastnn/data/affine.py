"""Augmentations that move, turn and scale images smoothly: one bilinear sampler with a map for each image."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, functional
from fastnn.data._checks import generator, interval
from fastnn.data.augment import Augmentation, checked_images, in_unit_range


class AffineAugmentation(Augmentation):
    """Sample each image along an affine map around its centre; black comes in from outside."""

    @abc.abstractmethod
    def maps(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """For each image a 2 by 3 matrix that leads from (row, column, 1) of the result to (row, column) of
        the source, both counted in pixels from the centre of the image."""

    def __call__(self, images: NDArray, rng: np.random.Generator | None = None) -> NDArray:
        images, rng = checked_images(type(self).__name__, images), generator(type(self).__name__, rng)
        maps = self.maps(len(images), rng)
        centre = (np.array(images.shape[2:]) - 1) / 2
        maps[:, :, 2] += centre - maps[:, :, :2] @ centre
        return in_unit_range(images, lambda x: functional.warp_batch(x, maps))


def _identities(n: int) -> NDArray[np.float64]:
    return np.tile(np.eye(2, 3), (n, 1, 1))


class Translate(AffineAugmentation):
    """Move each image by up to `pixels` in each direction, by fractions of pixels too.

    `RandomCrop` moves by whole pixels, which is faster and keeps the image sharp.
    """

    def __init__(self, pixels: float) -> None:
        self.pixels = _check.number("Translate", "pixels", pixels, 0, 1e6)

    def maps(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        maps = _identities(n)
        maps[:, :, 2] = rng.uniform(-self.pixels, self.pixels, (n, 2))
        return maps


class Rotate(AffineAugmentation):
    """Turn each image by a random angle about its centre.

    Args:
        degrees: the largest angle either way, or (least, largest); positive is counter-clockwise.
    Example:
        >>> from fastnn import data
        >>> image = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> data.Rotate((90, 90))(image, np.random.default_rng(0)).round(6)
        array([[[[2., 4.],
                 [1., 3.]]]])
    """

    def __init__(self, degrees: float | Sequence[float]) -> None:
        self.degrees = interval("Rotate", "degrees", degrees, 0, -360, 360)

    def maps(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        angle = np.deg2rad(rng.uniform(*self.degrees, n))
        maps = _identities(n)
        maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angle)
        # Rows grow downwards: this is the inverse of a turn that is counter-clockwise as seen.
        maps[:, 0, 1], maps[:, 1, 0] = np.sin(angle), -np.sin(angle)
        return maps


class Scale(AffineAugmentation):
    """Enlarge or shrink each image about its centre.

    Args:
        scale: 1 plus or minus this much, or (least, largest); above 1 enlarges.
    """

    def __init__(self, scale: float | Sequence[float]) -> None:
        self.scale = interval("Scale", "scale", scale, 1, 1e-3, 1e3)

    def maps(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return _identities(n) / rng.uniform(*self.scale, n)[:, None, None]
