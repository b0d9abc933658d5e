"""
A small trained network
=======================

What other scripts of the gallery look into: a network of three convolutions that tells four kinds of shapes
apart. It is trained in a few seconds, once for all scripts of a process, and always to the same bits.
"""

import functools

import numpy as np

import fastnn
from fastnn import data, nn, optim, training

CLASSES = [0, 1, 5, 7]  # disc, ring, cross, stripes
MEAN, STD = data.Shapes32.mean, data.Shapes32.std


def shapes(n, train):
    """A part of Shapes32 that has these four classes only."""
    every = data.Shapes32(n, train=train)
    chosen = np.isin(every.labels, CLASSES)
    names = [every.names[c] for c in CLASSES]
    return data.Dataset(every.images[chosen], np.searchsorted(CLASSES, every.labels[chosen]), names)


def normalised(images):
    return ((images / 255 - MEAN[0]) / STD[0]).astype(np.float32)


def new_network():
    fastnn.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2, padding=2), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, len(CLASSES)))  # fmt: skip


@functools.cache
def trained_network(epochs=5):
    """The network after training, in evaluation mode, and the history of the training."""
    model = new_network()
    loader = data.Loader(shapes(5000, True), batch_size=32, shuffle=True, seed=0, mean=MEAN, std=STD)
    validation = data.Loader(shapes(1000, False), batch_size=500, mean=MEAN, std=STD)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = optim.OneCycleLR(optimizer, max_lr=0.1, total_steps=epochs * len(loader))
    options = {"scheduler": schedule, "scheduler_interval": "step", "val_loader": validation, "progress": False}
    history = training.fit(model, loader, epochs, optimizer, **options)
    model.eval()
    return model, history
