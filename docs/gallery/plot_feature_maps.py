"""
Feature maps
============

What the channels of a layer respond to, for one image. `insight.plot_feature_maps` draws the channels that a
layer gives. The later the layer, the smaller and the coarser its maps.
"""

import matplotlib.pyplot as plt
from shapes_network import normalised, shapes, trained_network

import fastnn
from fastnn import insight

model, _ = trained_network()
test = shapes(1000, False)
number = int((test.labels == 2).argmax())  # a cross
h = normalised(test.images[number : number + 1])

figure, axes = plt.subplots(1, 4, figsize=(10, 3), layout="constrained")
insight.plot_images(test.images[number : number + 1], ax=axes[0], title=f"a {test.classes[2]}")
with fastnn.no_grad():
    for name, layer in model.named_children():
        h = layer(h)
        if name in ("2", "5", "9"):  # after each ReLU
            ax = axes[{"2": 1, "5": 2, "9": 3}[name]]
            insight.plot_feature_maps(h[0], ax=ax, limit=16, title=f"{h.shape[1]} maps of {h.shape[2]}x{h.shape[3]}")
plt.show()
