"""
What batch norm does to the gradient
====================================

Go along the gradient and look at how much it changes on the way. With batch norm it changes less, so longer
steps are safe. Left: the distance between the gradients at the start and after a step. Right: that distance
divided by the length of the step, the effective smoothness.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn
from fastnn import insight, nn, optim

rng = np.random.default_rng(0)
x = rng.normal(size=(256, 20)).astype(np.float32)
y = (np.tanh(x @ rng.normal(size=(20, 30))) @ rng.normal(size=(30, 5))).argmax(axis=1)
step_sizes = [0.05, 0.1, 0.2, 0.4]


def network(normalise):
    fastnn.manual_seed(0)
    layers, width = [], 20
    for _ in range(4):
        linear = nn.Linear(width, 64)
        nn.init.kaiming_normal_(linear.weight)
        layers += [linear, nn.BatchNorm1d(64), nn.ReLU()] if normalise else [linear, nn.ReLU()]
        width = 64
    return nn.Sequential(*layers, nn.Linear(64, 5))


def probe_while_training(normalise, steps=60):
    model, criterion = network(normalise), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    at, distances, betas = [], [], []
    for step in range(steps):
        if step % 3 == 0:
            probe = insight.probe_gradient(model, criterion, x, y, step_sizes)
            at.append(step + 1)
            distances.append(probe.distances)
            betas.append(probe.beta)
        criterion(model(x), y)
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()
    return at, np.array(distances), np.array(betas)


probes = {"plain": probe_while_training(False), "with batch norm": probe_while_training(True)}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 5), layout="constrained")
insight.plot_gradient_predictiveness({name: (at, d) for name, (at, d, _) in probes.items()}, left)
insight.plot_beta_smoothness({name: (at, beta) for name, (at, _, beta) in probes.items()}, right)
plt.show()
