"""torch.optim.adadelta"""

from typing import Any

from fastnn import optim
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._common import settings
from fastnn.compat.torch.optim.optimizer import Optimizer

__all__ = ["Adadelta"]


class Adadelta(Optimizer, optim.Adadelta):
    """Adadelta: see `fastnn.optim.Adadelta`."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))


__getattr__ = missing(__name__)
