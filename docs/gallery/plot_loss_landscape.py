"""
The landscape of a loss
=======================

The loss around trained weights, along two random directions that are scaled filter by filter. The cross is
where training ended.
"""

import matplotlib.pyplot as plt
from shapes_network import normalised, shapes, trained_network

from fastnn import insight, nn

model, _ = trained_network()
some = shapes(150, False)
batch = normalised(some.images), some.labels

landscape = insight.loss_landscape(model, nn.CrossEntropyLoss(), [batch], directions=2, steps=15, span=1.0)
figure, ax = plt.subplots(figsize=(5.4, 4.4), layout="constrained")
insight.plot_loss_landscape(landscape, ax)
plt.show()
