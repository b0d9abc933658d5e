"""Affine augmentations: translation, rotation and scaling of images by bilinear sampling."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, functional
from fastnn.data._checks import generator, interval
from fastnn.data.augment import Augmentation, checked_images, in_unit_range


class AffineAugmentation(Augmentation):
    """Sample each image through its own affine map about its centre. Pixels from outside the image are black."""

    @abc.abstractmethod
    def maps(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """The affine maps of a batch, an (n, 2, 3) array.

        Each maps (row, column, 1) of the new image to (row, column) of the source. Both are counted in pixels from the
        centre of the image.

        Args:
            n: the number of images.
            rng: the generator to draw from.
        """

    def __call__(self, images: NDArray, rng: np.random.Generator | None = None) -> NDArray:
        images, rng = checked_images(type(self).__name__, images), generator(type(self).__name__, rng)
        maps = self.maps(len(images), rng)
        centre = (np.array(images.shape[2:]) - 1) / 2
        maps[:, :, 2] += centre - maps[:, :, :2] @ centre
        return in_unit_range(images, lambda x: functional.warp_batch(x, maps))


def _identities(n: int) -> NDArray[np.float64]:
    return np.tile(np.eye(2, 3), (n, 1, 1))


class Translate(AffineAugmentation):
    """Translate each image by a random distance in each direction, fractions of a pixel included.

    What comes in from outside is black. `RandomCrop` moves by whole pixels, which is faster and keeps the image sharp.

    Args:
        pixels: the largest distance in pixels, in each direction; >= 0.
    Raises:
        ValueError: pixels is outside [0, 1e6].
    Example:
        >>> from fastnn import data
        >>> data.Translate(2.5)(np.ones((4, 3, 32, 32), np.float32), np.random.default_rng(0)).shape
        (4, 3, 32, 32)
    """

    def __init__(self, pixels: float) -> None:
        self.pixels = _check.number("Translate", "pixels", pixels, 0, 1e6)

    def maps(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        maps = _identities(n)
        maps[:, :, 2] = rng.uniform(-self.pixels, self.pixels, (n, 2))
        return maps


class Rotate(AffineAugmentation):
    """Rotate each image by a random angle about its centre. What comes in from outside is black.

    Args:
        degrees: the largest angle in degrees, in both directions; or (least, largest), in [-360, 360]. Positive angles
            are counter-clockwise.
    Raises:
        ValueError: an angle is outside the range, or least > largest.
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
    """Scale each image by a random factor about its centre. What comes in from outside is black.

    Args:
        scale: the factor lies in [1 - scale, 1 + scale]; or in [least, largest] for a pair (least, largest) of factors
            from 0.001 to 1000. A factor above 1 enlarges.
    Raises:
        ValueError: a factor is outside the range, or least > largest.
    Example:
        >>> from fastnn import data
        >>> data.Scale((0.8, 1.2))(np.ones((4, 3, 32, 32), np.float32), np.random.default_rng(0)).shape
        (4, 3, 32, 32)
    """

    def __init__(self, scale: float | Sequence[float]) -> None:
        self.scale = interval("Scale", "scale", scale, 1, 1e-3, 1e3)

    def maps(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return _identities(n) / rng.uniform(*self.scale, n)[:, None, None]
