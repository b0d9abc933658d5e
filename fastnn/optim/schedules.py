"""Learning-rate schedules: stepped after the optimiser, once an epoch or once a batch.

Every schedule but `ReduceLROnPlateau` is a function of the number of steps: it sets the learning rate, whatever it was
set to in between, so a schedule continues from its step count alone. Chain schedules with `SequentialLR`.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fastnn.functional import _check
from fastnn.optim.one_cycle import OneCycleLR
from fastnn.optim.optimizer import Optimizer
from fastnn.optim.plateau import ReduceLROnPlateau
from fastnn.optim.scheduler import LRScheduler, fraction, per_group

__all__ = [
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
        self.lr_lambdas = per_group("LambdaLR", "lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base_lr * function(self.last_epoch) for base_lr, function in pairs]


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
        self.gamma = gamma
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
        self.milestones = sorted(_check.integer("MultiStepLR", "milestones", m, 0) for m in milestones)
        self.gamma = gamma
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
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: int, base_lr: float) -> float:
        return base_lr * self.gamma**t


class ConstantLR(LRScheduler):
    """base_lr * factor for total_iters steps, then base_lr.

    Args:
        optimizer: the optimiser.
        factor: in [0, 1].
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
        start_factor: in (0, 1].
        end_factor: in [0, 1].
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
        if start_factor == 0:
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
        power: of the polynomial.
        last_epoch: see `LRScheduler`.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = _check.integer("PolynomialLR", "total_iters", total_iters, 1)
        self.power = power
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
        self.eta_min = eta_min
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
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def lr_at(self, t: float, base_lr: float) -> float:
        period = self.T_0
        if self.T_mult == 1:
            t %= period
        while t >= period:
            t -= period
            period *= self.T_mult
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * t / period)) / 2


class SequentialLR(LRScheduler):
    """Several schedules one after the other, each counting from its own beginning.

    Args:
        optimizer: the optimiser, also of all schedules.
        schedulers: the schedules.
        milestones: the steps at which the second, third, ... begins.
        last_epoch: see `LRScheduler`.
    Raises:
        ValueError: not one milestone less than schedules, or not increasing, or another optimiser.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> warm_up = optim.LinearLR(optimizer, 0.5, total_iters=2)
        >>> schedule = optim.SequentialLR(optimizer, [warm_up, optim.CosineAnnealingLR(optimizer, 10)], [2])
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self.schedulers = list(schedulers)
        self.milestones = [_check.integer("SequentialLR", "milestones", m, 1) for m in milestones]
        if not self.schedulers or len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR: one milestone less than schedules is needed. "
                f"Received: {len(self.schedulers)} schedules, milestones={self.milestones}"
            )
        if self.milestones != sorted(set(self.milestones)):
            raise ValueError(f"SequentialLR: milestones must increase. Received: {self.milestones}")
        for scheduler in self.schedulers:
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"SequentialLR: an LRScheduler is needed. Received: {type(scheduler).__name__}")
            if scheduler.optimizer is not optimizer:
                raise ValueError("SequentialLR: a schedule has another optimiser")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        index = bisect_right(self.milestones, self.last_epoch)
        scheduler = self.schedulers[index]
        scheduler.step(self.last_epoch - (self.milestones[index - 1] if index else 0))
        return scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if len(state_dict["schedulers"]) != len(self.schedulers):
            raise ValueError("SequentialLR.load_state_dict: the number of schedules differs")
        super().load_state_dict(state_dict)
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
