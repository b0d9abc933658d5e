"""torch.optim.sgd"""

from typing import Any

from fastnn import optim
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._common import settings
from fastnn.compat.torch.optim.optimizer import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer, optim.SGD):
    """Stochastic gradient descent with momentum: see `fastnn.optim.SGD`."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, settings(locals()))


__getattr__ = missing(__name__)
