"""Weights and images that are the same under PyTorch and fastnn: their random numbers differ, NumPy's do not."""

import numpy as np
import torch


def fill(module, seed=0):
    """Give every parameter of the module values by NumPy's generator, about as large as the usual ones."""
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            shape = tuple(parameter.shape)
            if parameter.dim() > 1:
                values = random.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))
            else:
                values = 0.5 * random.random(shape)
            parameter.copy_(torch.from_numpy(np.asarray(values, dtype=np.float32)))
    return module


def images(count, channels=3, size=16, classes=4, seed=0):
    """Noisy stripes, one direction and colour for each class: float32 images and int64 labels, as NumPy arrays."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    rows, columns = np.mgrid[:size, :size] / size
    angles = np.pi * labels / classes
    phases = random.random(count) * 2 * np.pi
    along = np.cos(angles)[:, None, None] * rows + np.sin(angles)[:, None, None] * columns
    stripes = np.sin(12 * along + phases[:, None, None])
    colours = 0.5 + 0.5 * np.cos(labels[:, None] + np.arange(channels))
    x = colours[:, :, None, None] * stripes[:, None] + 0.3 * random.standard_normal((count, channels, size, size))
    return x.astype(np.float32), labels.astype(np.int64)
