"""What the benchmarks have in common: the machine, its multiply-add peak, the results file."""

import json
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import fastnn
from fastnn import _runtime


def cpu_name() -> str:
    """The model name of the CPU, as its system gives it."""
    try:
        found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def description() -> dict[str, Any]:
    """The machine and the versions, for the results file."""
    return {
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "fastnn": fastnn.build_info(),
        "load": os.getloadavg()[0],
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def fma_peak(dtype: DTypeLike, threads: int, iterations: int = 2_000_000, repeats: int = 5) -> float:
    """GF/s of multiply-adds on registers: what the running instruction set could do at best, at this moment.

    The best of several measurements of some milliseconds: shorter ones would mostly time how threads wake up.
    """
    sums, flops = np.zeros(threads, dtype), np.zeros(threads)
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        _runtime._native.fma_peak(iterations, sums, flops, threads)
        best = max(best, flops.sum() / (time.perf_counter() - start) / 1e9)
    return best


def write_json(path: str | None, results: dict[str, Any]) -> None:
    """Write the results to `path`, if one was asked for."""
    if path:
        Path(path).write_text(json.dumps(results, indent=1) + "\n")
        print(f"\nwritten to {path}")
