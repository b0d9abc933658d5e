"""What this machine is, and what it could do at best: the yardsticks of the profile and of the benchmarks."""

import os
import platform
import time
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _layout, _runtime, _system

# Each of the three arrays of the bandwidth measurement: more than the last-level cache of most CPUs. Where the cache is
# larger still, the figure is that of the cache, as it is for the activations of a network.
_STREAM_BYTES = 48 << 20


def cpu_name() -> str:
    """The model name of the CPU, as its system gives it; else the name of its kind."""
    return _system.cpu_name() or platform.processor() or platform.machine() or "unknown"


def description() -> dict[str, Any]:
    """The machine and the versions, for files of results."""
    return {
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "fastnn": _runtime.build_info(),
        "load": _system.load_average(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def fma_peak(dtype: DTypeLike, threads: int, iterations: int = 2_000_000, repeats: int = 5) -> float:
    """GF/s of multiply-adds on registers: what the running instruction set could do at best, at this moment.

    The best of several measurements of some milliseconds: shorter ones would mostly time how threads wake up.

    Example:
        >>> from fastnn import _machine
        >>> _machine.fma_peak(np.float32, 1, iterations=10_000) > 0
        True
    """
    sums, flops = np.zeros(threads, dtype), np.zeros(threads)
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        _runtime._native.fma_peak(iterations, sums, flops, threads)
        best = max(best, float(flops.sum()) / (time.perf_counter() - start) / 1e9)
    return best


class Stream:
    """Measures GB/s of y = a + b on long arrays, counting the three arrays once each, as the STREAM benchmark does.

    Args:
        dtype: float32 or float64.
        n_bytes: of each array.

    Source: McCalpin, 1995, "Memory bandwidth and machine balance in current high performance computers".
    """

    def __init__(self, dtype: DTypeLike, n_bytes: int = _STREAM_BYTES) -> None:
        # Not from the cache of fastnn, which would keep so much for the next ones. The first touch of a page, which
        # costs more than reading it, is here.
        self._arrays = [np.ones(max(1, n_bytes // np.dtype(dtype).itemsize), dtype) for _ in range(3)]

    def bandwidth(self, threads: int, repeats: int = 3) -> float:
        """GB/s at this moment, the best of several measurements."""
        best = 0.0
        for _ in range(repeats):
            start = time.perf_counter()
            _runtime._native.add(*map(_layout.flat, self._arrays), threads)
            best = max(best, sum(array.nbytes for array in self._arrays) / (time.perf_counter() - start) / 1e9)
        return best
