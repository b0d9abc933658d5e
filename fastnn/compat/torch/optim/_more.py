"""Optimisers that scripts use now and then, and fastnn.optim has not: their steps in NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compat.torch.optim.optimizer import Optimizer
from fastnn.compat.torch.optim.optimizers import _settings
from fastnn.optim.optimizer import count_step, number, slot

__all__ = ["ASGD", "Adamax", "RAdam", "Rprop"]


class _InNumPy(Optimizer):
    _counts = True
    _at_least_zero: tuple[str, ...] = ("lr",)

    def check_group(self, group: dict[str, Any]) -> None:
        owner = type(self).__name__
        for name in self._at_least_zero:
            number(owner, name, group[name])
        for index, beta in enumerate(group.get("betas", ())):
            number(owner, f"betas[{index}]", beta, 0, 1)


def _decayed(parameter: NDArray, gradient: NDArray, group: dict[str, Any]) -> NDArray:
    """The gradient that is descended, with the decay of weights in it."""
    gradient = -gradient if group["maximize"] else gradient
    decay = group.get("weight_decay", 0)
    return gradient + decay * parameter if decay else gradient


def _average(kept: NDArray, value: NDArray, beta: float) -> None:
    """Let `kept` be beta * kept + (1 - beta) * value."""
    kept += (value - kept) * (1 - beta)


class Adamax(_InNumPy):
    """Adam, with the largest of faded gradients in the place of their squares.

    m = beta1 m + (1 - beta1) g,  u = max(beta2 u, |g| + eps),  w -= lr / (1 - beta1^t) * m / u

    Source: Kingma and Ba, 2015, "Adam: a method for stochastic optimization", section 7.1; PyTorch's definition.
    """

    _at_least_zero = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, _settings(locals()))

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        t = count_step(state)
        g = _decayed(parameter, gradient, group)
        mean, largest = slot(state, "exp_avg", parameter), slot(state, "exp_inf", parameter)
        _average(mean, g, beta1)
        np.maximum(largest * beta2, np.abs(g) + group["eps"], out=largest)
        parameter -= (group["lr"] / (1 - beta1**t)) * mean / largest


class RAdam(_InNumPy):
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
        super().__init__(params, _settings(locals()))

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        lr, t = group["lr"], count_step(state)
        if group["decoupled_weight_decay"]:
            g = -gradient if group["maximize"] else gradient
            parameter *= 1 - lr * group["weight_decay"]
        else:
            g = _decayed(parameter, gradient, group)
        mean, square = slot(state, "exp_avg", parameter), slot(state, "exp_avg_sq", parameter)
        _average(mean, g, beta1)
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


class Rprop(_InNumPy):
    """Steps by the signs of gradients: longer while a sign stays, shorter when it turns. For whole data sets.

    Source: Riedmiller and Braun, 1993, "A direct adaptive method for faster backpropagation learning"; PyTorch's
    definition.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, _settings(locals()))

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        count_step(state)
        g = _decayed(parameter, gradient, group)
        before, size = slot(state, "prev", parameter), slot(state, "step_size", parameter, fill=group["lr"])
        shorter, longer = group["etas"]
        turn = g * before
        factor = np.where(turn > 0, longer, np.where(turn < 0, shorter, 1)).astype(g.dtype)
        np.clip(size * factor, *group["step_sizes"], out=size)
        g = np.where(turn < 0, 0, g)
        parameter -= np.sign(g) * size
        before[...] = g


class ASGD(_InNumPy):
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
        super().__init__(params, _settings(locals()))

    def update(self, parameter: NDArray, gradient: NDArray, state: Any, group: dict[str, Any]) -> None:
        t, lr, lambd = count_step(state), group["lr"], group["lambd"]
        g = _decayed(parameter, gradient, group)
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
