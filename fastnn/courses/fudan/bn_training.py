"""Fudan, project 2, second part: one training of VGG-A, with probes of the gradient on the way."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import data, insight, nn, optim, training
from fastnn.courses.context import Context
from fastnn.courses.records import Records
from fastnn.training.trainer import count_steps

__all__ = ["ALL_IMAGES", "BATCH_SIZE", "STEP_SIZES", "Recorder", "Result", "load", "steps_of", "train", "work_of"]

BATCH_SIZE, SEED = 128, 2020
# Along the gradient itself, not along Adam's step: half of to four times 0.1, a usual rate of plain SGD.
STEP_SIZES = (0.05, 0.1, 0.2, 0.4)
PROBES, QUICK_PROBES = 20, 8  # in each training, besides the one after the first step
ALL_IMAGES = 50_000

Result = dict[str, Any]


# ---- training --------------------------------------------------------------------------------------------------------
def load(context: Context, n_items: int) -> tuple[data.Dataset, data.Dataset]:
    """The first n_items training images, and as validation images the test set or, for few items, a part of it."""
    train, val = context.cifar10()
    n_val = len(val) if n_items == ALL_IMAGES else min(len(val), max(500, n_items // 5))
    return train.subset(slice(0, n_items)), val.subset(slice(0, n_val))


def _loader(images: data.Dataset, batch_size: int, shuffle: bool = False, seed: int = 0) -> data.Loader:
    """The course's batches: pixels in [-1, 1], no augmentation."""
    return data.Loader(images, batch_size=batch_size, shuffle=shuffle, seed=seed, mean=0.5, std=0.5)


# ---- probes, and what they cost --------------------------------------------------------------------------------------
def _between_probes(context: Context, steps: int) -> int:
    return max(1, steps // (QUICK_PROBES if context.quick else PROBES))


def _probes_after(step: int, every: int) -> bool:
    """Whether the gradient is probed after this step; the first is 1."""
    return step == 1 or step % every == 0


def _work_of_step(step: int, every: int) -> int:
    """Gradients that are computed for it: its own, and with a probe one at the parameters and one at each step size."""
    return 2 + len(STEP_SIZES) if _probes_after(step, every) else 1


def steps_of(n_items: int, epochs: float) -> int:
    """Of a training of so many images."""
    return count_steps(epochs, -(-n_items // BATCH_SIZE))


def work_of(context: Context, steps: int) -> int:
    """Gradients of a training of so many steps."""
    every = _between_probes(context, steps)
    return sum(_work_of_step(step, every) for step in range(1, steps + 1))


class Recorder(Records):
    """Keeps what the assignment plots: the loss of each step, the change of the last layer's gradient, and probes.

    Of each probe these are the changes of the gradient (`distances`) and those over the distance (`smoothness`), a
    number for each step size, and the range of the loss.

    Args:
        x, y: the batch of all probes, the same for all networks.
        every: steps between probes.
    """

    def __init__(self, x: NDArray, y: NDArray, every: int) -> None:
        super().__init__("losses", "changes", "probe_steps", "distances", "smoothness", "loss_ranges")
        self.x, self.y, self.every = x, y, every
        self.criterion = nn.CrossEntropyLoss()
        self._last: NDArray | None = None

    def on_gradients(self, trainer: training.Trainer) -> None:
        gradient = trainer.model.classifier[4].weight.grad.copy()
        if self._last is not None:
            self.records["changes"].append(float(np.linalg.norm(gradient - self._last)))
        self._last = gradient

    def on_step_end(self, trainer: training.Trainer) -> None:
        self.records["losses"].append(trainer.last_loss)
        if _probes_after(trainer.step, self.every):
            probe = insight.probe_gradient(trainer.model, self.criterion, self.x, self.y, STEP_SIZES)
            low, high = probe.loss_range
            self.records["probe_steps"].append(trainer.step)
            self.records["distances"].append(probe.distances.tolist())
            self.records["smoothness"].append(probe.smoothness.tolist())
            self.records["loss_ranges"].append(high - low)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "last": self._last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._last = state["last"]


def train(
    context: Context, key: str, build: Any, rate: float, epochs: float, images: data.Dataset, validation: data.Dataset
) -> tuple[nn.Module, Result]:
    """The stage `key`: the network that `build` makes, and what was recorded."""
    fastnn.manual_seed(SEED + context.seed)  # all rates start from the same weights
    model = build()
    loader = _loader(images, BATCH_SIZE, shuffle=True, seed=context.seed)
    x, y = next(iter(_loader(images.subset(slice(0, BATCH_SIZE)), BATCH_SIZE)))
    assert y is not None  # a data set has labels
    every = _between_probes(context, count_steps(epochs, len(loader)))
    recorder = Recorder(x, y, every)
    optimizer = optim.Adam(model.parameters(), lr=rate)
    trainer = training.Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[recorder], progress=False)
    rows = context.train(
        key, trainer, loader, epochs, _loader(validation, 250), work=lambda step: _work_of_step(step, every)
    ).rows
    last = rows[-1]
    context.say(
        f"{key}: training loss {last['train_loss']:.3f}, validation accuracy {100 * last['val_accuracy']:.2f} %"
    )
    return model, {
        "val_accuracy": np.array([100 * row["val_accuracy"] for row in rows]),
        "train_loss": np.array([row["train_loss"] for row in rows]),
        "rows": rows,
        **recorder.arrays(),
    }
