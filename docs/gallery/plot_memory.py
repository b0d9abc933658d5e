"""
Memory during a step
====================

An observer reads the memory in use at the beginning of each operation. Forward it rises, backward it sinks.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnn
from fastnn import models, nn
from fastnn.autograd import Observer, observing


class Memory(Observer):
    lets_join = True  # layers are computed together as without an observer

    def __init__(self):
        self.used = {"forward": [], "backward": []}

    def begins(self, what, phase, inputs):
        if isinstance(what, fastnn.Op):
            self.used[phase].append(fastnn.memory_info()["used"] / 1e6)


fastnn.manual_seed(0)
model, criterion = models.resnet20(), nn.CrossEntropyLoss()
x = np.random.default_rng(0).normal(size=(16, 3, 32, 32)).astype(np.float32)
before = fastnn.memory_info()["used"] / 1e6
with observing(memory := Memory()):
    loss = criterion(model(fastnn.tensor(x)), np.arange(16) % 10)
    loss.backward()

figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
used = np.array(memory.used["forward"] + memory.used["backward"]) - before
number, turn = np.arange(len(used)), len(memory.used["forward"])
ax.bar(number[:turn], used[:turn], width=1, color="#0072B2", label="forward")
ax.bar(number[turn:], used[turn:], width=1, color="#D55E00", label="backward")
ax.set(xlabel="number of the operation", ylabel="MB in use", title="resnet20, 16 images", ylim=(0, None))
ax.legend()
plt.show()
