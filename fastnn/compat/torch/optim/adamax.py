"""torch.optim.adamax"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._common import InNumPy, average, decayed, settings
from fastnn.optim.optimizer import count_step, slot

__all__ = ["Adamax"]


class Adamax(InNumPy):
    """Adam, with the largest of faded gradients in the place of their squares.

    m = beta1 m + (1 - beta1) g,  u = max(beta2 u, |g| + eps),  w -= lr / (1 - beta1^t) * m / u

    Source: Kingma and Ba, 2015, "Adam: a method for stochastic optimization", section 7.1; PyTorch's definition.
    """

    _at_least_zero = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        t = count_step(state)
        g = decayed(parameter, gradient, group)
        mean, largest = slot(state, "exp_avg", parameter), slot(state, "exp_inf", parameter)
        average(mean, g, beta1)
        np.maximum(largest * beta2, np.abs(g) + group["eps"], out=largest)
        parameter -= (group["lr"] / (1 - beta1**t)) * mean / largest


__getattr__ = missing(__name__)
