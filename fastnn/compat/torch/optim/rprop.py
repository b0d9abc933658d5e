"""torch.optim.rprop"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._common import InNumPy, decayed, settings
from fastnn.optim.optimizer import count_step, slot

__all__ = ["Rprop"]


class Rprop(InNumPy):
    """Steps by the signs of gradients: longer while a sign stays, shorter when it turns. For whole data sets.

    Source: Riedmiller and Braun, 1993, "A direct adaptive method for faster backpropagation learning"; PyTorch's
    definition.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, settings(locals()))

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        count_step(state)
        g = decayed(parameter, gradient, group)
        before, size = slot(state, "prev", parameter), slot(state, "step_size", parameter, fill=group["lr"])
        shorter, longer = group["etas"]
        turn = g * before
        factor = np.where(turn > 0, longer, np.where(turn < 0, shorter, 1)).astype(g.dtype)
        np.clip(size * factor, *group["step_sizes"], out=size)
        g = np.where(turn < 0, 0, g)
        parameter -= np.sign(g) * size
        before[...] = g


__getattr__ = missing(__name__)
