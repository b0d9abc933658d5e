"""Several processes, on one machine or on many, that train one network together, with the same bits for any number.

    with fastnn.distributed.World(shards=8) as world:
        training.fit(model, loader, epochs=10, distributed=world)

`python train.py` runs it in one process, `mpirun -n 4 python train.py` in four, with the same result.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastnn.distributed.environment import launched_ranks

if TYPE_CHECKING:
    from fastnn.distributed._errors import Disagreement as Disagreement
    from fastnn.distributed._errors import RankLost as RankLost
    from fastnn.distributed._world import World as World

# Loaded at first use: the command asks for `launched_ranks` only, and most programs run in one process.
_LATE = {"Disagreement": "_errors", "RankLost": "_errors", "World": "_world"}

__all__ = ["Disagreement", "RankLost", "World", "launched_ranks"]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(f"fastnn.distributed.{_LATE[name]}"), name)
    raise AttributeError(f"module 'fastnn.distributed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
