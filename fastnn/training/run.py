"""A recipe, a data set and a seed become a folder of results."""

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import fastnn
from fastnn import _runtime, data, models, nn
from fastnn.training.callbacks import Callback, Checkpoints, FreezeWhitening, HistoryFiles, Lookahead
from fastnn.training.checkpoint import save_weights
from fastnn.training.evaluate import evaluate
from fastnn.training.plan import Run
from fastnn.training.recipes import Recipe
from fastnn.training.results import facts, write_metrics
from fastnn.training.trainer import Trainer

__all__ = ["make_loader", "make_model", "summary", "train"]

_TEST_BATCH = 500


def train(
    run: Run,
    train_set: Any,
    test_set: Any,
    say: Callable[[str], Any] = print,
    callbacks: Iterable[Callback] = (),
    distributed: Any = None,
) -> dict[str, Any]:
    """Train a recipe; leave metrics.json, history.csv, history.json, curves.png, weights and the last checkpoint.

    The test images decide nothing: the result is the last epoch's, or the best one's on images that the recipe puts
    aside from the training images. Without these, accuracy on the test images is shown after each epoch, and no more.

    Args:
        run: what to train, and where the results go.
        train_set, test_set: the images.
        say: told the result.
        callbacks: called after those of the recipe.
        distributed: the `fastnn.distributed.World` of several processes, if `run.shards` is set; None for one.
    Returns:
        What metrics.json holds. `train_seconds` counts what training takes once the images are in memory: making the
        network, its whitening (together `prepare_seconds`) and all steps, but not the evaluations and the files.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_convolutions(run.recipe))
        if run.shards is not None and distributed is None:
            distributed = stack.enter_context(fastnn.distributed.World(run.shards))
        return _train(run, train_set, test_set, say, callbacks, distributed)


def _convolutions(recipe: Recipe) -> contextlib.AbstractContextManager[None]:
    """What the user prefers goes before what the recipe does."""
    preferred = _runtime.conv2d_algorithm()
    return fastnn.conv2d_algorithm(recipe.conv2d_algorithm if preferred == "auto" else preferred)


def _train(
    run: Run, train_set: Any, test_set: Any, say: Callable[[str], Any], callbacks: Iterable[Callback], world: Any
) -> dict[str, Any]:
    start = time.perf_counter()
    recipe = run.recipe
    val_set, val_name = test_set, "test"
    if recipe.validation:
        cut = len(train_set) - recipe.validation
        if cut < 1:
            raise ValueError(
                f"recipe {recipe.name} puts {recipe.validation} training images aside, of {len(train_set)}; "
                "use more images or another recipe"
            )
        val_set, val_name = train_set.subset(slice(cut, None)), "validation"
        train_set = train_set.subset(slice(0, cut))
    parts = (train_set, val_set, test_set)
    loaders = [make_loader(recipe, run.seed, part, train_set, training=part is train_set) for part in parts]
    train_loader, val_loader, test_loader = loaders
    model = make_model(recipe, run.seed, train_set)
    optimizer = recipe.make_optimizer(model)
    checkpoints = Checkpoints(run.folder, "val_accuracy" if val_name == "validation" else None)
    trainer = Trainer(
        model,
        nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        optimizer,
        recipe.make_scheduler(optimizer, len(train_loader)),
        scheduler_interval="step",
        callbacks=[
            *_callbacks(recipe, model),
            HistoryFiles(run.folder, f"{recipe.name} on {run.dataset}, seed {run.seed}"),
            checkpoints,
            *callbacks,
        ],
        val_name=val_name,
        progress=run.progress,
        config=run.config(),
        distributed=world,
    )
    is_main = trainer.steps.is_main
    if run.resume is None and is_main:  # of an earlier run in the same folder: it would seem to belong to this one
        (run.folder / "metrics.json").unlink(missing_ok=True)
    prepare_seconds = time.perf_counter() - start
    trainer.fit(train_loader, recipe.epochs, val_loader, run.resume)
    if val_name == "validation" and trainer.steps.exists(checkpoints.best):
        model.load_state_dict(trainer.steps.load(checkpoints.best)["model"])

    test_start = time.perf_counter()
    result = evaluate(model, test_loader, tta=recipe.tta, distributed=world)
    test_seconds = time.perf_counter() - test_start
    if not recipe.tta:
        plain = result.accuracy
    elif val_set is test_set:  # evaluated after the last epoch already
        plain = trainer.history["val_accuracy"][-1]
    else:
        plain = evaluate(model, test_loader, distributed=world).accuracy
    if is_main:
        save_weights(model, run.folder / "weights.safetensors", {"recipe": recipe.name, "dataset": run.dataset})
    train_seconds = prepare_seconds + trainer.train_seconds
    metrics = {
        "recipe": recipe.name,
        "dataset": run.dataset,
        "test_accuracy": result.accuracy,
        "test_accuracy_plain": plain,
        "test_top5": result.top5,
        "test_loss": result.loss,
        "tta": recipe.tta,
        "epochs": recipe.epochs,
        **facts(trainer),
        "train_images": len(train_set),
        "test_images": len(test_set),
        "train_seconds": round(train_seconds, 3),
        "test_seconds": round(test_seconds, 3),
        "prepare_seconds": round(prepare_seconds, 3),
        "total_seconds": round(time.perf_counter() - start, 3),
        "seed": run.seed,
        "resumed": run.resume is not None,
    }
    if is_main:
        write_metrics(run.folder, metrics)
        say(f"{summary(metrics)}; results are in {run.folder}")
    return metrics


def summary(metrics: dict[str, Any]) -> str:
    """What came out, in one line.

    Example:
        >>> from fastnn.training.run import summary
        >>> summary({"test_accuracy": 0.8, "test_accuracy_plain": 0.79, "tta": 2, "train_seconds": 30.0})
        'test accuracy 80.00 % (79.00 % without averaging over flips and shifts) after 30.0 s of training'
    """
    accuracy, plain = (f"{100 * metrics[name]:.2f} %" for name in ("test_accuracy", "test_accuracy_plain"))
    averaged = f" ({plain} without averaging over flips and shifts)" if metrics["tta"] else ""
    return f"test accuracy {accuracy}{averaged} after {metrics['train_seconds']:.1f} s of training"


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


def make_model(recipe: Recipe, seed: int, train_set: Any) -> nn.Module:
    """The network as its training begins: initialised with the seed, whitened with the training images."""
    fastnn.manual_seed(seed)
    model = recipe.make_model(len(train_set.classes))
    if isinstance(model, models.Airbench):
        model.whiten(_normalised(train_set, 5000))
    return model


def make_loader(recipe: Recipe, seed: int, images: Any, train_set: Any, training: bool) -> data.Loader:
    """Batches of `images`, normalised with the statistics of `train_set`: the recipe's, or in order to evaluate on.

    Raises:
        ValueError: there are fewer training images than a batch has.
    """
    mean, std = _statistics(train_set)
    if not training:
        return data.Loader(images, batch_size=_TEST_BATCH, shuffle=False, mean=mean, std=std)
    batch_size = recipe.batch_size
    if len(images) < batch_size:
        raise ValueError(f"{len(images)} training images are fewer than a batch of {batch_size}")
    return data.Loader(
        images,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        augment=recipe.augmentation(seed),
        mean=mean,
        std=std,
        seed=seed,
    )


def _normalised(train_set: Any, n: int) -> Any:
    """The first `n` images as the network sees them, without augmentation."""
    mean, std = _statistics(train_set)
    first = train_set.subset(slice(0, n))
    x, _ = next(iter(data.Loader(first, batch_size=len(first), shuffle=False, mean=mean, std=std)))
    return x
