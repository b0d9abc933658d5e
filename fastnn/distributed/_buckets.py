"""Gradients of several parameters beside each other in one flat array, so that few messages carry them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastnn import _layout, nn
from fastnn.distributed._tree import Block, Pile

__all__ = ["Bucket", "buckets_of"]


class Bucket:
    """Some parameters of one dtype, and the sums of their gradients over the shards of this rank.

    Args:
        members: (index, parameter) of each.
    Attributes:
        members: the indices of its parameters.
        missing: those whose gradient of the running shard has not been put in.
    """

    def __init__(self, members: Sequence[tuple[int, nn.Parameter]]) -> None:
        self.members = [index for index, _ in members]
        self.dtype = members[0][1].dtype
        self._places: dict[int, tuple[int, int, tuple[int, ...], tuple[int, ...]]] = {}
        end = 0
        for index, parameter in members:
            order = _layout.memory_order(parameter._data)  # so that copying runs along memory
            self._places[index] = end, end + parameter.size, parameter.shape, order
            end += parameter.size
        self.size = end
        self._free: list[NDArray] = []
        self.begin()

    def begin(self) -> None:
        """Forget the sums of the step before."""
        self._pile: Pile[NDArray] = Pile(self._added)
        self._used: list[NDArray] = []  # arrays that sums came from
        self._leaf: NDArray | None = None
        self.missing = set(self.members)
        self._before: dict[Block, NDArray] = {}

    def end(self) -> None:
        """The step is over: its arrays serve the next one."""
        self._free = [*self._free, *self._used, *self._pile.values()]
        self.begin()

    def view(self, flat: NDArray, index: int) -> NDArray:
        """The part of one parameter, in its shape."""
        begin, end, shape, order = self._places[index]
        part = flat[begin:end].reshape([shape[axis] for axis in order])
        return part.transpose(np.argsort(order)) if order else part

    def put(self, index: int, gradient: NDArray | None, share: float) -> None:
        """Put in share * gradient of the running shard; zeros if there is none."""
        if self._leaf is None:
            self._leaf = self._free.pop() if self._free else np.empty(self.size, self.dtype)
        place = self.view(self._leaf, index)
        if gradient is None:
            place[...] = 0
        else:
            np.multiply(gradient, share, out=place)
        self.missing.discard(index)

    def close(self, shard: int) -> None:
        """All gradients of the running shard are in: add them to the sums."""
        assert self._leaf is not None
        assert not self.missing
        leaf, self._leaf = self._leaf, None
        # Arrays that earlier additions were made from are not needed any more; those of the last may be, see `reopen`.
        self._free += self._used
        self._used = []
        self._before = dict(self._pile)
        self._pile.push(shard, leaf)
        self.missing = set(self.members)

    def reopen(self) -> None:
        """Take back the last `close`: the gradients of that shard have changed since."""
        self._used = []
        self._pile.clear()
        self._pile.update(self._before)

    def blocks(self) -> dict[Block, NDArray]:
        """The sums of the blocks of shards that have come."""
        return dict(self._pile)

    def _added(self, left: NDArray, right: NDArray) -> NDArray:
        self._used.append(left)  # which stays as it was
        return np.add(left, right, out=right)


def buckets_of(parameters: Sequence[nn.Parameter], order: Sequence[int], most_bytes: int) -> list[Bucket]:
    """Parameters in this order, in buckets of at most so many bytes; a larger one has a bucket for itself."""
    buckets: list[Bucket] = []
    members: list[tuple[int, nn.Parameter]] = []
    size = 0
    for index in order:
        parameter = parameters[index]
        is_full = size + parameter.nbytes > most_bytes or (members and members[0][1].dtype != parameter.dtype)
        if members and is_full:
            buckets.append(Bucket(members))
            members, size = [], 0
        members.append((index, parameter))
        size += parameter.nbytes
    if members:
        buckets.append(Bucket(members))
    return buckets
