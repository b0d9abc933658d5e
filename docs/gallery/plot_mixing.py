"""
MixUp and CutMix
================

Two images become one, and so do their labels. MixUp blends them; CutMix pastes a rectangle. The numbers are the
parts of the labels.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import data, insight

shapes = data.Shapes32(6)
figure, axes = plt.subplots(3, 1, figsize=(8, 6.5), layout="constrained")
names = [shapes.classes[label] for label in shapes.labels]
insight.plot_images(shapes.images, names, axes[0], columns=6, title="images")
for ax, mixing, seed in ((axes[1], data.MixUp(1.0), 3), (axes[2], data.CutMix(1.0), 4)):
    mixed, parts = mixing(shapes.images, shapes.labels, np.random.default_rng(seed), num_classes=10)
    words = ["\n".join(f"{shapes.classes[c]} {part:.2f}" for c, part in enumerate(row) if part > 0) for row in parts]
    insight.plot_images(mixed, words, ax, columns=6, title=repr(mixing))
    assert np.allclose(parts.sum(axis=1), 1)
plt.show()
