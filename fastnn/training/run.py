"""A recipe, a data set and a seed become a folder of results."""

import contextlib
import datetime
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastnn
from fastnn import data, models, nn
from fastnn.training.callbacks import Callback, Checkpoints, FreezeWhitening, HistoryFiles, Lookahead
from fastnn.training.checkpoint import atomic_write, load_state, save_weights
from fastnn.training.evaluate import evaluate
from fastnn.training.recipes import Recipe
from fastnn.training.trainer import Trainer

__all__ = ["DATASETS", "Run", "find_unfinished", "new_folder", "open_dataset", "prepare_folder", "train"]

DATASETS = ("auto", "cifar10", "shapes32")
# Images of the synthetic set, as many as of CIFAR-10.
_SHAPES_TRAIN, _SHAPES_TEST = 50_000, 10_000
_TEST_BATCH = 500


@dataclass(frozen=True)
class Run:
    """What to train, on what, and where the results go.

    Attributes:
        recipe: with its number of epochs.
        dataset: 'cifar10' or 'shapes32'.
        folder: of the results; it exists.
        seed: of the initialisation, the order of images, and augmentation.
        data_root: folder of the data set, or None to look in the usual places.
        download: whether to fetch a data set that is not there.
        n_train, n_test: use only so many images; None for all.
        resume: a checkpoint to continue from, or None.
        progress: show progress on standard error.
    """

    recipe: Recipe
    dataset: str
    folder: Path
    seed: int = 0
    data_root: str | None = None
    download: bool = False
    n_train: int | None = None
    n_test: int | None = None
    resume: Path | None = None
    progress: bool = True

    def config(self) -> dict[str, Any]:
        """What a checkpoint must have in common with this run to be continued by it."""
        settings = {**vars(self.recipe), "model_options": _plain(dict(self.recipe.model_options))}
        del settings["description"]
        return {
            "recipe": settings.pop("name"),
            "dataset": self.dataset,
            "seed": self.seed,
            "n_train": self.n_train,
            **settings,
        }


def _plain(value: Any) -> Any:
    """Tuples as lists, as they come back from a file."""
    return json.loads(json.dumps(value))


def open_dataset(
    name: str, root: str | None = None, download: bool = False, seed: int = 0, say: Callable[[str], Any] = print
) -> tuple[str, Any, Any]:
    """The name, training images and test images of a data set.

    'auto' is CIFAR-10 if it is there or can be downloaded, else the synthetic shapes; `say` is told which, and why.

    Raises:
        DataNotFoundError: CIFAR-10 was asked for and is nowhere, or cannot be downloaded.
        DataError: its files are damaged.
    """
    if name not in DATASETS:
        raise ValueError(f"there is no data set {name!r}; choose from {', '.join(DATASETS)}")
    if name in ("auto", "cifar10"):
        try:
            train = data.CIFAR10(root, train=True, download=download)
            return "cifar10", train, data.CIFAR10(root, train=False, download=download)
        except data.DataNotFoundError as error:
            if name == "cifar10":
                raise
            say(f"{error}\nTraining on the built-in synthetic shapes instead.")
    return "shapes32", data.Shapes32(_SHAPES_TRAIN, seed=0), data.Shapes32(_SHAPES_TEST, seed=1)


# ---- folders ---------------------------------------------------------------------------------------------------------
def new_folder(parent: str | os.PathLike[str], recipe: str, dataset: str, seed: int) -> Path:
    """Make `parent/<recipe>-<dataset>-seed<seed>-<time>`, with a number behind it if that exists."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{recipe}-{dataset}-seed{seed}-{stamp}"
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        folder = Path(parent) / (name + suffix)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise FileExistsError(f"{Path(parent) / name} and 999 more exist")


def prepare_folder(folder: str | os.PathLike[str]) -> Path:
    """Make `folder` if it is missing, and see that files can be written there.

    Raises:
        OSError: it cannot be made or written to; better now than after training.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / "write-test.tmp"
    with atomic_write(probe) as file:
        file.write(b"")
    probe.unlink()
    return folder


def find_unfinished(parent: str | os.PathLike[str], recipe: str, dataset: str, seed: int) -> Path | None:
    """The last checkpoint of the newest run of this kind below `parent` that has not come to its end."""
    found = [
        folder / "last.safetensors"
        for folder in Path(parent).glob(f"{recipe}-{dataset}-seed{seed}-*")
        if (folder / "last.safetensors").is_file() and not (folder / "metrics.json").exists()
    ]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


