"""Learning-rate schedules. Step a schedule after the optimiser, once an epoch or once a batch.

Every schedule but `ReduceLROnPlateau` is a function of the step number t. `step` sets the learning rate to the value
of that function, even if the user has changed it in the meantime. To begin with another learning rate, set
`group["lr"]` before the schedule is made.

If an optimiser has several schedules, their effects multiply, as in PyTorch. The factor of a schedule is its learning
rate divided by the initial one. A group gets the initial learning rate times the factors of all schedules. A schedule
that is no longer stepped keeps its last factor. `ChainedScheduler` steps several schedules as one; `SequentialLR`
runs them one after the other. `OneCycleLR` sets learning rates and has no factor, so it ends the schedules made
before it.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastnn import _check
from fastnn.optim.combined import ChainedScheduler, SequentialLR
from fastnn.optim.one_cycle import OneCycleLR
from fastnn.optim.optimizer import Optimizer, any_number, number
from fastnn.optim.plateau import ReduceLROnPlateau
from fastnn.optim.scheduler import LRScheduler, fraction, milestone_list, per_group

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LambdaLR(LRScheduler):
    """Multiply the initial learning rate by a function of the step: lr = base_lr * lr_lambda(t).

    Args:
        optimizer: the optimiser.
        lr_lambda: a function of the number of steps so far, an int; or a list of functions, one for each parameter
            group.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        TypeError: lr_lambda is not a function, or does not return a number.
        ValueError: the number of functions is not that of the groups, or a learning rate is negative, infinite or NaN.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.LambdaLR(optimizer, lambda t: 1 / (1 + t))
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]

    Source: PyTorch's definition.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = per_group("LambdaLR", "lr_lambda", lr_lambda, optimizer, _function)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base_lr * any_number("LambdaLR", f"lr_lambda({t})", function(t)) for base_lr, function in pairs]

    def _words(self) -> list[str]:
        names = (getattr(function, "__name__", type(function).__name__) for function in self.lr_lambdas)
        return [f"lr_lambda=[{', '.join(names)}]"]


def _function(owner: str, name: str, value: Any) -> Callable[[int], float]:
    if not callable(value):
        raise TypeError(f"{owner}: {name} must be a function of the number of steps. Received: {_check.shown(value)}")
    return value


