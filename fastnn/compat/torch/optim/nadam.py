"""torch.optim.nadam"""

from typing import Any

from fastnn import optim
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._common import settings
from fastnn.compat.torch.optim.optimizer import Optimizer

__all__ = ["NAdam"]


class NAdam(Optimizer, optim.NAdam):
    """NAdam: see `fastnn.optim.NAdam`."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))


__getattr__ = missing(__name__)
