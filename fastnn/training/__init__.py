"""Training: the loop, callbacks, checkpoints, history, evaluation, recipes.

history = training.fit(model, train_loader, epochs=10, val_loader=test_loader, out="runs/first")
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastnn.training.callbacks import (
    Callback,
    Checkpoints,
    EarlyStopping,
    FreezeWhitening,
    HistoryFiles,
    Lookahead,
)
from fastnn.training.checkpoint import (
    CheckpointError,
    atomic_write,
    load_state,
    load_weights,
    read_preprocessing,
    save_state,
    save_weights,
)
from fastnn.training.evaluate import Evaluation, evaluate, predict
from fastnn.training.fit import fit
from fastnn.training.history import History
from fastnn.training.interrupts import Interrupted
from fastnn.training.metrics import (
    Meter,
    accuracy,
    binary_accuracy,
    mean_absolute_error,
    top5_accuracy,
    top_k_hits,
)
from fastnn.training.non_finite import NonFiniteLoss
from fastnn.training.plan import Run
from fastnn.training.plots import plot_history, save_curves
from fastnn.training.prediction import predict_classes
from fastnn.training.progress import Progress
from fastnn.training.recipes import DEFAULT_RECIPE, RECIPES, Recipe, triangle
from fastnn.training.run import train as train_recipe
from fastnn.training.trainer import Trainer

if TYPE_CHECKING:
    from fastnn.doctor import Doctor as Doctor
    from fastnn.doctor import lr_range_test as lr_range_test

# Built on what is here, and loaded at first use.
_OF_THE_DOCTOR = ("Doctor", "lr_range_test")

__all__ = [
    "DEFAULT_RECIPE",
    "RECIPES",
    "Callback",
    "CheckpointError",
    "Checkpoints",
    "Doctor",
    "EarlyStopping",
    "Evaluation",
    "FreezeWhitening",
    "History",
    "HistoryFiles",
    "Interrupted",
    "Lookahead",
    "Meter",
    "NonFiniteLoss",
    "Progress",
    "Recipe",
    "Run",
    "Trainer",
    "accuracy",
    "atomic_write",
    "binary_accuracy",
    "evaluate",
    "fit",
    "load_state",
    "load_weights",
    "lr_range_test",
    "mean_absolute_error",
    "plot_history",
    "predict",
    "predict_classes",
    "read_preprocessing",
    "save_curves",
    "save_state",
    "save_weights",
    "top5_accuracy",
    "top_k_hits",
    "train_recipe",
    "triangle",
]


def __getattr__(name: str) -> Any:
    if name in _OF_THE_DOCTOR:
        return getattr(importlib.import_module("fastnn.doctor"), name)
    raise AttributeError(f"module 'fastnn.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_OF_THE_DOCTOR})
