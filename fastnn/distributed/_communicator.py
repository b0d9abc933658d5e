"""Messages between the ranks: texts that all of them exchange, and arrays that one sends another.

Everything is sent from one rank to another, without collective calls, and every wait asks again and again whether it is
over. So a wait knows who has not answered, work can go on in the meantime, and a signal is heard.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Collection
from typing import Any

from numpy.typing import NDArray

from fastnn._terminal import say
from fastnn.distributed._errors import Disagreement, RankLost

__all__ = ["BARRIER", "Alone", "Communicator", "MpiCommunicator"]

BARRIER = "barrier"  # where ranks also wait for the files that rank 0 writes, so that nobody complains of it

_FAILED, _TEXT, _FIRST_TAG = 0, 1, 2  # tags of messages; those of arrays begin at the last
# After a signal to end, an answer takes no longer if all ranks live. Open MPI leaves 0.25 s before it kills.
_SIGNAL_SECONDS = 0.08
_SPIN_SECONDS = 1e-4  # of asking without a pause

Payload = dict[str, Any]


class Communicator:
    """What every kind has.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
        timeout: seconds after which a rank that does not answer is lost.
        meanwhile: called while waiting.
        is_told_to_end: whether this process got a signal to end.
    """

    rank = 0
    size = 1

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.meanwhile: Callable[[], Any] | None = None
        self.is_told_to_end: Callable[[], bool] = lambda: False
        self._hint: Callable[[], str] | None = None
        self._is_hint_said = False

    @property
    def has_hint(self) -> bool:
        """Whether `set_hint` was called."""
        return self._hint is not None

    def set_hint(self, hint: Callable[[], str]) -> None:
        """Set what tells how to continue from the last checkpoint, or ''."""
        self._hint = hint

    def resume_hint(self) -> str:
        """How a user continues from the last checkpoint, or ''."""
        return "" if self._hint is None or self._is_hint_said else self._hint()

    def say_hint(self) -> None:
        """Say at once, in a signal handler, how to continue: the launcher may leave no time for more."""
        hint = self.resume_hint()
        if hint and sys.stderr is not None and not self.has_failed([r for r in range(self.size) if r != self.rank]):
            text = f"fastnn: this run was told to end; if it does not say that it saved its state, {hint}\n"
            with contextlib.suppress(Exception):
                os.write(sys.stderr.fileno(), text.encode())  # a stream may be in the middle of a line
                self._is_hint_said = True

    def exchange(self, kind: str, payload: Payload) -> list[Payload]:
        """Give every rank the payloads of all, in the order of ranks.

        Args:
            kind: what it is about; a rank that is about something else is an error.
            payload: what JSON can hold.
        """
        raise NotImplementedError

    def broadcast(self, data: bytes | None) -> bytes:
        """The bytes that rank 0 has, for every rank."""
        raise NotImplementedError

    def send(self, array: NDArray, rank: int, tag: int) -> Any:
        """Begin to send a contiguous array; returns a request."""
        raise NotImplementedError

    def receive(self, array: NDArray, rank: int, tag: int) -> Any:
        """Begin to receive into a contiguous array; returns a request."""
        raise NotImplementedError

    def is_done(self, request: Any) -> bool:
        """Whether a request has come to its end."""
        raise NotImplementedError

    def has_failed(self, ranks: Collection[int]) -> bool:
        """Whether one of these ranks has said that it ends all."""
        return False

    def wait(self, missing: Callable[[], Collection[int]], what: str) -> None:
        """Wait until no rank is missing.

        Raises:
            RankLost: `timeout` seconds have passed.
        """
        start = time.monotonic()
        told: float | None = None
        while ranks := missing():
            now = time.monotonic()
            if now - start > self.timeout:
                raise RankLost(_lost(ranks, f"for {self.timeout:g} s", what, self.resume_hint()))
            if told is None and self.is_told_to_end():
                told = now
            if told is not None and now - told > _SIGNAL_SECONDS:
                told = float("inf")  # said once
                is_first = self.rank == min(set(range(self.size)) - set(ranks), default=self.rank)
                if is_first and what != BARRIER and not self.has_failed(ranks):
                    say(f"fastnn: {_lost(ranks, 'since this run was told to end', what, self.resume_hint())}")
            if self.meanwhile is not None:
                self.meanwhile()
            if now - start > _SPIN_SECONDS:
                time.sleep(0 if now - start < 100 * _SPIN_SECONDS else _SPIN_SECONDS)


def _lost(ranks: Collection[int], since: str, what: str, hint: str) -> str:
    named = f"rank {min(ranks)} has" if len(ranks) == 1 else f"ranks {', '.join(map(str, sorted(ranks)))} have"
    return f"{named} not answered {since} ({what}){'; ' + hint if hint else ''}"


class Alone(Communicator):
    """One process, without MPI."""

    def exchange(self, kind: str, payload: Payload) -> list[Payload]:
        return [payload]

    def broadcast(self, data: bytes | None) -> bytes:
        assert data is not None
        return data


class MpiCommunicator(Communicator):
    """The ranks that a launcher of MPI programs started."""

    def __init__(self, comm: Any, timeout: float) -> None:
        from mpi4py import MPI

        super().__init__(timeout)
        self._mpi = MPI
        self._comm = comm
        self.rank, self.size = comm.rank, comm.size
        self._sending: list[tuple[Any, Any]] = []  # requests, and the bytes that must live until they are sent

    # ---- texts -----------------------------------------------------------------------------------------------------
    def exchange(self, kind: str, payload: Payload) -> list[Payload]:
        message = json.dumps({"kind": kind, "payload": payload}).encode()
        others = [rank for rank in range(self.size) if rank != self.rank]
        for rank in others:
            self._send_bytes(message, rank)
        messages = self._receive_bytes(others, kind)
        # Through JSON in any case, so that all ranks have the same.
        messages[self.rank] = message
        found = [json.loads(messages[rank]) for rank in range(self.size)]
        for rank, one in enumerate(found):
            if one["kind"] != kind:
                first, second = sorted((rank, self.rank))
                kinds = {rank: one["kind"], self.rank: kind}
                raise Disagreement(
                    f"rank {second} is at {kinds[second]!r} while rank {first} is at {kinds[first]!r}: all ranks must "
                    "run the same program with the same arguments"
                )
        return [one["payload"] for one in found]

    def broadcast(self, data: bytes | None) -> bytes:
        if self.rank == 0:
            assert data is not None
            for rank in range(1, self.size):
                self._send_bytes(data, rank)
            return data
        return self._receive_bytes([0], "what rank 0 tells")[0]

    def _send_bytes(self, message: bytes, rank: int) -> None:
        self._sending = [(request, kept) for request, kept in self._sending if not request.Test()]
        self._sending.append((self._comm.Isend([message, self._mpi.BYTE], rank, _TEXT), message))

    def _receive_bytes(self, ranks: list[int], what: str) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        status = self._mpi.Status()

        def missing() -> list[int]:
            for rank in ranks:
                if rank not in found and self._comm.Iprobe(rank, _TEXT, status):
                    buffer = bytearray(status.Get_count(self._mpi.BYTE))
                    self._comm.Recv([buffer, self._mpi.BYTE], rank, _TEXT)
                    found[rank] = bytes(buffer)
            return [rank for rank in ranks if rank not in found]

        self.wait(missing, what)
        return found

    # ---- arrays ----------------------------------------------------------------------------------------------------
    def send(self, array: NDArray, rank: int, tag: int) -> Any:
        return self._comm.Isend(array, rank, _FIRST_TAG + tag)

    def receive(self, array: NDArray, rank: int, tag: int) -> Any:
        return self._comm.Irecv(array, rank, _FIRST_TAG + tag)

    def is_done(self, request: Any) -> bool:
        return bool(request.Test())

    def has_failed(self, ranks: Collection[int]) -> bool:
        return any(self._comm.Iprobe(rank, _FAILED) for rank in ranks)

    def abort(self, code: int) -> None:
        """End all ranks at once."""
        for rank in range(self.size):
            if rank != self.rank:
                self._comm.Isend([b"", self._mpi.BYTE], rank, _FAILED)
        time.sleep(0.1)  # so that the others have it before they are ended, and the launcher what was said
        self._mpi.COMM_WORLD.Abort(code)
