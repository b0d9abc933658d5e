"""Augmentations of colour and brightness, as defined by torchvision's ColorJitter and GaussianNoise."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastnn import _check
from fastnn.data._checks import generator, interval
from fastnn.data.augment import Augmentation, checked_images, in_unit_range

_GREY = (0.299, 0.587, 0.114)  # weights of red, green, blue in a pixel's brightness (ITU-R BT.601)


class ColourAugmentation(Augmentation):
    """The base class of augmentations that change each image by one random number. Results are clipped to 0..1."""

    least_channels = 1

    @abc.abstractmethod
    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw one random number for each of n images, an (n,) array."""

    @abc.abstractmethod
    def change(self, x: NDArray, factor: NDArray) -> NDArray:
        """Change the images.

        Args:
            x: the images in 0..1, (N, C, H, W).
            factor: the random number of each image, (N, 1, 1, 1).
        """

    def __call__(self, images: NDArray, rng: np.random.Generator | None = None) -> NDArray:
        images, rng = checked_images(type(self).__name__, images), generator(type(self).__name__, rng)
        if images.shape[1] not in (self.least_channels, 3):
            raise _check.fail(type(self).__name__, "colour images of 3 channels are needed", images=images)
        factor = self.draw(len(images), rng)[:, None, None, None]

        def changed(x: NDArray) -> NDArray:
            return np.clip(self.change(x, factor.astype(x.dtype)), 0, 1)

        return in_unit_range(images, changed)


class _Blend(ColourAugmentation):
    """Mixtures of an image with a degenerate one, `factor` parts of the image to 1 - factor of the other."""

    def __init__(self, amount: float | Sequence[float]) -> None:
        self.amount = interval(type(self).__name__, "amount", amount, 1, 0, 1e3)

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return rng.uniform(*self.amount, n)


class Brightness(_Blend):
    """Multiply each image by a random factor. Results are clipped to the range of the images.

    Args:
        amount: the factor lies in [max(0, 1 - amount), 1 + amount]; or in [least, largest] for a pair (least, largest).
    Raises:
        ValueError: amount is negative, or least > largest.
    Example:
        >>> from fastnn import data
        >>> data.Brightness((2, 2))(np.array([[[[0.25, 0.75]]]]), np.random.default_rng(0))
        array([[[[0.5, 1. ]]]])

    Source: torchvision's ColorJitter.
    """

    def change(self, x: NDArray, factor: NDArray) -> NDArray:
        return x * factor


class Contrast(_Blend):
    """Change the contrast of each image: x becomes mean + factor * (x - mean), with its mean brightness.

    Args:
        amount: the factor lies in [max(0, 1 - amount), 1 + amount]; or in [least, largest] for a pair (least, largest).
            A factor of 0 gives a uniformly grey image.
    Raises:
        ValueError: amount is negative, or least > largest.
    Example:
        >>> from fastnn import data
        >>> data.Contrast((0.5, 0.5))(np.array([[[[0.25, 0.75]]]]), np.random.default_rng(0))
        array([[[[0.375, 0.625]]]])

    Source: torchvision's ColorJitter.
    """

    def change(self, x: NDArray, factor: NDArray) -> NDArray:
        mean = _brightness(x).mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64).astype(x.dtype)
        return mean + factor * (x - mean)


class Saturation(_Blend):
    """Change the saturation of each image: x becomes grey + factor * (x - grey).

    grey is the brightness of the pixel, 0.299 R + 0.587 G + 0.114 B. Images must have three channels.

    Args:
        amount: the factor lies in [max(0, 1 - amount), 1 + amount]; or in [least, largest] for a pair (least, largest).
            A factor of 0 gives a grey image.
    Raises:
        ValueError: amount is negative, or least > largest; or, when it is called, the images do not have 3 channels.
    Example:
        >>> from fastnn import data
        >>> pixel = np.array([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
        >>> data.Saturation((0, 0))(pixel, np.random.default_rng(0)).ravel().round(3)
        array([0.299, 0.299, 0.299])

    Source: torchvision's ColorJitter.
    """

    least_channels = 3

    def change(self, x: NDArray, factor: NDArray) -> NDArray:
        grey = _brightness(x)
        return grey + factor * (x - grey)


class Hue(ColourAugmentation):
    """Shift the hue of each image, that is, rotate its colours around the colour circle.

    Images must have three channels (red, green, blue).

    Args:
        amount: the largest shift in both directions as a fraction of the circle, at most 0.5; or (least, largest), each
            in [-0.5, 0.5].
    Raises:
        ValueError: a shift is outside the range, or least > largest; or, when it is called, the images do not have 3
            channels.
    Example:
        >>> from fastnn import data
        >>> red = np.array([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
        >>> data.Hue((0.5, 0.5))(red, np.random.default_rng(0)).ravel()
        array([0., 1., 1.])

    Source: torchvision's ColorJitter.
    """

    least_channels = 3

    def __init__(self, amount: float | Sequence[float]) -> None:
        self.amount = interval("Hue", "amount", amount, 0, -0.5, 0.5)

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return rng.uniform(*self.amount, n)

    def change(self, x: NDArray, factor: NDArray) -> NDArray:
        red, green, blue = x[:, 0], x[:, 1], x[:, 2]
        value, least = x.max(axis=1), x.min(axis=1)
        chroma = value - least
        safe = np.where(chroma > 0, chroma, 1)
        # The sixth of the circle in which the colour lies, counted from red.
        sextant = np.where(
            value == red,
            (green - blue) / safe,
            np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
        )
        sextant = sextant + 6 * factor[:, 0]
        out = np.empty_like(x)
        for channel, start in enumerate((5, 3, 1)):
            # Along the circle a channel rises, stays, falls and stays (Smith, 1978, "Color gamut transform
            # pairs").
            k = (start + sextant) % 6
            out[:, channel] = value - chroma * np.clip(np.minimum(k, 4 - k), 0, 1)
        return out


class GaussianNoise(Augmentation):
    """Add independent normal noise to each value. Results are clipped to the range of the images.

    Args:
        sigma: the standard deviation of the noise for images in 0..1; for bytes it is multiplied by 255. Default 0.1.
    Raises:
        ValueError: sigma is outside [0, 1000].
    Example:
        >>> from fastnn import data
        >>> noisy = data.GaussianNoise(0.1)(np.full((1, 1, 100, 100), 0.5), np.random.default_rng(0))
        >>> noisy.std().round(2).item()
        0.1

    Source: torchvision's GaussianNoise.
    """

    def __init__(self, sigma: float = 0.1) -> None:
        self.sigma = _check.number("GaussianNoise", "sigma", sigma, 0, 1e3)

    def __call__(self, images: NDArray, rng: np.random.Generator | None = None) -> NDArray:
        images, rng = checked_images("GaussianNoise", images), generator("GaussianNoise", rng)

        def noisy(x: NDArray) -> NDArray:
            noise = rng.standard_normal(x.shape, np.float32)
            return np.clip(x + x.dtype.type(self.sigma) * noise, 0, 1)

        return in_unit_range(images, noisy)


def _brightness(x: NDArray) -> NDArray:
    """(N, 1, H, W): how bright each pixel is."""
    if x.shape[1] == 1:
        return x
    red, green, blue = (x.dtype.type(weight) for weight in _GREY)
    return (red * x[:, 0] + green * x[:, 1] + blue * x[:, 2])[:, None]
