"""From what scikit-learn's users pass as X to what a network takes."""

import math
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import validate_data

__all__ = ["Scaling", "standard", "validated"]


def validated(
    estimator: Any, image_shape: tuple[int, int, int] | None, reset: bool, X: Any, **rest: Any
) -> tuple[Any, tuple[int, int, int] | None]:
    """X as rows of numbers (and y, if it is among the rest), and the shape of its images, None for tables.

    Raises:
        ValueError, TypeError: they are not finite numbers, too few, or of another shape than `image_shape`.
    """
    owner = type(estimator).__name__
    given = tuple(getattr(X, "shape", ()))
    if len(given) == 3:
        raise ValueError(
            f"{owner}: X must be a table (rows, features) or images (rows, channels, height, width); "
            f"of grey images that is X[:, None]. Received: X.shape={given}"
        )
    if len(given) == 4:
        if image_shape not in (None, given[1:]) or (image_shape is None and not reset):
            wanted = f"images of shape {image_shape} are needed" if image_shape else "it was fitted on a table"
            raise ValueError(f"{owner}: {wanted}. Received: X.shape={given}")
        image_shape = given[1], given[2], given[3]
        X = np.asarray(X).reshape(given[0], math.prod(image_shape))
    # What is subtracted from a table may be large, so that float32 would lose what is left.
    dtypes = (np.float64, np.float32) if image_shape is None else (np.float32, np.float64)
    result = validate_data(estimator, X, reset=reset, dtype=dtypes, **rest)
    n_features = (result[0] if isinstance(result, tuple) else result).shape[1]
    if image_shape is not None and n_features != math.prod(image_shape):
        size = " * ".join(map(str, image_shape))
        raise ValueError(
            f"{owner}: images of image_shape={image_shape} have {size} = {math.prod(image_shape)} numbers in a row. "
            f"Received: {n_features}"
        )
    return result, image_shape


def standard(owner: str, name: str, values: NDArray, standardize: bool) -> tuple[NDArray, NDArray]:
    """Mean and standard deviation of each column, 1 for what is constant; 0 and 1 if not `standardize`.

    Raises:
        ValueError: the numbers are so large that their squares are infinite.
    """
    if not standardize:
        return np.zeros(values.shape[1]), np.ones(values.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        scaler = StandardScaler().fit(values)
    mean, scale = np.asarray(scaler.mean_, np.float64), np.asarray(scaler.scale_, np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        largest = np.abs(values).max()
        raise ValueError(f"{owner}: {name} has values that are too large to be standardised. Received: {largest:g}")
    return mean, scale


class Scaling(NamedTuple):
    """What is subtracted and what is divided by: for each feature of a table, for each channel of images.

    Attributes:
        image_shape: (C, H, W), or None for a table.
        mean, scale: (features,) or (C,), float64.
    """

    image_shape: tuple[int, int, int] | None
    mean: NDArray
    scale: NDArray

    @classmethod
    def of(cls, owner: str, rows: NDArray, image_shape: tuple[int, int, int] | None, standardize: bool) -> Self:
        """That which gives mean 0 and variance 1, but for what is constant, where only the mean is subtracted."""
        if image_shape is None:
            return cls(None, *standard(owner, "X", rows, standardize))
        pixels = rows.reshape(len(rows), image_shape[0], -1)
        found = [standard(owner, "X", pixels[:, c].reshape(-1, 1), standardize) for c in range(image_shape[0])]
        mean, scale = (np.concatenate(values) for values in zip(*found, strict=True))
        return cls(image_shape, mean, scale)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of what the network gets, without rows."""
        return (len(self.mean),) if self.image_shape is None else self.image_shape

    def raw(self, owner: str, rows: NDArray) -> NDArray:
        """Rows as a `data.Loader` with `mean` and `scale` takes them: images as they are, tables standardised."""
        if self.image_shape is None:
            return self(owner, rows)
        return _float32(owner, rows.reshape(-1, *self.image_shape))

    def __call__(self, owner: str, rows: NDArray) -> NDArray:
        """Rows as the network takes them: standardised, float32."""
        if self.image_shape is None:
            return _float32(owner, (rows - self.mean) / self.scale)
        images = _float32(owner, rows.reshape(-1, *self.image_shape))
        mean, scale = (values.astype(np.float32).reshape(-1, 1, 1) for values in (self.mean, self.scale))
        return (images - mean) / scale


def _float32(owner: str, values: NDArray) -> NDArray:
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{owner}: X has values that are too large for float32")
    return values
