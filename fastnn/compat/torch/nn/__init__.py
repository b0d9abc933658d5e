"""Layers by PyTorch's names, over `fastnn.nn` and `fastnn.functional`.

Example:
    >>> import fastnn.compat.torch as torch
    >>> from fastnn.compat.torch import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    >>> model(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
"""

# ruff: noqa: F401, F403 (all that torch.nn has is made elsewhere)

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.nn import functional, init, modules, parallel, parameter
from fastnn.compat.torch.nn.modules import *
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.compat.torch.nn.parallel import DataParallel
from fastnn.compat.torch.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

import fastnn.compat.torch.nn.utils as utils  # isort: skip (not that of modules; it needs what is above)

__getattr__ = missing(__name__, ABSENT)
