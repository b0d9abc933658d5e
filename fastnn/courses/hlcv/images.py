"""Saarland exercise: CIFAR-10 as it cuts it."""

import numpy as np
from numpy.typing import NDArray

from fastnn import data
from fastnn.courses.pixel_rows import PixelRows, Splits

__all__ = ["N_TRAIN", "cut", "test_accuracies"]

N_TRAIN = 49_000  # and the other 1,000 training images for validation
N_TEST_OF_COURSE = 1_000  # the exercise looks at the first test images only


def _as_rows(images: data.Dataset) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Each image as a row in the exercise's order: line, column, colour; and the labels.

    Shape:
        - Result: (N, 3072) uint8; (N,) int64
    """
    return images.images.transpose(0, 2, 3, 1).reshape(len(images), -1), images.labels


def cut(train: data.Dataset, test: data.Dataset) -> Splits:
    """49,000 training images, the other 1,000 to validate, and the test images, all without the first ones' mean."""
    pixels, labels = _as_rows(train)
    mean = pixels[:N_TRAIN].mean(axis=0, dtype=np.float64)
    test_pixels, test_labels = _as_rows(test)
    return Splits(
        (PixelRows(pixels[:N_TRAIN], mean), labels[:N_TRAIN]),
        (PixelRows(pixels[N_TRAIN:], mean), labels[N_TRAIN:]),
        (PixelRows(test_pixels, mean), test_labels),
    )


def test_accuracies(correct: NDArray[np.bool_]) -> dict[str, float]:
    """Of all test images, and of those that the exercise looks at, from whether each was classified correctly."""
    return {"test_accuracy": float(correct.mean()), "test_accuracy_of_course": float(correct[:N_TEST_OF_COURSE].mean())}
