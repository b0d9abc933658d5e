"""
Paths of optimizers
===================

Six optimizers from one start, on a valley with a bend (Rosenbrock's function). The star is the minimum.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import nn, optim


def valley(w):
    return (1 - w[0]) ** 2 + 20 * (w[1] - w[0] ** 2) ** 2


optimizers = {
    "SGD": lambda w: optim.SGD(w, lr=0.004),
    "momentum": lambda w: optim.SGD(w, lr=0.002, momentum=0.9),
    "Nesterov": lambda w: optim.SGD(w, lr=0.002, momentum=0.9, nesterov=True),
    "RMSprop": lambda w: optim.RMSprop(w, lr=0.02),
    "Adam": lambda w: optim.Adam(w, lr=0.1),
    "Lion": lambda w: optim.Lion(w, lr=0.03),
}

x, y = np.meshgrid(np.linspace(-1.7, 1.6, 200), np.linspace(-0.8, 2.2, 150))
figure, axes = plt.subplots(3, 2, figsize=(7, 8), sharex=True, sharey=True, layout="constrained")
for ax, (name, make) in zip(axes.flat, optimizers.items(), strict=True):
    w = nn.Parameter(np.array([-1.3, 1.2]))
    optimizer, points = make([w]), [w.data.copy()]
    for _ in range(150):
        optimizer.zero_grad()
        valley(w).backward()
        optimizer.step()
        points.append(w.data.copy())
    ax.contour(x, y, valley([x, y]), levels=np.geomspace(0.1, 300, 12), colors="0.75", linewidths=0.7)
    ax.plot(*np.array(points).T, ".-", color="#0072B2", markersize=4, linewidth=1)
    ax.plot(1, 1, "*", color="#D55E00", markersize=13)
    ax.set_title(f"{name}: {float(valley(points[-1])):.1e}", fontsize=10)
plt.show()
