"""Augmentations that mix images and their labels: `mixing(images, labels, rng)` returns mixed ones."""

from __future__ import annotations

import abc

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check
from fastnn.data import _checks
from fastnn.data.augment import checked_images, in_unit_range

MOST_CLASSES = 1 << 20


class Mixing(abc.ABC):
    """The base class of mixings: each image of a batch is mixed with another, and the labels in the same proportion.

    Args:
        alpha: the parameter of the distribution Beta(alpha, alpha) from which the weight of the first image is drawn,
            once for each batch. 1 (default) is the uniform distribution; smaller values leave images nearly unmixed.
    Raises:
        ValueError: alpha is not in [1e-6, 1e6].
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = _check.number(type(self).__name__, "alpha", alpha, 1e-6, 1e6)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha})"

    def __call__(
        self,
        images: NDArray,
        labels: ArrayLike,
        rng: np.random.Generator | None = None,
        num_classes: int | None = None,
    ) -> tuple[NDArray, NDArray]:
        """Return mixed images, and their labels as probabilities of the classes.

        Args:
            images: the images, before normalisation.
            labels: the class of each image, or its probabilities of the classes.
            rng: the generator to draw from. None (default): the one that `fastnn.manual_seed` seeds.
            num_classes: the number of classes; needed if labels are integers.
        Shape:
            - images: (N, C, H, W), uint8, float32 or float64
            - labels: (N,) integers, or (N, classes) probabilities
            - Output: images like those given; (N, classes) probabilities, float32 or of the dtype of those given
        Raises:
            ValueError: there is not one label for each image, or num_classes is missing.
        """
        name = type(self).__name__
        images, rng = checked_images(name, images), _checks.generator(name, rng)
        labels = _check.array(name, "labels", labels)
        if labels.ndim not in (1, 2) or len(labels) != len(images):
            raise _check.fail(name, "one label for each image is needed", images=images, labels=labels)
        probabilities = one_hot(labels, num_classes) if labels.ndim == 1 else _check.floats(name, "labels", labels)
        part = rng.beta(self.alpha, self.alpha)
        partner = rng.permutation(len(images))
        mixed, part = self.mix(images, partner, part, rng)
        first = probabilities.dtype.type(part)
        return mixed, first * probabilities + (1 - first) * probabilities[partner]

    @abc.abstractmethod
    def mix(
        self, images: NDArray, partner: NDArray[np.int64], part: float, rng: np.random.Generator
    ) -> tuple[NDArray, float]:
        """Mix each image with its partner.

        Args:
            images: the images, (N, C, H, W).
            partner: (N,), the index of the image with which each is mixed.
            part: the weight of the first image, in [0, 1].
            rng: the generator to draw from.
        Returns:
            The mixed images, and the weight that the first image actually has in them.
        """


class MixUp(Mixing):
    """Replace each image by the weighted mean of itself and another image of the batch.

    x = part * x[i] + (1 - part) * x[j]

    part is drawn from Beta(alpha, alpha), once for each batch. The labels are mixed in the same way.

    Args:
        alpha: the parameter of the Beta distribution. 1 (default) is uniform; smaller values mix less.
    Raises:
        ValueError: alpha is not in [1e-6, 1e6].
    Example:
        >>> from fastnn import data
        >>> images, rng = np.zeros((4, 3, 32, 32), np.float32), np.random.default_rng(0)
        >>> mixed, probabilities = data.MixUp(0.2)(images, [0, 1, 2, 1], rng, num_classes=3)
        >>> probabilities.shape, bool(np.allclose(probabilities.sum(axis=1), 1))
        ((4, 3), True)

    Source: Zhang et al., 2018, "mixup: Beyond empirical risk minimization".
    """

    def mix(
        self, images: NDArray, partner: NDArray[np.int64], part: float, rng: np.random.Generator
    ) -> tuple[NDArray, float]:
        def blended(x: NDArray) -> NDArray:
            first = x.dtype.type(part)
            return first * x + (1 - first) * x[partner]

        return in_unit_range(images, blended), part


class CutMix(Mixing):
    """Replace a random rectangle of each image by that of another image of the batch.

    The labels are mixed in proportion to the areas. The rectangle has an area of about 1 - part, with part drawn from
    Beta(alpha, alpha); it is the same for all images of a batch.

    Args:
        alpha: the parameter of the Beta distribution. 1 (default) is uniform; smaller values mix less.
    Raises:
        ValueError: alpha is not in [1e-6, 1e6].
    Example:
        >>> from fastnn import data
        >>> images, rng = np.zeros((4, 3, 32, 32), np.float32), np.random.default_rng(0)
        >>> mixed, probabilities = data.CutMix()(images, [0, 1, 2, 1], rng, num_classes=3)
        >>> mixed.shape, probabilities.shape
        ((4, 3, 32, 32), (4, 3))

    Source: Yun et al., 2019, "CutMix: Regularization strategy to train strong classifiers with localizable
    features".
    """

    def mix(
        self, images: NDArray, partner: NDArray[np.int64], part: float, rng: np.random.Generator
    ) -> tuple[NDArray, float]:
        h, w = images.shape[2:]
        side = np.sqrt(1 - part)
        centre_y, centre_x = rng.integers(0, max(h, 1)), rng.integers(0, max(w, 1))
        half_h, half_w = int(h * side) / 2, int(w * side) / 2
        top, bottom = max(0, int(centre_y - half_h)), min(h, int(centre_y + half_h))
        left, right = max(0, int(centre_x - half_w)), min(w, int(centre_x + half_w))
        mixed = images.copy("K")
        mixed[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
        return mixed, 1 - (bottom - top) * (right - left) / max(h * w, 1)


def one_hot(labels: ArrayLike, num_classes: int | None) -> NDArray[np.float32]:
    """Integer labels (N,) as probabilities (N, num_classes), float32: 1 for the class, 0 for the others."""
    labels = _check.array("one_hot", "labels", labels)
    if num_classes is None:
        raise ValueError("one_hot: num_classes is needed with integer labels")
    num_classes = _check.integer("one_hot", "num_classes", num_classes, 1, MOST_CLASSES)
    if labels.ndim != 1:
        raise _check.fail("one_hot", "labels must have shape (N,)", labels=labels)
    if labels.size and (labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(f"one_hot: labels must be integers in [0, {num_classes}). {_check.received(labels=labels)}")
    probabilities = np.zeros((labels.size, num_classes), np.float32)
    probabilities[np.arange(labels.size), labels.astype(np.int64)] = 1
    return probabilities
