"""PKU, assignment 2, part 3: trainings of the network of Figure 6 in the course's setting."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import data, nn, optim, training
from fastnn.courses.context import Context
from fastnn.courses.pku.cnn_network import CrossEntropy, figure6_cnn
from fastnn.courses.records import Records

__all__ = ["EPOCHS", "Course", "augmentations", "raw_loader", "short", "train"]

# The settings of the assignment's train.py.
BATCH_SIZE = 20
EPOCHS = 10
LOG_EVERY = 50  # iterations


class _Log(Records):
    """Means of the running epoch every 50 iterations, as train.py logs them; so its curves are stairs."""

    def on_step_end(self, trainer: training.Trainer) -> None:
        if trainer.step % LOG_EVERY == 0:
            meter = trainer.meter
            epochs = trainer.step / trainer.batches_per_epoch
            self.records["log"].append([epochs, meter.loss, meter.accuracy, meter.top5])


def raw_loader(images: Any, batch_size: int, augment: Any = None, shuffle: bool = False, seed: int = 0) -> data.Loader:
    """Batches of pixels in 0..255, as the assignment's dataset.py gives them.

    Example:
        >>> white = data.Dataset(np.full((2, 3, 32, 32), 255, np.uint8), [0, 1])
        >>> x, _ = next(iter(raw_loader(white, 2)))
        >>> float(x.max())
        255.0
    """
    # A loader divides bytes by 255 first; that is also why colours are jittered in 0..1, where their limits are.
    return data.Loader(images, batch_size=batch_size, shuffle=shuffle, augment=augment, std=1 / 255, seed=seed)


def train(
    context: Context, key: str, loader: Any, test_set: Any, lr: float, epochs: float
) -> tuple[nn.Module, dict[str, NDArray]]:
    """Train the network of Figure 6 with Adam.

    Args:
        context: of the recipe.
        key: name of the stage.
        loader: gives batches, see `raw_loader`.
        test_set: images for validation after each epoch.
        lr: learning rate.
        epochs: how long.
    Returns:
        The network, and arrays: `log` with columns epochs, loss, top-1, top-5 of training, every 50 iterations;
        `epochs` with columns epochs, loss, top-1, top-5 of training (means over the epoch), and the last three of
        validation.
    """
    fastnn.manual_seed(context.seed)
    model, log = figure6_cnn(), _Log("log")
    optimizer = optim.Adam(model.parameters(), lr=lr)
    trainer = training.Trainer(model, CrossEntropy(), optimizer, callbacks=[log], progress=False)
    history = context.train(key, trainer, loader, epochs, raw_loader(test_set, 500), work=BATCH_SIZE)
    names = ("train_loss", "train_accuracy", "train_top5", "val_loss", "val_accuracy", "val_top5")
    rows = [[row["step"] / trainer.batches_per_epoch, *(row[name] for name in names)] for row in history.rows]
    return model, {"log": log.arrays()["log"].reshape(-1, 4), "epochs": np.array(rows, np.float64)}


def augmentations(name: str) -> list[data.Augmentation]:
    """What (d) trains with: 'none', 'position' (mirrored), or 'position and colour'."""
    if name == "none":
        return []
    if name == "position":
        return [data.RandomHorizontalFlip()]
    if name == "position and colour":
        colours = [data.Brightness(0.2), data.Contrast(0.2), data.Saturation(0.2)]
        return [data.RandomHorizontalFlip(), data.RandomCrop(4), *colours]
    raise ValueError(f"there are no augmentations {name!r}")


class Course:
    """Runs in the course's setting, each a stage that is not repeated when the recipe is resumed.

    Attributes:
        epochs: of each.
        best: largest validation accuracy after any epoch so far.
    """

    def __init__(self, context: Context, train_set: Any, test_set: Any) -> None:
        self.context, self.train_set, self.test_set = context, train_set, test_set
        self.epochs = int(context.option("epochs", 1 if context.quick else EPOCHS))
        self.best = 0.0

    @property
    def comparable(self) -> bool:
        """Whether the published accuracies are of as long a training, on as many images."""
        return self.all_images and (self.context.quick or self.epochs == EPOCHS)

    @property
    def all_images(self) -> bool:
        """Whether this is a full run on all images, or a quick one, whose report lists the rows of the full one."""
        return self.context.quick or len(self.train_set) == 50_000

    def run(self, lr: float, augment: str = "none") -> dict[str, NDArray]:
        """The arrays of `train`."""
        context = self.context
        name = f"lr-{short(lr)}" + ("" if augment == "none" else "-" + augment.replace(" ", "-"))

        def compute() -> dict[str, NDArray]:
            loader = raw_loader(self.train_set, BATCH_SIZE, augmentations(augment), shuffle=True, seed=context.seed)
            model, result = train(context, name, loader, self.test_set, lr, self.epochs)
            last = result["epochs"][-1]
            context.say(f"{name}: top-1 {100 * last[2]:.2f} %, validation {100 * last[5]:.2f} %")
            training.save_weights(model, context.out / f"weights-{name}.safetensors", {"recipe": "pku-cnn"})
            return result

        result = {key: np.asarray(value) for key, value in context.stage(name, compute).items()}
        columns = ("epoch", "train_loss", "train_top1", "train_top5", "val_loss", "val_top1", "val_top5")
        context.report.curves(dict(zip(columns, result["epochs"].T, strict=True)), run=name)
        self.best = max(self.best, float(result["epochs"][:, 5].max()))
        return result


def short(lr: float) -> str:
    """1e-3 for 0.001."""
    return f"{lr:.0e}".replace("e-0", "e-")
