"""PyTorch's name for `fastnn.optim.schedules`."""

from fastnn.optim.schedules import *  # noqa: F403
from fastnn.optim.schedules import __all__  # noqa: F401
