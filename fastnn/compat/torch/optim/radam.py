"""torch.optim.radam"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._common import InNumPy, average, decayed, settings
from fastnn.optim.optimizer import count_step, slot

__all__ = ["RAdam"]


class RAdam(InNumPy):
    """Adam that begins as momentum alone, until its squares are of enough gradients to be divided by.

    Source: Liu et al., 2020, "On the variance of the adaptive learning rate and beyond"; PyTorch's definition.
    """

    _at_least_zero = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        lr, t = group["lr"], count_step(state)
        if group["decoupled_weight_decay"]:
            g = -gradient if group["maximize"] else gradient
            parameter *= 1 - lr * group["weight_decay"]
        else:
            g = decayed(parameter, gradient, group)
        mean, square = slot(state, "exp_avg", parameter), slot(state, "exp_avg_sq", parameter)
        average(mean, g, beta1)
        square *= beta2
        square += (1 - beta2) * g * g
        left = 1 - beta2**t
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t * beta2**t / left  # of the average of squares
        step = mean * (lr / (1 - beta1**t))
        if length > 5:
            share = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            step *= np.sqrt(share * left) / (np.sqrt(square) + group["eps"])
        parameter -= step


__getattr__ = missing(__name__)
