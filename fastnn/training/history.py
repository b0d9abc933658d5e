"""What happened in each epoch, as CSV and JSON."""

import csv
import json
import os
from typing import Any

from fastnn.training.checkpoint import atomic_write

__all__ = ["History"]


class History:
    """One row per epoch: a dict of numbers by name.

    Example:
        >>> from fastnn.training import History
        >>> history = History()
        >>> history.append({"epoch": 1, "train_loss": 2.3})
        >>> history["train_loss"], len(history)
        ([2.3], 1)
    """

    def __init__(self, rows: list[dict[str, Any]] | None = None) -> None:
        self.rows: list[dict[str, Any]] = list(rows or [])

    def append(self, row: dict[str, Any]) -> None:
        """Add an epoch."""
        self.rows.append(dict(row))

    @property
    def columns(self) -> list[str]:
        """All names that occur, in order of their first occurrence."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __getitem__(self, column: str) -> list[Any]:
        """The values of one column, None where an epoch has none."""
        if column not in self.columns:
            raise KeyError(f"the history has no column {column!r}; it has {', '.join(self.columns) or 'none'}")
        return [row.get(column) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a table with one line per epoch."""
        with atomic_write(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write a list of objects, one per epoch. NaN and infinity, which JSON lacks, become null."""
        rows = [{name: _finite(value) for name, value in row.items()} for row in self.rows]
        with atomic_write(path, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1, allow_nan=False)
            file.write("\n")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not (-float("inf") < value < float("inf")) else value
