"""Augmentations of whole batches.

An augmentation is called with images and a random generator, `augmentation(images, rng)`, and returns new images of
the same shape and dtype. Without a generator it draws from the one that `fastnn.manual_seed` seeds. Every image of
the batch gets its own random parameters.

Augmentations come before normalisation: they take floats in 0..1 or bytes in 0..255. A `Loader` does the crops, flips
and cutouts at the head of its list in one pass in C, together with gathering and normalising the batch. Used alone,
each of them works by itself.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _check, functional
from fastnn.data import _checks
from fastnn.functional.augment import per_channel


class Augmentation(abc.ABC):
    """The base class of augmentations: `augmentation(images, rng)` returns new images.

    A subclass defines `__call__`.

    Example:
        >>> import fastnn
        >>> from fastnn import data
        >>> fastnn.manual_seed(0)  # seeds the generator that is used if none is given
        >>> data.RandomHorizontalFlip()(np.arange(3, dtype=np.uint8).reshape(1, 1, 1, 3))
        array([[[[0, 1, 2]]]], dtype=uint8)
    """

    @abc.abstractmethod
    def __call__(self, images: NDArray, rng: np.random.Generator | None = None) -> NDArray:
        """Return augmented images. The given images are not changed.

        Args:
            images: the images, before normalisation.
            rng: the generator to draw from. None (default): the one that `fastnn.manual_seed` seeds.
        Shape:
            - images: (N, C, H, W), uint8 in 0..255, or float32 or float64 in 0..1
            - Output: the same shape and dtype
        """

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in vars(self).items() if not key.startswith("_"))
        return f"{type(self).__name__}({arguments})"


class Compose(Augmentation):
    """Apply several augmentations one after the other.

    Args:
        steps: the augmentations, in order.
    Raises:
        TypeError: a step is not an augmentation.
    Example:
        >>> from fastnn import data
        >>> both = data.Compose([data.RandomCrop(4), data.RandomHorizontalFlip()])
        >>> both(np.zeros((2, 3, 32, 32), np.uint8), np.random.default_rng(0)).shape
        (2, 3, 32, 32)
    """

    def __init__(self, steps: Iterable[Augmentation]) -> None:
        self.steps: list[Augmentation] = _checks.as_list(steps)
        for step in self.steps:
            # Mixings, which only a loader can apply, are known by their method: their module imports this one.
            if isinstance(step, type) or not (isinstance(step, Augmentation) or hasattr(step, "mix")):
                raise TypeError(f"Compose: steps must be augmentations. Received: {_check.shown(step)}")

    def __call__(self, images: NDArray, rng: np.random.Generator | None = None) -> NDArray:
        images, rng = checked_images("Compose", images), _checks.generator("Compose", rng)
        for step in self.steps:
            if not isinstance(step, Augmentation):
                raise TypeError(f"Compose: {step!r} does not map images to images; give it to a Loader")
            images = step(images, rng)
        return images

    def __iter__(self) -> Iterator[Augmentation]:
        return iter(self.steps)


_LARGEST = 1 << 20  # pixels: no image is larger, and sums of few such numbers fit any integer


@dataclass
class Placement:
    """How the images of one batch are cut from the data set: the arguments of one call of `functional.augment_batch`.

    Attributes:
        indices: (N,), int64, the indices of the images in the data set.
        size: (height, width) of the images in pixels.
        epoch: the number of epochs before this one.
        shifts: (N, 2), int64, the pixels by which the window of each image moves down and right; None for no move.
        flips: (N,), bool, the images that are mirrored left to right; None for none.
        boxes: (N, 4), int64, the rectangle (top, left, bottom, right) of each image that is covered; None for none.
        fill: the value in 0..1 that covers the boxes: one number, or one for each channel.
        padding_mode: what is seen beyond the edge of a moved image, 'zeros' or 'reflect'.
    """

    indices: NDArray[np.int64]
    size: tuple[int, int]
    epoch: int = 0
    shifts: NDArray[np.int64] | None = None
    flips: NDArray[np.bool_] | None = None
    boxes: NDArray[np.int64] | None = None
    fill: ArrayLike = 0.0
    padding_mode: str = "zeros"

    def apply(
        self, images: NDArray, mean: ArrayLike = 0.0, std: ArrayLike = 1.0, dtype: DTypeLike = np.float32
    ) -> NDArray:
        """Cut, augment and normalise the batch.

        Args:
            images: all images of the data set, (M, C, H, W).
            mean: the number, or the number for each channel, that is subtracted.
            std: the number, or the number for each channel, to divide by afterwards.
            dtype: the dtype of the result.
        Returns:
            The batch, (N, C, H, W).
        """
        return functional.augment_batch(
            images,
            self.indices,
            shifts=self.shifts,
            flips=self.flips,
            boxes=self.boxes,
            fill=self.fill,
            mean=mean,
            std=std,
            padding_mode=self.padding_mode,
            dtype=dtype,
        )


class PlacementAugmentation(Augmentation):
    """The base class of augmentations that only move, mirror or cover, done by a `Loader` while it gathers a batch."""

    @abc.abstractmethod
    def place(self, placement: Placement, rng: np.random.Generator) -> bool:
        """Add this augmentation to `placement`, and return True.

        Return False, and draw nothing, if it cannot follow what `placement` already holds.
        """

    def __call__(self, images: NDArray, rng: np.random.Generator | None = None) -> NDArray:
        images, rng = checked_images(type(self).__name__, images), _checks.generator(type(self).__name__, rng)
        placement = Placement(np.arange(len(images)), images.shape[2:])
        self.place(placement, rng)
        return in_unit_range(images, lambda x: placement.apply(x, dtype=x.dtype))


class RandomCrop(PlacementAugmentation):
    """Pad each image on all sides and crop it back to its own size at a random position.

    Args:
        padding: the number of pixels on each side, and so the largest move in each direction; less than the height and
            the width of the image.
        mode: how the padding is filled: 'zeros' (default), black; or 'reflect', the mirror image without the edge
            pixels themselves.
    Raises:
        ValueError: padding is negative or not less than the size of the image, or mode is another word.
    Example:
        >>> from fastnn import data
        >>> data.RandomCrop(1)(np.full((1, 1, 2, 2), 9, np.uint8), np.random.default_rng(0))
        array([[[[9, 9],
                 [0, 0]]]], dtype=uint8)

    Source: He et al., 2016, "Deep residual learning for image recognition", section 4.2.
    """

    def __init__(self, padding: int, mode: str = "zeros") -> None:
        self.padding = _check.integer("RandomCrop", "padding", padding, 0, _LARGEST)
        if not isinstance(mode, str) or mode not in ("zeros", "reflect"):
            raise ValueError(f"RandomCrop: mode must be 'zeros' or 'reflect'. Received: {_check.shown(mode)}")
        self.mode = mode

    def place(self, placement: Placement, rng: np.random.Generator) -> bool:
        if placement.shifts is not None or placement.boxes is not None:
            return False
        if self.padding >= min(placement.size):
            raise ValueError(f"RandomCrop: padding {self.padding} is not less than the image, {placement.size}")
        shifts = rng.integers(-self.padding, self.padding, (placement.indices.size, 2), np.int64, endpoint=True)
        if placement.flips is not None:  # the pass crops first: of a mirrored image the other way
            shifts[:, 1] *= np.where(placement.flips, -1, 1)
        placement.shifts, placement.padding_mode = shifts, self.mode
        return True


class RandomHorizontalFlip(PlacementAugmentation):
    """Mirror each image left to right with probability p.

    Args:
        p: the probability, in [0, 1]. Default 0.5.
    Raises:
        ValueError: p is outside [0, 1].
    Example:
        >>> from fastnn import data
        >>> data.RandomHorizontalFlip(p=1)(np.array([[[[1.0, 2.0, 3.0]]]]))
        array([[[[3., 2., 1.]]]])
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = _check.number("RandomHorizontalFlip", "p", p, 0, 1)

    def place(self, placement: Placement, rng: np.random.Generator) -> bool:
        return add_flips(placement, lambda: rng.random(placement.indices.size) < self.p)


