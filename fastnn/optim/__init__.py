"""Optimisers, learning-rate schedules, gradient clipping, penalties and averages of weights.

In a training loop:

    from fastnn import optim

    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = optim.OneCycleLR(optimizer, max_lr=0.1, total_steps=1000)
    for x, y in loader:
        optimizer.zero_grad()
        ...  # forward and backward
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
"""

from fastnn.optim import lr_scheduler, schedules
from fastnn.optim.adadelta import Adadelta
from fastnn.optim.adagrad import Adagrad
from fastnn.optim.adam import Adam, AdamW
from fastnn.optim.ema import EMA
from fastnn.optim.gradients import clip_grad_norm_, clip_grad_value_, l1_l2_penalty_
from fastnn.optim.lion import Lion
from fastnn.optim.multi import MultiOptimizer
from fastnn.optim.muon import Muon
from fastnn.optim.nadam import NAdam
from fastnn.optim.optimizer import Optimizer
from fastnn.optim.rmsprop import RMSprop
from fastnn.optim.schedules import *  # noqa: F403
from fastnn.optim.sgd import SGD

__all__ = [
    "EMA",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "MultiOptimizer",
    "Muon",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "l1_l2_penalty_",
    "lr_scheduler",
    "schedules",
    *schedules.__all__,
]
