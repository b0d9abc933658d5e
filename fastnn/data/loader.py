"""Batches from memory."""

from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _layout
from fastnn.data import mixing
from fastnn.data._prefetch import ahead
from fastnn.data.augment import Augmentation, Compose, Placement, PlacementAugmentation
from fastnn.functional import _check

# Streams of random numbers that a seed is split into: spawn keys (stream, epoch, batch).
_ORDER, _AUGMENT = 0, 1

Batch = tuple[NDArray, NDArray | None]


class Loader:
    """Goes through a data set in batches, augmented, normalised and in the memory layout that layers like best.

    One thread prepares the next batches while the present one is used. The content of a batch is a function
    of the seed, the epoch and the batch's number in it, so that training can be continued anywhere, bit for
    bit: from the start of an epoch with `set_epoch`, in the middle of one with `state_dict`.

    Each `iter(loader)` goes through one epoch: the first is epoch 0, or the one set; the one after an epoch
    that ended, or was abandoned, is the next.

    Args:
        dataset: anything with `images` and `labels` (and `classes`), or an array of images or features.
        labels: with an array: integers, probabilities of classes, or other targets, one for each image; None gives
            batches (x, None).
        batch_size: images in a batch.
        shuffle: a new random order in each epoch.
        drop_last: leave out the last batch of an epoch if it is smaller.
        augment: an augmentation or a list of them, `MixUp` and `CutMix` last; these make labels probabilities.
        mean, std: x = (v - mean) / std, where bytes count as v / 255 and floats as they are: one number, or one for
            each channel. Default: 0 and 1.
        seed: of the order and of the augmentation.
        dtype: of x, float32 or float64.
        prefetch: prepare batches ahead, in a thread.
        num_classes: for mixing integer labels; by default those that the data set names, else the largest
            label + 1.
    Shape:
        - images: (M, C, H, W) of uint8, float32 or float64; or without augmentation (M, ...)
        - x: (N, C, H, W), pixel-major in memory; or (N, ...)
        - y: (N,) int64; (N, classes) float if labels are probabilities
    Raises:
        ValueError, TypeError: the arguments do not fit; the message shows them.
    Example:
        >>> from fastnn import data
        >>> train = data.Shapes32(256)
        >>> loader = data.Loader(train, batch_size=100, shuffle=True, augment=data.RandomCrop(4), mean=0.45, std=0.16)
        >>> [(x.shape, y.shape) for x, y in loader]
        [((100, 3, 32, 32), (100,)), ((100, 3, 32, 32), (100,)), ((56, 3, 32, 32), (56,))]
    """

    def __init__(
        self,
        dataset: Any,
        labels: ArrayLike | None = None,
        batch_size: int = 128,
        shuffle: bool = False,
        drop_last: bool = False,
        augment: Augmentation | mixing.Mixing | Iterable[Augmentation | mixing.Mixing] | None = None,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        seed: int = 0,
        dtype: DTypeLike = np.float32,
        prefetch: bool = True,
        num_classes: int | None = None,
    ) -> None:
        if hasattr(dataset, "images"):
            if labels is not None:
                raise ValueError("Loader: labels are given twice, by the data set and by themselves")
            self.images, self.labels = _checked_images(dataset.images), _checked_labels(dataset.labels)
        else:
            self.images, self.labels = _checked_images(dataset), _checked_labels(labels)
        if self.labels is not None and len(self.labels) != len(self.images):
            raise _check.fail("Loader", "images and labels differ in number", images=self.images, labels=self.labels)
        self.batch_size = _check.integer("Loader", "batch_size", batch_size, 1)
        self.seed = _check.integer("Loader", "seed", seed, 0)
        self.shuffle, self.drop_last, self.prefetch = bool(shuffle), bool(drop_last), bool(prefetch)
        self.dtype = np.dtype(dtype)
        if self.dtype not in _check.FLOATS:
            raise TypeError(f"Loader: dtype must be float32 or float64. Received: {self.dtype}")
        self.mean = self._per_channel("mean", 0.0 if mean is None else mean)
        self.std = self._per_channel("std", 1.0 if std is None else std)
        if not (self.std > 0).all():
            raise ValueError(f"Loader: std must be positive. Received: {std!r}")
        self._steps, self._mixings = _split(augment)
        if (self._steps or self._mixings) and self.images.ndim != 4:
            raise _check.fail("Loader", "only images (M, C, H, W) can be augmented", images=self.images)
        self.num_classes = num_classes or len(getattr(dataset, "classes", ())) or None
        if self._mixings:
            self._prepare_mixing()
        self._epoch, self._batch = 0, 0
        self._continues = False

    def _per_channel(self, name: str, value: ArrayLike) -> NDArray[np.float64]:
        array = np.asarray(value, np.float64)
        channels = self.images.shape[1] if self.images.ndim > 1 else 1
        if array.shape not in ((), (1,), (channels,)) or not np.isfinite(array).all():
            raise ValueError(f"Loader: {name} must be one finite number, or {channels}. Received: {value!r}")
        return array

    def _prepare_mixing(self) -> None:
        if self.labels is None:
            raise ValueError("Loader: labels are needed for mixing")
        if self.labels.dtype.kind == "f":
            if self.labels.ndim != 2:
                raise _check.fail("Loader", "labels must be integers or (M, classes) to be mixed", labels=self.labels)
            return
        if self.labels.ndim != 1 or (self.labels.size and self.labels.min() < 0):
            raise _check.fail("Loader", "labels must be (M,) non-negative integers to be mixed", labels=self.labels)
        needed = int(self.labels.max(initial=-1)) + 1
        self.num_classes = self.num_classes or needed
        if needed > self.num_classes:
            raise ValueError(f"Loader: label {needed - 1} is not one of num_classes={self.num_classes}")

    # ---- position ------------------------------------------------------------------------------------------
    @property
    def epoch(self) -> int:
        """The epoch that is being gone through, or after its end the next."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be epoch `epoch`, from its start."""
        self._epoch, self._batch = _check.integer("Loader.set_epoch", "epoch", epoch, 0), 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader is: the epoch, and how many batches of it were handed out."""
        return {"seed": self.seed, "epoch": self._epoch, "batch": self._batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration hand out the batches that were still to come.

        Raises:
            ValueError: the state is not of a loader with this seed, or not one at all.
        """
        if set(state) != {"seed", "epoch", "batch"}:
            raise ValueError(f"Loader: a state has 'seed', 'epoch' and 'batch'. Received: {sorted(state)}")
        if state["seed"] != self.seed:
            raise ValueError(f"Loader: the state is of seed {state['seed']}, this loader has {self.seed}")
        self._epoch = _check.integer("Loader.load_state_dict", "epoch", state["epoch"], 0)
        self._batch = _check.integer("Loader.load_state_dict", "batch", state["batch"], 0)
        self._continues = True

    # ---- iteration -----------------------------------------------------------------------------------------
    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.images), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        if self._batch and not self._continues:  # the last epoch was abandoned
            self._epoch, self._batch = self._epoch + 1, 0
        self._continues = False
        return self._iterate(self._epoch, self._batch)

    def _iterate(self, epoch: int, begin: int) -> Generator[Batch, None, None]:
        order = self._order(epoch)

        def make(number: int) -> Batch:
            return self._make(order, epoch, number)

        numbers = range(begin, len(self))
        batches = ahead(make, numbers) if self.prefetch else (make(number) for number in numbers)
        try:
            number = begin
            for batch in batches:
                number += 1
                self._epoch, self._batch = epoch, number
                yield batch
                del batch  # its memory can serve the next one
            self._epoch, self._batch = epoch + 1, 0
        finally:
            batches.close()

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(len(self.images))
        return self._generator(_ORDER, epoch).permutation(len(self.images))

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))

    # ---- one batch -----------------------------------------------------------------------------------------
    def _make(self, order: NDArray[np.int64], epoch: int, number: int) -> Batch:
        indices = order[number * self.batch_size : (number + 1) * self.batch_size]
        rng = self._generator(_AUGMENT, epoch, number)
        y = None if self.labels is None else self.labels[indices]
        if self.images.ndim != 4:
            return self._gather_features(indices), y
        placement = Placement(indices, self.images.shape[2:], epoch)
        steps = list(self._steps)
        while steps and isinstance(steps[0], PlacementAugmentation) and steps[0].place(placement, rng):
            steps.pop(0)
        if not steps and not self._mixings:
            return placement.apply(self.images, self.mean, self.std, self.dtype), y
        x = placement.apply(self.images, dtype=self.dtype)
        for step in steps:
            x = step(x, rng)
        for mixture in self._mixings:
            assert y is not None  # checked when the loader was made
            x, y = mixture(x, y, rng, self.num_classes)
        return self._normalised(x), y

    def _normalised(self, x: NDArray) -> NDArray:
        """(x - mean) / std of a batch that is the loader's own, pixel-major."""
        pixels = _layout.pixels(x)
        pixels -= self.mean.astype(x.dtype)
        pixels /= self.std.astype(x.dtype)
        return _layout.images(pixels)

    def _gather_features(self, indices: NDArray[np.int64]) -> NDArray:
        x = self.images[indices].astype(np.float64 if self.images.dtype == np.uint8 else self.dtype, copy=False)
        if self.images.dtype == np.uint8:
            x /= 255
        per_channel = (-1,) + (1,) * (x.ndim - 2)
        x -= self.mean.astype(x.dtype).reshape(per_channel)
        x /= self.std.astype(x.dtype).reshape(per_channel)
        return x.astype(self.dtype, copy=False)


