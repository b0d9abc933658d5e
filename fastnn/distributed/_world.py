"""Training on the shards of every batch, with any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from fastnn import _check, nn
from fastnn.data._shards import ShardedBatch, cut_batch
from fastnn.distributed._agreement import agree, checksum, facts_of_loader, facts_of_modules
from fastnn.distributed._communicator import BARRIER, Communicator
from fastnn.distributed._processes import Processes
from fastnn.distributed._reducer import BUCKET_BYTES, Event, Reducer
from fastnn.distributed._step import Step, Together
from fastnn.distributed._tree import Block, shards_of_rank, total

__all__ = ["World"]

_MOST_SHARDS = 4096


class World:
    """All processes that train one network together; a context manager.

    Every batch is cut into a fixed number of shards. Each shard goes through the network by itself, whichever process
    has it, and what comes of the shards is added in a fixed order. So the weights after a training are the same, bit
    for bit, whether one process computes all shards, or eight processes compute one each.

    Start several processes with `mpirun -n 4 python train.py`; without it, one process computes all shards. All
    processes run the same program. If one of them fails, all end.

    Args:
        shards: the number of shards of a batch, at least the number of processes. It is a setting of the training like
            the batch size: another number gives other bits.
        bucket_bytes: gradients are exchanged in parts of about this size. It decides about speed only.
        timeout: seconds after which a process that does not answer counts as lost, and all end. None (default): the
            environment variable FASTNN_MPI_TIMEOUT, else 600.
        processes: of an enclosing block, which then decides about errors. Default: found by itself.
    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
        is_main: whether this is rank 0, which prints and writes files.
        own: the shards that this process computes, a range.
    Raises:
        ValueError: there are more processes than shards.
        Disagreement: versions or settings differ between the processes.
        ImportError: a launcher started several processes, and mpi4py is missing.
    Example:
        >>> import numpy as np, fastnn
        >>> from fastnn import nn, training
        >>> fastnn.manual_seed(0)
        >>> model, batches = nn.Linear(4, 3), [(np.eye(4, dtype=np.float32), np.array([0, 1, 2, 0]))] * 5
        >>> with fastnn.distributed.World(shards=2) as world:
        ...     history = training.fit(model, batches, epochs=2, distributed=world, progress=False)
        >>> len(history)
        2

        The same in a loop of one's own:

        >>> criterion, optimizer = nn.CrossEntropyLoss(), fastnn.optim.SGD(model.parameters(), lr=0.1)
        >>> with fastnn.distributed.World(shards=2) as world:
        ...     for batch in world.batches(batches):
        ...         optimizer.zero_grad()
        ...         for x, y in world.shards(model, batch):
        ...             loss = criterion(model(x), y)
        ...             dx = model.backward(criterion.backward())
        ...         world.reduce_gradients(model)
        ...         optimizer.step()
    """

    def __init__(
        self,
        shards: int,
        bucket_bytes: int = BUCKET_BYTES,
        timeout: float | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.n_shards = _check.integer("World", "shards", shards, 1, _MOST_SHARDS)
        self._bucket_bytes = _check.integer("World", "bucket_bytes", bucket_bytes, 1, 1 << 40)
        self._is_inner = processes is not None
        self._processes = Processes(timeout) if processes is None else processes
        self._reducer: Reducer | None = None
        self._step: Step | None = None
        self._told: Together | None = None
        self._is_open = False

    def __repr__(self) -> str:
        return f"World(shards={self.n_shards}, rank {self.rank} of {self.size})"

    # ---- the processes -----------------------------------------------------------------------------------------------
    @property
    def communicator(self) -> Communicator:
        """Passes messages between the processes."""
        return self._processes.communicator

    @property
    def rank(self) -> int:
        return self.communicator.rank

    @property
    def size(self) -> int:
        return self.communicator.size

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    @property
    def own(self) -> range:
        return shards_of_rank(self.rank, self.size, self.n_shards)

    def __enter__(self) -> Self:
        if self._is_open:
            raise RuntimeError("World: it is open already; a `with` block of it cannot be within another one")
        if not self._is_inner:
            self._processes.__enter__()
        try:
            if self.size > self.n_shards:
                raise ValueError(
                    f"World: {self.size} processes cannot share {self.n_shards} shards: start at most "
                    f"{self.n_shards}, or cut batches into more shards (which gives other bits)"
                )
            agree(self.communicator, "shards", {"the number of shards": self.n_shards})
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        self._is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        self._step = self._reducer = None
        if not self._is_inner:
            self._processes.__exit__(kind, error, trace)

    def check_open(self, name: str) -> None:
        """Raise RuntimeError outside of its block."""
        if not self._is_open:
            raise RuntimeError(f"{name}: it needs a block: with fastnn.distributed.World(shards=8) as world: ...")

    # ---- a training --------------------------------------------------------------------------------------------------
    def check_same(self, model: nn.Module, loader: Any = None, **settings: Any) -> None:
        """Compare network, random numbers, data and settings of all processes, before a training.

        Args:
            model: its shapes and values must be the same.
            loader: its length, settings and data must be the same.
            **settings: numbers and texts that must be the same.
        Raises:
            Disagreement: on all processes; it names the process that differs from rank 0, and in what.
        """
        self.check_open("World.check_same")
        self._check_same([model], loader, settings)

    def _check_same(self, modules: Sequence[nn.Module], loader: Any, settings: dict[str, Any]) -> None:
        agree(
            self.communicator, "settings", settings, "all processes must run the same program with the same arguments"
        )
        advice = "call fastnn.manual_seed(0) before the network is made, and load the same weights everywhere"
        agree(self.communicator, "the network", facts_of_modules(modules), advice)
        if loader is not None:
            facts = {f"the loader's {name}": value for name, value in facts_of_loader(loader).items()}
            agree(self.communicator, "the data", facts, "all processes need the same data, loader and seed")

    def batches(self, loader: Any) -> Generator[ShardedBatch, None, None]:
        """This process's part of every batch of a loader.

        A `data.Loader` reads and augments only the samples of this process's shards. Their order is that of the whole
        batches. Random numbers of augmentations depend on seed, epoch, batch and shard, and mixing stays within a
        shard. Of other loaders, every process takes whole batches, and cuts them.

        Args:
            loader: gives batches (x, y) of arrays, or of tuples or dicts of arrays.
        Returns:
            An iterator of batches for `shards`.
        """
        from fastnn import data
        from fastnn.training._arguments import batches_of

        self.check_open("World.batches")
        if isinstance(loader, data.Loader):
            yield from loader.iterate_shards(self.own, self.n_shards)
            return
        for x, y in batches_of("World.batches", loader):
            yield cut_batch(x, y, self.own, self.n_shards)._replace(checksum=checksum(y))

    # ---- a step ------------------------------------------------------------------------------------------------------
    def begin_step(self, modules: Sequence[nn.Module], batch: ShardedBatch) -> Step:
        """A step that its caller finishes, see `Step`."""
        parameters = list({id(p): p for module in modules for p in module.parameters()}.values())
        known = self._reducer
        if known is None or [*map(id, known.parameters)] != [*map(id, parameters)] or known.is_outdated():
            self._reducer = Reducer(self.communicator, self.n_shards, parameters, self._bucket_bytes)
        assert self._reducer is not None
        return Step(self.communicator, self.n_shards, modules, self._reducer, batch)

    def shards(self, model: nn.Module | Sequence[nn.Module], batch: Any) -> Iterator[tuple[Any, Any]]:
        """Go through this process's shards of a batch, one after the other: forward and backward of each in the loop.

        The loss must be a mean over the samples of the shard. Random numbers of layers depend on the shard. The
        gradients are collected, and `reduce_gradients` makes them those of the mean over the whole batch. Running
        statistics of batch norm are taken of every shard by itself; afterwards they are the mean over the shards.

        Args:
            model: the network, or several of them.
            batch: one that `batches` gave, or a whole batch (x, y), the same on all processes.
        Returns:
            An iterator of pairs (x, y). Shards without samples are left out.
        Raises:
            RuntimeError: the gradients of the batch before were not reduced.
        """
        self.check_open("World.shards")
        if self._step is not None:
            raise RuntimeError("World.shards: call reduce_gradients(model) after the shards of every batch")
        modules = [model] if isinstance(model, nn.Module) else list(model)
        if not isinstance(batch, ShardedBatch):
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise TypeError(f"World.shards: a batch is a pair (x, y). Received: {_check.shown(batch)}")
            batch = cut_batch(batch[0], batch[1], self.own, self.n_shards)
        step = self.begin_step(modules, batch)
        self._positions: list[int] = []
        self._n_parts = len(batch.parts)
        for position, x, y in step.shards():
            self._positions.append(position)
            yield x, y
        self._step = step

    def reduce_gradients(self, model: nn.Module | Sequence[nn.Module]) -> None:
        """Give every parameter the gradient of the mean loss over the whole batch: the same bits on all processes.

        With n samples in the batch, of which n_s are in shard s, it is the sum of n_s / n * gradient_s, added in the
        order of a fixed tree.

        Args:
            model: what was given to `shards`.
        Raises:
            RuntimeError: the loop over `shards` has not come to its end.
        """
        self.check_open("World.reduce_gradients")
        step, self._step = self._step, None
        if step is None:
            raise RuntimeError("World.reduce_gradients: go through all of world.shards(model, batch) first")
        self._told = step.finish()

    def mean(self, values: Sequence[float]) -> float:
        """The mean over the samples of a batch, of one number for each shard of this process, such as its mean loss.

        Args:
            values: for each shard that `shards` gave, in order.
        Returns:
            The same bits on all processes. NaN for a batch without samples.
        Raises:
            RuntimeError: `reduce_gradients` has not been called for a batch.
            ValueError: there is not one number for each shard.
        """
        self.check_open("World.mean")
        if self._told is None:
            raise RuntimeError("World.mean: call it after reduce_gradients(model)")
        if len(values) != len(self._positions):
            raise ValueError(f"World.mean: {len(self._positions)} numbers are needed. Received: {len(values)}")
        own = [0.0] * self._n_parts
        for position, value in zip(self._positions, values, strict=True):
            own[position] = float(value)
        told = self.communicator.exchange("a mean", {"values": own})
        return mean_over_shards([value for one in told for value in one["values"]], self._told["weights"])

    @property
    def timeline(self) -> list[Event]:
        """When backward ran and every bucket of gradients was under way, in the last step."""
        return [] if self._reducer is None else self._reducer.timeline

    # ---- all processes -----------------------------------------------------------------------------------------------
    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.communicator.exchange(BARRIER, {})

    def on_main(self, function: Callable[[], bytes]) -> bytes:
        """Call a function on rank 0 only, and give its result, bytes, to all processes."""
        return self.communicator.broadcast(function() if self.is_main else None)


def mean_over_shards(values: Sequence[float], weights: Sequence[float]) -> float:
    """The weighted mean in the order of the tree; shards without weight count for nothing."""
    shards = len(values)
    leaves = {Block(s, 1): (v * w if w else 0.0) for s, (v, w) in enumerate(zip(values, weights, strict=True))}
    weight = float(np.sum(np.asarray(weights, np.float64)))
    return total(leaves, shards, lambda a, b: a + b) / weight if weight else float("nan")
