"""Images as rows of numbers, which are made when they are asked for."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["PixelRows", "Rows", "Splits"]


class Rows(Protocol):
    """Samples: an array (N, inputs), or anything that gives the rows of one for indices or a slice."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> NDArray: ...


class PixelRows:
    """Rows pixels / divisor - mean of floating-point numbers.

    All rows of CIFAR-10 in float64 would fill 1.2 GB, so bytes are kept, and `rows[index]` converts what is selected.
    The numbers are the same, since bytes are exact in any floating-point type.

    Args:
        pixels: (N, ...), uint8.
        mean: is subtracted, after the division; of a shape that broadcasts with one image.
        dtype: of what `rows[index]` gives.
        divisor: of the pixels.
    Example:
        >>> rows = PixelRows(np.array([[0, 255], [51, 0]], np.uint8), np.array([0.5, 0.5]), divisor=255)
        >>> rows[[1]]
        array([[-0.3, -0.5]])
    """

    def __init__(
        self, pixels: NDArray[np.uint8], mean: NDArray, dtype: DTypeLike = np.float64, divisor: int = 1
    ) -> None:
        self.pixels, self.mean, self.dtype, self.divisor = pixels, mean.astype(dtype), np.dtype(dtype), divisor

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Any, /) -> NDArray:
        rows = self.pixels[index].astype(self.dtype)
        if self.divisor != 1:
            rows /= self.divisor
        rows -= self.mean
        return rows.reshape(len(rows), -1)

    def astype(self, dtype: DTypeLike) -> "PixelRows":
        """The same rows in another precision."""
        return PixelRows(self.pixels, self.mean, dtype, self.divisor)


class Splits(NamedTuple):
    """Rows and labels to train on, to choose settings by, and to test once."""

    train: tuple[PixelRows, NDArray[np.int64]]
    val: tuple[PixelRows, NDArray[np.int64]]
    test: tuple[PixelRows, NDArray[np.int64]]

    def astype(self, dtype: DTypeLike) -> "Splits":
        """The same in another precision."""
        return Splits(*((rows.astype(dtype), labels) for rows, labels in self))
