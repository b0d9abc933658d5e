"""A data set of images in memory."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _check, _several
from fastnn.data import _checks


class Dataset:
    """Images with labels, all in memory.

    Args:
        images: the images, all of one size. For a network with several inputs: a tuple or a dict of arrays that all
            have the same length.
        labels: the class of each image, an integer; booleans count as 0 and 1. For a network with several outputs: a
            tuple or a dict of arrays. Other targets, such as numbers to predict or several classes at once, go to a
            loader instead: `data.Loader(images, targets)`.
        classes: the names of the classes. Default: none.
    Shape:
        - images: (N, C, H, W), usually uint8; or several arrays (N, ...)
        - labels: (N,); or several arrays (N, ...)
    Attributes:
        images: the images, as given.
        labels: the labels, int64.
        classes: the names of the classes, a tuple.
        mean: the mean of each channel over the training images, where 0 is black and 1 is full brightness; None if it
            is not known.
        std: the standard deviation of each channel, likewise.
    Raises:
        ValueError: lengths or sizes differ, or a label has no name in classes.
        TypeError: labels are not integers, or images are not numbers.
    Example:
        >>> from fastnn import data
        >>> two = data.Dataset(np.zeros((2, 3, 32, 32), np.uint8), [0, 1], ["cat", "dog"])
        >>> image, label = two[1]
        >>> image.shape, two.classes[label], len(two)
        ((3, 32, 32), 'dog', 2)
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __init__(self, images: Any, labels: Any, classes: Sequence[str] = ()) -> None:
        name = type(self).__name__
        self.images = _checks.inputs(name, images)
        n = _several.first_length(self.images) or 0
        self.labels: Any  # (N,) int64, or several arrays
        is_several = _several.is_several(labels)
        self.labels = _several_labels(name, labels, n) if is_several else _class_labels(name, labels, n)
        self.classes = _checks.names(name, "classes", classes)
        if is_several:
            return  # whose classes these are nobody knows
        if self.classes and self.labels.size and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(
                f"{name}: a label lies outside [0, {len(self.classes)}), the number of classes. "
                f"Received: labels from {self.labels.min()} to {self.labels.max()}"
            )

    def __len__(self) -> int:
        return _several.first_length(self.images) or 0

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, label = (_several.mapped(lambda part: part[index], value) for value in (self.images, self.labels))
        return image, label if _several.is_several(self.labels) else int(label)

    def subset(self, indices: ArrayLike | slice) -> Self:
        """A data set of some of the images.

        `classes`, `mean`, `std` and everything else stay those of the whole set.

        Args:
            indices: the images to take: integers, booleans (one for each image), or a slice. A slice shares memory with
                the whole set; otherwise images are copied.
        Raises:
            TypeError: indices are neither integers nor booleans.
            ValueError: indices have more than one dimension, or the number of booleans is not that of the images.
            IndexError: an index is out of range.
        Example:
            >>> from fastnn import data
            >>> train = data.Shapes32(100)
            >>> len(train.subset(slice(0, 90))), len(train.subset(train.labels == 3))
            (90, 14)
        """
        name = f"{type(self).__name__}.subset"
        part = copy.copy(self)
        if isinstance(indices, slice):
            try:
                positions = np.arange(len(self))[indices]
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name}: {error}. Received: {indices!r}") from None
            part._keep(indices, positions)
        else:
            positions = _positions(name, indices, len(self))
            part._keep(positions, positions)
        return part

    def split(self, fraction: float, seed: int = 0) -> tuple[Self, Self]:
        """Split the set in two, for training and validation. Each class is divided in the same proportion.

        From a class of two images or more, each part gets at least one. The only image of a class goes to the first
        part. Both parts keep the order of the whole set.

        Args:
            fraction: the fraction of each class that goes to the second part, between 0 and 1; rounded to whole images.
            seed: determines which images go to the second part. The same seed selects the same images on every machine.
        Returns:
            Two data sets, the first with about 1 - fraction of the images, the second with the rest.
        Raises:
            ValueError: fraction is not between 0 and 1, or no class has two images.
        Example:
            >>> from fastnn import data
            >>> train, validation = data.Shapes32(1000).split(0.2)
            >>> len(train), len(validation)
            (800, 200)
        """
        name = f"{type(self).__name__}.split"
        fraction = _check.number(name, "fraction", fraction, 0, 1)
        if not 0 < fraction < 1:
            raise ValueError(f"{name}: fraction must lie between 0 and 1. Received: {fraction}")
        if _several.is_several(self.labels):
            raise ValueError(
                f"{name}: there are labels of several kinds, and so no one class of an image: choose the two parts "
                "yourself with subset"
            )
        rng = np.random.Generator(np.random.PCG64(_check.integer(name, "seed", seed, 0)))
        in_second = np.zeros(len(self), bool)
        for label in np.unique(self.labels):
            members = rng.permutation(np.flatnonzero(self.labels == label))
            n_second = min(max(round(fraction * len(members)), 1), len(members) - 1)
            in_second[members[:n_second]] = True
        if not in_second.any():
            raise ValueError(f"{name}: no class has two images. Received: {len(self)} images")
        return self.subset(~in_second), self.subset(in_second)

    def __repr__(self) -> str:
        shapes = [" x ".join(map(str, part.shape[1:])) or "1" for _, part in _several.parts("images", self.images)]
        return f"{type(self).__name__}({len(self)} images of {', '.join(shapes)})"

    # ---- subsets -------------------------------------------------------------------------------------------
    def _keep(self, chosen: slice | NDArray[np.int64], positions: NDArray[np.int64]) -> None:
        """Keep the images that `chosen` selects, those at `positions`."""
        self.images, self.labels = (
            _several.mapped(lambda part: part[chosen], value) for value in (self.images, self.labels)
        )


def _positions(name: str, indices: ArrayLike, n: int) -> NDArray[np.int64]:
    """The integers in [0, n) that `indices` names or marks."""
    chosen = _check.array(name, "indices", indices)
    if chosen.ndim != 1:
        raise _check.fail(name, "indices must have one dimension", indices=chosen)
    if chosen.dtype == bool:
        if len(chosen) != n:
            raise ValueError(f"{name}: {len(chosen)} booleans for {n} images")
        return np.flatnonzero(chosen)
    if chosen.size and chosen.dtype.kind not in "iu":
        raise TypeError(f"{name}: indices must be integers or booleans. Received: indices.dtype={chosen.dtype}")
    if chosen.size and not -n <= chosen.min() <= chosen.max() < n:
        raise IndexError(f"{name}: an index lies outside of the {n} images. {_check.received(indices=chosen)}")
    return np.arange(n)[chosen.astype(np.int64)]


def _several_labels(name: str, value: Any, n: int) -> Any:
    """Several kinds of targets, checked and as they are: a loader casts them."""
    _checks.targets(name, value, n, np.dtype(np.float64))
    return _several.mapped(np.asarray, value)


def _class_labels(name: str, value: ArrayLike, n: int) -> NDArray[np.int64]:
    labels = _checks.targets(name, value, n, np.dtype(np.float64))
    if labels.ndim != 1 or (labels.dtype != np.int64 and labels.size):
        raise ValueError(
            f"{name}: one integer label for each image is needed; other targets go beside the images, "
            f"data.Loader(images, targets). Received: {n} images, labels.shape={labels.shape}, "
            f"labels.dtype={np.asarray(value).dtype}"
        )
    return labels.astype(np.int64, copy=False)
