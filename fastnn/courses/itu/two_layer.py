"""ITU, BLG 506E, assignment III: a two-layer network, checked on toy data and tuned on CIFAR-10.

The assignment is the second of EECS 498-007 (University of Michigan), part `two_layer_net`. The numbers of a published
report stand beside ours; its code has an error in the gradient of the penalty, which is repeated here to show that it
explains every number that differs.
"""

import importlib
import math

import numpy as np

from fastnn.courses.context import Context
from fastnn.courses.itu import COURSE
from fastnn.courses.itu.grid import GRID, PART_OF_GRID, QUICK_GRID, TUNED, TUNED_STEPS, grid_task, tuned_task
from fastnn.courses.itu.images import cut
from fastnn.courses.itu.sweeps import SWEEPS, sweep_tasks
from fastnn.courses.itu.toy import toy_tasks
from fastnn.courses.itu.training import work_of
from fastnn.courses.itu.untuned import untuned_task
from fastnn.courses.recipe import recipe


@recipe(
    "itu-two-layer",
    course=COURSE,
    title="A two-layer network: gradients, training, and a grid search",
    about="Checks the two-layer network of EECS 498-007 on toy data, then tunes it on CIFAR-10 by sweeps and a grid "
    "search.",
    options=("full",),
)
def itu_two_layer(context: Context) -> None:
    """All tasks, in the order of the assignment."""
    importlib.import_module("optuna")  # if it is missing, say so now, not when the grid is reached
    images = context.cifar10()
    full = bool(context.option("full", False))
    quick = context.quick
    grid = QUICK_GRID if quick else GRID if full else PART_OF_GRID
    untuned_steps, sweep_steps, sweep_batch = (101, 60, 200) if quick else (500, 3000, 1000)
    grid_steps, tuned_steps = (120, 300) if quick else (3000, TUNED_STEPS)
    settings = {**TUNED, "hidden": 128} if quick else TUNED

    work = (1 if quick else 2) * untuned_steps * work_of(36, 1000)
    for name, (fixed, values) in SWEEPS.items():
        work += sum(sweep_steps * work_of({**fixed, name: value}["hidden"], sweep_batch) for value in values)
    n_points = math.prod(len(values) for values in grid.values())
    work += n_points * grid_steps * work_of(sum(grid["hidden"]), 200) / len(grid["hidden"])
    work += tuned_steps * work_of(settings["hidden"], 200)
    context.forecast(work, "billion operations")

    toy_tasks(context)
    before = untuned_task(context, cut(*images, np.float64), untuned_steps)
    splits = cut(*images, np.float32, few=quick)
    sweep_tasks(context, splits, sweep_steps, sweep_batch)
    grid_task(context, splits, grid, grid_steps)
    tuned_task(context, splits, settings, tuned_steps, before)
