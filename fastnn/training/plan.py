"""Which recipe, on what data, into which folder, from which checkpoint: decided before anything is trained."""

import contextlib
import datetime
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastnn import data
from fastnn.training.checkpoint import CheckpointError, atomic_write, load_state
from fastnn.training.recipes import DEFAULT_RECIPE, RECIPES, Recipe

__all__ = ["DATASETS", "Run", "choose_recipe", "find_unfinished", "open_dataset", "plan"]

DATASETS = ("auto", "cifar10", "shapes32")
# Images of the synthetic set: as many as of CIFAR-10.
_SHAPES_TRAIN, _SHAPES_TEST = 50_000, 10_000
_LAST = "last.safetensors"


@dataclass(frozen=True)
class Run:
    """What to train, on what, and where the results go.

    Attributes:
        recipe: with its number of epochs.
        dataset: 'cifar10' or 'shapes32'.
        folder: of the results; it exists.
        seed: of the initialisation, the order of images, and augmentation.
        n_train, n_test: use only so many of the first images; None for all.
        resume: a checkpoint to continue from, or None.
        progress: show progress on standard error.
        shards: into how many shards every batch is cut; None for whole batches.
    """

    recipe: Recipe
    dataset: str
    folder: Path
    seed: int = 0
    n_train: int | None = None
    n_test: int | None = None
    resume: Path | None = None
    progress: bool = True
    shards: int | None = None

    def config(self) -> dict[str, Any]:
        """What a checkpoint must have in common with this run to be continued by it."""
        settings = {**vars(self.recipe), "recipe": self.recipe.name}
        del settings["name"], settings["description"]
        # Through JSON, so that tuples are the lists that a file gives back.
        for name in ("model_options", "muon"):
            settings[name] = json.loads(json.dumps(dict(settings[name])))
        numbers = {"seed": self.seed, "n_train": self.n_train, "n_test": self.n_test}
        shards = {} if self.shards is None else {"shards": self.shards}
        return {"dataset": self.dataset, **numbers, **settings, **shards}


def choose_recipe(name: str | None = None, epochs: float | None = None) -> Recipe:
    """The recipe of that name, or the default one, with another number of epochs if one is given.

    Raises:
        ValueError: there is no such recipe, or the number of epochs is not positive.
    """
    name = name or DEFAULT_RECIPE
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; choose from {', '.join(RECIPES)}")
    recipe = RECIPES[name] if epochs is None else replace(RECIPES[name], epochs=float(epochs))
    if not 0 < recipe.epochs < float("inf"):
        raise ValueError(f"epochs must be a positive number. Received: {epochs}")
    return recipe


def open_dataset(
    name: str,
    root: str | os.PathLike[str] | None = None,
    download: bool = False,
    n_train: int | None = None,
    n_test: int | None = None,
    say: Callable[[str], Any] = print,
) -> tuple[str, Any, Any]:
    """The name, training images and test images of a data set.

    'auto' is CIFAR-10 if it is there or can be downloaded, else the synthetic shapes; `say` is told of the latter.

    Raises:
        DataNotFoundError: CIFAR-10 was asked for and is nowhere, or cannot be downloaded.
        DataError: its files are damaged.
        ValueError: there is no data set of that name, or a number of images is out of range.
    """
    if name not in DATASETS:
        raise ValueError(f"there is no data set {name!r}; choose from {', '.join(DATASETS)}")
    for n, most in ((n_train, _SHAPES_TRAIN), (n_test, _SHAPES_TEST)):
        if n is not None and not 1 <= n <= most:
            raise ValueError(f"{n} images cannot be used: the number must be between 1 and {most}")
    if name in ("auto", "cifar10"):
        fetch = download or name == "auto"
        try:
            train, test = (data.CIFAR10(root, train=part, download=fetch) for part in (True, False))
            return "cifar10", train.subset(slice(0, n_train)), test.subset(slice(0, n_test))
        except data.DataNotFoundError:
            if name == "cifar10":
                raise
            # The error itself is about every mirror and every place that was tried.
            say(
                "CIFAR-10 was not found and could not be downloaded (--dataset cifar10 --download tells why), so this "
                "trains on shapes32, synthetic images that are made on the fly"
            )
    return (
        "shapes32",
        data.Shapes32(n_train or _SHAPES_TRAIN),
        data.Shapes32(n_test or _SHAPES_TEST, train=False),
    )


