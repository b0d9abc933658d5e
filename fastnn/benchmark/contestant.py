"""The processes that are timed in turn."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn._system import is_closed_pipe

__all__ = ["FASTNN_ALGORITHMS", "TORCH_LIMITS", "TORCH_MODES", "Contestant"]

# name: algorithm of its convolutions. Either is set, lest the environment of the bench decide.
FASTNN_ALGORITHMS = {
    "fastnn": "auto",
    "fastnn direct": "direct",
    "fastnn 2x2": "winograd",
    "fastnn 4x4": "winograd4",
}
TORCH_MODES = {  # name: (channels_last, compiled)
    "nchw": (False, False),
    "channels_last": (True, False),
    "compile": (False, True),
    "compile_channels_last": (True, True),
}
# What holds the libraries under PyTorch to an instruction set.
TORCH_LIMITS = {
    "baseline": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {},
    "neon": {"ATEN_CPU_CAPABILITY": "default"},
}
_PATIENCE = 60.0  # seconds that a process gets to end by itself


@contextlib.contextmanager
def _unless_closed() -> Iterator[None]:
    """Pass over the error of writing to a process that reads no more."""
    try:
        yield
    except OSError as error:
        if not is_closed_pipe(error):
            raise


class Contestant:
    """A worker process and the times of its steps.

    Args:
        name: the name in tables.
        settings: the settings of the worker: its library, and the arguments of the class in `worker` that runs it.
        environment: environment variables that it gets in addition to those of this process.
        worker: the module that it runs.
    Attributes:
        library: 'fastnn' or 'torch'.
        medians: the seconds of a step, one number for each round that counted.
    """

    def __init__(
        self,
        name: str,
        settings: dict[str, Any],
        environment: dict[str, str],
        worker: str = "fastnn.benchmark.worker",
    ) -> None:
        self.name = name
        self.library: str = settings["library"]
        self.medians: list[float] = []
        self._steps = 0
        # The worker imports the package that runs here, wherever that is found, and nothing from the current folder.
        path = os.pathsep.join(filter(None, [str(Path(fastnn.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", worker, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, **environment, "PYTHONPATH": path},
        )

    def _ask(self, **request: Any) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        line = ""
        with _unless_closed():  # it is gone, which is told below
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            line = stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self._process.wait()}; its words are above")
        return json.loads(line)

    def load(self, **what: Any) -> None:
        """Make what is timed next, in a worker that times several things."""
        self._ask(do="load", **what)
        self.medians, self._steps = [], 0

    def results(self, folder: str) -> dict[str, NDArray]:
        """The results of a step, for comparison; see `worker.Fastnn.results`."""
        path = str(Path(folder) / "results.npz")
        self._ask(do="results", path=path)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def run(self, seconds: float) -> float:
        """Run steps for this many seconds, and return the median of their times in seconds.

        Raises:
            ArithmeticError: the results are not finite.
        """
        answer = self._ask(do="time", first=self._steps, seconds=seconds)
        if not np.isfinite(answer["value"]):
            raise ArithmeticError(f"{self.name}: it computes {answer['value']}")
        self._steps += len(answer["seconds"]) + 1
        return statistics.median(answer["seconds"])

    def memory(self) -> dict[str, int]:
        """The bytes that a step needs at most; see `worker.peak_memory`."""
        return self._ask(do="memory", first=self._steps)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with _unless_closed():  # it is gone, and never read the line it was sent
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