def _checked_images(value: ArrayLike) -> NDArray:
    images = np.asarray(value)
    if images.dtype != np.uint8:
        images = _check.floats("Loader", "images", images)
    if images.ndim < 2:
        raise _check.fail("Loader", f"images has {images.ndim} dimensions, 2 or more are needed", images=images)
    return np.ascontiguousarray(images)


def _checked_labels(value: ArrayLike | None) -> NDArray | None:
    if value is None:
        return None
    labels = np.asarray(value)
    if labels.dtype.kind in "iub" or labels.size == 0:
        return labels.astype(np.int64)
    return _check.floats("Loader", "labels", labels)


def _split(augment: Any) -> tuple[list[Augmentation], list[mixing.Mixing]]:
    """The augmentations of images, in order, and the mixings, which come after them."""
    steps: list[Augmentation] = []
    mixings: list[mixing.Mixing] = []
    several = isinstance(augment, Iterable) and not isinstance(augment, Augmentation)
    pending = list(augment) if several else [] if augment is None else [augment]
    while pending:
        step = pending.pop(0)
        if isinstance(step, Compose):
            pending[:0] = step.steps
        elif isinstance(step, mixing.Mixing):
            mixings.append(step)
        elif not isinstance(step, Augmentation):
            raise TypeError(f"Loader: augment must hold augmentations of fastnn.data. Received: {step!r}")
        elif mixings:
            raise ValueError(f"Loader: {step!r} comes after {mixings[-1]!r}; mixing must come last")
        else:
            steps.append(step)
    return steps, mixings
