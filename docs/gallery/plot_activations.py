"""
Activations and their gradients
===============================

Five activation functions, and the gradient that each passes back.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn
from fastnn import functional as F

x = np.linspace(-4, 4, 401)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
styles = zip(("#0072B2", "#D55E00", "#009E73", "#CC79A7", "black"), ("-", "--", "-.", ":", (0, (8, 2))), strict=True)
for function, (colour, line) in zip((F.relu, F.gelu, F.silu, F.sigmoid, F.tanh), styles, strict=True):
    point = fastnn.tensor(x, requires_grad=True)
    y = function(point)
    left.plot(x, y.numpy(), color=colour, linestyle=line, label=function.__name__)
    right.plot(x, fastnn.grad(y.sum(), point), color=colour, linestyle=line)
left.set(title="y", xlabel="x", ylim=(-1.5, 4))
right.set(title="dy/dx", xlabel="x")
left.legend()
plt.show()
