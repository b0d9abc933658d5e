"""
Learning-rate schedules
=======================

All schedules of `fastnn.optim`, over a hundred steps.
"""

import matplotlib.pyplot as plt

from fastnn import nn, optim

steps = 100
schedules = {
    "StepLR": lambda o: optim.StepLR(o, step_size=25, gamma=0.5),
    "MultiStepLR": lambda o: optim.MultiStepLR(o, milestones=[40, 80], gamma=0.3),
    "ExponentialLR": lambda o: optim.ExponentialLR(o, gamma=0.96),
    "LinearLR": lambda o: optim.LinearLR(o, start_factor=0.1, total_iters=30),
    "PolynomialLR": lambda o: optim.PolynomialLR(o, total_iters=steps, power=2),
    "CosineAnnealingLR": lambda o: optim.CosineAnnealingLR(o, T_max=steps),
    "CosineAnnealingWarmRestarts": lambda o: optim.CosineAnnealingWarmRestarts(o, T_0=20, T_mult=2),
    "OneCycleLR": lambda o: optim.OneCycleLR(o, max_lr=1.0, total_steps=steps),
    "LambdaLR": lambda o: optim.LambdaLR(o, lambda step: min(step / 10, 1) * (1 - step / steps)),
}


def rates(make):
    optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0, momentum=0.9)
    schedule, seen = make(optimizer), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


figure, axes = plt.subplots(3, 3, figsize=(8, 6), sharex=True, sharey=True, layout="constrained")
for ax, (name, make) in zip(axes.flat, schedules.items(), strict=True):
    ax.plot(rates(make), color="#0072B2")
    ax.set_title(name, fontsize=9)
    ax.grid(alpha=0.3)
for ax in axes[-1]:
    ax.set_xlabel("step")
for ax in axes[:, 0]:
    ax.set_ylabel("learning rate")
plt.show()
