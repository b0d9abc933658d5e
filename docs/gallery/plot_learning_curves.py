"""
Learning curves
===============

`training.fit` returns a history, and `training.plot_history` draws it: the training in fine steps, the
validation after each epoch.
"""

import matplotlib.pyplot as plt
from shapes_network import trained_network

from fastnn import training

_, history = trained_network()
print(history)

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
training.plot_history(history, "loss", left)
training.plot_history(history, "accuracy", right)
plt.show()
