"""torch.optim.lr_scheduler: PyTorch's schedules, by fastnn's formulas.

They change what the groups have, as PyTorch's do: `group["lr"] *= 0.1` between two steps stays, and several schedules
of one optimiser multiply. `fastnn.optim`'s own set the learning rate from the number of the step instead.
"""

import math
import types
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastnn.compat.torch._missing import missing
from fastnn.compat.torch.optim._one_cycle import CyclicLR, OneCycleLR
from fastnn.compat.torch.optim._schedule import (
    EPOCH_DEPRECATION_WARNING,
    LRScheduler,
    Scaled,
    checked_optimizer,
    note_verbose,
    per_group,
)
from fastnn.compat.torch.optim.optimizer import Optimizer
from fastnn.optim import plateau, schedules

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

_LRScheduler = LRScheduler  # its name before PyTorch 2.0


# ---- functions of the step -------------------------------------------------------------------------------------------
class _ByFunctions(LRScheduler):
    """A schedule by functions of a script, of which only the attributes of objects are saved."""

    def __init__(self, optimizer: Any, lr_lambda: Any, last_epoch: int = -1, verbose: Any = None) -> None:
        self.lr_lambdas: list[Callable[[int], float]] = per_group("lr_lambda", optimizer, lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"lr_lambda should be a function, but got {type(function).__name__}")
        super().__init__(optimizer, last_epoch, verbose)

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser and plain functions."""
        state = super().state_dict()
        state["lr_lambdas"] = [
            None if isinstance(function, types.FunctionType) else function.__dict__.copy()
            for function in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        values = dict(state_dict)
        for function, saved in zip(self.lr_lambdas, values.pop("lr_lambdas"), strict=True):
            if saved is not None:
                function.__dict__.update(saved)
        super().load_state_dict(values)


class LambdaLR(_ByFunctions):
    """base_lr * lr_lambda(t)"""

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base_lr * function(self.last_epoch) for base_lr, function in pairs]


class MultiplicativeLR(_ByFunctions):
    """lr * lr_lambda(t), of what it is now."""

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        if self._is_initial:
            return self._rates()
        return [lr * function(self.last_epoch) for lr, function in zip(self._rates(), self.lr_lambdas, strict=True)]


# ---- factors ---------------------------------------------------------------------------------------------------------
class StepLR(Scaled):
    """Multiply by gamma every step_size steps."""

    def __init__(
        self, optimizer: Any, step_size: int, gamma: float = 0.1, last_epoch: int = -1, verbose: Any = None
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch, verbose)

    lr_at = schedules.StepLR.lr_at

    def _change(self, t: int, lr: float, base_lr: float) -> float:
        return lr * self.gamma if t and not t % self.step_size else lr


class MultiStepLR(Scaled):
    """Multiply by gamma at each of the milestones."""

    def __init__(
        self, optimizer: Any, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1, verbose: Any = None
    ) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch, verbose)

    def lr_at(self, t: Any, base_lr: float) -> float:
        return base_lr * self.gamma ** bisect_right(sorted(self.milestones.elements()), t)

    def _change(self, t: int, lr: float, base_lr: float) -> float:
        return lr * self.gamma ** self.milestones[t] if t in self.milestones else lr


class ConstantLR(Scaled):
    """Multiply by factor for total_iters steps."""

    def __init__(
        self,
        optimizer: Any,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
        verbose: Any = None,
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"Constant multiplicative factor expected to be between 0 and 1. Received: {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch, verbose)

    lr_at = schedules.ConstantLR.lr_at


class LinearLR(Scaled):
    """Multiply by what goes from start_factor to end_factor in total_iters steps."""

    _resumes_unchanged = True

    def __init__(
        self,
        optimizer: Any,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
        verbose: Any = None,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(
                "Starting multiplicative factor expected to be in (0, 1], the ending one in [0, 1]. "
                f"Received: {start_factor}, {end_factor}"
            )
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch, verbose)

    lr_at = schedules.LinearLR.lr_at


class ExponentialLR(Scaled):
    """Multiply by gamma in every step."""

    _resumes_unchanged = True

    def __init__(self, optimizer: Any, gamma: float, last_epoch: int = -1, verbose: Any = None) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch, verbose)

    lr_at = schedules.ExponentialLR.lr_at

    def _change(self, t: int, lr: float, base_lr: float) -> float:
        return lr * self.gamma if t else lr


class PolynomialLR(Scaled):
    """Multiply by (1 - t / total_iters)^power."""

    _resumes_unchanged = True

    def __init__(
        self, optimizer: Any, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1, verbose: Any = None
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch, verbose)

    lr_at = schedules.PolynomialLR.lr_at


class CosineAnnealingLR(Scaled):
    """Half a cosine down to eta_min in T_max steps, and up again."""

    _resumes_unchanged = True

    def __init__(
        self, optimizer: Any, T_max: int, eta_min: float = 0.0, last_epoch: int = -1, verbose: Any = None
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch, verbose)

    lr_at = schedules.CosineAnnealingLR.lr_at

    def _change(self, t: int, lr: float, base_lr: float) -> float:
        now, before = (1 + math.cos(math.pi * step / self.T_max) for step in (t, t - 1))
        if t == 0:
            return lr
        if before == 0:  # from eta_min there is no factor up
            return lr + (base_lr - self.eta_min) * now / 2
        return self.eta_min + (lr - self.eta_min) * (now / before)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down to eta_min in T_0 steps; then the next, T_mult times as long; and so on.

    `step(epoch)` takes fractions: with batches as parts of an epoch, `scheduler.step(epoch + batch / n_batches)`.
    """

    def __init__(
        self,
        optimizer: Any,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        verbose: Any = None,
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, float | int):
            raise ValueError(f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self.T_i: Any = T_0
        self.T_cur: Any = last_epoch
        super().__init__(optimizer, last_epoch, verbose)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        factor = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base_lr - self.eta_min) * factor for base_lr in self.base_lrs]

    def step(self, epoch: Any = None) -> None:
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur = self.T_cur + 1
            if self.T_cur >= self.T_i:
                self.T_cur = self.T_cur % self.T_i
                self.T_i = self.T_i * self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            if epoch < 0:
                raise ValueError(f"Expected non-negative epoch, but got {epoch}")
            if self.T_mult == 1:
                self.T_cur = epoch % self.T_0
            else:
                self.T_cur, self.T_i = epoch, self.T_0
                while self.T_cur >= self.T_i:
                    self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        self.last_epoch = math.floor(epoch)
        self._get_lr_called_within_step = True
        try:
            values = self.get_lr()
        finally:
            self._get_lr_called_within_step = False
        self._write(values)


