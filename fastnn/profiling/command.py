"""The command `fastnn profile`: profile a network by name, or the user's own."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import _layout, _user_network, models, optim, training
from fastnn.profiling.forecast import forecast
from fastnn.profiling.run import profile

__all__ = ["profile_command"]

_BATCH_SIZE = 128


def profile_command(arguments: argparse.Namespace) -> None:
    """Print the table, and write the files if a folder is given."""
    for name in ("batch_size", "rounds", "threads"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1. Received: {value}")
    for n in arguments.forecast_threads or ():
        if not 1 <= n <= 4096:
            raise ValueError(f"--forecast-threads must be between 1 and 4096. Received: {n}")
    if arguments.forecast_threads and arguments.out is not None:
        raise ValueError("--forecast-threads prints its result and writes no files: leave out --out")
    if arguments.forecast_threads and arguments.threads is not None:
        raise ValueError("--forecast-threads measures on one thread and on all CPUs: leave out --threads")
    if min(arguments.input) < 1:
        raise ValueError(f"--input must be at least 1. Received: {arguments.input}")
    if arguments.threads is not None:
        fastnn.set_num_threads(arguments.threads)
    name, shape = arguments.model, tuple(arguments.input)
    recipe = training.RECIPES.get(name)
    fastnn.manual_seed(0)
    if recipe is not None:
        model = recipe.make_model()
        optimizer: optim.Optimizer | None = recipe.make_optimizer(model)
    else:
        model = _user_network.load_network(name) if _user_network.is_user_network(name) else models.create(name)
        trained = list(model.parameters())
        optimizer = optim.SGD(trained, lr=1e-3, momentum=0.9) if trained else None
    classes = _user_network.classes_of(name, model, shape)
    batch_size = arguments.batch_size or (_BATCH_SIZE if recipe is None else recipe.batch_size)
    images, labels = _batch(batch_size, shape, classes)
    model.input_grad = False  # its input is data, as in training
    folder = None if arguments.out is None else Path(arguments.out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)  # what cannot be written should be told before the work
    if arguments.forecast_threads:
        with _user_network.user_code(name):
            print(forecast(model, images, labels, arguments.forecast_threads, None, optimizer, arguments.rounds))
        return
    with _user_network.user_code(name):
        result = profile(model, images, labels, optimizer=optimizer, rounds=arguments.rounds)
    print(result)
    if folder is not None:
        _write(result, folder)


def _batch(n: int, shape: tuple[int, ...], classes: int) -> tuple[NDArray, NDArray]:
    """Noise, images as the loader's lie in memory, and labels."""
    rng = np.random.default_rng(0)
    if len(shape) == 3:
        channels, h, w = shape
        return _layout.images(rng.standard_normal((h, w, n, channels), np.float32)), rng.integers(0, classes, n)
    return rng.standard_normal((n, *shape), np.float32), rng.integers(0, classes, n)


def _write(result: fastnn.profiling.Profile, folder: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with training.atomic_write(folder / "profile.txt", "w", encoding="utf-8") as file:
        file.write(f"{result}\n")
    result.to_csv(folder / "profile.csv")
    with training.atomic_write(folder / "roofline.png") as file:
        FigureCanvasAgg(result.plot().figure).print_png(file)
