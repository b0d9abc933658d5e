"""
Filters before and after training
=================================

The first convolution of a network sees colours, so each of its filters is a small picture. Before training they
are coloured noise. Afterwards neighbours go together and most of the colour is gone: here the colour of a shape
says nothing of its kind.
"""

import matplotlib.pyplot as plt
from shapes_network import new_network, trained_network

from fastnn import insight

before = new_network()[0].weight.data
after = trained_network()[0][0].weight.data

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.8), layout="constrained")
insight.plot_filters(before, ax=left, title="random")
insight.plot_filters(after, ax=right, title="trained")
plt.show()