# ---- by a metric -----------------------------------------------------------------------------------------------------
class ReduceLROnPlateau(LRScheduler, plateau.ReduceLROnPlateau):  # type: ignore[misc]
    """Multiply by factor when a metric has not improved for more than patience steps: see `fastnn.optim`'s."""

    def __init__(
        self,
        optimizer: Any,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0,
        eps: float = 1e-8,
        verbose: Any = None,
    ) -> None:
        note_verbose("ReduceLROnPlateau", verbose)
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        self.optimizer = checked_optimizer(optimizer)
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.min_lrs = per_group("min_lr", optimizer, min_lr)
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.last_epoch = 0
        self._last_lr = self._rates()
        self._reset()

    def _reset(self) -> None:
        self.best = self.mode_worse
        self.cooldown_counter = self.num_bad_epochs = 0

    def step(self, metrics: Any, epoch: Any = None) -> None:  # type: ignore[override]
        """Count one step that ended with this value of the metric."""
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, stacklevel=2)
            self.last_epoch = epoch - 1
        if self.default_min_lr is not None:  # groups may have been added
            self.min_lrs = [self.default_min_lr] * len(self.optimizer.param_groups)
        plateau.ReduceLROnPlateau.step(self, float(metrics))
        self._last_lr = self._rates()

    @property
    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def _reduce(self) -> None:
        self._reduce_lr(self.last_epoch)

    def _reduce_lr(self, epoch: Any) -> None:
        for group, minimum in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = float(group["lr"])
            lower = max(lr * self.factor, minimum)
            if lr - lower > self.eps:
                group["lr"] = lower


# ---- schedules of schedules ------------------------------------------------------------------------------------------
class _Combined(LRScheduler):
    _schedulers: Sequence[Any]

    def _check(self, schedulers: Sequence[Any], optimizer: Any) -> None:
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"{name} expects at least one scheduler, but got no scheduler.")
        for index, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{name} at index {index} should have `optimizer` as its attribute.")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support ReduceLROnPlateau, whose step needs a metric (index {index})"
                )
            if optimizer is None:
                optimizer = scheduler.optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"{name}: the scheduler at index {index} belongs to another optimizer")

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser, and the states of the schedules."""
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        values = dict(state_dict)
        for scheduler, saved in zip(self._schedulers, values.pop("_schedulers"), strict=True):
            scheduler.load_state_dict(saved)
        super().load_state_dict(values)


class SequentialLR(_Combined):
    """Several schedules one after the other, each from its own beginning at one of the milestones."""

    def __init__(
        self,
        optimizer: Any,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
        verbose: Any = None,
    ) -> None:
        note_verbose("SequentialLR", verbose)
        self._check(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "SequentialLR: one milestone less than schedulers is needed. "
                f"Received: {len(schedulers)} schedulers, {len(milestones)} milestones"
            )
        self._schedulers, self._milestones = schedulers, milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _step_back(self)  # each has made its first step, which is now the first one's alone
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[index]
        if index and self._milestones[index - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _step_back(scheduler: Any) -> None:
    if isinstance(scheduler, _Combined):
        for part in scheduler._schedulers:
            _step_back(part)
    elif hasattr(scheduler, "last_epoch"):
        scheduler.last_epoch -= 1


class ChainedScheduler(_Combined):
    """Several schedules, stepped as one."""

    def __init__(self, schedulers: Sequence[Any], optimizer: Any = None) -> None:
        self._check(schedulers, optimizer)
        self._schedulers = schedulers
        self.optimizer = schedulers[0].optimizer if optimizer is None else optimizer
        self._last_lr = self._rates()

    def step(self) -> None:  # type: ignore[override]
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._rates()


__getattr__ = missing(__name__)
