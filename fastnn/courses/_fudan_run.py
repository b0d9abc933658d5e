"""Fudan, project 2: how much is done with which images, and one training of a variant."""

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import fastnn
from fastnn import data, models, nn, optim, training
from fastnn.courses._fudan_net import Variant, network
from fastnn.courses.context import Context
from fastnn.models import Chain

__all__ = [
    "SCALING",
    "VALIDATION_IMAGES",
    "Images",
    "Plan",
    "accuracy_of",
    "cost",
    "count",
    "load",
    "make_plan",
    "train_stage",
    "train_variant",
]

VALIDATION_IMAGES = 5000  # the last ones of the training images
SCALING: dict[str, Any] = {"mean": data.CIFAR10.mean, "std": data.CIFAR10.std}
_BATCH = 128
_VALIDATION_BATCH = 500


class Plan(NamedTuple):
    """How much is done: images and epochs of the studies and of the final network, points of the landscapes."""

    n_items: int
    epochs: int
    n_final: int
    final_epochs: int
    n_validation: int
    n_test: int
    steps_1d: int
    steps_2d: int
    landscape_images: int


class Images(NamedTuple):
    """What the studies and the final network are trained on, what they are judged by, and what is looked at last."""

    study: data.Dataset
    final: data.Dataset
    validation: data.Dataset
    test: data.Dataset


# ---- how much, and of what -------------------------------------------------------------------------------------------
def make_plan(context: Context) -> Plan:
    """Of a quick or a full run, with the user's options."""
    if context.quick:
        return Plan(
            n_items=context.option("n_items", 512),
            epochs=context.option("epochs", 1),
            n_final=1024,
            final_epochs=context.option("epochs", 1),
            n_validation=200,
            n_test=500,
            steps_1d=5,
            steps_2d=3,
            landscape_images=64,
        )
    epochs = context.option("epochs", 8)
    return Plan(
        n_items=context.option("n_items", 15_000),
        epochs=epochs,
        n_final=45_000,
        final_epochs=math.ceil(1.5 * epochs),
        n_validation=VALIDATION_IMAGES,
        n_test=10_000,
        steps_1d=21,
        steps_2d=15,
        landscape_images=500,
    )


def load(context: Context, plan: Plan) -> Images:
    """CIFAR-10, in parts that do not overlap but for the training images of studies and final network."""
    train, test = context.cifar10()
    rest = len(train) - VALIDATION_IMAGES
    if not 1 <= plan.n_items <= rest:
        raise ValueError(f"fudan-cnn: n_items must lie between 1 and {rest}. Received: {plan.n_items}")
    if plan.epochs < 1:
        raise ValueError(f"fudan-cnn: epochs must be at least 1. Received: {plan.epochs}")
    return Images(
        train.subset(slice(0, plan.n_items)),
        train.subset(slice(0, plan.n_final)),
        train.subset(slice(rest, rest + plan.n_validation)),
        test.subset(slice(0, plan.n_test)),
    )


def cost(variant: Variant) -> float:
    """Million multiplications of one image's way forward, to which the duration of a training is about proportional."""
    return models.summarize(network(**variant.network)).multiplications / 1e6


# ---- one training ----------------------------------------------------------------------------------------------------
class _Penalty(training.Callback):
    """Adds the gradient of l1 * sum |w| + l2 * sum w^2 after each backward."""

    def __init__(self, weights: list[nn.Parameter], l1: float, l2: float) -> None:
        self.weights, self.l1, self.l2 = weights, l1, l2

    def on_gradients(self, trainer: training.Trainer) -> None:
        optim.l1_l2_penalty_(self.weights, self.l1, self.l2)


