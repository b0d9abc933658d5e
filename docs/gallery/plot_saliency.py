"""
Saliency and Grad-CAM
=====================

Where does a network look? *Saliency* is the size of the gradient of a score with respect to each pixel: which
pixels would change it most. *Grad-CAM* weights the feature maps of a late layer by their gradients: coarser,
and easier to read.
"""

import matplotlib.pyplot as plt
import numpy as np
from shapes_network import normalised, shapes, trained_network

from fastnn import insight

model, _ = trained_network()
test = shapes(1000, False)
chosen = [int(np.flatnonzero(test.labels == c)[3]) for c in range(4)]  # one of each class
x = normalised(test.images[chosen])

saliency = insight.saliency(model, x)
grad_cam = insight.grad_cam(model, x, "9")  # after the last ReLU
found = model(x).argmax(axis=1)

figure, axes = plt.subplots(3, 4, figsize=(8, 6.3), layout="constrained")
for column, number in enumerate(chosen):
    right, taken_for = test.classes[test.labels[number]], test.classes[found[column]]
    insight.plot_images(test.images[number : number + 1], ax=axes[0, column], title=f"{right}\nfound: {taken_for}")
    insight.plot_overlay(x[column], saliency[column], axes[1, column], title="saliency")
    insight.plot_overlay(x[column], grad_cam[column], axes[2, column], title="Grad-CAM")
plt.show()
