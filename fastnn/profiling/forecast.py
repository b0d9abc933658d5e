"""How long a training step would take on more threads than this machine has.

The parallel regions of a step are run on one thread, and each of their tasks is timed. Their schedule on T threads
follows from the rule of `src_c/core/parallel.c`. The Python code between the regions is added unchanged. This is a
model and not a measurement: it does not know that cores share memory bandwidth, or that clocks fall when all cores
work.
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
    """The time that one kind of parallel region loses because its work is not divided perfectly.

    Attributes:
        name: the function of the compiled module that runs in the regions; for a convolution with the shape of the
            filters.
        seconds: the time lost in a step, in seconds, at the largest number of threads.
        regions: the number of such regions in a step.
        tasks: the number of tasks in all these regions.
    """

    name: str
    seconds: float
    regions: int
    tasks: int


@dataclass(frozen=True)
class ForecastRow:
    """A step on a given number of threads. `alone`, `idle` and `regions` are fractions of the step's time.

    Attributes:
        threads: the number of threads.
        seconds: the time of a step in seconds.
        efficiency: the time of one thread divided by threads * seconds; 1 is perfect scaling.
        alone: the fraction in which only one thread works: Python, and regions that are too small for a second thread.
        idle: the fraction in which threads wait for the last tasks of a region, or have no task.
        regions: the fraction spent on starting and ending regions.
        measured: the time in seconds of a step that was really run on as many threads; None if the machine has fewer.
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
    """The result of `forecast`. It prints as a table, with the eight largest losses.

    Attributes:
        rows: one `ForecastRow` for each number of threads.
        losses: the losses at the largest number of threads, the largest first.
        batch_size: the number of images in the step.
        rounds: the number of steps that were measured.
        isa: the instruction set whose kernels ran.
        cpu: the name of the CPU.
        region_seconds: the measured time in seconds to start and end a region with `region_threads` threads. For more
            threads it is taken to grow with the logarithm of their number. None if only one thread is available;
            regions then cost nothing.
        region_threads: the number of threads with which `region_seconds` was measured.
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

    Neither the model nor the optimiser is changed. The number of threads of this machine is added to `threads`, and a
    step with it is also measured. The difference shows how good the forecast is.

    Args:
        model: the network. It runs in training mode.
        x: a batch of inputs, as for `profile`.
        y: the targets of the batch.
        loss: the loss function. None (default): `nn.CrossEntropyLoss()`.
        optimizer: the optimiser of the model's parameters. None (default) leaves the update out.
        threads: the numbers of threads to forecast, each from 1 to 4096.
        rounds: the number of steps that are measured. Default 5.
    Shape:
        - x: what the model takes, usually (N, C, H, W), float32 or float64
        - y: what the loss takes, (N,) labels for the cross-entropy
    Returns:
        A `Forecast`, which prints as a table.
    Raises:
        ValueError: a number of threads is out of range, there is no compiled module, or the network does not do the
            same in each step.
        TypeError: model is not an `nn.Module`, or a number of threads is not an integer.
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