class StepLR(LRScheduler):
    """Multiply the learning rate by gamma every step_size steps: lr = base_lr * gamma^(t // step_size).

    Args:
        optimizer: the optimiser.
        step_size: the number of steps between two changes.
        gamma: the factor of each change, >= 0. Default 0.1.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        ValueError: step_size < 1 or gamma < 0.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> for _ in range(3):
        ...     schedule.step()
        ...     print(schedule.get_last_lr())
        [1.0]
        [0.5]
        [0.5]

    Source: PyTorch's definition.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = _check.integer("StepLR", "step_size", step_size, 1)
        self.gamma = number("StepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return base_lr * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """Multiply the learning rate by gamma at each milestone: lr = base_lr * gamma^(number of milestones <= t).

    Args:
        optimizer: the optimiser.
        milestones: the steps at which the learning rate changes. A milestone that is given twice counts twice.
        gamma: the factor of each change, >= 0. Default 0.1.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        ValueError: a milestone or gamma is negative.
        TypeError: milestones are not integers.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.MultiStepLR(optimizer, milestones=[2, 3], gamma=0.5)
        >>> for _ in range(3):
        ...     schedule.step()
        ...     print(schedule.get_last_lr())
        [1.0]
        [0.5]
        [0.25]

    Source: PyTorch's definition.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(milestone_list("MultiStepLR", milestones, 0))
        self.gamma = number("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return base_lr * self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(LRScheduler):
    """Multiply the learning rate by gamma at every step: lr = base_lr * gamma^t.

    Args:
        optimizer: the optimiser.
        gamma: the factor of each step, >= 0.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        ValueError: gamma < 0.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.25]

    Source: PyTorch's definition.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return base_lr * self.gamma**t


class ConstantLR(LRScheduler):
    """Multiply the learning rate by a constant factor in the first total_iters steps: base_lr * factor, then base_lr.

    Args:
        optimizer: the optimiser.
        factor: the factor of the first steps, in [0, 1]. Default 1/3.
        total_iters: the number of steps with the factor. Default 5.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        ValueError: factor is outside [0, 1], or total_iters < 0.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> for _ in range(3):
        ...     print(schedule.get_last_lr())
        ...     schedule.step()
        [0.5]
        [0.5]
        [1.0]

    Source: PyTorch's definition.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor = fraction("ConstantLR", "factor", factor)
        self.total_iters = _check.integer("ConstantLR", "total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return base_lr * (self.factor if t < self.total_iters else 1.0)


class LinearLR(LRScheduler):
    """Change the factor of the learning rate linearly from start_factor to end_factor: a warm-up, or a linear decay.

    lr = base_lr * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters)

    Args:
        optimizer: the optimiser.
        start_factor: the factor at the first step, in (0, 1]. Default 1/3.
        end_factor: the factor after total_iters steps and from then on, in [0, 1]. Default 1.
        total_iters: the number of steps of the change, >= 1. Default 5.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        ValueError: a factor is outside its range, or total_iters < 1.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> for _ in range(3):
        ...     print(schedule.get_last_lr())
        ...     schedule.step()
        [0.5]
        [0.75]
        [1.0]

    Source: PyTorch's definition.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = fraction("LinearLR", "start_factor", start_factor)
        if self.start_factor == 0:
            raise ValueError("LinearLR: start_factor must be > 0. Received: 0")
        self.end_factor = fraction("LinearLR", "end_factor", end_factor)
        self.total_iters = _check.integer("LinearLR", "total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        progress = min(t, self.total_iters) / self.total_iters
        return base_lr * (self.start_factor + (self.end_factor - self.start_factor) * progress)


class PolynomialLR(LRScheduler):
    """Let the learning rate fall to 0 as a power of the steps that remain: lr = base_lr * (1 - t / total_iters)^power.

    After total_iters steps the learning rate is 0.

    Args:
        optimizer: the optimiser.
        total_iters: the number of steps until the learning rate is 0, >= 1. Default 5.
        power: the exponent, >= 0. Default 1, a linear decay.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        ValueError: total_iters < 1 or power < 0.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.PolynomialLR(optimizer, total_iters=4, power=2.0)
        >>> schedule.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.25]

    Source: PyTorch's definition.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = _check.integer("PolynomialLR", "total_iters", total_iters, 1)
        self.power = number("PolynomialLR", "power", power)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return base_lr * (1 - min(t, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
    """Let the learning rate fall from base_lr to eta_min in T_max steps, along half a period of a cosine.

    lr = eta_min + (base_lr - eta_min) * (1 + cos(pi * t / T_max)) / 2

    After T_max steps the same formula lets it rise again.

    Args:
        optimizer: the optimiser.
        T_max: the number of steps until the learning rate is eta_min, >= 1.
        eta_min: the smallest learning rate, >= 0. Default 0.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        ValueError: T_max < 1 or eta_min < 0.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.CosineAnnealingLR(optimizer, T_max=2)
        >>> for _ in range(3):
        ...     print([round(lr, 3) for lr in schedule.get_last_lr()])
        ...     schedule.step()
        [1.0]
        [0.5]
        [0.0]

    Source: Loshchilov and Hutter, 2017, "SGDR: stochastic gradient descent with warm restarts", without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = _check.integer("CosineAnnealingLR", "T_max", T_max, 1)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine annealing with restarts: fall from base_lr to eta_min in a period, start again at base_lr, and so on.

    The first period has T_0 steps. Each later period is T_mult times as long as the one before.

    Args:
        optimizer: the optimiser.
        T_0: the number of steps of the first period, >= 1.
        T_mult: the length of a period over that of the one before, an integer >= 1. Default 1.
        eta_min: the smallest learning rate, >= 0. Default 0.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        ValueError: T_0 < 1, T_mult < 1 or eta_min < 0.

    `step(epoch)` also takes fractions. To count in epochs and step after every batch, call
    `schedule.step(epoch + batch / n_batches)`.

    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.CosineAnnealingWarmRestarts(optimizer, T_0=2)
        >>> for _ in range(4):
        ...     print([round(lr, 3) for lr in schedule.get_last_lr()])
        ...     schedule.step()
        [1.0]
        [0.5]
        [1.0]
        [0.5]

    Source: Loshchilov and Hutter, 2017, "SGDR: stochastic gradient descent with warm restarts".
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0 = _check.integer("CosineAnnealingWarmRestarts", "T_0", T_0, 1)
        self.T_mult = _check.integer("CosineAnnealingWarmRestarts", "T_mult", T_mult, 1)
        self.eta_min = number("CosineAnnealingWarmRestarts", "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: float, base_lr: float) -> float:
        period = self.T_0
        if self.T_mult == 1:
            t %= period
        while t >= period:
            t -= period
            period *= self.T_mult
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * t / period)) / 2