class _Steps(training.Callback):
    """Advances the bar of the recipe, and the forecast of its duration, with each step of a training."""

    def __init__(self, context: Context, label: str, images: int, epochs: int, cost: float) -> None:
        batch = min(_BATCH, images)
        # One more than steps: the first is taken before the first step.
        self._bar = context.progress(range(images // batch * epochs + 1), label, work=batch * cost)

    def on_fit_begin(self, trainer: training.Trainer) -> None:
        next(self._bar)

    def on_step_end(self, trainer: training.Trainer) -> None:
        next(self._bar)

    def on_exit(self, trainer: training.Trainer) -> None:
        self._bar.close()  # type: ignore[attr-defined]


def train_variant(
    variant: Variant,
    train_set: data.Dataset,
    val_set: data.Dataset,
    epochs: int,
    seed: int = 0,
    augment: Sequence[data.Augmentation] = (),
    callbacks: Sequence[training.Callback] = (),
    folder: Path | None = None,
    data_settings: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[Chain, dict[str, Any]]:
    """Train a variant; the learning rate rises in the first fifth of the steps and falls to 0 in the rest.

    Args:
        variant: what to train.
        train_set, val_set: images to train on, and to evaluate on after each epoch.
        epochs: of the training.
        seed: of a whole run; each variant adds its own.
        augment: of the training images.
        callbacks: of the trainer.
        folder: where to keep checkpoints, from which an interrupted training continues; None for a short one.
        data_settings: of the context; a checkpoint of other images is not continued.
    Returns:
        The network, and what was measured: lists with a number for each epoch, and numbers. `val_loss` is the
        cross-entropy whatever the training minimised. A training that diverges has NaN for the epochs that it lacks.
    """
    seed += variant.seed
    fastnn.manual_seed(seed)
    model = network(**variant.network)
    optimizer = variant.optimizer(model)
    loader = data.Loader(
        train_set, batch_size=min(_BATCH, len(train_set)), shuffle=True, drop_last=True, augment=augment, seed=seed,
        **SCALING,
    )  # fmt: skip
    schedule = training.triangle(epochs * len(loader), warmup=0.2, first=0.1, last=0.0)
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    all_callbacks = [*callbacks]
    if variant.l1 or variant.l2:
        all_callbacks.append(_Penalty(weights, variant.l1, variant.l2))
    checkpoints = None if folder is None else training.Checkpoints(folder)
    if checkpoints is not None:
        all_callbacks.append(checkpoints)
    trainer = training.Trainer(
        model,
        variant.loss(),
        optimizer,
        optim.LambdaLR(optimizer, schedule),
        scheduler_interval="step",
        callbacks=all_callbacks,
        progress=False,
        config={"variant": variant.name, "epochs": epochs, **data_settings},
        val_criterion=nn.CrossEntropyLoss(),
    )
    if checkpoints is not None and checkpoints.last.is_file():
        with contextlib.suppress(training.CheckpointError):  # of another training: begin anew
            trainer.load(checkpoints.last, loader)
    start = time.perf_counter()
    # That a training diverges is a result like any other; the report shows it as a failed row.
    with contextlib.suppress(training.NonFiniteLoss):
        trainer.fit(loader, epochs, data.Loader(val_set, batch_size=_VALIDATION_BATCH, **SCALING))
    rows = trainer.history.rows
    result: dict[str, Any] = {
        name: [row[name] for row in rows] + [math.nan] * (epochs - len(rows))
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    }
    result["parameters"] = sum(parameter.size for parameter in model.parameters())
    result["images_per_second"] = trainer.images_seen / max(trainer.train_seconds, 1e-9)
    result["seconds"] = time.perf_counter() - start
    return model, result


def train_stage(
    context: Context,
    key: str,
    variant: Variant,
    train_set: data.Dataset,
    val_set: data.Dataset,
    epochs: int,
    augment: Sequence[data.Augmentation] = (),
    keep: bool = False,
) -> dict[str, Any]:
    """The stage `key`: what `train_variant` measured. A long training keeps checkpoints and its weights."""

    def compute() -> dict[str, Any]:
        bar = _Steps(context, key, len(train_set), epochs, cost(variant))
        folder = context.out / "stages" if keep else None
        model, result = train_variant(
            variant, train_set, val_set, epochs, context.seed, augment=augment, callbacks=[bar], folder=folder,
            data_settings=context.data_settings,
        )  # fmt: skip
        return {**result, "weights": dict(model.state_dict())} if keep else result

    result = context.stage(key, compute)
    (context.out / "stages" / "last.safetensors").unlink(missing_ok=True)  # the checkpoint has done its duty
    accuracy, speed = accuracy_of(result), result["images_per_second"]
    context.say(f"{key}: validation accuracy {100 * accuracy:.2f} %, {speed:,.0f} images/s, {result['seconds']:.1f} s")
    _history(context, key, result)
    return result


def _history(context: Context, key: str, result: dict[str, Any]) -> None:
    columns = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    context.report.history(
        [
            {"training": key, "epoch": epoch + 1, **{column: float(result[column][epoch]) for column in columns}}
            for epoch in range(len(result["val_loss"]))
        ]
    )


def count(n: int, thing: str) -> str:
    """For people: '1 epoch', '6 epochs'."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def accuracy_of(result: dict[str, Any]) -> float:
    """On the validation images, after the last epoch."""
    return float(result["val_accuracy"][-1])
