"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.parameter import Parameter
from fastnn.optim.optimizer import Optimizer, can_wait, number, slot

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """RMSprop: divide the gradient by the root of a running mean of its square.

    d = grad + weight_decay * w;  s = alpha * s + (1 - alpha) * d^2
    u = momentum * u + d / (sqrt(s - a^2) + eps);  w = w - lr * u      a: the running mean of d if centered, else 0

    Args:
        params: the parameters to train; or dicts {"params": parameters, ...}, one for each parameter group, whose other
            entries replace the hyper-parameters below for that group.
        lr: the learning rate, >= 0. Default 0.01.
        alpha: the decay rate of the running means. Default 0.99.
        eps: added to the denominator, so that it is never zero. Default 1e-8.
        weight_decay: the factor of L2 regularisation: weight_decay * w is added to the gradient. Default 0.
        momentum: the factor of the previous update u. Default 0, no momentum.
        centered: divide by an estimate of the standard deviation of the gradient instead of its root mean square.
            Default False.
        maximize: maximise the objective instead of minimising it. Default False.
    Raises:
        ValueError: a hyper-parameter is outside its range, there are no parameters, or one is given twice.
        TypeError: params is not an ordered iterable of parameters or of dicts.
    Example:
        >>> w = nn.Parameter(np.array([1.0, 2.0]))
        >>> optimizer = RMSprop([w], lr=0.01, alpha=0.75)
        >>> w.grad = np.array([1e3, -1e-3])
        >>> optimizer.step()
        >>> w.data.round(4)
        array([0.98, 2.02])

    Source: Tieleman and Hinton, 2012, "Lecture 6.5: rmsprop"; centered: Graves, 2013, "Generating sequences with
    recurrent neural networks"; PyTorch's definition.
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        for name in ("centered", "maximize"):
            group[name] = _check.boolean(self._name, name, group[name])
        for name in ("lr", "alpha", "eps", "weight_decay", "momentum"):
            group[name] = number("RMSprop", name, group[name])

    def state_names(self, group: Mapping[str, Any]) -> dict[str, bool]:
        return {"square_avg": True, "momentum_buffer": False, "grad_avg": False}

    @can_wait
    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        F.rmsprop_step(
            parameter,
            gradient,
            slot(state, "square_avg", parameter),
            slot(state, "momentum_buffer", parameter) if group["momentum"] else None,
            slot(state, "grad_avg", parameter) if group["centered"] else None,
            lr=group["lr"],
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            maximize=group["maximize"],
        )
