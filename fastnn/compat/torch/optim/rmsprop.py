"""torch.optim.rmsprop"""

from typing import Any

from numpy.typing import NDArray

from fastnn import optim
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._common import settings
from fastnn.compat.torch.optim.optimizer import Optimizer
from fastnn.optim.optimizer import can_wait

__all__ = ["RMSprop"]


class RMSprop(Optimizer, optim.RMSprop):
    """RMSprop: see `fastnn.optim.RMSprop`."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    @can_wait
    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        state["step"] = state.get("step", 0) + 1  # PyTorch's states have it
        super().update(parameter, gradient, state, group)


__getattr__ = missing(__name__)
