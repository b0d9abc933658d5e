"""One step of a training on the shards of a batch."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import _random, nn
from fastnn.data._shards import ShardedBatch, sizes_of
from fastnn.distributed._buffers import Buffers
from fastnn.distributed._communicator import Communicator
from fastnn.distributed._errors import Disagreement
from fastnn.distributed._reducer import Reducer

__all__ = ["Step", "Together"]


class Together(dict[str, Any]):
    """What the ranks told each other at the end of a step: records of all shards, and whether somebody is to end."""


class Step:
    """The gradients of a batch's shards become those of the batch.

    Args:
        communicator: the ranks.
        shards: the number of all shards.
        modules: a network, and a criterion that has parameters or buffers.
        reducer: of their parameters.
        batch: this rank's part of the batch.
    """

    def __init__(
        self,
        communicator: Communicator,
        shards: int,
        modules: Sequence[nn.Module],
        reducer: Reducer,
        batch: ShardedBatch,
    ) -> None:
        self._communicator, self._shards, self._reducer, self._batch = communicator, shards, reducer, batch
        self._sizes = sizes_of(batch.n, shards)
        self._own = range(batch.first, batch.first + len(batch.parts))
        self._key = _random.draw_key()  # the same on all ranks, as their random state is
        self._buffers = Buffers(modules)
        self._before = [parameter.grad for parameter in reducer.parameters]
        self._weights = [float(self._sizes[shard]) for shard in self._own]
        self._records: list[Any] = [None] * len(self._own)
        reducer.begin()

    def shards(self) -> Iterator[tuple[int, Any, Any]]:
        """(position, x, y) of each shard of this rank that has samples, whose forward and backward run in the loop.

        Random numbers within are drawn from a generator that depends on the shard.
        """
        positions = range(len(self._own))
        last = self._own[-1] if self._sizes[self._own[-1]] else None
        for position, shard in zip(positions, self._own, strict=True):
            if not self._sizes[shard]:
                self._reducer.add_nothing(shard)
                self._buffers.take_nothing()
                continue
            x, y = self._batch.parts[position]
            for parameter in self._reducer.parameters:
                parameter.grad = None
            seeds = np.random.SeedSequence(self._key, spawn_key=(shard,))
            watching = self._reducer.last(shard) if shard == last else contextlib.nullcontext()
            with watching, _random.drawing_from(np.random.Generator(np.random.PCG64(seeds))):
                if shard == last:
                    self.set_weight(position, self._weights[position])
                yield position, x, y
            self._buffers.take()
            if shard != last:
                self._reducer.add(shard, self._share(position))

    def _share(self, position: int) -> float:
        return self._weights[position] / self._batch.n

    def set_weight(self, position: int, weight: float) -> None:
        """What a shard's loss counts for in the mean; before its backward. By default its number of samples."""
        self._weights[position] = weight
        if position == len(self._own) - 1:
            self._reducer.set_share(self._share(position))

    def record(self, position: int, value: Any) -> None:
        """Note what JSON can hold about a shard; all ranks get all records."""
        self._records[position] = value

    def finish(self, is_sum: bool = False) -> Together:
        """Wait for the other ranks; parameters get the gradients of the mean loss of the batch.

        Args:
            is_sum: the loss of the batch is the sum of those of the shards, whose weights are the batch's number of
                samples then.
        Returns:
            'records', 'weights' of all shards, 'interrupted': whether any rank was told to end.
        """
        early = self._reducer.close_last()
        integers = self._buffers.integers([self._sizes[shard] for shard in self._own])
        self._communicator.meanwhile = self._reducer.progress
        try:
            told = self._communicator.exchange(
                "the end of a step",
                {
                    "n": self._batch.n,
                    "targets": self._batch.checksum,
                    "weights": self._weights,
                    "records": self._records,
                    "early": early,
                    "present": self._reducer.has_gradient(),
                    "changed": self._buffers.changed(),
                    "integers": integers if any(self._sizes[shard] for shard in self._own) else None,
                    "lesson": self._reducer.lesson(),
                    "interrupted": self._communicator.is_told_to_end(),
                },
            )
        finally:
            self._communicator.meanwhile = None
        self._check_same_batch(told)
        again = sorted({number for one in told for number in one["early"]})
        if again:
            self._reducer.send_again(again, early)
        weights = [weight for one in told for weight in one["weights"]]
        total = sum(weights)
        present = [any(column) for column in zip(*(one["present"] for one in told), strict=True)]
        n = self._batch.n
        factor = 1.0 if is_sum or not total else n / total
        self._reducer.finish(present, factor)
        self._add_to_earlier()
        self._buffers.finish(
            self._communicator,
            len(self._reducer.parameters) + 1,
            self._shards,
            [self._sizes[shard] / n if n else 0.0 for shard in self._own],
            sorted({index for one in told for index in one["changed"]}),
            next((one["integers"] for one in told if one["integers"] is not None), {}),
        )
        self._reducer.learn(told[0]["lesson"])
        return Together(
            records=[record for one in told for record in one["records"]],
            weights=weights,
            interrupted=any(one["interrupted"] for one in told),
        )

    def _add_to_earlier(self) -> None:
        """Gradients that were there before the step are added to, as by any backward."""
        for parameter, before in zip(self._reducer.parameters, self._before, strict=True):
            if before is not None:
                now, parameter.grad = parameter.grad, before
                if now is not None:
                    parameter.accumulate(now, fresh=False)

    def _check_same_batch(self, told: Sequence[dict[str, Any]]) -> None:
        for name, what in (("n", "the number of samples"), ("targets", "the checksum of the targets")):
            for rank, one in enumerate(told):
                if one[name] != told[0][name]:
                    raise Disagreement(
                        f"rank {rank} has another batch than rank 0: {what} is {one[name]} and {told[0][name]}; all "
                        "ranks must go through the same data in the same order"
                    )
