"""ITU, assignment III: CIFAR-10 as the course cuts it."""

import numpy as np
from numpy.typing import DTypeLike

from fastnn import data
from fastnn.courses.pixel_rows import PixelRows

__all__ = ["Splits"]


class Splits:
    """CIFAR-10 as the course cuts it: 40,000 training images, the other 10,000 to validate, and the test images."""

    def __init__(self, everything: data.Dataset, test: data.Dataset, dtype: DTypeLike, quick: bool) -> None:
        n_train, n_val = (8000, 2000) if quick and dtype == np.float32 else (40_000, 10_000)
        images, labels = everything.images, everything.labels
        # The mean is that of all 50,000 images, also in the course.
        means = [images[:, channel].mean(dtype=np.float64) / 255 for channel in range(3)]
        mean = np.array(means)[:, None, None]
        self.train = PixelRows(images[:n_train], mean, dtype, divisor=255), labels[:n_train]
        self.val = PixelRows(images[40_000 : 40_000 + n_val], mean, dtype, divisor=255), labels[40_000 : 40_000 + n_val]
        self.test = PixelRows(test.images[:n_val], mean, dtype, divisor=255), test.labels[:n_val]
