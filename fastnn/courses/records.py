"""Numbers of a training that its history does not have."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import training

__all__ = ["Records"]


class Records(training.Callback):
    """Keeps lists of numbers, and of rows of numbers, which a checkpoint of the training holds too.

    Subclasses append to `records` at the moments that they define.

    Args:
        names: of the lists.
    """

    def __init__(self, *names: str) -> None:
        self.records: dict[str, list[Any]] = {name: [] for name in names}

    def arrays(self) -> dict[str, NDArray]:
        """The lists by name."""
        return {name: np.array(values) for name, values in self.records.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"records": self.arrays()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.records = {name: values.tolist() for name, values in state["records"].items()}
