"""
The decision boundary of a network
==================================

A network of two hidden layers learns two spirals. The colour is the probability of a class, and the line is
where it is one half.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn
from fastnn import functional as F
from fastnn import nn, optim

rng = np.random.default_rng(0)
t = np.sqrt(rng.uniform(0.02, 1, 200)) * 3 * np.pi
arm = np.stack([t * np.cos(t), t * np.sin(t)], axis=1) / 10
points = np.concatenate([arm, -arm]) + rng.normal(0, 0.02, (400, 2))
x, y = points.astype(np.float32), np.repeat([0, 1], 200)

fastnn.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
criterion, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.01)
snapshots = {}
u, v = np.meshgrid(np.linspace(-1.1, 1.1, 150), np.linspace(-1.1, 1.1, 150))
grid = np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float32)
for step in range(1, 1201):
    criterion(model(x), y)
    optimizer.zero_grad()
    model.backward(criterion.backward())
    optimizer.step()
    if step in (100, 400, 1200):
        with fastnn.no_grad():
            snapshots[step] = F.softmax(model(grid))[:, 1].reshape(u.shape)

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
for ax, (step, probability) in zip(axes, snapshots.items(), strict=True):
    ax.contourf(u, v, probability, levels=20, cmap="PuOr_r", vmin=0, vmax=1)
    ax.contour(u, v, probability, levels=[0.5], colors="black", linewidths=1)
    for label, mark, colour in ((0, "o", "white"), (1, "^", "black")):
        ax.scatter(*x[y == label].T, s=10, marker=mark, color=colour, edgecolor="0.5", linewidth=0.4)
    ax.set(title=f"{step} steps", xticks=[], yticks=[], aspect="equal")
plt.show()
