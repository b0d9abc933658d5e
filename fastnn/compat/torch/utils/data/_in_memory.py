"""Batches without asking for one item after the other, where that gives the same.

A data set is known here if it is a TensorDataset, or one of torchvision's sets whose images lie in memory and whose
transform `fastnn.compat.torchvision._pipeline` recognises, or a Subset of one of these; not a subclass with items of
its own, and with the default `collate_fn`.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._tensor import Tensor, new
from fastnn.compat.torch.utils.data._generator import batch_generator
from fastnn.compat.torch.utils.data._utils.collate import default_collate, default_collate_fn_map
from fastnn.compat.torch.utils.data.dataset import Subset, TensorDataset
from fastnn.compat.torch.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler, SubsetRandomSampler
from fastnn.data._prefetch import ahead

__all__ = ["batches"]

Maker = Callable[[NDArray[np.int64], np.random.Generator], list[Any]]

_OWN_COLLATE = dict(default_collate_fn_map)
# Of these, nobody can see whether indices are drawn some batches early.
_ORDERS = (RandomSampler, SequentialSampler, SubsetRandomSampler)
_PIPELINE = "fastnn.compat.torchvision._pipeline"


def batches(loader: Any, seed: int, requests: Iterator[list[int]]) -> Iterator[list[Any]] | None:
    """The batches of an epoch, or None if the loader's data set has to be asked for its items."""
    if loader.batch_sampler is None or loader.collate_fn is not default_collate:
        return None
    if default_collate_fn_map != _OWN_COLLATE:
        return None
    maker = _maker_of(loader.dataset)
    if maker is None:
        return None

    def make(numbered: tuple[int, list[int]]) -> list[Any]:
        number, indices = numbered
        return maker(np.asarray(indices, np.int64), batch_generator(seed, number))

    sampler = loader.batch_sampler
    is_own_order = type(sampler) is BatchSampler and type(sampler.sampler) in _ORDERS
    is_slow = not isinstance(_whole(loader.dataset), TensorDataset)
    if is_slow and (loader.num_workers > 0 or is_own_order):
        return ahead(make, enumerate(requests))
    return map(make, enumerate(requests))


def _whole(dataset: Any) -> Any:
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return dataset


def _maker_of(dataset: Any) -> Maker | None:
    """What makes a batch of indices into `dataset`."""
    if type(dataset) is Subset:
        of_all = _maker_of(dataset.dataset)
        if of_all is None:
            return None
        chosen = np.asarray(dataset.indices)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            return None
        return lambda indices, rng: of_all(chosen[indices], rng)
    n = _length(dataset)
    found = _of_tensors(dataset) if type(dataset) is TensorDataset else _of_images(dataset)
    if found is None or n is None:
        return None
    maker = found

    def make(indices: NDArray[np.int64], rng: np.random.Generator) -> list[Any]:
        if indices.size and not -n <= indices.min() <= indices.max() < n:
            raise IndexError(f"an index lies outside of the {n} items of {type(dataset).__name__}")
        return maker(np.where(indices < 0, indices + n, indices), rng)

    return make


def _length(dataset: Any) -> int | None:
    return len(dataset) if hasattr(dataset, "__len__") else None


def _of_tensors(dataset: TensorDataset) -> Maker | None:
    if not dataset.tensors or any(type(x) is not Tensor or x._requires_grad for x in dataset.tensors):
        return None
    return lambda indices, _: [new(x._data[indices]) for x in dataset.tensors]


def _of_images(dataset: Any) -> Maker | None:
    pipeline = sys.modules.get(_PIPELINE)  # without it there is no data set of torchvision's
    return None if pipeline is None else pipeline.maker_of(dataset)
