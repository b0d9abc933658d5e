"""ITU, assignment III: what one setting after the other does."""

from functools import partial
from typing import Any

from fastnn.courses.context import Context
from fastnn.courses.itu import figures
from fastnn.courses.itu.training import train_point
from fastnn.courses.pixel_rows import Splits

__all__ = ["SWEEPS", "sweep_tasks"]

SWEEPS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "hidden": ({"lr": 0.1, "reg": 1e-3}, [2, 8, 32, 128]),
    "reg": ({"lr": 1.0, "hidden": 128}, [0.0, 1e-5, 1e-3, 1e-1]),
    "lr": ({"hidden": 128, "reg": 1e-4}, [1e-4, 1e-2, 1.0, 1e2]),
}


def _sweep(splits: Splits, name: str, n_steps: int, batch_size: int, context: Context) -> list[dict[str, Any]]:
    fixed, values = SWEEPS[name]
    runs = []
    for value in values:
        settings = {**fixed, name: value}
        net, log, finished = train_point(splits, settings, n_steps, batch_size, context, f"{name} {value:g}")
        epochs = log.epochs if finished else []  # what led to no number is not drawn
        runs.append(
            {
                "value": value,
                "finished": finished,
                "steps": [row["step"] for row in epochs],
                "train": [row["batch_accuracy"] for row in epochs],
                "val": [row["val_accuracy"] for row in epochs],
                "accuracy": net.accuracy(*splits.val) if finished else 0.0,
            }
        )
    return runs


def sweep_tasks(context: Context, splits: Splits, n_steps: int, batch_size: int) -> None:
    """Hidden units, penalties, learning rates."""
    report = context.report
    report.task(
        "What the settings do",
        asked="Train with several hidden sizes, penalties and learning rates, and plot what they change.",
        done=f"{n_steps} steps with batches of {batch_size} images, learning rate times 0.95 each epoch, float32; all "
        "else as the course sets it.",
    )
    words = {"hidden": "hidden units", "reg": "penalty reg", "lr": "learning rate"}
    found = {}
    for name, (fixed, _) in SWEEPS.items():
        runs = context.stage(f"sweep-{name}", partial(_sweep, splits, name, n_steps, batch_size, context))
        found[name] = {run["value"]: run["accuracy"] for run in runs}
        rest = ", ".join(f"{key} {value:g}" for key, value in fixed.items())
        figure = figures.sweep(runs, words[name])
        report.figure(
            f"sweep-{name}", figure, f"Accuracy by {words[name]}, with {rest}; batches left, validation right."
        )
        cells = [
            [f"{run['value']:g}", f"{100 * run['accuracy']:.2f} %" if run["finished"] else "diverged"] for run in runs
        ]
        report.table(f"Validation accuracy by {words[name]}, with {rest}", [words[name], "accuracy"], cells)
    gain = found["hidden"][128] - found["hidden"][2]
    report.check("gain of 128 hidden units over 2", 0.05, gain, at_least=True, full_only=True)
