"""How long a training step would take on more threads than this machine has.

The parallel regions of a step are run on one thread, and every task of them is timed. Their schedule on T threads is
then worked out by the rule of `src_c/core/parallel.c`, and what lies between them, which is Python, is added as it is.
A model, not a measurement: it knows nothing of a memory that many cores share, or of clocks that fall when all work.
"""

from __future__ import annotations

import heapq
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn import _arguments, _check, _machine, _runtime, _several, nn, optim
from fastnn._cpus import available_threads
from fastnn.autograd import Observer, observing
from fastnn.insight._state import preserved
from fastnn.profiling.run import left_as_found, training_step

__all__ = ["Forecast", "ForecastRow", "Loss", "forecast"]


@dataclass(frozen=True)
class _Region:
    """A parallel region: what computes in it, its cost by its own account, and the seconds of each of its tasks."""

    name: str
    cost: float
    seconds: NDArray[np.float64]


@dataclass(frozen=True)
class Loss:
    """What the regions of one kind lose against a perfect division of their work.

    Attributes:
        name: the function of the compiled module that ran them, and the filters of a convolution.
        seconds: of a step, at the largest number of threads.
        regions: of a step.
        tasks: of all of these.
    """

    name: str
    seconds: float
    regions: int
    tasks: int


@dataclass(frozen=True)
class ForecastRow:
    """A step on so many threads. The shares are of its seconds and say where the rest of the efficiency went.

    Attributes:
        threads: how many.
        seconds: of a step.
        efficiency: the seconds of one thread over those of all of these.
        alone: share in which one thread works: Python, and regions that are not worth a second thread.
        idle: share in which threads wait for the last tasks of a region, or there are fewer tasks than threads.
        regions: share that beginning and ending regions takes.
        measured: seconds of a step that ran on so many threads; None if the machine has not as many.
    """

    threads: int
    seconds: float
    efficiency: float
    alone: float
    idle: float
    regions: float
    measured: float | None


@dataclass(frozen=True)
class Forecast:
    """What `forecast` found; it prints as a table, of losses the eight largest.

    Attributes:
        rows: by number of threads.
        losses: at the largest number, the largest loss first.
        batch_size, rounds, isa, cpu: of the measurement.
        region_seconds: what a region costs at `region_threads`, measured; for more it grows with the logarithm of their
            number. None where only one thread can be had, and then regions cost nothing.
    """

    rows: tuple[ForecastRow, ...]
    losses: tuple[Loss, ...]
    batch_size: int
    rounds: int
    isa: str
    cpu: str
    region_seconds: float | None
    region_threads: int

    def __str__(self) -> str:
        lines = [
            f"A step of {self.batch_size} images by its tasks, timed on one thread ({self.isa}, {self.cpu}, medians of "
            f"{self.rounds})",
            "",
            "threads   step, ms   efficiency   one thread works   threads wait   regions   measured, ms",
        ]
        for row in self.rows:
            measured = "" if row.measured is None else f"{1e3 * row.measured:.1f}"
            lines.append(
                f"{row.threads:7}{1e3 * row.seconds:11.1f}{row.efficiency:13.2f}{row.alone:18.0%} {row.idle:14.0%}"
                f"{row.regions:10.0%}{measured:>15}"
            )
        if self.region_seconds is None:
            lines.append("Regions are taken to cost nothing: only one thread can be had here to measure it.")
        else:
            lines.append(f"A region costs {1e6 * self.region_seconds:.1f} us with {self.region_threads} threads.")
        most = self.rows[-1].threads
        lines += [
            "",
            f"What {most} threads lose against a perfect division of the work",
            "  ms   regions   tasks   what",
        ]
        for loss in self.losses[:8]:
            lines.append(f"{1e3 * loss.seconds:5.1f}{loss.regions:9}{loss.tasks:8}   {loss.name}")
        return "\n".join(lines)


