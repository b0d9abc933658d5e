"""
A sheet of augmentations
========================

One image, changed at random by each augmentation of `fastnn.data`. A row is one of them, drawn six times.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import data, insight

image = data.Shapes32(8).images[4:5]
augmentations = [
    data.RandomHorizontalFlip(), data.RandomCrop(4), data.Cutout(10), data.Translate(0.2), data.Rotate(30),
    data.Scale(0.3), data.Brightness(0.5), data.Contrast(0.8), data.Saturation(0.9), data.Hue(0.4), data.GaussianNoise(0.1),
]  # fmt: skip

figure, axes = plt.subplots(len(augmentations), 1, figsize=(6.5, 12), layout="constrained")
rng = np.random.default_rng(0)
for ax, augmentation in zip(axes, augmentations, strict=True):
    changed = np.concatenate([augmentation(image, rng) for _ in range(6)])
    insight.plot_images(np.concatenate([image, changed]), ax=ax, columns=7)
    ax.set_title(repr(augmentation), fontsize=9, loc="left")
plt.show()
