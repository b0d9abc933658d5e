"""Fudan, project 2: one training of a variant."""

import contextlib
import math
import time
from collections.abc import Sequence
from typing import Any

import fastnn
from fastnn import data, models, nn, optim, training
from fastnn.courses.context import Context
from fastnn.courses.fudan.cnn_network import network
from fastnn.courses.fudan.cnn_variants import Variant

__all__ = ["SCALING", "accuracy_of", "cost", "train_stage"]

SCALING: dict[str, Any] = {"mean": data.CIFAR10.mean, "std": data.CIFAR10.std}
_BATCH = 128
_VALIDATION_BATCH = 500
_COLUMNS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


def cost(variant: Variant) -> float:
    """Million multiplications of one image's way forward, to which the duration of a training is about proportional."""
    return models.summarize(network(**variant.network)).multiplications / 1e6


class _Penalty(training.Callback):
    """Adds the gradient of l1 * sum |w| + l2 * sum w^2 after each backward."""

    def __init__(self, weights: list[nn.Parameter], l1: float, l2: float) -> None:
        self.weights, self.l1, self.l2 = weights, l1, l2

    def on_gradients(self, trainer: training.Trainer) -> None:
        optim.l1_l2_penalty_(self.weights, self.l1, self.l2)


def _trainer(variant: Variant, loader: data.Loader, epochs: int) -> training.Trainer:
    """Of a new network. The learning rate rises in the first fifth of the steps and falls to 0 in the rest."""
    model = network(**variant.network)
    optimizer = variant.optimizer(model)
    schedule = training.triangle(epochs * len(loader), warmup=0.2, first=0.1, last=0.0)
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    return training.Trainer(
        model,
        variant.loss(),
        optimizer,
        optim.LambdaLR(optimizer, schedule),
        scheduler_interval="step",
        callbacks=[_Penalty(weights, variant.l1, variant.l2)] if variant.l1 or variant.l2 else [],
        progress=False,
        val_criterion=nn.CrossEntropyLoss(),
    )


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
    """Train a variant, as a stage.

    Args:
        context: its seed is that of all variants, each of which adds its own.
        key: name of the stage.
        variant: what to train.
        train_set, val_set: images to train on, and to evaluate on after each epoch.
        epochs: of the training.
        augment: of the training images.
        keep: the weights, too.
    Returns:
        What was measured: lists with a number for each epoch, and numbers. `val_loss` is the cross-entropy whatever
        the training minimised. A training that diverges has NaN for the epochs that it lacks.
    """
    batch_size = min(_BATCH, len(train_set))

    def compute() -> dict[str, Any]:
        work = batch_size * cost(variant)  # before the seed: it makes a network
        seed = context.seed + variant.seed
        fastnn.manual_seed(seed)
        loader = data.Loader(
            train_set, batch_size=batch_size, shuffle=True, drop_last=True, augment=augment, seed=seed, **SCALING
        )
        trainer = _trainer(variant, loader, epochs)
        validation = data.Loader(val_set, batch_size=_VALIDATION_BATCH, **SCALING)
        start = time.perf_counter()
        # That a training diverges is a result like any other; the report shows it as a failed row.
        with contextlib.suppress(training.NonFiniteLoss):
            context.train(key, trainer, loader, epochs, validation, work=work)
        rows = trainer.history.rows
        lacking = [math.nan] * (epochs - len(rows))
        return {
            **{name: [row[name] for row in rows] + lacking for name in _COLUMNS},
            "parameters": sum(parameter.size for parameter in trainer.model.parameters()),
            "images_per_second": trainer.images_seen / max(trainer.train_seconds, 1e-9),
            "seconds": time.perf_counter() - start,
            **({"weights": dict(trainer.model.state_dict())} if keep else {}),
        }

    result = context.stage(key, compute)
    accuracy, speed = accuracy_of(result), result["images_per_second"]
    context.say(f"{key}: validation accuracy {100 * accuracy:.2f} %, {speed:,.0f} images/s, {result['seconds']:.1f} s")
    context.report.curves({"epoch": range(1, epochs + 1), **{name: result[name] for name in _COLUMNS}}, training=key)
    return result


def accuracy_of(result: dict[str, Any]) -> float:
    """On the validation images, after the last epoch."""
    return float(result["val_accuracy"][-1])
