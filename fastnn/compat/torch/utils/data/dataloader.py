"""DataLoader: batches of a data set."""

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from fastnn import _random
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.utils.data import _in_memory
from fastnn.compat.torch.utils.data._generator import batch_generator, draw_seed
from fastnn.compat.torch.utils.data._threads import ThreadedBatches, Workers
from fastnn.compat.torch.utils.data._utils.collate import default_collate, default_convert
from fastnn.compat.torch.utils.data._utils.fetch import Fetch, fetcher
from fastnn.compat.torch.utils.data._utils.worker import get_worker_info
from fastnn.compat.torch.utils.data.dataset import Dataset, IterableDataset
from fastnn.compat.torch.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

_T_co = TypeVar("_T_co", covariant=True)
_AHEAD = 2  # batches that each worker makes before they are asked for

__getattr__ = missing(__name__)


class _DatasetKind:
    Map, Iterable = 0, 1


class _InfiniteConstantSampler(Sampler[None]):
    """What takes the place of indices for an iterable data set."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader(Generic[_T_co]):
    """Goes through a data set in batches.

    A batch is a function of the seed (of `torch.manual_seed`, or of `generator`), the data set and the batch's number:
    transforms draw from a generator of the batch, so that the number of workers changes nothing.

    CIFAR10, CIFAR100, MNIST and their kin with the usual transforms, subsets of these, and TensorDatasets are not asked
    for item after item, and need no workers: `_in_memory.py` says which, and makes batches of the same distribution at
    once.

    Args:
        dataset: something with items, or an IterableDataset.
        batch_size: items in a batch; None hands out items as they are.
        shuffle: a new random order in each epoch.
        sampler, batch_sampler: indices, or lists of them, in the place of both.
        num_workers: threads that make batches ahead; 0 makes each when it is asked for. They share one process, so the
            states of Python's `random` and of `numpy.random` are common to all: what a data set draws from these
            depends on which thread comes first. Draw from torch's instead, which has a stream for each batch. Each
            worker has a shallow copy of the data set, which is what `get_worker_info().dataset` is.
        collate_fn: makes a batch of a list of items.
        pin_memory, pin_memory_device, multiprocessing_context: change nothing.
        drop_last: leave out the last batch if it is smaller.
        timeout: seconds to wait for a batch of a worker; 0 waits as long as it takes.
        worker_init_fn: called in each worker with its number; not where batches are made at once.
        generator: what the order and the batches' seeds are drawn from.
        prefetch_factor: batches that each worker makes ahead, 2 by default.
        persistent_workers: keep the threads, and their copies of the data set, from one epoch to the next.
        in_order: batches are always handed out in order.

    Example:
        >>> import numpy as np
        >>> from fastnn.compat.torch._tensor import new
        >>> from fastnn.compat.torch.utils.data import DataLoader, TensorDataset
        >>> set = TensorDataset(new(np.zeros((5, 3), np.float32)), new(np.arange(5)))
        >>> [x._data.shape for x, y in DataLoader(set, batch_size=2)]
        [(2, 3), (2, 3), (1, 3)]
    """

    _is_ready = False

    def __init__(
        self,
        dataset: Dataset[_T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing."
                "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
            )
        if prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset, self.num_workers, self.timeout = dataset, num_workers, timeout
        self.prefetch_factor = _AHEAD if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory, self.pin_memory_device, self.in_order = pin_memory, pin_memory_device, in_order
        self.worker_init_fn, self.multiprocessing_context = worker_init_fn, multiprocessing_context
        self.generator = generator
        is_iterable = isinstance(dataset, IterableDataset)
        self._dataset_kind = _DatasetKind.Iterable if is_iterable else _DatasetKind.Map
        if is_iterable:
            for name, value in (("shuffle", shuffle), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value not in {False, None} if name == "shuffle" else value is not None:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                    )
        shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if is_iterable:
                sampler = _InfiniteConstantSampler()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler, self.batch_sampler = sampler, batch_sampler
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn, self.persistent_workers = collate_fn, persistent_workers
        self._workers: Workers | None = None  # those that persist
        self._IterableDataset_len_called: int | None = None
        self._is_ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_ready and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    def __del__(self) -> None:
        workers = self.__dict__.get("_workers")
        if workers is not None:
            workers.stop()

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self) -> int:
        """Batches in an epoch."""
        if self._dataset_kind == _DatasetKind.Map:
            return len(self._index_sampler)
        length = self._IterableDataset_len_called = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def __iter__(self) -> "_BaseDataLoaderIter":
        return self._get_iterator()

    def _get_iterator(self) -> "_BaseDataLoaderIter":
        return _BaseDataLoaderIter(self)

    # ---- the ways to batches -----------------------------------------------------------------------------------------
    def _make_fetch(self) -> Callable[[Any], Fetch]:
        """Not of `self`: threads that persist must not keep the loader alive."""
        options = (self._dataset_kind == _DatasetKind.Iterable, self._auto_collation, self.collate_fn, self.drop_last)
        return lambda dataset: fetcher(dataset, *options)

    def _batches(self, seed: int, requests: Iterator[Any]) -> Iterator[Any]:
        ready = _in_memory.batches(self, seed, requests)
        if ready is not None:
            return ready
        if self.num_workers == 0:
            return self._one_by_one(seed, requests)
        workers = self._workers
        if workers is None:
            is_iterable = self._dataset_kind == _DatasetKind.Iterable
            workers = Workers(self.num_workers, self.dataset, self._make_fetch(), self.worker_init_fn, is_iterable)
            if self.persistent_workers:
                self._workers = workers
        ahead = max(self.prefetch_factor or 0, 1)
        return ThreadedBatches(workers, requests, seed, ahead, self.timeout, not self.persistent_workers)

    def _one_by_one(self, seed: int, requests: Iterator[Any]) -> Iterator[Any]:
        fetch: Fetch | None = None
        for number, request in enumerate(requests):
            with _random.drawing_from(batch_generator(seed, number)):
                if fetch is None:
                    fetch = self._make_fetch()(self.dataset)
                try:
                    batch = fetch(request)
                except StopIteration:
                    return
            yield batch
            del batch


_FIXED = {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}


class _BaseDataLoaderIter:
    """One epoch."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader_length = lambda: len(loader._index_sampler)
        self._expected, self._dataset = loader._IterableDataset_len_called, loader.dataset
        self._num_yielded = 0
        requests = iter(loader._index_sampler)
        self._base_seed = draw_seed(loader.generator)
        self._batches = loader._batches(self._base_seed, requests)

    def __iter__(self) -> "_BaseDataLoaderIter":
        return self

    def __len__(self) -> int:
        return self._loader_length()

    def __next__(self) -> Any:
        batch = next(self._batches)
        self._num_yielded += 1
        if self._expected is not None and self._num_yielded == self._expected + 1:
            warnings.warn(
                f"Length of IterableDataset {self._dataset} was reported to be {self._expected} (when accessing "
                f"len(dataloader)), but {self._num_yielded} samples have been fetched.",
                stacklevel=2,
            )
        return batch