# ---- training --------------------------------------------------------------------------------------------------------
def train(run: Run, train_set: Any, test_set: Any, say: Callable[[str], Any] = print) -> dict[str, Any]:
    """Train a recipe; leave metrics.json, history.csv, history.json, curves.png, weights.safetensors and last.safetensors.

    The test images decide nothing: the result is the last epoch's, or the best one's on images that the recipe puts aside
    from the training images. Without such images, what is reported of the test images after each epoch is only reported.

    Returns:
        What metrics.json holds.
    """
    start = time.perf_counter()
    recipe = run.recipe
    train_set, test_set = _first(train_set, run.n_train), _first(test_set, run.n_test)
    classes = len(train_set.classes)
    val_set, val_name = test_set, "test"
    if 0 < recipe.validation < len(train_set):
        cut = len(train_set) - recipe.validation
        val_set, val_name = train_set.subset(slice(cut, None)), "validation"
        train_set = train_set.subset(slice(0, cut))
    loaders = [_loader(run, part, train_set, training=part is train_set) for part in (train_set, val_set, test_set)]
    train_loader, val_loader, test_loader = loaders

    fastnn.manual_seed(run.seed)
    model = recipe.make_model(classes)
    if isinstance(model, models.Airbench):
        model.whiten(_normalised(train_set, 5000))
    optimizer = recipe.make_optimizer(model)
    total_steps = max(1, round(recipe.epochs * len(train_loader) + 0.499999))
    checkpoints = Checkpoints(run.folder, "val_accuracy" if val_name == "validation" else None)
    trainer = Trainer(
        model,
        nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        optimizer,
        recipe.make_scheduler(optimizer, total_steps),
        scheduler_interval="step",
        callbacks=[
            *_callbacks(recipe, model),
            HistoryFiles(run.folder, f"{recipe.name} on {run.dataset}, seed {run.seed}"),
            checkpoints,
        ],
        val_name=val_name,
        progress=run.progress,
        config=run.config(),
    )
    prepare_seconds = time.perf_counter() - start
    trainer.fit(train_loader, recipe.epochs, val_loader, run.resume)
    if val_name == "validation" and checkpoints.best.is_file():
        model.load_state_dict(load_state(checkpoints.best)["model"])

    test_start = time.perf_counter()
    result = evaluate(model, test_loader, tta=recipe.tta)
    test_seconds = time.perf_counter() - test_start
    plain = evaluate(model, test_loader) if recipe.tta else result
    save_weights(model, run.folder / "weights.safetensors", {"recipe": recipe.name, "dataset": run.dataset})
    metrics = {
        "recipe": recipe.name,
        "dataset": run.dataset,
        "test_accuracy": result.accuracy,
        "test_accuracy_plain": plain.accuracy,
        "test_top5": result.top5,
        "test_loss": result.loss,
        "tta": recipe.tta,
        "epochs": recipe.epochs,
        "steps": trainer.step,
        "stopped_early": trainer.stop_reason,
        "parameters": sum(p.size for p in model.parameters()),
        "train_images": len(train_set),
        "test_images": len(test_set),
        "train_seconds": round(trainer.train_seconds, 3),
        "test_seconds": round(test_seconds, 3),
        "prepare_seconds": round(prepare_seconds, 3),
        "total_seconds": round(time.perf_counter() - start, 3),
        "images_per_second": round(trainer.images_seen / max(trainer.train_seconds, 1e-9), 1),
        "seed": run.seed,
        "threads": fastnn.num_threads(),
        "isa": fastnn.isa(),
        "version": fastnn.__version__,
        "resumed": run.resume is not None,
    }
    with atomic_write(run.folder / "metrics.json", "w", encoding="utf-8") as file:
        json.dump(metrics, file, indent=1)
        file.write("\n")
    averaged = f" ({100 * plain.accuracy:.2f} % without averaging over flips and shifts)" if recipe.tta else ""
    say(
        f"test accuracy {100 * result.accuracy:.2f} %{averaged} after {trainer.train_seconds:.1f} s of training; "
        f"results are in {run.folder}"
    )
    return metrics


def _first(images: Any, n: int | None) -> Any:
    return images if n is None else images.subset(slice(0, n))


def _callbacks(recipe: Recipe, model: nn.Module) -> list[Callback]:
    callbacks: list[Callback] = []
    if recipe.lookahead:
        callbacks.append(Lookahead())
    if isinstance(model, models.Airbench):
        callbacks.append(FreezeWhitening(recipe.whitening_epochs))
    return callbacks


def _statistics(train_set: Any) -> tuple[Any, Any]:
    """Mean and standard deviation of each channel, in units of 0..1."""
    if train_set.mean is not None:
        return train_set.mean, train_set.std
    pixels = train_set.images[:5000] / 255.0
    return tuple(pixels.mean(axis=(0, 2, 3)).tolist()), tuple(pixels.std(axis=(0, 2, 3)).tolist())


def _loader(run: Run, images: Any, train_set: Any, training: bool) -> data.Loader:
    mean, std = _statistics(train_set)
    if not training:
        return data.Loader(images, batch_size=_TEST_BATCH, shuffle=False, mean=mean, std=std)
    batch_size = run.recipe.batch_size
    if len(images) < batch_size:
        raise ValueError(f"{len(images)} training images are fewer than a batch of {batch_size}")
    return data.Loader(
        images,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        augment=run.recipe.augmentation(),
        mean=mean,
        std=std,
        seed=run.seed,
    )


def _normalised(train_set: Any, n: int) -> Any:
    """The first `n` images as the network sees them, without augmentation."""
    mean, std = _statistics(train_set)
    first = train_set.subset(slice(0, n))
    x, _ = next(iter(data.Loader(first, batch_size=len(first), shuffle=False, mean=mean, std=std)))
    return x
