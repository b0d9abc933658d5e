"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.parameter import Parameter
from fastnn.optim.optimizer import Optimizer, count_step, number, slot

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """Adadelta: a gradient step whose size adapts to running means of the squared gradients and squared updates.

    d = grad + weight_decay * w;  s = rho * s + (1 - rho) * d^2
    u = sqrt(a + eps) / sqrt(s + eps) * d;  a = rho * a + (1 - rho) * u^2;  w = w - lr * u

    s is the running mean of the squared gradients, a that of the squared updates. An update has the units of w, so
    that the learning rate 1 suits many networks. The step is computed in NumPy, by `functional.adadelta_step`.

    Args:
        params: the parameters to train; or dicts {"params": parameters, ...}, one for each parameter group, whose other
            entries replace the hyper-parameters below for that group.
        lr: the learning rate, >= 0. Default 1.
        rho: the decay rate of both running means, in [0, 1]. Default 0.9.
        eps: added to both running means before the root. The first updates have a size of about sqrt(eps). Default
            1e-6.
        weight_decay: the factor of L2 regularisation: weight_decay * w is added to the gradient. Default 0.
        maximize: maximise the objective instead of minimising it. Default False.
    Raises:
        ValueError: a hyper-parameter is outside its range, there are no parameters, or one is given twice.
        TypeError: params is not an ordered iterable of parameters or of dicts.
    Example:
        >>> w = nn.Parameter(np.array([1.0, 2.0]))
        >>> optimizer = Adadelta([w], rho=0.75, eps=1e-2)
        >>> w.grad = np.array([1e3, -1e3])
        >>> optimizer.step()
        >>> w.data
        array([0.8, 2.2])

    Source: Zeiler, 2012, "ADADELTA: an adaptive learning rate method"; PyTorch's definition.
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        group["maximize"] = _check.boolean(self._name, "maximize", group["maximize"])
        for name in ("lr", "eps", "weight_decay"):
            group[name] = number("Adadelta", name, group[name])
        group["rho"] = _check.number("Adadelta", "rho", group["rho"], 0, 1)

    def state_names(self, group: Mapping[str, Any]) -> dict[str, bool]:
        return {"step": True, "square_avg": True, "acc_delta": True}

    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        count_step(state)  # PyTorch's states have it
        F.adadelta_step(
            parameter,
            gradient,
            slot(state, "square_avg", parameter),
            slot(state, "acc_delta", parameter),
            lr=group["lr"],
            rho=group["rho"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
