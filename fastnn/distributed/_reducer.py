"""From the gradients of shards to those of the batch, while backward still runs.

During the backward of a rank's last shard, every parameter whose gradient is complete goes into its bucket, and a full
bucket goes on its way. A gradient is taken to be complete when as many parts of it have arrived as in the step before:
the first step only counts them, and the order in which they are complete. If more arrive after all, as in a network
that uses a layer more often this time, the bucket is sent once more at the end.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import nn
from fastnn._setting import set_within
from fastnn._watching import ACCUMULATING
from fastnn.distributed._buckets import Bucket, buckets_of
from fastnn.distributed._communicator import Communicator
from fastnn.distributed._exchange import Exchange

__all__ = ["BUCKET_BYTES", "Event", "Reducer"]

BUCKET_BYTES = 1 << 20


class Event(NamedTuple):
    """Something that happened during a step, for a timeline.

    Attributes:
        what: 'backward', or 'bucket 0' and so on.
        begin, end: seconds, as of `time.perf_counter`.
        bytes: of a bucket.
    """

    what: str
    begin: float
    end: float
    bytes: int = 0


class Reducer:
    """The sums of the gradients of some parameters.

    Args:
        communicator: the ranks.
        shards: the number of all shards.
        parameters: of the network, and of a criterion that has some.
        bucket_bytes: size of a bucket; it decides about speed only.
    Attributes:
        timeline: the events of the last step.
    """

    def __init__(
        self,
        communicator: Communicator,
        shards: int,
        parameters: Sequence[nn.Parameter],
        bucket_bytes: int = BUCKET_BYTES,
    ) -> None:
        self._communicator, self._shards, self._bytes = communicator, shards, bucket_bytes
        self.parameters = list(parameters)
        self._index = {id(parameter): index for index, parameter in enumerate(self.parameters)}
        self._expected: list[int] | None = None  # parts of each gradient, once a step has counted them
        self._make_buckets(range(len(self.parameters))[::-1])
        self.timeline: list[Event] = []
        self.begin()

    def _make_buckets(self, order: Sequence[int]) -> None:
        self._layouts = _layouts(self.parameters)
        self._buckets = buckets_of(self.parameters, order, self._bytes)
        self._bucket_of = {index: bucket for bucket in self._buckets for index in bucket.members}

    def is_outdated(self) -> bool:
        """Whether a parameter has another shape, dtype or place in memory than the buckets were made for."""
        return self._layouts != _layouts(self.parameters)

    def begin(self) -> None:
        """A step begins."""
        for bucket in self._buckets:
            bucket.begin()
        self._started = [0.0] * len(self._buckets)
        self._finished = [0.0] * len(self._buckets)
        self._exchanges: list[Exchange] = []  # of the first buckets, in order
        self._running: dict[int, Exchange] = {}
        self._arrived = [0] * len(self.parameters)  # how many parts of each gradient
        self._order: dict[int, None] = {}  # indices in the order in which the last part arrived
        self._backward = (0.0, 0.0)
        self._present = [False] * len(self.parameters)
        self._put: dict[int, Any] = {}  # the gradient that was put in
        self._is_last = False
        self._share = 1.0

    # ---- the shards of this rank -------------------------------------------------------------------------------------
    def add(self, shard: int, share: float) -> None:
        """Add share * the gradients that the parameters have, of a shard that others of this rank follow."""
        self._present = self.has_gradient()
        for index, parameter in enumerate(self.parameters):
            self._bucket_of[index].put(index, parameter.grad, share)
        for bucket in self._buckets:
            bucket.close(shard)

    def add_nothing(self, shard: int) -> None:
        """A shard without samples."""
        for index in range(len(self.parameters)):
            self._bucket_of[index].put(index, None, 0.0)
        for bucket in self._buckets:
            bucket.close(shard)

    @contextlib.contextmanager
    def last(self, shard: int) -> Iterator[None]:
        """Within the block the backward of this rank's last shard runs."""
        self._is_last = True
        self._last_shard = shard
        with set_within(ACCUMULATING, (*ACCUMULATING.get(), self._on_accumulated)):
            yield

    def set_share(self, share: float) -> None:
        """What the gradients of the last shard are multiplied with; before its backward begins."""
        self._share = share
        self._backward = (time.perf_counter(), 0.0)
        if self._expected is not None and not self._put:  # no part of these is to come: they need not be waited for
            for index, parts in enumerate(self._expected):
                if not parts:
                    self._put_in(index)
            self._send_full()

    def _on_accumulated(self, parameter: Any) -> None:
        index = self._index.get(id(parameter))
        if index is None:
            return
        self._arrived[index] += 1
        self._order.pop(index, None)
        self._order[index] = None
        if self._expected is not None and self._arrived[index] == self._expected[index]:
            self._put_in(index)
            self._send_full()
        self.progress()

    def _put_in(self, index: int) -> None:
        gradient = self.parameters[index].grad
        self._bucket_of[index].put(index, gradient, self._share)
        self._put[index] = gradient, self._arrived[index]

    def _send_full(self) -> None:
        """Buckets go in their order, which is the same on all ranks."""
        while len(self._exchanges) < len(self._buckets) and not self._buckets[len(self._exchanges)].missing:
            number = len(self._exchanges)
            bucket = self._buckets[number]
            bucket.close(self._last_shard)
            self._exchanges.append(self._begin(number, bucket))

    def _begin(self, number: int, bucket: Bucket) -> Exchange:
        self._started[number] = time.perf_counter()
        self._running[number] = exchange = Exchange(self._communicator, number, self._shards, bucket.blocks())
        return exchange

    def progress(self) -> None:
        """Let what is under way go on."""
        for number, exchange in list(self._running.items()):
            if exchange.progress():
                self._finished[number] = time.perf_counter()
                del self._running[number]

    def close_last(self) -> list[int]:
        """The backward of the last shard is over: put in and send what is left.

        Returns:
            The numbers of the buckets that were sent too early.
        """
        if not self._is_last:  # the last shards have no samples: all sums are complete
            self._exchanges = [self._begin(number, bucket) for number, bucket in enumerate(self._buckets)]
            return []
        self._backward = self._backward[0], time.perf_counter()
        early = set()
        for index, parameter in enumerate(self.parameters):
            if index not in self._put:
                self._put_in(index)
            elif self._put[index][0] is not parameter.grad or self._put[index][1] != self._arrived[index]:
                early.add(index)
        sent = len(self._exchanges)
        for index in early:
            if self._buckets.index(self._bucket_of[index]) >= sent:
                self._put_in(index)
        self._send_full()
        return [number for number in range(sent) if early.intersection(self._buckets[number].members)]

    def send_again(self, numbers: Sequence[int], own: Sequence[int]) -> None:
        """Sum the buckets `numbers` once more, of which `own` have changed on this rank."""
        self.wait()
        for number in sorted(numbers):
            bucket = self._buckets[number]
            if number in own:
                bucket.reopen()
                for index in bucket.members:
                    self._put_in(index)
                bucket.close(self._last_shard)
            self._exchanges[number] = self._begin(number, bucket)

    def wait(self) -> None:
        """Wait for all sums."""

        def missing() -> set[int]:
            self.progress()
            return {rank for exchange in self._running.values() for rank in exchange.missing()}

        self._communicator.wait(missing, "the sum of the gradients")

    # ---- the result --------------------------------------------------------------------------------------------------
    def has_gradient(self) -> list[bool]:
        """Whether a shard of this rank gave each parameter a gradient."""
        return [
            before or parameter.grad is not None
            for before, parameter in zip(self._present, self.parameters, strict=True)
        ]

    def finish(self, present: Sequence[bool], factor: float) -> None:
        """Wait, and give every parameter factor * the sum as its gradient, or None if no shard had one."""
        self.wait()
        for bucket, exchange in zip(self._buckets, self._exchanges, strict=True):
            for index in bucket.members:
                parameter = self.parameters[index]
                if not present[index]:
                    parameter.grad = None
                    continue
                part = bucket.view(exchange.result, index)
                if factor != 1.0:
                    parameter.grad = np.multiply(part, factor)
                elif parameter.grad is not None and parameter.grad.flags.writeable:
                    parameter.grad[...] = part
                else:
                    parameter.grad = part.copy("K")
        self.timeline = [Event("backward", *self._backward)] + [
            Event(f"bucket {number}", begin, end, bucket.size * bucket.dtype.itemsize)
            for number, (bucket, begin, end) in enumerate(
                zip(self._buckets, self._started, self._finished, strict=True)
            )
        ]
        for bucket in self._buckets:
            bucket.end()

    # ---- what a step teaches the next one ----------------------------------------------------------------------------
    def lesson(self) -> list[int] | None:
        """After the first step: the parameters in the order in which their gradients were complete."""
        if self._expected is not None or not self._is_last:
            return None
        return [*self._order, *(index for index in range(len(self.parameters)) if index not in self._order)]

    def learn(self, order: Sequence[int] | None) -> None:
        """Take rank 0's order for the buckets of the next steps, and this rank's numbers of parts."""
        if self._is_last:
            self._expected = list(self._arrived)
        if order is not None:
            self._make_buckets(order)
        self.begin()


def _layouts(parameters: Sequence[nn.Parameter]) -> list[Any]:
    return [(parameter.dtype, parameter.shape, parameter._data.strides) for parameter in parameters]
