"""
Occlusion
=========

Cover a part of the image and see by how much the score falls. It needs no gradient and says what it means:
orange parts speak for the class, violet parts against it.
"""

import matplotlib.pyplot as plt
import numpy as np
from shapes_network import normalised, shapes, trained_network

from fastnn import insight

model, _ = trained_network()
test = shapes(1000, False)
chosen = [int(np.flatnonzero(test.labels == c)[5]) for c in range(4)]
x = normalised(test.images[chosen])
heat = insight.occlusion(model, x, test.labels[chosen], window=8, stride=4)

figure, axes = plt.subplots(2, 4, figsize=(9, 4.6), layout="constrained")
for column, number in enumerate(chosen):
    insight.plot_images(test.images[number : number + 1], ax=axes[0, column], title=test.classes[test.labels[number]])
    insight.plot_overlay(x[column], heat[column], axes[1, column], colorbar=True)
plt.show()
