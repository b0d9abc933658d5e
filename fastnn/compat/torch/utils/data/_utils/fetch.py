"""Asking a data set for the items of a batch."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.utils.data.dataset import items_of

__all__ = ["Fetch", "fetcher"]

__getattr__ = missing(__name__)

Fetch = Callable[[Any], Any]


def fetcher(dataset: Any, is_iterable: bool, is_batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> Fetch:
    """A function from what the sampler gave to a batch; it raises StopIteration where an iterable data set ends."""
    if not is_iterable:
        if is_batched:
            return lambda indices: collate(items_of(dataset, indices))
        return lambda index: collate(dataset[index])
    items: Iterator[Any] = iter(dataset)
    if not is_batched:
        return lambda _: collate(next(items))

    def fetch(places: list[None]) -> Any:
        batch = list(islice(items, len(places)))
        if not batch or (drop_last and len(batch) < len(places)):
            raise StopIteration
        return collate(batch)

    return fetch
