"""torch.optim.asgd"""

from typing import Any

from numpy.typing import NDArray

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._common import InNumPy, decayed, settings
from fastnn.optim.optimizer import count_step, slot

__all__ = ["ASGD"]


class ASGD(InNumPy):
    """Gradient descent at a falling rate, with the average of the weights since step t0 in state[p]["ax"].

    Source: Polyak and Juditsky, 1992, "Acceleration of stochastic approximation by averaging"; PyTorch's definition.
    """

    _at_least_zero = ("lr", "weight_decay")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        t, lr, lambd = count_step(state), group["lr"], group["lambd"]
        g = decayed(parameter, gradient, group)
        rate, share = float(state.get("eta", lr)), float(state.get("mu", 1.0))
        mean = slot(state, "ax", parameter)
        parameter *= 1 - lambd * rate
        parameter -= rate * g
        if share == 1:
            mean[...] = parameter
        else:
            mean += (parameter - mean) * share
        state["eta"] = lr / (1 + lambd * lr * t) ** group["alpha"]
        state["mu"] = 1 / max(1, t - group["t0"])


__getattr__ = missing(__name__)