# ---- folders ---------------------------------------------------------------------------------------------------------
def _new_folder(parent: Path, recipe: str, dataset: str, seed: int) -> Path:
    """Make `parent/<recipe>-<dataset>-seed<seed>-<time>`, with a number behind it if that exists."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{recipe}-{dataset}-seed{seed}-{stamp}"
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        with contextlib.suppress(FileExistsError):
            (parent / (name + suffix)).mkdir(parents=True)
            return parent / (name + suffix)
    raise FileExistsError(f"{parent / name} and 998 more exist")


def _check_writable(folder: Path) -> None:
    """Write a file there and remove it: better to fail now than after training."""
    probe = folder / "write-test.tmp"
    with atomic_write(probe) as file:
        file.write(b"")
    probe.unlink()


def find_unfinished(parent: str | os.PathLike[str], recipe: str, dataset: str, seed: int) -> Path | None:
    """The last checkpoint of the newest run of this kind below `parent` that has not come to its end."""
    found = [
        folder / _LAST
        for folder in Path(parent).glob(f"{recipe}-{dataset}-seed{seed}-*")
        if (folder / _LAST).is_file() and not (folder / "metrics.json").exists()
    ]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


# ---- the decision ----------------------------------------------------------------------------------------------------
def plan(
    recipe: str | None = None,
    dataset: str | None = None,
    epochs: float | None = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    data_root: str | os.PathLike[str] | None = None,
    download: bool = False,
    n_train: int | None = None,
    n_test: int | None = None,
    runs: str | os.PathLike[str] = "runs",
    say: Callable[[str], Any] = print,
    shards: int | None = None,
) -> tuple[Run, Any, Any]:
    """A `Run` and its training and test images. What is None comes from the checkpoint, if there is one, or a default.

    Args:
        recipe, dataset, epochs, seed, n_train, n_test: see `Run`.
        out: folder of the results; the checkpoint's, or a new one in `runs`, if None.
        resume: a checkpoint or the folder of one; 'auto' for the one in `out`, or in the newest unfinished run of this
            kind in `runs`, or none if there is none.
        data_root, download: where to look for the data set, and whether to fetch it.
        say: told what was decided.
        shards: see `Run`.

    Raises:
        ValueError: a name or number is wrong.
        CheckpointError: `resume` is not a checkpoint.
        OSError: the data or the checkpoint is missing, or the folder cannot be written to.
    """
    given: dict[str, Any] = {
        "recipe": recipe,
        "dataset": dataset,
        "epochs": epochs,
        "seed": seed,
        "n_train": n_train,
        "n_test": n_test,
        "shards": shards,
    }
    checkpoint = None
    if resume is not None and resume != "auto":
        checkpoint = Path(resume) / _LAST if Path(resume).is_dir() else Path(resume)
    elif resume == "auto" and out is not None and (Path(out) / _LAST).is_file():
        checkpoint = Path(out) / _LAST
    if checkpoint is not None:
        given = {**_config(checkpoint, given), **{name: value for name, value in given.items() if value is not None}}

    chosen = choose_recipe(given["recipe"], given["epochs"])
    used_seed = given["seed"] or 0
    if used_seed < 0:
        raise ValueError(f"seed must not be negative. Received: {used_seed}")
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        _check_writable(Path(out))
    found, train_set, test_set = open_dataset(
        given["dataset"] or "auto", data_root, download, given["n_train"], given["n_test"], say
    )
    if resume == "auto" and checkpoint is None:
        checkpoint = find_unfinished(runs, chosen.name, found, used_seed) if out is None else None
        say(
            "there is no unfinished run to resume: starting a new one"
            if checkpoint is None
            else f"resuming {checkpoint}"
        )
    if out is not None:
        folder = Path(out)
    elif checkpoint is not None:
        folder = checkpoint.parent
    else:
        folder = _new_folder(Path(runs), chosen.name, found, used_seed)
    _check_writable(folder)
    run = Run(chosen, found, folder, used_seed, given["n_train"], given["n_test"], checkpoint, shards=given["shards"])
    return run, train_set, test_set


def _config(checkpoint: Path, names: Iterable[str]) -> dict[str, Any]:
    """The settings of that names that a checkpoint was made with."""
    config = load_state(checkpoint).get("config")
    if isinstance(config, dict):
        config = {"shards": None, **config}
    if not isinstance(config, dict) or any(name not in config or not _FITS[name](config[name]) for name in names):
        raise CheckpointError("not a checkpoint of a recipe", checkpoint)
    return {name: config[name] for name in names}


def _is_count_or_none(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 1)


# What the settings of a checkpoint are like. A data set that is not named would be looked for, and downloaded.
_FITS: dict[str, Callable[[Any], bool]] = {
    "recipe": lambda value: isinstance(value, str) and value in RECIPES,
    "dataset": lambda value: isinstance(value, str) and value in DATASETS and value != "auto",
    "epochs": lambda value: type(value) in (int, float) and 0 < value < float("inf"),
    "seed": lambda value: type(value) is int and value >= 0,
    "n_train": _is_count_or_none,
    "n_test": _is_count_or_none,
    "shards": _is_count_or_none,
}
