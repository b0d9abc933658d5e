"""
Histograms of weights
=====================

The weights of each layer before and after training. They start uniform and become bell-shaped; those of the
last layer move most. A layer that has not changed has not learned.
"""

import matplotlib.pyplot as plt
import numpy as np
from shapes_network import new_network, trained_network

before, after = new_network(), trained_network()[0]
layers = [name for name, p in before.named_parameters() if p.ndim > 1]

figure, axes = plt.subplots(len(layers), 1, figsize=(6, 7), layout="constrained")
for ax, name in zip(axes, layers, strict=True):
    old, new = (model.get_parameter(name).data.ravel() for model in (before, after))
    edges = np.linspace(*np.percentile(np.concatenate([old, new]), [0.2, 99.8]), 60)
    ax.hist(old, edges, histtype="step", color="#0072B2", label="random")
    ax.hist(new, edges, alpha=0.5, color="#D55E00", label="trained")
    ax.set_title(
        f"{name}, {new.size} weights: moved by {np.linalg.norm(new - old) / np.linalg.norm(old):.1f} of their norm",
        fontsize=9,
    )
    ax.set_yticks([])
axes[0].legend()
plt.show()
