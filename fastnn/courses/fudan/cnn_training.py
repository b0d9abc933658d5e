"""Fudan, project 2: how much is done with which images, and one training of a variant."""

import contextlib
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import fastnn
from fastnn import data, models, nn, optim, training
from fastnn.courses.context import Context
from fastnn.courses.fudan.cnn_network import network
from fastnn.courses.fudan.cnn_variants import Variant
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
    "train",
    "train_stage",
]

VALIDATION_IMAGES = 5000  # the last ones of the training images
SCALING: dict[str, Any] = {"mean": data.CIFAR10.mean, "std": data.CIFAR10.std}
_BATCH = 128
_VALIDATION_BATCH = 500
_COLUMNS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


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
        n_items, epochs = context.option("n_items", 512), context.option("epochs", 1)
        return Plan(n_items, epochs, 1024, epochs, 200, 500, steps_1d=5, steps_2d=3, landscape_images=64)
    n_items, epochs = context.option("n_items", 15_000), context.option("epochs", 8)
    final_epochs, n_validation = math.ceil(1.5 * epochs), VALIDATION_IMAGES
    return Plan(
        n_items, epochs, 45_000, final_epochs, n_validation, 10_000, steps_1d=21, steps_2d=15, landscape_images=500
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


def train(
    context: Context,
    key: str,
    variant: Variant,
    train_set: data.Dataset,
    val_set: data.Dataset,
    epochs: int,
    augment: Sequence[data.Augmentation] = (),
) -> tuple[Chain, dict[str, Any]]:
    """Train a variant; the learning rate rises in the first fifth of the steps and falls to 0 in the rest.

    Args:
        context: its seed is that of all variants, each of which adds its own.
        key: name of the stage.
        variant: what to train.
        train_set, val_set: images to train on, and to evaluate on after each epoch.
        epochs: of the training.
        augment: of the training images.
    Returns:
        The network, and what was measured: lists with a number for each epoch, and numbers. `val_loss` is the
        cross-entropy whatever the training minimised. A training that diverges has NaN for the epochs that it lacks.
    """
    work = min(_BATCH, len(train_set)) * cost(variant)  # before the seed: it makes a network
    seed = context.seed + variant.seed
    fastnn.manual_seed(seed)
    model = network(**variant.network)
    optimizer = variant.optimizer(model)
    loader = data.Loader(
        train_set, batch_size=min(_BATCH, len(train_set)), shuffle=True, drop_last=True, augment=augment, seed=seed,
        **SCALING,
    )  # fmt: skip
    schedule = training.triangle(epochs * len(loader), warmup=0.2, first=0.1, last=0.0)
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    trainer = training.Trainer(
        model,
        variant.loss(),
        optimizer,
        optim.LambdaLR(optimizer, schedule),
        scheduler_interval="step",
        callbacks=[_Penalty(weights, variant.l1, variant.l2)] if variant.l1 or variant.l2 else [],
        progress=False,
        val_criterion=nn.CrossEntropyLoss(),
    )
    start = time.perf_counter()
    # That a training diverges is a result like any other; the report shows it as a failed row.
    with contextlib.suppress(training.NonFiniteLoss):
        validation = data.Loader(val_set, batch_size=_VALIDATION_BATCH, **SCALING)
        context.train(key, trainer, loader, epochs, validation, work=work)
    rows = trainer.history.rows
    lacking = [math.nan] * (epochs - len(rows))
    return model, {
        **{name: [row[name] for row in rows] + lacking for name in _COLUMNS},
        "parameters": sum(parameter.size for parameter in model.parameters()),
        "images_per_second": trainer.images_seen / max(trainer.train_seconds, 1e-9),
        "seconds": time.perf_counter() - start,
    }


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
    """The stage `key`: what `train` measured, and with `keep` the weights."""

    def compute() -> dict[str, Any]:
        model, result = train(context, key, variant, train_set, val_set, epochs, augment)
        return {**result, "weights": dict(model.state_dict())} if keep else result

    result = context.stage(key, compute)
    accuracy, speed = accuracy_of(result), result["images_per_second"]
    context.say(f"{key}: validation accuracy {100 * accuracy:.2f} %, {speed:,.0f} images/s, {result['seconds']:.1f} s")
    context.report.curves({"epoch": range(1, epochs + 1), **{name: result[name] for name in _COLUMNS}}, training=key)
    return result


def count(n: int, thing: str) -> str:
    """For people: '1 epoch', '6 epochs'."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def accuracy_of(result: dict[str, Any]) -> float:
    """On the validation images, after the last epoch."""
    return float(result["val_accuracy"][-1])
