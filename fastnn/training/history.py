"""What happened in each epoch, and how the training loss went between, as CSV and JSON."""

import csv
import json
import os
from collections.abc import Mapping
from typing import Any

from fastnn._tables import aligned, html_table
from fastnn.training._curves import curves_html
from fastnn.training.checkpoint import atomic_write

__all__ = ["History"]

# Step records that a history holds at most; when there are so many, neighbours are joined. Enough for a smooth curve.
_MOST_STEPS = 200
# Rows of the table in a notebook, and how many of them are the first ones.
_SHOWN_EPOCHS, _FIRST_EPOCHS = 30, 5


class History:
    """One row per epoch: a dict of numbers by name. And one record for every few steps, however long the training.

    It prints as a table; a notebook shows curves, too.

    Attributes:
        rows: of the epochs.
        steps: training loss and accuracy, means over the same number of steps each: 1 at first, doubled whenever there
            are 200 records. Each holds the last step, the epochs done then, the images, `train_loss`, and, if it was
            measured, `train_accuracy`.

    Example:
        >>> from fastnn.training import History
        >>> history = History()
        >>> history.append({"epoch": 1, "train_loss": 2.3})
        >>> history["train_loss"], len(history)
        ([2.3], 1)
    """

    def __init__(self, rows: list[dict[str, Any]] | None = None) -> None:
        self.rows: list[dict[str, Any]] = []
        for row in _rows("History", rows):
            self.append(row)
        self.steps: list[dict[str, Any]] = []
        self._steps_per_record = 1
        self._open: list[dict[str, Any]] = []  # steps of the record that is not complete

    def add_step(self, step: int, epoch: float, images: int, loss: float, accuracy: float | None = None) -> None:
        """Add a step of training.

        Args:
            step: its number, from 1.
            epoch: epochs done after it, a fraction.
            images: of its batch.
            loss, accuracy: means over the batch; None if there is no accuracy.
        """
        record = {"step": step, "epoch": epoch, "images": images, "train_loss": loss}
        self._open.append(record if accuracy is None else {**record, "train_accuracy": accuracy})
        if len(self._open) < self._steps_per_record:
            return
        self.steps.append(_joined(self._open))
        self._open = []
        if len(self.steps) == _MOST_STEPS:
            self.steps = [_joined(self.steps[i : i + 2]) for i in range(0, _MOST_STEPS, 2)]
            self._steps_per_record *= 2

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {"rows": self.rows, "steps": self.steps, "per_record": self._steps_per_record, "open": self._open}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.rows, self.steps, self._open = list(state["rows"]), list(state["steps"]), list(state["open"])
        self._steps_per_record = state["per_record"]

    def append(self, row: dict[str, Any]) -> None:
        """Add an epoch: numbers by name."""
        if not isinstance(row, Mapping) or not all(isinstance(name, str) for name in row):
            raise TypeError(f"History.append: row must be a dict of numbers by name. Received: {type(row).__name__}")
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

    def _cells(self) -> list[list[str]]:
        """The table as texts, the names first."""
        columns = self.columns
        return [columns, *([_shown(row.get(name)) for name in columns] for row in self.rows)]

    def __repr__(self) -> str:
        if not self.rows:
            return "History(no epochs)"
        return "\n".join(aligned(self._cells(), ()))

    def _repr_html_(self) -> str:
        """For notebooks: curves, and the table; of many epochs, the first and the last ones."""
        if not self.rows:
            return "<p>no epochs</p>"
        head, *rows = self._cells()
        if len(rows) > _SHOWN_EPOCHS:
            left_out = len(rows) - _SHOWN_EPOCHS
            gap = [f"{left_out:,} more", *[""] * (len(head) - 1)]
            rows = [*rows[:_FIRST_EPOCHS], gap, *rows[_FIRST_EPOCHS + left_out :]]
        names = dict.fromkeys(name.removeprefix("train_") for name in self.columns if name.startswith("train_"))
        names.pop("seconds", None)
        return "\n".join([curves_html(self.rows, list(names)), html_table(head, rows, ())]).lstrip()

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a table with one line per epoch."""
        with atomic_write(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the rows as "epochs" and the records as "steps". NaN and infinity, which JSON lacks, become null."""
        tables = {"epochs": self.rows, "steps": self.steps}
        finite = {
            key: [{name: _finite(value) for name, value in row.items()} for row in table]
            for key, table in tables.items()
        }
        with atomic_write(path, "w", encoding="utf-8") as file:
            json.dump(finite, file, indent=1, allow_nan=False)
            file.write("\n")


def _rows(owner: str, rows: Any) -> list[Any]:
    if rows is not None and not isinstance(rows, list | tuple):
        raise TypeError(f"{owner}: rows must be a list of dicts. Received: {type(rows).__name__}")
    return list(rows or ())


def _joined(records: list[dict[str, Any]]) -> dict[str, Any]:
    """One record in the place of several; means are weighted with the images."""
    if len(records) == 1:
        return records[0]
    images = sum(record["images"] for record in records)
    means = {
        name: sum(record[name] * record["images"] for record in records) / images
        for name in ("train_loss", "train_accuracy")
        if all(name in record for record in records)
    }
    return {**records[-1], "images": images, **means}


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not (-float("inf") < value < float("inf")) else value
