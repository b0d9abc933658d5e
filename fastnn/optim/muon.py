"""Muon: momentum, orthogonalised."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _check, _layout
from fastnn import functional as F
from fastnn.functional.optimizer import _norm
from fastnn.nn.parameter import Parameter
from fastnn.optim.optimizer import Optimizer, any_number, number, slot

__all__ = ["Muon"]

_LR_RULES = {
    "original": lambda rows, columns: math.sqrt(max(1, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
    "constant": lambda rows, columns: 1.0,
}


class Muon(Optimizer):
    """Muon: replace the momentum of a weight matrix by a nearly orthogonal matrix, and step along it.

    u = momentum * u + (1 - momentum) * grad;  d = momentum * u + (1 - momentum) * grad with nesterov, else u
    w = (1 - lr * weight_decay) * w - lr * factor * newton_schulz(d)

    newton_schulz(d) has the singular vectors of d, and singular values near 1.

    With normalize_weight, w is first multiplied by sqrt(rows) / |w|, where |w| is the Frobenius norm. The root mean
    square of the norms of its rows is then 1, and lr alone decides how far a step turns w.

    The filters of a convolution are the rows of a matrix, (C_out, C_in / groups * kernel_h * kernel_w). Muon trains
    matrices only. Train biases, normalisation layers and, as is usual, the first and the last layer with another
    optimiser; `MultiOptimizer` joins the two.

    Args:
        params: the parameters to train; or dicts {"params": parameters, ...}, one for each parameter group, whose other
            entries replace the hyper-parameters below for that group.
        lr: the learning rate, >= 0. Default 0.001.
        weight_decay: decoupled weight decay: each step multiplies w by 1 - lr * weight_decay. Default 0.1.
        momentum: the decay rate of the running mean u of the gradients, in [0, 1). Default 0.95.
        nesterov: use Nesterov momentum, as in the formula. Default True.
        ns_coefficients: the three coefficients of the Newton-Schulz polynomial; see `functional.newton_schulz`.
            Default (3.4445, -4.775, 2.0315).
        eps: the smallest norm by which a matrix is divided, so that zero gradients do no harm. Default 1e-7.
        ns_steps: the number of Newton-Schulz iterations. Default 5.
        adjust_lr_fn: the rule for `factor` in the formula. None (default) or 'original': sqrt(max(1, rows / columns));
            'match_rms_adamw': 0.2 * sqrt(max(rows, columns)), which suits learning rates tuned for AdamW; 'constant':
            1.
        normalize_weight: rescale w to the norm sqrt(rows) before every step. The output of the network must not depend
            on the norm of w, as when batch norm follows. Not in PyTorch. Default False.
    Raises:
        ValueError: a hyper-parameter is outside its range, there are no parameters, one is given twice, or one has
            fewer than two dimensions.
        TypeError: params is not an ordered iterable of parameters or of dicts.
    Example:
        >>> w = nn.Parameter(np.zeros((2, 2)))
        >>> optimizer = Muon([w], lr=0.1)
        >>> w.grad = np.array([[0.0, -5.0], [4.0, 0.0]])
        >>> optimizer.step()
        >>> np.sign(w.data)
        array([[ 0.,  1.],
               [-1.,  0.]])

    Source: Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks"; PyTorch's definition, where
    parameters must be matrices. normalize_weight: Jordan, 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU", the
    variant with Muon.
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        normalize_weight: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
            "normalize_weight": normalize_weight,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        for name in ("nesterov", "normalize_weight"):
            group[name] = _check.boolean(self._name, name, group[name])
        for name in ("lr", "weight_decay", "eps"):
            group[name] = number("Muon", name, group[name])
        group["momentum"] = number("Muon", "momentum", group["momentum"], below=1)
        group["ns_steps"] = _check.integer("Muon", "ns_steps", group["ns_steps"], 0)
        group["ns_coefficients"] = _check.several("Muon", "ns_coefficients", group["ns_coefficients"], 3, any_number)
        _check.one_of("Muon", "adjust_lr_fn", group["adjust_lr_fn"], (None, *_LR_RULES))

    def check_parameter(self, parameter: Parameter) -> None:
        if parameter.ndim < 2:
            raise ValueError(
                f"Muon: a parameter of shape {parameter.shape} is not a matrix; give parameters with fewer than two "
                "dimensions to another optimiser, for example SGD"
            )

    def state_names(self, group: Mapping[str, Any]) -> dict[str, bool]:
        return {"momentum_buffer": True}

    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not parameter.size:
            return
        buffer = slot(state, "momentum_buffer", parameter)
        F.average_step(buffer, gradient, group["momentum"])
        direction = buffer
        if group["nesterov"]:
            direction = _layout.empty_like(buffer)
            direction[...] = gradient
            F.average_step(direction, buffer, 1 - group["momentum"])
        if group["normalize_weight"]:
            parameter *= math.sqrt(len(parameter)) / max(_norm(parameter), group["eps"])
        matrix, restore = _as_matrix(direction)
        settings = group["ns_steps"], group["ns_coefficients"], group["eps"]
        factor = _LR_RULES[group["adjust_lr_fn"] or "original"](*matrix.shape)
        # One pass, w - lr * factor * (d + weight_decay / factor * w), for both the decay and the step.
        F.sgd_step(
            parameter,
            restore(F.newton_schulz(matrix, *settings)),
            lr=group["lr"] * factor,
            weight_decay=group["weight_decay"] / factor,
        )


def _as_matrix(x: NDArray) -> tuple[NDArray, Any]:
    """The dense array `x` as the matrix (len(x), the rest), and the function that turns such a matrix back.

    Columns come in the order that `x` has in memory, so that nothing is copied. Which order it is makes no difference:
    orthogonalising commutes with a permutation of columns.
    """
    order = (0, *(axis for axis in _layout.memory_order(x) if axis != 0))
    permuted = x.transpose(order)
    shape, back = permuted.shape, np.argsort(order)

    def restore(matrix: NDArray) -> NDArray:
        return matrix.reshape(shape).transpose(back)

    return permuted.reshape(len(x), -1), restore
