"""Which worker a thread is."""

import threading
from typing import Any, NamedTuple

from fastnn.compat.torch._missing import missing

__all__ = ["WorkerInfo", "get_worker_info"]

__getattr__ = missing(__name__)

_of_thread = threading.local()


class WorkerInfo(NamedTuple):
    """A worker of a DataLoader: its number, how many there are, its seed, and its (shallow) copy of the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """The worker that this thread is; None if it is none."""
    return getattr(_of_thread, "info", None)


def set_worker_info(info: WorkerInfo) -> None:
    _of_thread.info = info
