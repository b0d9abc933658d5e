"""A set of images in memory."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.functional import _check


class Dataset:
    """Images with labels, all in memory.

    Args:
        images: the images.
        labels: an integer for each.
        classes: the names of the classes, if they have any.
    Shape:
        - images: (N, C, H, W), usually uint8; labels: (N,)
    Attributes:
        images, labels (int64), classes: as given.
        mean, std: of each channel over the training images in units of 0..1, if they are known; else None.
    Raises:
        ValueError: lengths differ, or a label has no class.
    Example:
        >>> from fastnn import data
        >>> two = data.Dataset(np.zeros((2, 3, 32, 32), np.uint8), [0, 1], ["cat", "dog"])
        >>> image, label = two[1]
        >>> image.shape, two.classes[label], len(two)
        ((3, 32, 32), 'dog', 2)
    """

    mean: ClassVar[tuple[float, ...] | None] = None
    std: ClassVar[tuple[float, ...] | None] = None

    def __init__(self, images: NDArray[Any], labels: ArrayLike, classes: Sequence[str] = ()) -> None:
        labels = np.asarray(labels)
        if labels.shape != (len(images),) or (labels.dtype.kind not in "iu" and labels.size):
            raise ValueError(
                f"{type(self).__name__}: one integer label for each image is needed. "
                f"{_check.received(images=images, labels=labels)}, labels.dtype={labels.dtype}"
            )
        self.images = images
        self.labels: NDArray[np.int64] = labels.astype(np.int64)
        self.classes = tuple(classes)
        if self.classes and labels.size and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise ValueError(f"{type(self).__name__}: a label lies outside [0, {len(self.classes)})")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], int]:
        return self.images[index], int(self.labels[index])

    def subset(self, indices: ArrayLike | slice) -> "Dataset":
        """The images that `indices` (integers, booleans or a slice) select; a slice shares memory.

        Example:
            >>> from fastnn import data
            >>> train = data.Shapes32(100)
            >>> len(train.subset(slice(0, 90))), len(train.subset(train.labels == 3))
            (90, 14)
        """
        chosen = indices if isinstance(indices, slice) else np.asarray(indices)
        part = Dataset.__new__(type(self))
        Dataset.__init__(part, self.images[chosen], self.labels[chosen], self.classes)
        return part

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images of {' x '.join(map(str, self.images.shape[1:]))})"
