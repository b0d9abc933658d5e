"""What a training came to, as a file for programs."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastnn
from fastnn import _runtime
from fastnn.training.checkpoint import atomic_write

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer

__all__ = ["facts", "write_metrics"]


def facts(trainer: "Trainer") -> dict[str, Any]:
    """How long it took, for what, and what ran."""
    return {
        "steps": trainer.step,
        "stopped_early": trainer.stop_reason,
        "parameters": sum(parameter.size for parameter in trainer.model.parameters()),
        "images_per_second": round(trainer.images_seen / max(trainer.train_seconds, 1e-9), 1),
        "threads": fastnn.num_threads(),
        "shards": trainer.steps.shards,
        "processes": trainer.steps.processes,
        "isa": fastnn.isa(),
        "conv2d_algorithm": _runtime.conv2d_algorithm(),
        "version": fastnn.__version__,
    }


def write_metrics(folder: str | os.PathLike[str], metrics: Mapping[str, Any]) -> None:
    """Write metrics.json. Numbers that JSON lacks (NaN, infinity) become null."""
    finite = {
        name: None if isinstance(value, float) and not abs(value) < float("inf") else value
        for name, value in metrics.items()
    }
    with atomic_write(Path(folder) / "metrics.json", "w", encoding="utf-8") as file:
        json.dump(finite, file, indent=1, allow_nan=False)
        file.write("\n")
