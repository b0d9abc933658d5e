"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.parameter import Parameter
from fastnn.optim.optimizer import Optimizer, any_number, can_wait, number, slot

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    d = grad + weight_decay * w;  u = momentum * u + (1 - dampening) * d;  w = w - lr * u

    In the first step u = d. With nesterov, w = w - lr * (d + momentum * u). Without momentum, w = w - lr * d.

    Args:
        params: the parameters to train; or dicts {"params": parameters, ...}, one for each parameter group, whose other
            entries replace the hyper-parameters below for that group.
        lr: the learning rate, >= 0. Default 0.001.
        momentum: the factor of the previous update u, >= 0. Default 0, no momentum.
        dampening: the new gradient is multiplied by 1 - dampening, except in the first step. Default 0.
        weight_decay: the factor of L2 regularisation: weight_decay * w, the gradient of weight_decay / 2 * |w|^2, is
            added to the gradient. Default 0.
        nesterov: use Nesterov momentum; needs momentum > 0 and dampening 0. Default False.
        maximize: maximise the objective instead of minimising it. Default False.
    Raises:
        ValueError: a hyper-parameter is outside its range, there are no parameters, or one is given twice.
        TypeError: params is not an ordered iterable of parameters or of dicts.
    Example:
        >>> w = nn.Parameter(np.array([1.0, 2.0]))
        >>> optimizer = SGD([w], lr=0.1)
        >>> w.grad = np.array([1.0, 0.0])
        >>> optimizer.step()
        >>> w.data
        array([0.9, 2. ])

    Source: Sutskever et al., 2013, "On the importance of initialization and momentum in deep learning"; PyTorch's
    definition.
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        for name in ("nesterov", "maximize"):
            group[name] = _check.boolean(self._name, name, group[name])
        for name in ("lr", "momentum", "weight_decay"):
            group[name] = number("SGD", name, group[name])
        group["dampening"] = any_number("SGD", "dampening", group["dampening"])
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs a momentum and no dampening. "
                f"Received: momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def state_names(self, group: Mapping[str, Any]) -> dict[str, bool]:
        return {"momentum_buffer": False}

    @can_wait
    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        is_first = "momentum_buffer" not in state
        F.sgd_step(
            parameter,
            gradient,
            slot(state, "momentum_buffer", parameter) if group["momentum"] else None,
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=0.0 if is_first else group["dampening"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
        )
