"""Where batches come from: one array of images or features, or several beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _layout
from fastnn.data import _checks, mixing
from fastnn.data.augment import Augmentation, Placement, PlacementAugmentation

__all__ = ["Images", "Plain", "Source", "augmented_parts"]


class Source:
    """An array, of which batches are taken."""

    def batch(self, indices: NDArray[np.int64], epoch: int, rng: np.random.Generator) -> NDArray:
        """The entries at `indices`, as a network gets them."""
        raise NotImplementedError


class Plain(Source):
    """Numbers that are not normalised."""

    def __init__(self, array: NDArray) -> None:
        self.array = array

    def batch(self, indices: NDArray[np.int64], epoch: int, rng: np.random.Generator) -> NDArray:
        return self.array[indices]


class Images(Source):
    """Images (M, C, H, W) that are augmented and normalised, or features (M, C, ...) that are normalised.

    Args:
        array: the images or features, uint8, float32 or float64.
        mean, std: the numbers, or the numbers for each channel, for normalisation.
        dtype: the dtype of the batches.
        steps: the augmentations, for images only.
    """

    def __init__(
        self, array: NDArray, mean: NDArray, std: NDArray, dtype: np.dtype[Any], steps: Sequence[Augmentation] = ()
    ) -> None:
        self.array, self.mean, self.std, self.dtype, self.steps = array, mean, std, dtype, list(steps)

    def batch(self, indices: NDArray[np.int64], epoch: int, rng: np.random.Generator) -> NDArray:
        return self.mixed(indices, epoch, rng, None, (), None)[0]

    def mixed(
        self,
        indices: NDArray[np.int64],
        epoch: int,
        rng: np.random.Generator,
        labels: Any,
        mixings: Sequence[mixing.Mixing],
        num_classes: int | None,
    ) -> tuple[NDArray, Any]:
        """A batch and its labels, mixed with each other."""
        if self.array.ndim != 4:
            return self._features(indices), labels
        placement = Placement(indices, self.array.shape[2:], epoch)
        steps = list(self.steps)
        while steps and isinstance(steps[0], PlacementAugmentation) and steps[0].place(placement, rng):
            steps.pop(0)
        if not steps and not mixings:
            return placement.apply(self.array, self.mean, self.std, self.dtype), labels
        x = placement.apply(self.array, dtype=self.dtype)
        for step in steps:
            x = step(x, rng)
        for mixture in mixings:
            x, labels = mixture(x, labels, rng, num_classes)
        return self._normalised(x), labels

    def _normalised(self, x: NDArray) -> NDArray:
        """(x - mean) / std of a batch that is the loader's own, pixel-major."""
        pixels = _layout.pixels(x)
        pixels -= self.mean.astype(x.dtype)
        pixels /= self.std.astype(x.dtype)
        return _layout.images(pixels)

    def _features(self, indices: NDArray[np.int64]) -> NDArray:
        x = self.array[indices].astype(np.float64 if self.array.dtype == np.uint8 else self.dtype, copy=False)
        if self.array.dtype == np.uint8:
            x /= 255
        per_channel = (-1,) + (1,) * (x.ndim - 2)
        x -= self.mean.astype(x.dtype).reshape(per_channel)
        x /= self.std.astype(x.dtype).reshape(per_channel)
        return x.astype(self.dtype, copy=False)


def augmented_parts(images: Any, chosen: Any, wanted: bool) -> list[Any]:
    """Positions or names of the parts that augmentations act on.

    Args:
        images: a tuple or a dict of arrays.
        chosen: positions or names, one or a list, or None for the only part of images.
        wanted: whether there are augmentations.
    Raises:
        ValueError, TypeError: there is no such part, it holds no images, or it is not clear which is meant.
    """
    keys = list(images) if isinstance(images, dict) else list(range(len(images)))
    of_images = [key for key in keys if images[key].ndim == 4]
    if chosen is None:
        if wanted and len(of_images) != 1:
            found = f"parts {of_images} are images" if of_images else "no part has the shape of images"
            raise ValueError(
                "Loader: augmentation acts on images (M, C, H, W) only: say on which parts by augment_parts, as "
                f"augment_parts={keys[:1]}. Received: {found}"
            )
        return of_images if wanted else []
    if not wanted:
        raise ValueError(f"Loader: augment_parts needs augment. Received: augment_parts={_check.shown(chosen)}")
    names = _checks.as_list(chosen)
    for name in names:
        if isinstance(name, bool) or name not in keys:
            raise ValueError(f"Loader: augment_parts must be of {keys}. Received: {_check.shown(chosen)}")
        if name not in of_images:
            raise _check.fail("Loader", f"only images (M, C, H, W) can be augmented, part {name!r} holds none",
                              images=images[name])  # fmt: skip
    return names
