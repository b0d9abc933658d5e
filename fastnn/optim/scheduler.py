"""The base class of learning-rate schedules, and how several of them share an optimiser."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import _check
from fastnn.optim.optimizer import Optimizer, is_iterable, number

__all__ = ["LRScheduler"]


# ---- checks ----------------------------------------------------------------------------------------------------------
def checked_optimizer(owner: str, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{owner}: an Optimizer is needed. Received: {type(optimizer).__name__}")
    return optimizer


def per_group(
    owner: str, name: str, value: Any, optimizer: Optimizer, check: Callable[[str, str, Any], Any]
) -> list[Any]:
    """`value`, or the values of a list, one for each parameter group, each as `check(owner, name, value)` gives it."""
    n = len(checked_optimizer(owner, optimizer).param_groups)
    is_list = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)
    values = list(value) if is_list else [value] * n
    if len(values) != n:
        raise ValueError(
            f"{owner}: {name} needs one value for each of {n} groups. Received: {len(values)}, {_check.shown(value)}"
        )
    return [check(owner, name, one) for one in values]


def fraction(owner: str, name: str, value: Any) -> float:
    """`value` in [0, 1]."""
    result = number(owner, name, value)
    if result > 1:
        raise ValueError(f"{owner}: {name} must be in [0, 1]. Received: {_check.shown(value)}")
    return result


def steps(owner: str, name: str, value: Any) -> Any:
    """A number of steps: an int, or a float where a step is cut into parts."""
    result = number(owner, name, value)
    return int(result) if isinstance(value, int | np.integer) else result


def milestone_list(owner: str, milestones: Any, minimum: int) -> list[int]:
    """Numbers of steps, each at least `minimum`."""
    if not is_iterable(milestones):
        raise TypeError(f"{owner}: milestones must be a list of integers. Received: {_check.shown(milestones)}")
    return [_check.integer(owner, "milestones", milestone, minimum) for milestone in milestones]


def rates(owner: str, name: str, values: Any, n: int) -> list[float]:
    """`values`, the learning rates of n groups."""
    values = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(values, list | tuple):
        raise TypeError(f"{owner}: {name} must be a list of numbers. Received: {_check.shown(values)}")
    if len(values) != n:
        raise ValueError(f"{owner}: {name} of {len(values)} groups given, {n} needed")
    return [number(owner, name, value) for value in values]


# ---- several schedules of one optimiser ------------------------------------------------------------------------------
@dataclass(eq=False)
class Share:
    """The learning rates that one schedule computes for the groups of an optimiser.

    Attributes:
        rates: the learning rates that this schedule alone would set.
        bases: the initial learning rates. rate / base is the factor by which it multiplies those of other schedules.
        sets: whether it sets learning rates. One that does not, `ReduceLROnPlateau`, only multiplies them.
    """

    rates: list[float]
    bases: list[float]
    sets: bool = True


def joined(shares: Sequence[Share]) -> list[float]:
    """The learning rates of all groups: those of the first share, times the factors of the others.

    The rates of a single share are returned unchanged, bit for bit.
    """
    first = next(share for share in shares if share.sets)
    result = list(first.rates)
    for share in shares:
        if share is not first:
            factors = (rate / base if base else 1.0 for rate, base in zip(share.rates, share.bases, strict=True))
            result = [rate * factor for rate, factor in zip(result, factors, strict=True)]
    return result


class LRScheduler:
    """The base class of learning-rate schedules.

    A subclass defines `lr_at(t, base_lr)`. If groups differ in more than their initial learning rate, it defines
    `get_lr()` instead.

    Args:
        optimizer: the optimiser whose learning rates are set. Its present ones are kept as group["initial_lr"].
        last_epoch: -1 (default) begins anew. A number t continues after step t; every group must then have the entry
            "initial_lr", as it does after the state of an optimiser was loaded.
    Attributes:
        last_epoch: the number of steps so far.
        base_lrs: the initial learning rate of every group.
    Raises:
        ValueError: a learning rate that the schedule computes is negative, infinite or NaN.
        KeyError: a group has no learning rate, or last_epoch is not -1 and a group has no "initial_lr".
    Example:
        >>> import math
        >>> from fastnn import optim
        >>> class InverseRootLR(optim.LRScheduler):
        ...     def lr_at(self, t, base_lr):
        ...         return base_lr / math.sqrt(1 + t)
        >>> schedule = InverseRootLR(optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0))
        >>> for _ in range(3):
        ...     schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked_optimizer(self._name, optimizer)
        self.last_epoch: Any = _check.integer(self._name, "last_epoch", last_epoch, -1)
        self.base_lrs: list[float] = self._starts()
        self._share = Share(self.base_lrs, self.base_lrs)
        self._last_lr: list[float] = []
        self._advance(None)
        optimizer._shares.append(self._share)
        self._write_starts()
        self._write()

    @property
    def _name(self) -> str:
        return type(self).__name__

    def lr_at(self, t: Any, base_lr: float) -> float:
        """The learning rate after t steps, for a group that began with base_lr. Subclasses define it."""
        raise TypeError(f"{self._name} defines neither lr_at() nor get_lr()")

    def get_lr(self) -> list[float]:
        """The learning rate of every group after `last_epoch` steps, as this schedule alone would set it."""
        return [self.lr_at(self.last_epoch, base_lr) for base_lr in self.base_lrs]

    def get_last_lr(self) -> list[float]:
        """The learning rate of every group that the last step of this schedule set."""
        return list(self._last_lr)

    def step(self, epoch: Any = None) -> None:
        """Set the learning rates for the next step.

        Args:
            epoch: the number of the step to set them for. None (default): one more than the last.
        Raises:
            RuntimeError: the schedule is part of a `SequentialLR` or `ChainedScheduler`, or a later `OneCycleLR` has
                replaced it. Step that one.
            ValueError: a learning rate is negative, infinite or NaN, or groups were added to the optimiser.
        """
        if not any(share is self._share for share in self.optimizer._shares):
            raise RuntimeError(
                f"{self._name}.step: the learning rates are those of another schedule by now, "
                "a SequentialLR or ChainedScheduler of this one or a later OneCycleLR: step that one"
            )
        self._advance(None if epoch is None else steps(f"{self._name}.step", "epoch", epoch))
        self._write()

    # ---- what a schedule consists of ---------------------------------------------------------------------------------
    def _starts(self) -> list[float]:
        """The initial learning rate of every group."""
        found = []
        for group in self.optimizer.param_groups:
            if "lr" not in group:
                raise KeyError(f"{self._name}: a group of the optimiser has no learning rate 'lr'")
            if self.last_epoch != -1 and "initial_lr" not in group:
                raise KeyError(f"{self._name}: to continue from last_epoch={self.last_epoch}, groups need 'initial_lr'")
            found.append(number(self._name, "initial_lr", group.get("initial_lr", group["lr"])))
        return found

    def _write_starts(self) -> None:
        """Keep in the groups what the schedule began with."""
        for group, lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["initial_lr"] = lr

    def _advance(self, epoch: Any) -> None:
        """Count a step and compute; nothing has changed if that fails, and the optimiser does not in any case."""
        n = len(self.optimizer.param_groups)
        if n != len(self.base_lrs):
            raise ValueError(
                f"{self._name}.step: the optimiser has {n} groups and had {len(self.base_lrs)} when this schedule was "
                "made; add groups first, then make the schedule"
            )
        self._share.bases = self.base_lrs
        previous = self.last_epoch
        self.last_epoch = previous + 1 if epoch is None else epoch
        try:
            self._share.rates = rates(self._name, "the learning rate", self.get_lr(), n)
        except BaseException:
            self.last_epoch = previous
            raise

    def _write(self) -> None:
        """Give the optimiser what was computed."""
        self._last_lr = joined(self.optimizer._shares)
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr
        self._write_others()

    def _write_others(self) -> None:
        """Set what the schedule changes besides learning rates."""

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """The state, a dict of plain numbers and lists.

        "last_epoch": the number of steps; "base_lrs": the initial learning rates; "rates": the learning rates that this
        schedule alone would set; "last_lr": those that it set last; "lr": those that the groups have now. They differ
        from "last_lr" if another schedule or the user has changed them since.
        """
        return {
            "last_epoch": self.last_epoch,
            "base_lrs": list(self.base_lrs),
            "rates": list(self._share.rates),
            "last_lr": self.get_last_lr(),
            "lr": [group["lr"] for group in self.optimizer.param_groups],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned. The optimiser gets the learning rates that it had then.

        It may be called before or after `load_state_dict` of the optimiser. For several schedules of one optimiser,
        make them in the same order as before and load each. If anything does not fit, nothing is changed.

        Raises:
            KeyError: an entry is missing.
            TypeError, ValueError: an entry is not a number, or belongs to another number of groups.
        """
        state = self._checked_state(state_dict)
        self._set_state(state)
        for group, base, lr in zip(self.optimizer.param_groups, state["base_lrs"], state["lr"], strict=True):
            group["initial_lr"], group["lr"] = base, lr

    def _checked_state(self, state_dict: Any) -> dict[str, Any]:
        """A copy of the state whose entries are known to fit."""
        owner, n = f"{self._name}.load_state_dict", len(self.optimizer.param_groups)
        lists = ("base_lrs", "rates", "last_lr", "lr")
        _check.mapping(owner, "the state", state_dict, "last_epoch", *lists)
        return {
            "last_epoch": steps(owner, "last_epoch", state_dict["last_epoch"]),
            **{name: rates(owner, name, state_dict[name], n) for name in lists},
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        """Take over a checked state, all but the learning rates of the groups."""
        self.last_epoch = state["last_epoch"]
        self.base_lrs = state["base_lrs"]
        self._last_lr = state["last_lr"]
        self._share.rates, self._share.bases = state["rates"], state["base_lrs"]

    def _words(self) -> list[str]:
        """The settings, for `repr`."""
        hidden = ("optimizer", "last_epoch", "base_lrs")
        settings = {name: value for name, value in vars(self).items() if name[0] != "_" and name not in hidden}
        return [
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={_check.shown(value)}"
            for name, value in settings.items()
        ]

    def __repr__(self) -> str:
        lr = ", ".join(f"{lr:g}" for lr in self._last_lr)
        words = [type(self.optimizer).__name__, *self._words(), f"last_epoch={self.last_epoch}", f"lr=[{lr}]"]
        return f"{self._name}({', '.join(words)})"
