"""Cutting a batch into shards, whoever computes them."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import _check, _several

__all__ = ["ShardedBatch", "cut", "cut_batch", "sizes_of"]


def cut(n: int, shard: int, shards: int) -> slice:
    """Which of `n` samples belong to a shard; sizes differ by one at most, and are 0 if there are too few samples.

    Example:
        >>> [cut(10, shard, 4) for shard in range(4)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    """
    return slice(shard * n // shards, (shard + 1) * n // shards)


def sizes_of(n: int, shards: int) -> list[int]:
    """The number of samples of each shard.

    Example:
        >>> sizes_of(10, 4), sizes_of(2, 4)
        ([2, 3, 2, 3], [0, 1, 0, 1])
    """
    bounds = [shard * n // shards for shard in range(shards + 1)]
    return [end - begin for begin, end in itertools.pairwise(bounds)]


class ShardedBatch(NamedTuple):
    """A rank's part of a batch.

    Attributes:
        n: the number of samples of the whole batch.
        first: the first shard of this rank.
        parts: pairs (x, y) for each shard of this rank, in order.
        checksum: of the targets of the whole batch if this rank has seen them, else 0.
    """

    n: int
    first: int
    parts: Sequence[tuple[Any, Any]]
    checksum: int = 0


def cut_batch(x: Any, y: Any, own: range, shards: int) -> ShardedBatch:
    """The shards `own` of a whole batch.

    Args:
        x, y: inputs and targets: arrays, or tuples or dicts of arrays.
        own: the shards of this rank.
        shards: the number of all shards.
    Raises:
        ValueError: the targets are no arrays, or have another length than the inputs.
    """
    n = _several.check_lengths("shards", "the inputs", x)
    if y is not None:
        for label, part in _several.parts("the targets", y):
            if not isinstance(part, np.ndarray) or not part.ndim or len(part) != n:
                raise ValueError(
                    f"shards: {label} must be an array with one entry for each of {n} samples, so that a batch can be "
                    f"cut. Received: {_check.shown(part)}"
                )

    def taken(value: Any, which: slice) -> Any:
        return None if value is None else _several.mapped(lambda array: array[which], value)

    places = [cut(n, shard, shards) for shard in own]
    return ShardedBatch(n, own.start, [(taken(x, place), taken(y, place)) for place in places])
