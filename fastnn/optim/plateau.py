"""The schedule that follows a metric."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import _check
from fastnn.optim.optimizer import Optimizer, number
from fastnn.optim.scheduler import Share, checked_optimizer, per_group, rates

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau:
    """Multiply the learning rate by `factor` when a metric has not improved for more than `patience` steps.

    The present learning rate of each group is multiplied. Other schedules of the same optimiser keep the reductions.

    Args:
        optimizer: the optimiser.
        mode: 'min' (default) if a smaller metric is better, 'max' if a larger one is.
        factor: the factor of a reduction, in [0, 1). Default 0.1.
        patience: the number of steps without improvement that are tolerated. Default 10.
        threshold: how much better than the best value so far a metric must be to count as an improvement. Default 1e-4.
        threshold_mode: whether threshold is a fraction of the best value ('rel', default) or a difference ('abs').
        cooldown: the number of steps after a reduction during which steps without improvement are not counted.
            Default 0.
        min_lr: the smallest learning rate: one number, or a list of one for each parameter group. Default 0.
        eps: a reduction by no more than this is not made. Default 1e-8.
    Raises:
        ValueError: an argument is outside its range.
        TypeError: an argument has the wrong type.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     schedule.step(loss)
        >>> optimizer.param_groups[0]["lr"]
        0.5

    Source: PyTorch's definition.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        owner = "ReduceLROnPlateau"
        self.optimizer = checked_optimizer(owner, optimizer)
        _check.one_of(owner, "mode", mode, ("min", "max"))
        _check.one_of(owner, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.mode, self.threshold_mode = mode, threshold_mode
        self.factor = number(owner, "factor", factor, below=1)
        self.patience = _check.integer(owner, "patience", patience, 0)
        self.cooldown = _check.integer(owner, "cooldown", cooldown, 0)
        self.threshold = number(owner, "threshold", threshold)
        self.eps = number(owner, "eps", eps)
        self.min_lrs = per_group(owner, "min_lr", min_lr, optimizer, number)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        n = len(optimizer.param_groups)
        self._share = Share([1.0] * n, [1.0] * n, sets=False)
        optimizer._shares.append(self._share)

    def _is_better(self, metric: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if math.isinf(self.best):
            return sign * metric < sign * self.best
        margin = self.threshold * (self.best if self.threshold_mode == "rel" else 1)
        return sign * metric < sign * self.best - margin

    def step(self, metrics: float) -> None:
        """Count one step, usually an epoch, and reduce the learning rate if it is time to.

        Args:
            metrics: the value of the metric after this step, for example the validation loss. NaN is never an
                improvement.
        Raises:
            TypeError: the metric is not a number.
        """
        metric = _metric("ReduceLROnPlateau.step", metrics)
        n = len(self.optimizer.param_groups)
        if n != len(self.min_lrs):
            raise ValueError(
                f"ReduceLROnPlateau.step: the optimiser has {n} groups and had {len(self.min_lrs)} when this schedule "
                "was made; add groups first, then make the schedule"
            )
        self.last_epoch += 1
        if self._is_better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _reduce(self) -> None:
        factors = list(self._share.rates)
        for i, (group, minimum) in enumerate(zip(self.optimizer.param_groups, self.min_lrs, strict=True)):
            lr = max(group["lr"] * self.factor, minimum)
            if group["lr"] - lr > self.eps:
                factors[i] *= lr / group["lr"]
                group["lr"] = lr
        self._share.rates = factors

    def get_last_lr(self) -> list[float]:
        """The learning rate of every group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The state, a dict of plain numbers and lists. `best` is None before the first step."""
        return {
            "best": None if math.isinf(self.best) else self.best,
            "num_bad_epochs": self.num_bad_epochs,
            "cooldown_counter": self.cooldown_counter,
            "last_epoch": self.last_epoch,
            "factors": list(self._share.rates),
            "lr": self.get_last_lr(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned. The optimiser gets the learning rates that it had then.

        It may be called before or after `load_state_dict` of the optimiser. If anything does not fit, nothing is
        changed.

        Raises:
            KeyError: an entry is missing.
            TypeError, ValueError: an entry is not a number, or belongs to another number of groups.
        """
        owner, n = "ReduceLROnPlateau.load_state_dict", len(self.optimizer.param_groups)
        counts = ("num_bad_epochs", "cooldown_counter", "last_epoch")
        _check.mapping(owner, "the state", state_dict, "best", *counts, "factors", "lr")
        best = state_dict["best"]
        best = None if best is None else number(owner, "best", best, -math.inf)
        counted = {name: _check.integer(owner, name, state_dict[name], 0) for name in counts}
        factors, lrs = (rates(owner, name, state_dict[name], n) for name in ("factors", "lr"))
        self.best = (math.inf if self.mode == "min" else -math.inf) if best is None else best
        for name, value in counted.items():
            setattr(self, name, value)
        self._share.rates = factors
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr

    def __repr__(self) -> str:
        names = ("factor", "patience", "threshold", "cooldown", "best", "num_bad_epochs", "cooldown_counter")
        words = [f"{name}={getattr(self, name):g}" for name in (*names, "last_epoch")]
        lr = ", ".join(f"{lr:g}" for lr in self.get_last_lr())
        first = f"{type(self.optimizer).__name__}, mode={self.mode!r}"
        return f"ReduceLROnPlateau({first}, {', '.join(words)}, lr=[{lr}])"


def _metric(owner: str, value: Any) -> float:
    """`value` as a float, which may also be NaN: that of a training that diverged."""
    if isinstance(value, float | np.floating) and math.isnan(value):
        return math.nan
    return _check.number(owner, "metrics", value)