def forecast(
    model: nn.Module,
    x: Any,
    y: Any,
    threads: Sequence[int],
    loss: Any = None,
    optimizer: optim.Optimizer | None = None,
    rounds: int = 5,
) -> Forecast:
    """Forecast the time of a training step on other numbers of threads, and what limits it there.

    Neither the model nor the optimiser is trained. The number of threads of the machine is added to `threads`, and a
    step on as many is measured, so that one sees what a forecast is worth.

    Args:
        model, x, y, loss, optimizer: as for `profile`.
        threads: the numbers to forecast, from 1 to 4096 each.
        rounds: steps that are measured.
    Shape:
        - x: what the model takes, usually (N, C, H, W), float32 or float64
        - y: what the loss takes, (N,) labels for the cross-entropy
    Raises:
        ValueError: a number of threads is out of range, there is no compiled module, or the network does something else
            in each step.
        TypeError: model is no `nn.Module`, or a number of threads no integer.
    Example:
        >>> import fastnn
        >>> from fastnn.profiling import forecast
        >>> model = fastnn.nn.Sequential(fastnn.nn.Flatten(), fastnn.nn.Linear(16, 2))
        >>> found = forecast(model, np.ones((8, 1, 4, 4), np.float32), np.arange(8) % 2, [8], rounds=1)
        >>> found.rows[-1].threads, 0 < found.rows[-1].efficiency <= 1
        (8, True)
    """
    _arguments.model("forecast", "model", model)
    if _runtime.uses_reference():
        raise ValueError("forecast: needs the compiled kernels, and the 'reference' backend runs")
    rounds = _check.integer("forecast", "rounds", rounds, 1)
    wanted = [_check.integer("forecast", "threads", n, 1, 4096) for n in threads]
    here = available_threads()
    criterion = nn.CrossEntropyLoss() if loss is None else loss
    regions, between, measured = _measure(model, x, y, criterion, optimizer, rounds, here)
    cost = _region_seconds(here)
    one_thread = between + sum(float(region.seconds.sum()) for region in regions)
    numbers = sorted({*wanted, here})
    rows = []
    for n in numbers:
        times = [_region_time(region, n, _cost_on(cost, here, n)) for region in regions]
        seconds = between + sum(time.seconds for time in times)
        rows.append(
            ForecastRow(
                threads=n,
                seconds=seconds,
                efficiency=one_thread / n / seconds,
                alone=(between + sum(time.seconds for time in times if time.busy <= 1)) / seconds,
                idle=sum(time.seconds - time.cost - time.work / n for time in times if time.busy > 1) / seconds,
                regions=sum(time.cost for time in times) / seconds,
                measured=measured if n == here else None,
            )
        )
    return Forecast(
        rows=tuple(rows),
        losses=tuple(_losses(regions, times, between, numbers[-1])),
        batch_size=len(next(iter(_several.parts("x", x)))[1]),
        rounds=rounds,
        isa=_runtime.isa(),
        cpu=_machine.cpu_name(),
        region_seconds=cost,
        region_threads=here,
    )


# ---- measuring -------------------------------------------------------------------------------------------------------
class _Names(Observer):
    """Tells after every function of the compiled module what ran."""

    lets_join: ClassVar[bool] = True

    def __init__(self, mark: Callable[[object], None]) -> None:
        self._mark = mark

    def kernel(self, name: str, plan: Any = None) -> None:
        if plan is not None:
            height, width, c_in, c_out = plan.taps
            name += f" {c_in} -> {c_out}, {height} x {width}, {plan.algorithm}"
        self._mark(name)


def _measure(
    model: nn.Module, x: Any, y: Any, criterion: Any, optimizer: Any, rounds: int, here: int
) -> tuple[list[_Region], float, float]:
    """The regions of a step on one thread, the seconds between them, and those of a step on all threads."""
    recorded, between, alone, together = [], [], [], []
    names: list[tuple[int, object]] = []
    with preserved(model), left_as_found(model, optimizer):
        model.train()

        def step() -> float:
            begin = time.perf_counter()
            training_step(model, x, y, criterion, optimizer)
            return time.perf_counter() - begin

        def observed(mark: Callable[[object], None]) -> None:
            with observing(_Names(mark)):
                step()

        step()
        with _runtime.num_threads(1):
            step()
            size = _runtime._native.record_tasks(observed, np.empty(1), names)
        for _ in range(rounds):
            with _runtime.num_threads(1):
                buffer = np.empty(max(size, 1))
                seconds: list[float] = []
                used = _runtime._native.record_tasks(lambda mark, seconds=seconds: seconds.append(step()), buffer, [])
                if used != size:
                    raise ValueError("forecast: the network does something else in each step, so no step stands for it")
                recorded.append(buffer[:size])
                between.append(seconds[0] - sum(float(region.seconds.sum()) for region in _parsed(recorded[-1], [])))
                alone.append(step())
            with _runtime.num_threads(here):
                together.append(step())
    regions, rest = list(_parsed(np.median(recorded, axis=0), names)), statistics.median(between)
    # Medians of single tasks leave out what now and then holds one up, and so add up to less than a step takes.
    work = sum(float(region.seconds.sum()) for region in regions)
    factor = max(0.0, statistics.median(alone) - rest) / work if work else 1.0
    regions = [_Region(region.name, region.cost, factor * region.seconds) for region in regions]
    return regions, rest, statistics.median(together)


