"""Numbers of a training that are not in its history."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import training

__all__ = ["Records"]


class Records(training.Callback):
    """A callback that keeps lists of numbers, and of rows of numbers. Checkpoints of the training include them.

    Subclasses append to `records` when they choose.

    Args:
        names: the names of the lists.
    """

    def __init__(self, *names: str) -> None:
        self.records: dict[str, list[Any]] = {name: [] for name in names}

    def arrays(self) -> dict[str, NDArray]:
        """The lists as arrays, by name."""
        return {name: np.array(values) for name, values in self.records.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"records": self.arrays()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.records = {name: values.tolist() for name, values in state["records"].items()}
