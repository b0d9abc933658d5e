"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.parameter import Parameter
from fastnn.optim.optimizer import Optimizer, can_wait, count_step, number, slot

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Adagrad: divide the gradient by the root of the sum of its squares over all steps so far.

    d = grad + weight_decay * w;  s = s + d^2
    w = w - lr / (1 + (t - 1) * lr_decay) * d / (sqrt(s) + eps)      t: the number of the step, from 1

    Args:
        params: the parameters to train; or dicts {"params": parameters, ...}, one for each parameter group, whose other
            entries replace the hyper-parameters below for that group.
        lr: the learning rate, >= 0. Default 0.01.
        lr_decay: how fast the learning rate falls: step t uses lr / (1 + (t - 1) * lr_decay). Default 0.
        weight_decay: the factor of L2 regularisation: weight_decay * w is added to the gradient. Default 0.
        initial_accumulator_value: the value of every element of s before the first step, >= 0. Default 0.
        eps: added to the denominator, so that it is never zero. Default 1e-10.
        maximize: maximise the objective instead of minimising it. Default False.
    Raises:
        ValueError: a hyper-parameter is outside its range, there are no parameters, or one is given twice.
        TypeError: params is not an ordered iterable of parameters or of dicts.
    Example:
        >>> w = nn.Parameter(np.array([1.0, 2.0]))
        >>> optimizer = Adagrad([w], lr=0.1)
        >>> w.grad = np.array([1e3, -1e-3])
        >>> optimizer.step()
        >>> w.data.round(4)
        array([0.9, 2.1])

    Source: Duchi et al., 2011, "Adaptive subgradient methods for online learning and stochastic optimization";
    PyTorch's definition.
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        for name in ("maximize",):
            group[name] = _check.boolean(self._name, name, group[name])
        for name in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            group[name] = number("Adagrad", name, group[name])

    def state_names(self, group: Mapping[str, Any]) -> dict[str, bool]:
        return {"step": True, "sum": True}

    @can_wait
    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = count_step(state)
        F.adagrad_step(
            parameter,
            gradient,
            slot(state, "sum", parameter, fill=group["initial_accumulator_value"]),
            lr=group["lr"] / (1 + (step - 1) * group["lr_decay"]),
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
