"""The base class of learning-rate schedules."""

from collections.abc import Mapping
from typing import Any

from fastnn.optim.optimizer import Optimizer, number

__all__ = ["LRScheduler"]


def per_group(owner: str, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """`value`, or the values of a list, one for each parameter group."""
    n = len(optimizer.param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * n
    if len(values) != n:
        raise ValueError(f"{owner}: {name} needs one value for each of {n} groups. Received: {value!r}")
    return values


def fraction(owner: str, name: str, value: float) -> float:
    """`value` in [0, 1]."""
    value = number(owner, name, value)
    if value > 1:
        raise ValueError(f"{owner}: {name} must be in [0, 1]. Received: {value}")
    return value


class LRScheduler:
    """The base class of schedules.

    A subclass defines `lr_at(t, base_lr)`, or, where groups differ in more than their learning rate, `get_lr()`:

        class InverseRootLR(LRScheduler):
            def lr_at(self, t, base_lr):
                return base_lr / math.sqrt(1 + t)

    Args:
        optimizer: whose groups get the learning rates. Those that it has now are kept as group["initial_lr"].
        last_epoch: -1 to begin; else the schedule continues behind that step, and groups must have "initial_lr".

    Attributes:
        last_epoch: steps so far.
        base_lrs: the initial learning rate of every group.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self._name}: an Optimizer is needed. Received: {type(optimizer).__name__}")
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{self._name}: to continue from last_epoch={last_epoch}, groups need 'initial_lr'")
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    @property
    def _name(self) -> str:
        return type(self).__name__

    def lr_at(self, t: Any, base_lr: float) -> float:
        """The learning rate after t steps of a group that began with base_lr."""
        raise TypeError(f"{self._name} defines neither lr_at() nor get_lr()")

    def get_lr(self) -> list[float]:
        """The learning rate of every group after `last_epoch` steps."""
        return [self.lr_at(self.last_epoch, base_lr) for base_lr in self.base_lrs]

    def get_last_lr(self) -> list[float]:
        """The learning rate of every group, as this schedule set it last."""
        return list(self._last_lr)

    def step(self, epoch: Any = None) -> None:
        """Set the learning rates for the next step, or for step number `epoch`."""
        previous = self.last_epoch
        self.last_epoch = previous + 1 if epoch is None else epoch
        try:
            rates = self.get_lr()
        except ValueError:
            self.last_epoch = previous
            raise
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = rates

    def state_dict(self) -> dict[str, Any]:
        """What changes, as plain numbers: {"last_epoch": ..., "base_lrs": [...], "last_lr": [...]}."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs), "last_lr": self.get_last_lr()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from the result of `state_dict`. The optimiser's learning rates are part of its own state."""
        n = len(self.optimizer.param_groups)
        if len(state_dict["base_lrs"]) != n:
            raise ValueError(f"{self._name}.load_state_dict: {len(state_dict['base_lrs'])} groups given, {n} needed")
        self.last_epoch = state_dict["last_epoch"]
        self.base_lrs = list(state_dict["base_lrs"])
        self._last_lr = list(state_dict["last_lr"])
