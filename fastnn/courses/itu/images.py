"""ITU, assignment III: CIFAR-10 as the course cuts it."""

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import data
from fastnn.courses.pixel_rows import PixelRows, Splits

__all__ = ["cut"]


def cut(everything: data.Dataset, test: data.Dataset, dtype: DTypeLike, few: bool = False) -> Splits:
    """40,000 training images, the other 10,000 to validate, and the test images; with `few` a fifth of each."""
    n_train, n_val = (8000, 2000) if few else (40_000, 10_000)
    images, labels = everything.images, everything.labels
    # The mean is that of all 50,000 images, also in the course.
    means = [images[:, channel].mean(dtype=np.float64) / 255 for channel in range(3)]

    def part(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> tuple[PixelRows, NDArray[np.int64]]:
        return PixelRows(images, np.array(means)[:, None, None], dtype, divisor=255), labels

    return Splits(
        part(images[:n_train], labels[:n_train]),
        part(images[40_000 : 40_000 + n_val], labels[40_000 : 40_000 + n_val]),
        part(test.images[:n_val], test.labels[:n_val]),
    )
