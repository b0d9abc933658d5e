"""torch.optim.adagrad"""

from typing import Any

import numpy as np

from fastnn import optim
from fastnn.compat.torch._dtype import default_numpy_dtype
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.optim._common import settings
from fastnn.compat.torch.optim.optimizer import Optimizer

__all__ = ["Adagrad"]


class Adagrad(Optimizer, optim.Adagrad):
    """Adagrad: see `fastnn.optim.Adagrad`."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, settings(locals()))
        for group in self.param_groups:  # PyTorch's state is there from the beginning
            for parameter in group["params"]:
                array = np.full_like(parameter._data, float(group["initial_accumulator_value"]))
                self.state[parameter] = {"step": new(np.zeros((), default_numpy_dtype())), "sum": new(array)}


__getattr__ = missing(__name__)
