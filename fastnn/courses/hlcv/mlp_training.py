"""Saarland exercise, last question: the training of the deeper networks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import data, nn, optim, training
from fastnn.courses.context import Context
from fastnn.courses.hlcv.mlp_network import WEIGHT_DECAY
from fastnn.courses.records import Records

__all__ = ["BATCH_SIZE", "COLUMNS", "LR", "LR_DECAY", "WEIGHT_DECAY", "fit", "normalised", "predict"]

BATCH_SIZE = 200
LR, LR_DECAY = 1e-3, 0.95  # the exercise's
COLUMNS = ("loss", "train_accuracy", "val_accuracy")


def predict(model: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Classes, in eval mode."""
    model.eval()
    starts = range(0, len(images), 1000)
    with fastnn.no_grad():
        parts = [model(normalised(images[start : start + 1000])).argmax(axis=1) for start in starts]
    model.train()
    return np.concatenate(parts)


def normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bytes to [-1, 1], as the exercise does."""
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1)


class _Epochs(Records):
    """Of each epoch: the mean loss of its steps, and at its end the accuracies of two sets of images."""

    def __init__(self, *parts: data.Dataset) -> None:
        super().__init__("losses", *COLUMNS)
        self._parts = parts

    def on_step_end(self, trainer: training.Trainer) -> None:
        self.records["losses"].append(trainer.last_loss)

    def on_epoch_end(self, trainer: training.Trainer, row: dict[str, Any]) -> None:
        accuracies = [float((predict(trainer.model, part.images) == part.labels).mean()) for part in self._parts]
        losses = self.records["losses"][-trainer.batches_per_epoch :]
        for name, value in zip(COLUMNS, [float(np.mean(losses)), *accuracies], strict=True):
            self.records[name].append(value)


def fit(
    context: Context,
    key: str,
    model: nn.Sequential,
    images: data.Dataset,
    validation: data.Dataset,
    epochs: int,
    *,
    weight_decay: float = WEIGHT_DECAY,
    lr_decay: float = LR_DECAY,
    augment: bool = False,
    work: float = 1.0,
) -> dict[str, Any]:
    """The exercise's training: Adam, batches of 200 in a new order each epoch, a smaller learning rate each epoch.

    With `augment`, half of the images of each epoch are mirrored.
    """
    loader = data.Loader(
        images, batch_size=BATCH_SIZE, shuffle=True, augment=data.RandomHorizontalFlip() if augment else None,
        mean=0.5, std=0.5, seed=context.seed,
    )  # fmt: skip
    optimizer = optim.Adam(model.parameters(), lr=LR, weight_decay=weight_decay)
    seen = _Epochs(images.subset(slice(0, 5000)), validation)
    trainer = training.Trainer(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        optim.ExponentialLR(optimizer, lr_decay),
        callbacks=[seen],
        progress=False,
    )
    context.train(key, trainer, loader, epochs, work=work)
    return {name: values for name, values in seen.arrays().items() if name in COLUMNS}
