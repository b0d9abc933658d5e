"""
The roofline of a network
=========================

How fast each layer runs, beside what the machine could do. `fastnn.profile` measures a training step together
with the machine's peak and bandwidth, and ``.plot()`` draws it. Layers that Winograd's algorithm computes have
hollow markers. They can lie above the peak, because work is counted as by the definition.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn
from fastnn import nn

fastnn.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
    nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(64, 128, 1), nn.ReLU(),
    nn.Flatten(), nn.Linear(128 * 8 * 8, 10))  # fmt: skip
x = np.random.default_rng(0).normal(size=(32, 3, 32, 32)).astype(np.float32)
profile = fastnn.profile(model, x, np.arange(32) % 10, rounds=3)

figure, ax = plt.subplots(figsize=(9, 5), layout="constrained")
profile.plot(ax)
plt.show()
