"""What a loader gives, looked at once: statistics of inputs, labels in their order, digests of images."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _several
from fastnn.data import Loader
from fastnn.doctor._kept import own_pass
from fastnn.training._arguments import batches_of

__all__ = ["Sample", "SampleOf", "floats_of", "take_sample"]

# Images that are looked at. A share of 1 in 10 is then known to 0.5 % (its standard error is sqrt(0.1 * 0.9 / 4096)).
IMAGES = 4096
# Batches that are kept for trials: so many images, or fewer if they take more memory than this.
KEPT_IMAGES = 512
KEPT_BYTES = 64 * 2**20
# Of a data set in memory every image has a digest, unless there are more bytes than are read in a second or so.
DIGEST_BYTES = 2**30


@dataclass
class Sample:
    """The first batches of a loader.

    Attributes:
        name: what the loader is called in texts.
        images: how many were looked at.
        batches: the first of them, copies, for trials.
        mean, std: of every channel of images, or of all features; None if no input holds floats.
        low, high: the smallest and the largest number.
        whole_numbers: whether there are whole numbers only.
        not_finite: inputs with NaN or infinity.
        constant: images of one single value.
        features: numbers in an image.
        spread: standard deviation, over the images, of their means: how well `mean` is known.
        digests: one of each image; of the images before augmentation if they are known.
        raw: whether the digests are of images before augmentation, all of them.
        order: integer labels in the order in which they came, or None.
        labels: integer labels of the whole data set if they are known, else `order`.
        complete: whether `labels` are of a whole epoch.
        variance, square: of floating-point targets, the mean of their variances and of their squares; None if they are
            none. The first is the mean squared error of the best constant answer, the second that of 0.
        images_of_set, labels_of_set: of a data set in memory, in its own order; else None.
    """

    name: str
    images: int = 0
    batches: list[tuple[Any, Any]] = field(default_factory=list)
    mean: NDArray | None = None
    std: NDArray | None = None
    low: float = np.inf
    high: float = -np.inf
    whole_numbers: bool = True
    not_finite: int = 0
    constant: int = 0
    features: int = 0
    spread: float = 0.0
    digests: list[bytes] = field(default_factory=list)
    raw: bool = False
    order: NDArray | None = None
    labels: NDArray | None = None
    complete: bool = False
    variance: float | None = None
    square: float | None = None
    images_of_set: NDArray | None = None
    labels_of_set: NDArray | None = None


class SampleOf:
    """Collects a `Sample` from batches as they come.

    Args:
        name: what the loader is called in texts.
        digests: whether to digest the images.
        keep: whether to keep batches for trials.
    """

    def __init__(self, name: str, digests: bool = True, keep: bool = True) -> None:
        self.sample = Sample(name)
        self._keep = keep
        self._digests = digests
        self._sum: Any = 0.0
        self._squares: Any = 0.0
        self._count = 0
        self._means: list[NDArray] = []
        self._labels: list[NDArray] = []
        self._targets: list[NDArray] = []
        self._bytes = self._kept = 0

    def add(self, x: Any, y: Any) -> None:
        """One batch."""
        sample = self.sample
        n = _several.first_length(x) or 0
        sample.images += n
        n_bytes = sum(array.nbytes for array in _arrays(x))
        has_room = not sample.batches or (self._kept < KEPT_IMAGES and self._bytes + n_bytes <= KEPT_BYTES)
        if self._keep and has_room:
            sample.batches.append((_several.mapped(np.array, x), _several.mapped(np.array, y)))
            self._bytes, self._kept = self._bytes + n_bytes, self._kept + n
        for array in _arrays(x):
            if array.dtype.kind == "f":
                sample.not_finite += int((~np.isfinite(array)).reshape(len(array), -1).any(axis=1).sum())
        main = floats_of(x)
        if main is not None and np.isfinite(main).all():
            self._add_floats(main)
        if isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "iu":
            self._labels.append(y.astype(np.int64))
        elif isinstance(y, np.ndarray) and y.dtype.kind == "f" and y.size:
            self._targets.append(y.reshape(len(y), -1).astype(np.float64))

    def _add_floats(self, x: NDArray) -> None:
        sample, flat = self.sample, x.reshape(len(x), -1)
        axes = (0, *range(2, x.ndim)) if x.ndim == 4 else None
        wide = x.astype(np.float64)
        self._sum = self._sum + wide.sum(axis=axes)
        self._squares = self._squares + np.square(wide).sum(axis=axes)
        self._count += x.size // (x.shape[1] if axes else 1)
        self._means.append(flat.mean(axis=1, dtype=np.float64))
        sample.features = flat.shape[1]
        low, high = flat.min(axis=1, initial=np.inf), flat.max(axis=1, initial=-np.inf)
        sample.low, sample.high = min(sample.low, float(low.min())), max(sample.high, float(high.max()))
        sample.constant += int((low == high).sum()) if flat.shape[1] > 1 else 0
        sample.whole_numbers = sample.whole_numbers and bool((x == np.rint(x)).all())
        if self._digests:
            sample.digests += _digests(x)

    def finished(self, complete: bool) -> Sample:
        """What was collected; `complete` says that this was a whole epoch."""
        sample = self.sample
        if self._count:
            sample.mean = np.atleast_1d(self._sum / self._count)
            sample.std = np.sqrt(np.maximum(np.atleast_1d(self._squares / self._count) - sample.mean**2, 0))
            sample.spread = float(np.concatenate(self._means).std())
        if self._labels:
            sample.order = sample.labels = np.concatenate(self._labels)
        if self._targets and len({part.shape[1] for part in self._targets}) == 1:
            targets = np.concatenate(self._targets)
            sample.variance, sample.square = float(targets.var(axis=0).mean()), float(np.square(targets).mean())
        sample.complete = complete
        return sample


def take_sample(owner: str, name: str, loader: Any, images: int = IMAGES) -> Sample:
    """Look at the first batches of a loader, whose position stays if it can be kept.

    Raises:
        TypeError, ValueError: it gives no batches of images and targets.
    """
    in_memory = _images_of(loader)
    collector = SampleOf(name, digests=in_memory is None)
    complete = True
    batches = batches_of(owner, own_pass(loader), name)
    try:
        for x, y in batches:
            if collector.sample.images >= images:
                complete = False
                break
            collector.add(x, y)
    finally:
        batches.close()
    if not collector.sample.images:
        raise ValueError(f"{owner}: {name} gives no images")
    sample = collector.finished(complete)
    if isinstance(loader, Loader):
        labels = loader.labels
        if isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind in "iu":
            sample.labels, sample.complete = labels, True
    if in_memory is not None:
        sample.digests, sample.raw = _digests(in_memory), True
        sample.images_of_set, sample.labels_of_set = in_memory, sample.labels
    return sample


def _images_of(loader: Any) -> NDArray | None:
    """The images of a loader that has them all in memory."""
    images = loader.images if isinstance(loader, Loader) else None
    return images if isinstance(images, np.ndarray) and images.nbytes <= DIGEST_BYTES else None


def _digests(images: NDArray) -> list[bytes]:
    dense = np.ascontiguousarray(images)
    return [hashlib.blake2b(image.data, digest_size=12).digest() for image in dense.reshape(len(dense), -1)]


def _arrays(value: Any) -> Iterable[NDArray]:
    return (part for _, part in _several.parts("x", value) if isinstance(part, np.ndarray))


def floats_of(x: Any) -> NDArray | None:
    """The first array of floats among the inputs, as (N, C, H, W) or (N, ...); None if there is none."""
    return next((array for array in _arrays(x) if array.dtype.kind == "f" and array.ndim > 1 and array.size), None)
