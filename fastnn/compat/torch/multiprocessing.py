"""torch.multiprocessing: Python's `multiprocessing`. Tensors that go to another process are copies there."""

import multiprocessing as _multiprocessing
from multiprocessing import *  # noqa: F403

from fastnn.compat.torch._missing import missing

__all__ = [*_multiprocessing.__all__, "get_all_sharing_strategies", "get_sharing_strategy", "set_sharing_strategy"]

_STRATEGIES = ("file_descriptor", "file_system")
_strategy = _STRATEGIES[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Keep the name: memory is not shared."""
    global _strategy
    if new_strategy not in _STRATEGIES:
        raise ValueError(f"set_sharing_strategy: one of {', '.join(_STRATEGIES)} is needed. Received: {new_strategy!r}")
    _strategy = new_strategy


def get_sharing_strategy() -> str:
    """What `set_sharing_strategy` got."""
    return _strategy


def get_all_sharing_strategies() -> set[str]:
    """The names that it takes."""
    return set(_STRATEGIES)


_ONE = "one process trains, with threads: call the function itself, or use torch.multiprocessing.Process"
__getattr__ = missing(__name__, {"spawn": _ONE, "start_processes": _ONE})
