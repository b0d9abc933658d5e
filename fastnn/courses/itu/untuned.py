"""ITU, assignment III: the course's first run on CIFAR-10, with settings that learn nothing."""

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.courses.context import Context
from fastnn.courses.itu.torch_random import CudaNormals, torch_choice
from fastnn.courses.itu.toy import CORRECT, HALVED, WEIGHT_STD
from fastnn.courses.itu.training import work_of
from fastnn.courses.pixel_rows import Splits
from fastnn.courses.two_layer_network import TwoLayerNet
from fastnn.courses.two_layer_training import train

__all__ = ["untuned_task"]

UNTUNED_LOSSES = {0: 2.302862, 100: 2.302695, 200: 2.302668, 300: 2.302551, 400: 2.302571}
REPORTED_LOSSES = {0: 2.302862, 100: 2.302759, 200: 2.302736, 300: 2.302609, 400: 2.302618}
UNTUNED_ACCURACY = 0.0977


def untuned(splits: Splits, factor: float, n_steps: int, context: Context) -> dict[str, Any]:
    """The course's first run: 36 hidden units and settings that learn nothing."""
    normals = CudaNormals(0)
    randn = partial(normals.randn, dtype=np.float64)
    net = TwoLayerNet.random(3072, 36, 10, WEIGHT_STD, randn, factor, np.float64)
    bar = partial(context.progress, label="untuned network", work=work_of(36, 1000))
    log = train(
        net, *splits.train, draw=torch_choice(0), n_steps=n_steps, lr=1e-2, reg=0.25, batch_size=1000, progress=bar
    )
    predicted = net.predict(splits.val[0])
    return {
        "losses": log.losses,
        "accuracy": float((predicted == splits.val[1]).mean()),
        "classes": np.unique(predicted).tolist(),
        "weights": net.values()["W1"].copy(),
    }


def untuned_task(context: Context, splits: Splits, n_steps: int) -> NDArray:
    """Train it, with the right and with the halved gradient; returns the first layer's weights."""
    report = context.report
    report.task(
        "The untuned network on CIFAR-10",
        asked="Train 3072-36-10 with learning rate 0.01, reg 0.25, batches of 1000, 500 steps; the course expects a "
        "bad result and asks why.",
        done="In float64. The batches are those of PyTorch's CPU generator, which is the same everywhere, and the "
        "initial weights those of its GPU generator. Other initial weights change these losses by up to 2e-6, the "
        "seventh digit: only that one needs the course's GPU. Other batches change them by up to 6e-5, and another "
        "class may win.",
    )
    runs = {"correct": context.stage("untuned", lambda: untuned(splits, CORRECT, n_steps, context))}
    if not context.quick:
        runs["halved"] = context.stage("untuned-halved", lambda: untuned(splits, HALVED, n_steps, context))
    ours = runs["correct"]
    rows: list[list[Any]] = []
    for step, expected in UNTUNED_LOSSES.items():
        found = [f"{run['losses'][step]:.6f}" if step < n_steps else "-" for run in runs.values()]
        reported = REPORTED_LOSSES[step]
        rows.append([step, f"{expected:.6f}", found[0], f"{reported:.6f}", found[1] if len(found) > 1 else "-"])
        value = ours["losses"][step] if step < n_steps else math.nan
        report.check(f"loss at step {step}", expected, value, tolerance=2e-6, full_only=step >= n_steps)
    for step, reported in REPORTED_LOSSES.items():
        value = runs["halved"]["losses"][step] if "halved" in runs else math.nan
        report.check(f"halved gradient: loss at step {step}", reported, value, tolerance=2e-6, full_only=True)
    columns = ["step", "correct: expected", "correct: ours", "halved: the report", "halved: ours"]
    report.table("Loss of the untuned network", columns, rows)
    report.check("validation accuracy", UNTUNED_ACCURACY, ours["accuracy"], tolerance=5e-5, full_only=True)
    report.check("classes that are ever predicted", [7], ours["classes"], full_only=True, note="all are called horses")
    report.text(
        "Why it fails: with weights of 1e-4 all scores are about 0, the gradient of the first layer is proportional to "
        "the second layer's weights and the reverse, and the penalty shrinks both faster than they grow. Only the bias "
        "of the output learns anything: which class is the most frequent."
    )
    report.curves({"step": range(n_steps), "train_loss": ours["losses"]}, part="untuned")
    return ours["weights"]
