"""Summing one flat array over all ranks: every rank sums a slice of it, and sends the result to the others.

First each rank sends slice q of its blocks to rank q, for all q. Rank q adds them in the order of the tree, and sends
its slice of the sum to all. So an array of n bytes costs every rank about 2 n bytes of messages, whatever the number of
ranks. Of a short array every rank gets all blocks and adds them itself: the same additions, and half the latency.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.data._shards import cut
from fastnn.distributed._communicator import Communicator
from fastnn.distributed._tree import Block, Pile, blocks_of, shards_of_rank, total

__all__ = ["SHORT_BYTES", "Exchange"]

SHORT_BYTES = 32 * 1024  # up to here, every rank gets everything


class Exchange:
    """One sum that is under way. It goes on whenever `progress` is called.

    Args:
        communicator: the ranks.
        number: tells sums apart that are under way at the same time; equal on all ranks.
        shards: the number of all shards.
        own: the sums of this rank's blocks, flat arrays; they are not changed.
    Attributes:
        result: the sum, once `progress` has returned True; it may be one of `own`.
    """

    def __init__(self, communicator: Communicator, number: int, shards: int, own: Mapping[Block, NDArray]) -> None:
        self._communicator, self._shards, self._own = communicator, shards, own
        self._tag = 2 * number
        first = next(iter(own.values()))
        ranks, rank = communicator.size, communicator.rank
        self._is_short = first.nbytes <= SHORT_BYTES or ranks == 1
        self._slices = [slice(0, first.size) if self._is_short else cut(first.size, r, ranks) for r in range(ranks)]
        self._others = [r for r in range(ranks) if r != rank]
        self._kept: list[Any] = []  # requests of sending
        self._waiting: list[tuple[int, Any]] = []  # the ranks that receives are from, and their requests
        self._received: dict[Block, NDArray] = {}
        self._is_summed = False
        mine = self._slices[rank]
        for other in self._others:
            for block in blocks_of(shards_of_rank(other, ranks, shards)):
                place = self._received[block] = np.empty(mine.stop - mine.start, first.dtype)
                self._waiting.append((other, communicator.receive(place, other, self._tag)))
        for other in self._others:
            for block in own:
                self._kept.append(communicator.send(own[block][self._slices[other]], other, self._tag))
        self.result = first

    def progress(self) -> bool:
        """Do what can be done now; returns whether the sum is complete."""
        if not self._all_received():
            return False
        if not self._is_summed:
            self._is_summed = True
            self._sum()
            if not self._all_received():
                return False
        self._kept = [request for request in self._kept if not self._communicator.is_done(request)]
        return not self._kept

    def missing(self) -> list[int]:
        """The ranks that something has not come from, or not gone to."""
        if self.progress():
            return []
        return sorted({rank for rank, _ in self._waiting}) or [r for r in self._others if self._kept]

    def _all_received(self) -> bool:
        self._waiting = [(rank, one) for rank, one in self._waiting if not self._communicator.is_done(one)]
        return not self._waiting

    def _sum(self) -> None:
        mine = self._slices[self._communicator.rank]
        temporary = {id(array) for array in self._received.values()}

        def added(left: NDArray, right: NDArray) -> NDArray:
            out = next((array for array in (left, right) if id(array) in temporary), None)
            out = np.add(left, right, out=out)
            temporary.add(id(out))
            kept.append(out)
            return out

        kept: list[NDArray] = []  # so that no other array gets the id of one of these
        parts = {**self._received, **{block: array[mine] for block, array in self._own.items()}}
        part = total(parts, self._shards, added)
        self._received = {}
        if self._is_short:
            self.result = part
            return
        result = np.empty(self._slices[-1].stop, part.dtype)
        result[mine] = part
        self.result = result
        for other in self._others:
            self._waiting.append((other, self._communicator.receive(result[self._slices[other]], other, self._tag + 1)))
        for other in self._others:
            self._kept.append(self._communicator.send(result[mine], other, self._tag + 1))


def sum_over_shards(communicator: Communicator, number: int, shards: int, leaves: Sequence[NDArray]) -> NDArray:
    """The sum of one flat array for each shard of this rank, and of those of the other ranks."""
    own = shards_of_rank(communicator.rank, communicator.size, shards)
    pile: Pile[NDArray] = Pile(np.add)
    for shard, leaf in zip(own, leaves, strict=True):
        pile.push(shard, leaf)
    exchange = Exchange(communicator, number, shards, pile)
    communicator.wait(exchange.missing, "a sum over the shards")
    return exchange.result
