"""
A sheet of augmentations
========================

One image, changed at random by each augmentation of `fastnn.data`. Each row begins with the image itself.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import data, insight

image = data.Shapes32(8).images[2:3]
augmentations = {
    "RandomHorizontalFlip()": data.RandomHorizontalFlip(),
    "RandomCrop(4)": data.RandomCrop(4),
    "Cutout(10)": data.Cutout(10),
    "Translate(5)": data.Translate(5),
    "Rotate(30)": data.Rotate(30),
    "Scale(0.3)": data.Scale(0.3),
    "Brightness(0.5)": data.Brightness(0.5),
    "Contrast(0.8)": data.Contrast(0.8),
    "Saturation(0.9)": data.Saturation(0.9),
    "Hue(0.4)": data.Hue(0.4),
    "GaussianNoise(0.1)": data.GaussianNoise(0.1),
}

figure, axes = plt.subplots(len(augmentations), 1, figsize=(6.5, 12), layout="constrained")
rng = np.random.default_rng(0)
for ax, (name, augmentation) in zip(axes, augmentations.items(), strict=True):
    changed = np.concatenate([augmentation(image, rng) for _ in range(6)])
    insight.plot_images(np.concatenate([image, changed]), ax=ax, columns=7)
    ax.set_title(name, fontsize=9, loc="left")
plt.show()
