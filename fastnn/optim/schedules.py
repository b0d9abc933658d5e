"""Learning-rate schedules: stepped after the optimiser, once an epoch or once a batch.

Every schedule but `ReduceLROnPlateau` is a function of the number of steps: it sets the learning rate, whatever it was
set to in between, so a schedule continues from its step count alone. To begin with another learning rate, set
`group["lr"]` before the schedule is made.

Several schedules of one optimiser multiply, as in PyTorch: each stands for a factor, its learning rate over the initial
one, and a group gets the initial learning rate times all of them. A schedule that is stepped no more keeps the factor
that it had last. `ChainedScheduler` steps several as one, `SequentialLR` one after the other. `OneCycleLR`, which is
given learning rates instead of factors, ends the schedules made before it.
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
    """base_lr * lr_lambda(t).

    Args:
        optimizer: the optimiser.
        lr_lambda: a function of the number of steps, or a list of one for each group.
        last_epoch: see `LRScheduler`.
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
    """base_lr * gamma^(t // step_size).

    Args:
        optimizer: the optimiser.
        step_size: steps between two changes.
        gamma: the factor of each.
        last_epoch: see `LRScheduler`.
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
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = _check.integer("StepLR", "step_size", step_size, 1)
        self.gamma = number("StepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return base_lr * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """base_lr * gamma^(number of milestones reached).

    Args:
        optimizer: the optimiser.
        milestones: steps at which the learning rate changes; one given twice counts twice.
        gamma: the factor of each.
        last_epoch: see `LRScheduler`.
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
    """base_lr * gamma^t.

    Args:
        optimizer: the optimiser.
        gamma: the factor of every step.
        last_epoch: see `LRScheduler`.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return base_lr * self.gamma**t


class ConstantLR(LRScheduler):
    """base_lr * factor for total_iters steps, then base_lr.

    Args:
        optimizer: the optimiser.
        factor: the factor, in [0, 1].
        total_iters: steps for which it holds.
        last_epoch: see `LRScheduler`.
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
    """base_lr times a factor that goes from start_factor to end_factor in total_iters steps: a warm-up, or a ramp down.

    Args:
        optimizer: the optimiser.
        start_factor: the factor at the first step, in (0, 1].
        end_factor: the factor after total_iters steps, in [0, 1].
        total_iters: steps of the ramp.
        last_epoch: see `LRScheduler`.
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
    """base_lr * (1 - t / total_iters)^power, and 0 after total_iters steps.

    Args:
        optimizer: the optimiser.
        total_iters: steps down to 0.
        power: the exponent of the polynomial.
        last_epoch: see `LRScheduler`.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = _check.integer("PolynomialLR", "total_iters", total_iters, 1)
        self.power = number("PolynomialLR", "power", power)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return base_lr * (1 - min(t, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from base_lr down to eta_min in T_max steps (and up again, if stepped on).

    eta_min + (base_lr - eta_min) * (1 + cos(pi * t / T_max)) / 2

    Args:
        optimizer: the optimiser.
        T_max: steps down to eta_min.
        eta_min: the smallest learning rate.
        last_epoch: see `LRScheduler`.

    Source: Loshchilov and Hutter, 2017, "SGDR: stochastic gradient descent with warm restarts", without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = _check.integer("CosineAnnealingLR", "T_max", T_max, 1)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from base_lr down to eta_min in T_0 steps; then the next, T_mult times as long; and so on.

    Args:
        optimizer: the optimiser.
        T_0: steps of the first period.
        T_mult: by what each period is longer than the one before.
        eta_min: the smallest learning rate.
        last_epoch: see `LRScheduler`.

    `step(epoch)` takes fractions: with batches as parts of an epoch, `schedule.step(epoch + batch / n_batches)`.

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
