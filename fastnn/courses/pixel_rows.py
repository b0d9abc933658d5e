"""Images as rows of floats that are computed when they are needed."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["PixelRows", "Rows", "Splits"]


class Rows(Protocol):
    """Samples: an array (N, inputs), or an object whose indices and slices give rows of one."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> NDArray: ...


class PixelRows:
    """The rows pixels / divisor - mean, as floats that are computed when they are indexed.

    All rows of CIFAR-10 in float64 would need 1.2 GB. Therefore bytes are kept, and `rows[index]` converts the selected
    ones. The numbers are the same, since bytes are exact in any floating-point type.

    Args:
        pixels: the images, (N, ...), uint8.
        mean: subtracted after the division; its shape broadcasts with that of one image.
        dtype: the dtype of the rows. Default float64.
        divisor: the number by which pixels are divided. Default 1.
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
        """The same rows in another dtype."""
        return PixelRows(self.pixels, self.mean, dtype, self.divisor)


class Splits(NamedTuple):
    """Rows and labels for training, for choosing settings (validation), and for one final test."""

    train: tuple[PixelRows, NDArray[np.int64]]
    val: tuple[PixelRows, NDArray[np.int64]]
    test: tuple[PixelRows, NDArray[np.int64]]

    def astype(self, dtype: DTypeLike) -> "Splits":
        """The same splits in another dtype."""
        return Splits(*((rows.astype(dtype), labels) for rows, labels in self))
