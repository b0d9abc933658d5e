"""Lion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from fastnn import _check
from fastnn import functional as F
from fastnn.nn.parameter import Parameter
from fastnn.optim.adam import beta
from fastnn.optim.optimizer import Optimizer, number, slot

__all__ = ["Lion"]


class Lion(Optimizer):
    """Lion: move every element of w by lr, in the direction of the sign of a running mean of its gradient.

    c = beta1 * m + (1 - beta1) * grad;  w = (1 - lr * weight_decay) * w - lr * sign(c)
    m = beta2 * m + (1 - beta2) * grad

    Lion keeps one array for each parameter, where Adam keeps two. Its steps are larger than those of Adam: the paper
    advises a learning rate 3 to 10 times smaller than for AdamW, and a weight decay larger by the same factor. The step
    is computed in NumPy, by `functional.lion_step`.

    Args:
        params: the parameters to train; or dicts {"params": parameters, ...}, one for each parameter group, whose other
            entries replace the hyper-parameters below for that group.
        lr: the learning rate, >= 0. Default 1e-4.
        betas: (beta1, beta2), each in [0, 1): the weight of m in the direction c of a step, and the decay rate of m.
            Default (0.9, 0.99).
        weight_decay: decoupled weight decay: each step multiplies w by 1 - lr * weight_decay. Default 0.
        maximize: maximise the objective instead of minimising it. Default False.
    Raises:
        ValueError: a hyper-parameter is outside its range, there are no parameters, or one is given twice.
        TypeError: params is not an ordered iterable of parameters or of dicts.
    Example:
        >>> w = nn.Parameter(np.array([1.0, 2.0, 3.0]))
        >>> optimizer = Lion([w], lr=0.5)
        >>> w.grad = np.array([1e3, -1e-3, 0.0])
        >>> optimizer.step()
        >>> w.data
        array([0.5, 2.5, 3. ])

    Source: Chen et al., 2023, "Symbolic discovery of optimization algorithms". PyTorch has no Lion.
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    def check_group(self, group: dict[str, Any]) -> None:
        group["maximize"] = _check.boolean(self._name, "maximize", group["maximize"])
        for name in ("lr", "weight_decay"):
            group[name] = number("Lion", name, group[name])
        group["betas"] = _check.several("Lion", "betas", group["betas"], 2, beta)

    def state_names(self, group: Mapping[str, Any]) -> dict[str, bool]:
        return {"exp_avg": True}

    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        F.lion_step(
            parameter,
            gradient,
            slot(state, "exp_avg", parameter),
            lr=group["lr"],
            betas=group["betas"],
            decoupled_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
