"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.parameter import Parameter
from fastnn.optim.optimizer import Optimizer, can_wait, count_step, number, slot

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam: divide a running mean of the gradient by the root of a running mean of its square.

    d = grad + weight_decay * w;  m = beta1 * m + (1 - beta1) * d;  v = beta2 * v + (1 - beta2) * d^2
    w = w - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)      t: the number of the step, from 1

    Every element of w therefore moves by about lr at first, whatever the scale of its gradient.

    Args:
        params: the parameters to train; or dicts {"params": parameters, ...}, one for each parameter group, whose other
            entries replace the hyper-parameters below for that group.
        lr: the learning rate, >= 0. Default 0.001.
        betas: (beta1, beta2), the decay rates of the running means of d and of d^2, each in [0, 1). Default (0.9,
            0.999).
        eps: added to the denominator, so that it is never zero. Default 1e-8.
        weight_decay: the factor of L2 regularisation: weight_decay * w is added to the gradient. Default 0.
        amsgrad: use the largest v so far in the denominator instead of the current one. Default False.
        maximize: maximise the objective instead of minimising it. Default False.
    Raises:
        ValueError: a hyper-parameter is outside its range, there are no parameters, or one is given twice.
        TypeError: params is not an ordered iterable of parameters or of dicts.
    Example:
        >>> w = nn.Parameter(np.array([1.0, 2.0]))
        >>> optimizer = Adam([w], lr=0.1)
        >>> w.grad = np.array([1e3, -1e-3])
        >>> optimizer.step()
        >>> w.data.round(3)
        array([0.9, 2.1])

    Source: Kingma and Ba, 2015, "Adam: a method for stochastic optimization"; amsgrad: Reddi et al., 2018, "On the
    convergence of Adam and beyond".
    """

    decoupled = False

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        for name in ("amsgrad", "maximize"):
            group[name] = _check.boolean(self._name, name, group[name])
        for name in ("lr", "eps", "weight_decay"):
            group[name] = number(self._name, name, group[name])
        group["betas"] = _check.several(self._name, "betas", group["betas"], 2, beta)

    def state_names(self, group: Mapping[str, Any]) -> dict[str, bool]:
        return {"step": True, "exp_avg": True, "exp_avg_sq": True, "max_exp_avg_sq": False}

    @can_wait
    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        F.adam_step(
            parameter,
            gradient,
            slot(state, "exp_avg", parameter),
            slot(state, "exp_avg_sq", parameter),
            slot(state, "max_exp_avg_sq", parameter) if group["amsgrad"] else None,
            step=count_step(state),
            lr=group["lr"],
            betas=group["betas"],
            eps=group["eps"],
            weight_decay=0.0 if self.decoupled else group["weight_decay"],
            decoupled_decay=group["weight_decay"] if self.decoupled else 0.0,
            maximize=group["maximize"],
        )


def beta(owner: str, name: str, value: Any) -> float:
    """`value`, in [0, 1)."""
    return number(owner, name, value, below=1)


class AdamW(Adam):
    """Adam with decoupled weight decay.

    w = (1 - lr * weight_decay) * w

    Then follows the step of `Adam`, without weight decay in the gradient.

    Args:
        params: the parameters to train; or dicts {"params": parameters, ...}, one for each parameter group, whose other
            entries replace the hyper-parameters below for that group.
        lr: the learning rate, >= 0. Default 0.001.
        betas: (beta1, beta2), the decay rates of the running means of d and of d^2, each in [0, 1). Default (0.9,
            0.999).
        eps: added to the denominator, so that it is never zero. Default 1e-8.
        weight_decay: decoupled weight decay: each step multiplies w by 1 - lr * weight_decay. Default 0.01.
        amsgrad: use the largest v so far in the denominator instead of the current one. Default False.
        maximize: maximise the objective instead of minimising it. Default False.
    Raises:
        ValueError: a hyper-parameter is outside its range, there are no parameters, or one is given twice.
        TypeError: params is not an ordered iterable of parameters or of dicts.
    Example:
        >>> w = nn.Parameter(np.array([1.0, 2.0]))
        >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
        >>> w.grad = np.zeros(2)
        >>> optimizer.step()
        >>> w.data
        array([0.95, 1.9 ])

    Source: Loshchilov and Hutter, 2019, "Decoupled weight decay regularization"; PyTorch's definition.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
