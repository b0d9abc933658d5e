"""torch.optim.adam"""

from typing import Any

from numpy.typing import NDArray

from fastnn import optim
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._common import settings
from fastnn.compat.torch.optim.optimizer import Optimizer
from fastnn.optim.optimizer import can_wait

__all__ = ["Adam"]


class Adam(Optimizer, optim.Adam):
    """Adam: see `fastnn.optim.Adam`; with decoupled_weight_decay, AdamW."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    @can_wait
    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        # A saved group of an AdamW may be loaded into an Adam, which is then one, too.
        self.decoupled = group.get("decoupled_weight_decay", False)
        super().update(parameter, gradient, state, group)


__getattr__ = missing(__name__)
