"""Stands for a layer of fastnn in tests of `fastnn run` and `fastnn check`: a few names of PyTorch that do little."""

import types

from fastnn.compat import notes
from standin_torch import nn as nn
from standin_torch import optim as optim
from standin_torch import utils as utils

__version__ = "stand-in"
cuda = types.SimpleNamespace(is_available=lambda: False)
backends = types.SimpleNamespace(cudnn=types.SimpleNamespace(benchmark=False))
float32 = "float32"


class Tensor:
    def __init__(self, values):
        self.values = values

    def view(self, *shape):
        return self

    def sum(self, dim=None):
        return sum(self.values)


def tensor(values, dtype=None, requires_grad=False):
    return Tensor(values)


def manual_seed(seed):
    notes.note(notes.SEEDS)


def fails(*arguments, **settings):
    raise RuntimeError("in the layer")


def no_grad():
    return lambda function: function


def __getattr__(name):
    if name == "compile":
        raise AttributeError("torch.compile: leave it out; fastnn is compiled already")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
