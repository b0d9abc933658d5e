"""`fastnn profile`: profiles a network by name."""

import argparse
from pathlib import Path

import numpy as np

import fastnn
from fastnn import _layout, models, optim, training
from fastnn.profiling.run import profile

__all__ = ["profile_command"]

_BATCH_SIZE = 128
_CLASSES = 10


def profile_command(arguments: argparse.Namespace) -> None:
    """Do what the command line says: print the table, and leave the files in a folder if one is given."""
    for name in ("batch_size", "rounds", "threads"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1. Received: {value}")
    if arguments.threads is not None:
        fastnn.set_num_threads(arguments.threads)
    recipe = training.RECIPES.get(arguments.model)
    fastnn.manual_seed(0)
    if recipe is None:
        model = models.create(arguments.model)
        optimizer: optim.Optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    else:
        model = recipe.make_model()
        optimizer = recipe.make_optimizer(model)
    model.input_grad = False  # its input is data, as in training
    batch_size = arguments.batch_size or (_BATCH_SIZE if recipe is None else recipe.batch_size)
    rng = np.random.default_rng(0)
    images = _layout.images(rng.standard_normal((32, 32, batch_size, 3), np.float32))  # as the loader's lie
    folder = None if arguments.out is None else Path(arguments.out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)  # what cannot be written should be told before the work
    result = profile(model, images, rng.integers(0, _CLASSES, batch_size), optimizer=optimizer, rounds=arguments.rounds)
    print(result)
    if folder is not None:
        _write(result, folder)


def _write(result: "fastnn.profiling.Profile", folder: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with training.atomic_write(folder / "profile.txt", "w", encoding="utf-8") as file:
        file.write(f"{result}\n")
    result.to_csv(folder / "profile.csv")
    with training.atomic_write(folder / "roofline.png") as file:
        FigureCanvasAgg(result.plot().figure).print_png(file)