class AlternatingFlip(PlacementAugmentation):
    """Mirror a random half of the data set in even epochs, and the other half in odd epochs.

    In any two consecutive epochs the network sees every image both ways. With independent flips that holds for only
    half of the images. Outside of a `Loader`, image i of a batch counts as image i of the data set in epoch 0.

    Args:
        seed: an integer >= 0 that determines which half is mirrored first. Default 0.
    Raises:
        ValueError: seed is negative.
    Example:
        >>> from fastnn import data
        >>> images = np.tile(np.array([0.0, 1.0]), (4, 1, 1, 1))
        >>> data.AlternatingFlip(seed=0)(images)[:, 0, 0]  # the third image is mirrored
        array([[0., 1.],
               [0., 1.],
               [1., 0.],
               [0., 1.]])

    Source: Jordan, 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", section 3.6.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = _check.integer("AlternatingFlip", "seed", seed, 0)

    def place(self, placement: Placement, rng: np.random.Generator) -> bool:
        mirrored = (_mixed_bits(placement.indices, self.seed) & np.uint64(1)).astype(bool)
        return add_flips(placement, lambda: mirrored ^ bool(placement.epoch % 2))


class Cutout(PlacementAugmentation):
    """Cover a square of each image. Its centre is a random pixel of the image, so part of the square may lie outside.

    Args:
        size: the side of the square in pixels, >= 0.
        fill: the value of the covered pixels in 0..1: one number, or one for each channel. Default 0.5. The paper uses
            the mean of the data set (`data.CIFAR10.mean` for CIFAR-10), which normalisation turns into 0.
    Raises:
        ValueError: size is negative, or fill is neither one number nor one for each channel.
    Example:
        >>> from fastnn import data
        >>> data.Cutout(1, fill=0)(np.ones((1, 1, 2, 2)), np.random.default_rng(0))
        array([[[[1., 1.],
                 [1., 0.]]]])

    Source: DeVries and Taylor, 2017, "Improved regularization of convolutional neural networks with cutout".
    """

    def __init__(self, size: int, fill: float | Sequence[float] = 0.5) -> None:
        self.size = _check.integer("Cutout", "size", size, 0, _LARGEST)
        per_channel("Cutout", "fill", fill, _check.array("Cutout", "fill", fill).size)
        self.fill = fill

    def place(self, placement: Placement, rng: np.random.Generator) -> bool:
        if placement.boxes is not None:
            return False
        n, (h, w) = placement.indices.size, placement.size
        top = rng.integers(0, h, n) - self.size // 2
        left = rng.integers(0, w, n) - self.size // 2
        placement.boxes = np.stack([top, left, top + self.size, left + self.size], axis=1)
        placement.fill = self.fill
        return True


def add_flips(placement: Placement, draw: Callable[[], NDArray[np.bool_]]) -> bool:
    """Add the flips that `draw()` returns to `placement`, unless something is covered there. Return whether it did."""
    if placement.boxes is not None:
        return False
    flips = draw()
    placement.flips = flips if placement.flips is None else placement.flips ^ flips
    return True


def _mixed_bits(indices: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """64 random-looking bits for each index: SplitMix64's output function (Steele, Lea and Flood, 2014)."""
    z = (indices.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z += np.random.SeedSequence(seed).generate_state(1, np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


# ---- shared by all augmentations ---------------------------------------------------------------------------
def checked_images(name: str, images: ArrayLike) -> NDArray:
    """`images` as an (N, C, H, W) array of bytes or floats.

    Raises:
        TypeError: images are not numbers of such a dtype.
        ValueError: images do not have four dimensions.
    """
    images = _check.array(name, "images", images)
    if images.ndim != 4:
        hint = "; one image is images[None]" if images.ndim == 3 else ""
        raise _check.fail(name, f"images has {images.ndim} dimensions, (N, C, H, W) is needed{hint}", images=images)
    return _checks.normalisable(name, images)


def in_unit_range(images: NDArray, function: Callable[[NDArray], NDArray]) -> NDArray:
    """Apply `function` to the images as floats in 0..1. Bytes are converted before it, and rounded back after it."""
    if images.dtype != np.uint8:
        return function(images)
    result = function(images.astype(np.float32) / np.float32(255))
    return np.rint(np.clip(result, 0, 1) * np.float32(255)).astype(np.uint8)
