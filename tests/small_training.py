"""A small network, random batches and a trainer of both, for the tests of training."""

import signal

import numpy as np

import fastnn
from fastnn import nn, optim, training
from fastnn.training.callbacks import Callback


class Batches:
    """Batches of random images with random labels, in an order that depends on the epoch."""

    def __init__(self, n=6, batch_size=16, size=8, seed=0):
        rng = np.random.default_rng(seed)
        self.x = rng.standard_normal((n, batch_size, 3, size, size)).astype(np.float32)
        self.y = rng.integers(0, 10, (n, batch_size))
        self.epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return len(self.x)

    def __iter__(self):
        for index in np.random.default_rng(self.epoch).permutation(len(self.x)):
            yield self.x[index], self.y[index]


class SigintAt(Callback):
    """Ctrl-C in the middle of a step."""

    def __init__(self, step):
        self.at = step

    def on_gradients(self, trainer):
        if trainer.step + 1 == self.at:
            signal.raise_signal(signal.SIGINT)


class Nothing(Callback):
    """In the place of SigintAt in the training that goes on."""


Nothing.__name__ = "SigintAt"


def network(seed=0):
    fastnn.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def make_trainer(out=None, seed=0, callbacks=(), lr=0.05, **kwargs):
    model = network(seed)
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=1e-3)
    scheduler = optim.LambdaLR(optimizer, lambda step: 1 / (1 + 0.1 * step))
    files = [training.HistoryFiles(out), training.Checkpoints(out, "val_accuracy")] if out is not None else []
    return training.Trainer(
        model,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        optimizer,
        scheduler,
        "step",
        callbacks=[*callbacks, training.Lookahead(every=4), training.EarlyStopping(patience=50), *files],
        progress=False,
        **kwargs,
    )


def comparable(tree, path=""):
    """A training state as {path: bytes or value}, without what a clock says."""
    if isinstance(tree, dict):
        items = [(key, value) for key, value in tree.items() if key not in ("seconds", "train_seconds")]
        items = [(key, value) for key, value in items if key != "images_per_second"]
        return {k: v for key, value in items for k, v in comparable(value, f"{path}.{key}").items()}
    if isinstance(tree, list | tuple):
        return {k: v for index, value in enumerate(tree) for k, v in comparable(value, f"{path}.{index}").items()}
    return {path: (tree.shape, tree.dtype.str, tree.tobytes()) if isinstance(tree, np.ndarray) else tree}


# ---- networks of a law -----------------------------------------------------------------------------------------------
def regression(n=4, batch_size=8, seed=0, shape=(1,)):
    """Batches (x, y) of a linear law."""
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(99).standard_normal((5, int(np.prod(shape))))
    xs = rng.standard_normal((n, batch_size, 5))
    return [(x.astype(np.float32), (x @ weights).reshape(batch_size, *shape).astype(np.float32)) for x in xs]


def multi_label(n=4, seed=0):
    return [(x, (y > 0).astype(np.float32)) for x, y in regression(n, seed=seed, shape=(3,))]


def sgd(model, lr=0.01):
    return optim.SGD(model.parameters(), lr=lr)


class Sets(Callback):
    """Gives a column of the history given values."""

    def __init__(self, name, *values):
        self.name, self.values = name, values

    def on_epoch_end(self, trainer, row):
        row[self.name] = self.values[len(trainer.history) - 1]


class Weights(Callback):
    """The weights at the end of each epoch."""

    def __init__(self):
        self.epochs = []

    def on_epoch_end(self, trainer, row):
        self.epochs.append(trainer.model.state_dict())


def same_weights(a, b):
    return all((a[path] == b[path]).all() for path in a)
