"""Several processes, on one machine or on many, that train one network together, with the same bits for any number.

    with fastnn.distributed.World(shards=8) as world:
        training.fit(model, loader, epochs=10, distributed=world)

`python train.py` runs it in one process, `mpirun -n 4 python train.py` in four, with the same result.
"""

from fastnn.distributed._environment import launched_ranks
from fastnn.distributed._errors import Disagreement, RankLost
from fastnn.distributed._processes import Processes
from fastnn.distributed._world import World

__all__ = ["Disagreement", "Processes", "RankLost", "World", "launched_ranks"]
