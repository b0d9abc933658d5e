"""Batches of a data set in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _check, _several
from fastnn.data import _checks, mixing
from fastnn.data._prefetch import ahead
from fastnn.data._shards import ShardedBatch, cut
from fastnn.data._sources import Images, Plain, Source, augmented_parts
from fastnn.data.augment import Augmentation, Compose
from fastnn.data.preprocessing import Preprocessing
from fastnn.functional.augment import per_channel

# Streams of random numbers that a seed is split into: spawn keys (stream, epoch, batch).
_ORDER, _AUGMENT = 0, 1

_MOST_CHANNELS = 4096  # of an image; what has more are features

Batch = tuple[Any, Any]
Made = TypeVar("Made")


class Loader:
    """Iterate over a data set in batches that are shuffled, augmented, normalised and laid out as the layers prefer.

    A thread prepares the next batches while the current one is used. A batch depends only on the seed, the epoch and
    its number in the epoch. Training can therefore be continued, bit for bit, at the start of an epoch with
    `set_epoch`, or in the middle of one with `load_state_dict`.

    Each `iter(loader)` begins a new epoch: the first is epoch 0, or the one that was set; each later one is the next.
    It does not matter whether earlier iterations were finished, so `zip(loader, loader)` and nested loops see
    independent orders. `epoch` and `state_dict` describe the iteration that began last. `set_epoch` does not disturb an
    iteration that is under way.

    Args:
        dataset: an object with `images` and `labels` (and `classes`), such as `data.Dataset`; or an array of images or
            features; or a list of images of one size. For a network with several inputs: a tuple or a dict of arrays of
            the same length.
        labels: the targets, if `dataset` does not have them: one for each image. Integers are classes, and one boolean
            for each image counts as class 0 or 1. Floats, and booleans for several classes at once, are converted to
            `dtype`: probabilities of classes, or numbers to predict. For a network with one output, the numbers have
            shape (M, 1) like that output. A tuple or a dict of arrays gives batches of each. None (default) gives
            batches (x, None).
        batch_size: the number of images in a batch. Default 128.
        shuffle: use a new random order in each epoch. Default False.
        drop_last: leave out the last batch of an epoch if it is smaller. Default False.
        augment: an augmentation or a list of them, in order. `MixUp` and `CutMix` come last; they turn labels into
            probabilities of the classes. Default: none.
        augment_parts: for several input arrays: the position or the name of the array to augment, or a list of them.
            Each gets its own random numbers. Default: the only array of images.
        mean: the number, or the number for each channel, that is subtracted: x = (v - mean) / std, where v is a byte
            divided by 255 or a float as it is. Default 0. Of several arrays, those of images, (M, C, H, W), are
            normalised; other floats are converted to `dtype`, and integers stay as they are.
        std: the number, or the number for each channel, to divide by. Default 1.
        seed: an integer that determines the orders and the augmentation. Default 0.
        dtype: the dtype of x, float32 (default) or float64.
        prefetch: prepare batches ahead in a thread. Default True.
        num_classes: the number of classes, for mixing integer labels. Default: that of the names in the data set, else
            the largest label + 1.
    Shape:
        - images: (M, C, H, W), uint8, float32 or float64; without augmentation also (M, ...); or several of these
        - x: (N, C, H, W), pixel-major in memory; or (N, ...); or a tuple or a dict of these
        - y: (N,), int64, for classes; (N, classes) of `dtype` if they are mixed; (N, ...) of `dtype` for other targets
    Raises:
        ValueError, TypeError: the arguments are invalid or do not fit together. The message shows them.
    Example:
        >>> from fastnn import data
        >>> train = data.Shapes32(256)
        >>> loader = data.Loader(train, batch_size=100, shuffle=True, augment=data.RandomCrop(4), mean=0.45, std=0.16)
        >>> [(x.shape, y.shape) for x, y in loader]
        [((100, 3, 32, 32), (100,)), ((100, 3, 32, 32), (100,)), ((56, 3, 32, 32), (56,))]
        >>> inputs = {"image": train.images, "weight": np.ones((256, 1))}
        >>> x, y = next(iter(data.Loader(inputs, train.labels, augment=data.RandomCrop(4))))
        >>> x["image"].shape, x["weight"].shape, x["weight"].dtype
        ((128, 3, 32, 32), (128, 1), dtype('float32'))
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
        augment_parts: Any = None,
    ) -> None:
        if hasattr(dataset, "images"):
            if labels is not None:
                raise ValueError("Loader: labels are given twice, in the data set and as an argument")
            images, labels = dataset.images, getattr(dataset, "labels", None)
        else:
            images = dataset
        self.dtype = _check.float_dtype("Loader", dtype)
        self.images = _checks.inputs("Loader", images)
        is_several = isinstance(self.images, dict | tuple)
        if not is_several:
            symbols = "; symbols, which stay integers, are given in a tuple: (images,)"
            self.images = np.ascontiguousarray(_checks.normalisable("Loader", self.images, otherwise=symbols))
        self._n = _several.first_length(self.images) or 0
        self.labels = None if labels is None else _checks.targets("Loader", labels, self._n, self.dtype)
        self.batch_size = _check.integer("Loader", "batch_size", batch_size, 1)
        self.seed = _check.integer("Loader", "seed", seed, 0)
        self.shuffle = _check.boolean("Loader", "shuffle", shuffle)
        self.drop_last = _check.boolean("Loader", "drop_last", drop_last)
        self.prefetch = _check.boolean("Loader", "prefetch", prefetch)
        self._steps, self._mixings = _split(augment)
        self._sources: list[Source] | None = None
        if is_several:
            self._sources = self._several_sources(mean, std, augment_parts)
        else:
            self._source = self._only_source(mean, std, augment_parts)
        classes = getattr(dataset, "classes", None)
        self.classes = () if classes is None else tuple(map(str, classes))
        if num_classes is not None:
            num_classes = _check.integer("Loader", "num_classes", num_classes, 1, mixing.MOST_CLASSES)
        self.num_classes = num_classes or len(self.classes) or None
        if self._mixings:
            self._prepare_mixing()
        self._resize = getattr(getattr(dataset, "preprocessing", None), "resize", "crop")
        self._position = self._next = (0, 0)  # (epoch, batch): of the iteration begun last, and where one will begin
        self._latest: object = None  # the iteration that moves the position

    def _set_statistics(self, mean: Any, std: Any, channels: list[int]) -> None:
        for n in channels:
            self.mean = per_channel("Loader", "mean", 0.0 if mean is None else mean, n)
            self.std = per_channel("Loader", "std", 1.0 if std is None else std, n)
        if not (self.std > 0).all():
            raise ValueError(f"Loader: std must be positive. Received: {_check.shown(std)}")

    def _only_source(self, mean: Any, std: Any, augment_parts: Any) -> Images:
        if augment_parts is not None:
            raise ValueError("Loader: augment_parts says which of several arrays are augmented. Received: one array")
        self._set_statistics(mean, std, [self.images.shape[1]])
        if (self._steps or self._mixings) and self.images.ndim != 4:
            hint = "; of grey ones that is images[:, None]" if self.images.ndim == 3 else ""
            raise _check.fail("Loader", f"only images (M, C, H, W) can be augmented{hint}", images=self.images)
        return Images(self.images, self.mean, self.std, self.dtype, self._steps)

    def _several_sources(self, mean: Any, std: Any, augment_parts: Any) -> list[Source]:
        """Where the batches of each array come from."""
        if self._mixings:
            raise ValueError(f"Loader: {self._mixings[0]!r} mixes the images of one array. Received: several arrays")
        keys = list(self.images) if isinstance(self.images, dict) else list(range(len(self.images)))
        augmented = augmented_parts(self.images, augment_parts, bool(self._steps))
        channels = [self.images[key].shape[1] for key in keys if self.images[key].ndim == 4]
        if not channels and not (mean is None and std is None):
            raise ValueError("Loader: mean and std are of images (M, C, H, W), and none of the arrays has that shape")
        self._set_statistics(mean, std, channels or [1])
        sources: list[Source] = []
        made: list[NDArray] = []
        for key, (label, part) in zip(keys, _several.parts("images", self.images), strict=True):
            if part.ndim != 4:
                made.append(_checks.as_numbers("Loader", label, part, self.dtype, f"a number of {label}"))
                sources.append(Plain(made[-1]))
                continue
            made.append(np.ascontiguousarray(_checks.normalisable("Loader", part, label)))
            steps = self._steps if key in augmented else ()
            sources.append(Images(made[-1], self.mean, self.std, self.dtype, steps))
        self.images = dict(zip(keys, made, strict=True)) if isinstance(self.images, dict) else tuple(made)
        return sources

    def _prepare_mixing(self) -> None:
        if self.labels is None:
            raise ValueError("Loader: labels are needed for mixing")
        if not isinstance(self.labels, np.ndarray):
            raise ValueError(f"Loader: {self._mixings[0]!r} mixes the labels of one array. Received: several arrays")
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

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The `Preprocessing` that prepares a single image like this loader: normalisation, size, channels and classes.

        None if the loader does not prepare single images in this way: for features, for floats outside 0..1, and for
        several input arrays.
        """
        if self._sources is not None:
            return None
        if self.images.ndim != 4 or not 0 < self.images.shape[1] <= _MOST_CHANNELS or 0 in self.images.shape:
            return None
        if self.images.dtype != np.uint8 and not 0 <= self.images.min() <= self.images.max() <= 1:
            return None
        return Preprocessing(
            mean=tuple(self.mean.ravel().tolist()),
            std=tuple(self.std.ravel().tolist()),
            size=self.images.shape[2:],
            channels=self.images.shape[1],
            resize=self._resize,
            classes=self.classes,
        )

    def __repr__(self) -> str:
        shapes = [" x ".join(map(str, part.shape[1:])) or "1" for _, part in _several.parts("images", self.images)]
        settings = [f"{self._n} images of {', '.join(shapes)}"]
        settings.append(f"{len(self)} batches of {self.batch_size}")
        settings += [name for name in ("shuffle", "drop_last") if getattr(self, name)]
        settings += [] if self.dtype == np.float32 else [f"dtype={self.dtype}"]
        settings += [] if self.prefetch else ["prefetch=False"]
        augmentations = [*self._steps, *self._mixings]
        settings += [f"augment={augmentations}"] if augmentations else []
        return f"Loader({', '.join(settings)}, mean={self.mean.tolist()}, std={self.std.tolist()}, seed={self.seed})"

    # ---- position ------------------------------------------------------------------------------------------
    @property
    def epoch(self) -> int:
        """The number of the current epoch; after its last batch, that of the next."""
        return self._position[0]

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration start at the beginning of this epoch.

        Args:
            epoch: the number of the epoch, an integer >= 0.
        Raises:
            ValueError, TypeError: epoch is not such an integer.
        """
        self._go_to(_check.integer("Loader.set_epoch", "epoch", epoch, 0), 0)

    def state_dict(self) -> dict[str, int]:
        """The position, {"seed": ..., "epoch": ..., "batch": ...}.

        "batch" is the number of batches of the epoch that were already returned.
        """
        epoch, batch = self._position
        return {"seed": self.seed, "epoch": epoch, "batch": batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Make the next iteration continue from a position that `state_dict` returned.

        Raises:
            ValueError: the state is not that of a loader with this seed, or has more batches than an epoch of this
                loader.
        """
        name = "Loader.load_state_dict"
        if not isinstance(state, Mapping) or set(state) != {"seed", "epoch", "batch"}:
            raise ValueError(f"{name}: a state has 'seed', 'epoch' and 'batch'. Received: {_check.shown(state)}")
        seed, epoch, batch = (_check.integer(name, key, state[key], 0) for key in ("seed", "epoch", "batch"))
        if seed != self.seed:
            raise ValueError(f"{name}: the state belongs to a loader with seed {seed}, this one has seed {self.seed}")
        if batch > len(self):
            raise ValueError(f"{name}: the state is at batch {batch}, an epoch of this loader has {len(self)} batches")
        self._go_to(epoch, batch)

    def _go_to(self, epoch: int, batch: int) -> None:
        self._position = self._next = (epoch, batch)
        self._latest = None

    # ---- iteration -----------------------------------------------------------------------------------------
    def __len__(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(self._n, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        return self._begin(self._make_whole)

    def _begin(self, make_batch: Callable[[NDArray[np.int64], int, int], Made]) -> Generator[Made, None, None]:
        epoch, begin = self._position = self._next
        self._next = (epoch + 1, 0)
        self._latest = token = object()
        return self._iterate(token, epoch, begin, make_batch)

    def iterate_shards(self, own: range, shards: int) -> Generator[ShardedBatch, None, None]:
        """An epoch of batches that are cut into shards, of which only those of `own` are read and augmented.

        The order of samples is that of the whole batches. Random numbers of augmentations depend on the seed, the
        epoch, the batch and the shard.

        Args:
            own: the shards to make, neighbours.
            shards: the number of all shards.
        """

        def make(order: NDArray[np.int64], epoch: int, number: int) -> ShardedBatch:
            indices = self._indices(order, number)
            parts = [
                self._make(indices[cut(len(indices), s, shards)], epoch, self._generator(_AUGMENT, epoch, number, s))
                for s in own
            ]
            return ShardedBatch(len(indices), own.start, parts)

        return self._begin(make)

    def iterate_turns(self, rank: int, ranks: int) -> Generator[Batch | None, None, None]:
        """An epoch of which only the batches rank, rank + ranks, rank + 2 * ranks ... are made; None for the others."""

        def make(order: NDArray[np.int64], epoch: int, number: int) -> Batch | None:
            return self._make_whole(order, epoch, number) if number % ranks == rank else None

        return self._begin(make)

    def _make_whole(self, order: NDArray[np.int64], epoch: int, number: int) -> Batch:
        return self._make(self._indices(order, number), epoch, self._generator(_AUGMENT, epoch, number))

    def _indices(self, order: NDArray[np.int64], number: int) -> NDArray[np.int64]:
        return order[number * self.batch_size : (number + 1) * self.batch_size]

    def _iterate(
        self, token: object, epoch: int, begin: int, make_batch: Callable[[NDArray[np.int64], int, int], Made]
    ) -> Generator[Made, None, None]:
        order = self._order(epoch)

        def make(number: int) -> Made:
            return make_batch(order, epoch, number)

        def move_to(epoch: int, batch: int) -> None:
            if self._latest is token:
                self._position = (epoch, batch)

        numbers = range(begin, len(self))
        batches = ahead(make, numbers) if self.prefetch else (make(number) for number in numbers)
        try:
            number = begin
            for batch in batches:  # zip or enumerate would keep it alive
                number += 1
                move_to(epoch, number)
                yield batch
                del batch  # its memory can serve the next one
            move_to(epoch + 1, 0)
        finally:
            batches.close()

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(self._n)
        return self._generator(_ORDER, epoch).permutation(self._n)

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))

    # ---- one batch -----------------------------------------------------------------------------------------
    def _make(self, indices: NDArray[np.int64], epoch: int, rng: np.random.Generator) -> Batch:
        y = None if self.labels is None else _several.mapped(lambda labels: labels[indices], self.labels)
        if self._sources is None:
            return self._source.mixed(indices, epoch, rng, y, self._mixings, self.num_classes)
        made = [source.batch(indices, epoch, rng) for source in self._sources]
        return dict(zip(self.images, made, strict=True)) if isinstance(self.images, dict) else tuple(made), y


def _split(augment: Any) -> tuple[list[Augmentation], list[mixing.Mixing]]:
    """The augmentations of images, in order, and the mixings, which come after them."""
    steps: list[Augmentation] = []
    mixings: list[mixing.Mixing] = []
    pending = [] if augment is None else _checks.as_list(augment)
    while pending:
        step = pending.pop(0)
        if isinstance(step, Compose):
            pending[:0] = step.steps
        elif isinstance(step, mixing.Mixing):
            mixings.append(step)
        elif not isinstance(step, Augmentation):
            raise TypeError(f"Loader: augment must hold augmentations of fastnn.data. Received: {_check.shown(step)}")
        elif mixings:
            raise ValueError(f"Loader: {step!r} comes after {mixings[-1]!r}; mixing must come last")
        else:
            steps.append(step)
    return steps, mixings