def _parsed(numbers: NDArray, ends: list[tuple[int, object]]) -> Iterator[_Region]:
    """The regions; each is of the function that was told next."""
    at, index = 0, 0
    while at < len(numbers):
        n, cost = int(numbers[at]), float(numbers[at + 1])
        while index < len(ends) and ends[index][0] <= at:
            index += 1
        name = str(ends[index][1]) if index < len(ends) else "others"
        yield _Region(name, cost, numbers[at + 2 : at + 2 + n])
        at += 2 + n


def _region_seconds(threads: int) -> float | None:
    if threads < 2:
        return None
    _runtime._native.empty_regions(100, threads)
    found = []
    for _ in range(21):
        begin = time.perf_counter()
        _runtime._native.empty_regions(100, threads)
        found.append((time.perf_counter() - begin) / 100)
    return statistics.median(found)


# ---- the schedule ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Time:
    seconds: float  # with the cost of the region
    work: float
    cost: float
    busy: int


def _cost_on(cost: float | None, measured_on: int, threads: int) -> float:
    """A barrier takes a time that grows with the logarithm of the threads."""
    return 0.0 if cost is None or threads < 2 else cost * math.log2(threads) / math.log2(measured_on)


def _region_time(region: _Region, threads: int, cost: float) -> _Time:
    least, most_parts, runs = _runtime._native.schedule_rule()
    busy = min(int(region.cost / least), threads, len(region.seconds))
    work = float(region.seconds.sum())
    if busy <= 1:
        return _Time(work, work, 0.0, busy)
    return _Time(_makespan(region.seconds, busy, most_parts, runs) + cost, work, cost, busy)


def _makespan(seconds: NDArray, busy: int, most_parts: int, runs: int) -> float:
    """When the last of `busy` threads has done its tasks, by the rule of `work_off` in core/parallel.c."""
    n, parts = len(seconds), min(busy, most_parts)
    until = np.concatenate([[0.0], np.cumsum(seconds)])
    following = [n * i // parts for i in range(parts)]
    end = [n * (i + 1) // parts for i in range(parts)]
    looked = [0] * busy  # parts in which a thread has found nothing left
    free = [(0.0, thread) for thread in range(busy)]
    last = 0.0
    while free:
        moment, thread = heapq.heappop(free)
        while looked[thread] < parts:
            part = (thread + looked[thread]) % parts
            begin = following[part]
            if begin < end[part]:
                following[part] = begin + max(1, (end[part] - begin) // runs)
                heapq.heappush(free, (moment + until[following[part]] - until[begin], thread))
                break
            looked[thread] += 1
        else:
            last = max(last, moment)
    return float(last)


def _losses(regions: list[_Region], times: list[_Time], between: float, threads: int) -> list[Loss]:
    """By name, the largest first; what lies between regions, too. `times` are those on so many threads."""
    found: dict[str, list[float]] = {}
    for region, on_threads in zip(regions, times, strict=True):
        sums = found.setdefault(region.name, [0.0, 0, 0])
        for i, value in enumerate((on_threads.seconds - on_threads.work / threads, 1, len(region.seconds))):
            sums[i] += value
    losses = [Loss(name, lost, int(n), int(tasks)) for name, (lost, n, tasks) in found.items()]
    losses.append(Loss("between the regions: Python", between * (1 - 1 / threads), 0, 0))
    return sorted(losses, key=lambda loss: -loss.seconds)
