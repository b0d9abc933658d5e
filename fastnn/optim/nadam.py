"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.parameter import Parameter
from fastnn.optim.adam import beta
from fastnn.optim.optimizer import Optimizer, count_step, number, slot

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov momentum.

    d = grad + weight_decay * w;  m = beta1 * m + (1 - beta1) * d;  v = beta2 * v + (1 - beta2) * d^2
    u = (1 - mu_t) / (1 - p_t) * d + mu_{t+1} / (1 - p_{t+1}) * m      t: the number of the step, from 1
    w = w - lr * u / (sqrt(v / (1 - beta2^t)) + eps)

    with mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2) and p_t the product of mu_1 to mu_t. The step is computed in
    NumPy, by `functional.nadam_step`.

    Args:
        params: the parameters to train; or dicts {"params": parameters, ...}, one for each parameter group, whose other
            entries replace the hyper-parameters below for that group.
        lr: the learning rate, >= 0. Default 0.002.
        betas: (beta1, beta2), the decay rates of the running means of d and of d^2, each in [0, 1). Default (0.9,
            0.999).
        eps: added to the denominator, so that it is never zero. Default 1e-8.
        weight_decay: the factor of L2 regularisation: weight_decay * w is added to the gradient. Default 0.
        momentum_decay: how fast mu_t grows from about beta1 / 2 to beta1. Default 0.004.
        decoupled_weight_decay: multiply w by 1 - lr * weight_decay before the step, as `AdamW` does, instead of adding
            weight_decay * w to the gradient. Default False.
        maximize: maximise the objective instead of minimising it. Default False.
    Raises:
        ValueError: a hyper-parameter is outside its range, there are no parameters, or one is given twice.
        TypeError: params is not an ordered iterable of parameters or of dicts.
    Example:
        >>> w = nn.Parameter(np.array([1.0, 2.0]))
        >>> optimizer = NAdam([w], lr=0.1)
        >>> w.grad = np.array([1e3, -1e-3])
        >>> optimizer.step()
        >>> w.data.round(3)
        array([0.894, 2.106])

    Source: Dozat, 2016, "Incorporating Nesterov momentum into Adam"; PyTorch's definition.
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        for name in ("decoupled_weight_decay", "maximize"):
            group[name] = _check.boolean(self._name, name, group[name])
        for name in ("lr", "eps", "weight_decay", "momentum_decay"):
            group[name] = number("NAdam", name, group[name])
        group["betas"] = _check.several("NAdam", "betas", group["betas"], 2, beta)

    def state_names(self, group: Mapping[str, Any]) -> dict[str, bool]:
        return {"step": True, "mu_product": True, "exp_avg": True, "exp_avg_sq": True}

    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        is_decoupled = group["decoupled_weight_decay"]
        state["mu_product"] = F.nadam_step(
            parameter,
            gradient,
            slot(state, "exp_avg", parameter),
            slot(state, "exp_avg_sq", parameter),
            step=count_step(state),
            mu_product=state.get("mu_product", 1.0),
            lr=group["lr"],
            betas=group["betas"],
            eps=group["eps"],
            weight_decay=0.0 if is_decoupled else group["weight_decay"],
            decoupled_decay=group["weight_decay"] if is_decoupled else 0.0,
            momentum_decay=group["momentum_decay"],
            maximize=group["maximize"],
        )
