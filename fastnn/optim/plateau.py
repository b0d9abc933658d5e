"""The schedule that looks at a metric."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastnn.functional import _check
from fastnn.optim.optimizer import Optimizer, number
from fastnn.optim.scheduler import per_group

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau:
    """Multiply the learning rate by `factor` when a metric has not improved for more than `patience` steps.

    Args:
        optimizer: the optimiser.
        mode: 'min' if the metric is to fall, 'max' if it is to rise.
        factor: in [0, 1).
        patience: steps without improvement that are accepted.
        threshold: what counts as an improvement.
        threshold_mode: 'rel' measures it as a share of the best value, 'abs' as a difference.
        cooldown: steps after a reduction in which nothing is counted.
        min_lr: the smallest learning rate, one or a list of one for each group.
        eps: a smaller change is not made.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> schedule = optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     schedule.step(loss)
        >>> optimizer.param_groups[0]["lr"]
        0.5
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
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{owner}: an Optimizer is needed. Received: {type(optimizer).__name__}")
        if mode not in ("min", "max"):
            raise ValueError(f"{owner}: mode must be 'min' or 'max'. Received: {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"{owner}: threshold_mode must be 'rel' or 'abs'. Received: {threshold_mode!r}")
        self.optimizer = optimizer
        self.mode, self.threshold_mode = mode, threshold_mode
        self.factor = number(owner, "factor", factor, below=1)
        self.patience = _check.integer(owner, "patience", patience, 0)
        self.cooldown = _check.integer(owner, "cooldown", cooldown, 0)
        self.threshold, self.eps = threshold, eps
        self.min_lrs = per_group(owner, "min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0

    def _is_better(self, metric: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if math.isinf(self.best):
            return sign * metric < sign * self.best
        margin = self.threshold * (self.best if self.threshold_mode == "rel" else 1)
        return sign * metric < sign * self.best - margin

    def step(self, metrics: float) -> None:
        """Count one step that ended with this value of the metric."""
        metric = float(metrics)
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
            for group, minimum in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lr = max(group["lr"] * self.factor, minimum)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def get_last_lr(self) -> list[float]:
        """The learning rate of every group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What changes, as plain numbers; no best value yet is None."""
        return {
            "best": None if math.isinf(self.best) else self.best,
            "num_bad_epochs": self.num_bad_epochs,
            "cooldown_counter": self.cooldown_counter,
            "last_epoch": self.last_epoch,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from the result of `state_dict`."""
        best = state_dict["best"]
        self.best = (math.inf if self.mode == "min" else -math.inf) if best is None else best
        self.num_bad_epochs = state_dict["num_bad_epochs"]
        self.cooldown_counter = state_dict["cooldown_counter"]
        self.last_epoch = state_dict["last_epoch"]
