"""ITU, assignment III: the grid search, and the network that it leads to."""

import math
from typing import Any

from numpy.typing import NDArray

from fastnn import training, tune
from fastnn.courses.context import Context
from fastnn.courses.itu import figures
from fastnn.courses.itu.training import train_point, work_of
from fastnn.courses.pixel_rows import Splits

__all__ = ["GRID", "PART_OF_GRID", "QUICK_GRID", "TUNED", "TUNED_STEPS", "grid_task", "tuned_task"]

# The report prints the best point for each of its six learning rates and seven sizes. Of the six penalties and decays
# it prints only those of the best point, 1e-5 and 0.92, the last of their lists; the others are chosen here.
GRID: dict[str, list[Any]] = {
    "lr": [5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1.0],
    "hidden": [16, 32, 64, 128, 256, 512, 1024],
    "reg": [1e-3, 5e-4, 1e-4, 5e-5, 2e-5, 1e-5],
    "decay": [1.0, 0.98, 0.96, 0.95, 0.94, 0.92],
}
# Without --full: the learning rates that learn anything, two sizes, and the ends of the other lists.
PART_OF_GRID: dict[str, list[Any]] = {
    "lr": [1e-2, 5e-2, 1.0],
    "hidden": [32, 128],
    "reg": [1e-3, 1e-5],
    "decay": [0.95, 0.92],
}
QUICK_GRID: dict[str, list[Any]] = {"lr": [5e-2, 1.0], "hidden": [16, 64], "reg": [1e-5], "decay": [0.95, 0.92]}
BEST_OF_SIZE = {16: 0.4513, 32: 0.4827, 64: 0.5116, 128: 0.5211, 256: 0.5267, 512: 0.5410, 1024: 0.5437}
BEST_OF_LR = {5e-4: 0.0977, 1e-3: 0.1238, 5e-3: 0.2286, 1e-2: 0.3072, 5e-2: 0.4729, 1.0: 0.5437}

# The best point of the report's grid with three times its steps and a penalty that they need.
TUNED: dict[str, Any] = {"lr": 1.0, "hidden": 1024, "reg": 5e-4, "decay": 0.92}
TUNED_STEPS = 9000


def grid_task(context: Context, splits: Splits, grid: dict[str, list[Any]], n_steps: int) -> None:
    """Train every point of the grid."""
    report = context.report
    n_points = math.prod(len(values) for values in grid.values())
    lists = "; ".join(f"{name} {', '.join(f'{value:g}' for value in values)}" for name, values in grid.items())
    whole = math.prod(len(values) for values in GRID.values())
    report.task(
        "Grid search",
        asked="Tune learning rate, hidden size, penalty and decay. The report's grid has 6 x 7 x 6 x 6 = 1512 points.",
        done=f"{n_points} of {whole} points ({lists}), {n_steps} steps with batches of 200 each, by "
        "`fastnn.tune.grid_search` on Optuna's GridSampler. "
        + ("" if n_points == whole else "`--full` does all points. ")
        + "Of penalties and decays the report prints only the last, best ones; the lists between are chosen here. Each "
        "result is kept in a file, so an interrupted search goes on where it stopped.",
    )

    def objective(settings: dict[str, Any]) -> float:
        net, _, finished = train_point(splits, settings, n_steps, 200, context, "grid")
        return net.accuracy(*splits.val) if finished else math.nan

    def skip_stored(rows: list[dict[str, Any]]) -> None:
        context.skip(sum(n_steps * work_of(row["hidden"], 200) for row in rows))

    def say(row: dict[str, Any], done: int, total: int) -> None:
        settings = ", ".join(f"{name} {row[name]:g}" for name in grid)
        context.say(f"grid {done}/{total}: {settings}: {100 * row['value']:.2f} % ({row['seconds']:.1f} s)")

    other_images = "".join(f"-{name}-{value}" for name, value in context.data_settings.items())
    storage = context.out / f"grid-{n_points}x{n_steps}-seed{context.seed}{other_images}.sqlite3"
    rows = tune.grid_search(objective, grid, storage=storage, on_start=skip_stored, on_result=say)
    ranked = sorted(rows, key=lambda row: -row["value"])
    cells = [[*(f"{row[name]:g}" for name in grid), f"{100 * row['value']:.2f} %"] for row in ranked[:10]]
    report.table("The best points", [*grid, "validation accuracy"], cells)
    report.figure("grid", figures.grid(rows, grid), "Best validation accuracy for each size and learning rate.")
    for hidden in grid["hidden"]:
        best = max(row["value"] for row in rows if row["hidden"] == hidden and row["lr"] == 1.0)
        note = "the report's best of 36 penalties and decays"
        what = f"best with {hidden} hidden units and learning rate 1"
        report.check(what, BEST_OF_SIZE[hidden], best, tolerance=0.02, at_least=True, full_only=True, note=note)
    if n_points == whole:
        for lr, expected in BEST_OF_LR.items():
            best = max(row["value"] for row in rows if row["lr"] == lr)
            what = f"best with learning rate {lr:g}"
            report.check(what, expected, best, tolerance=0.03, at_least=True, full_only=True, note="decays differ")
    winner = tune.best(rows)
    report.metric("grid", rows)
    report.text("Best: " + ", ".join(f"{name} {winner[name]:g}" for name in grid) + ".")


def _tuned(splits: Splits, settings: dict[str, Any], n_steps: int, context: Context) -> dict[str, Any]:
    net, log, _ = train_point(splits, settings, n_steps, 200, context, "tuned network")
    training.save_weights(net.values(), context.out / "weights.safetensors")
    return {
        "epochs": log.epochs,
        "val": net.accuracy(*splits.val),
        "test": net.accuracy(*splits.test),
        "after": net.values()["W1"].copy(),
    }


def tuned_task(context: Context, splits: Splits, settings: dict[str, Any], n_steps: int, before: NDArray) -> None:
    """Train the best network and test it; `before` are the untuned network's weights, to be shown beside its own."""
    report = context.report
    described = ", ".join(f"{name} {value:g}" for name, value in settings.items())
    report.task(
        "The tuned network",
        asked="Train the best network, test it once, and show the weights of its first layer before and after tuning.",
        done=f"{described}, {n_steps} steps with batches of 200: the size, learning rate and decay of the report's "
        "best point, trained longer and with a penalty that this needs.",
    )
    result = context.stage("tuned", lambda: _tuned(splits, settings, n_steps, context))
    report.check("validation accuracy of the tuned network", 0.54, result["val"], at_least=True, full_only=True)
    report.check("test accuracy of the tuned network", 0.54, result["test"], at_least=True, full_only=True)
    report.metric("tuned", {"validation": result["val"], "test": result["test"], **settings})
    found = f"Validation {100 * result['val']:.2f} %, test {100 * result['test']:.2f} %."
    report.text(f"{found} The report: 54.37 % and 54.00 %; the course's own network: 56.44 % and 56.03 %.")
    report.figure("tuned-training", figures.accuracies(result["epochs"]), "Accuracy of the tuned network.")
    report.figure(
        "weights-before", figures.weights(before), "First layer of the untuned network, trained: still noise."
    )
    caption = "First layer of the tuned network, the 36 units with the largest weights: colours and rough edges."
    report.figure("weights-after", figures.weights(result["after"]), caption)
    report.history([{"part": "tuned", **row} for row in result["epochs"]])
