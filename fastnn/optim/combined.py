"""Schedules made of schedules."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from fastnn import _check
from fastnn.optim.optimizer import Optimizer
from fastnn.optim.scheduler import LRScheduler, Share, joined, milestone_list

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Combined(LRScheduler):
    """What schedules of schedules have in common: the parts leave the optimiser to this one, and share its state."""

    schedulers: list[LRScheduler]

    def _take_over(self) -> list[Share]:
        """Take the shares of the parts out of the optimiser's list, which is returned as it was."""
        before = list(self.optimizer._shares)
        theirs = {id(scheduler._share) for scheduler in self.schedulers}
        self.optimizer._shares[:] = [share for share in before if id(share) not in theirs]
        return before

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def __repr__(self) -> str:
        parts = "".join(f"  ({i}): {part!r}\n".replace("\n  ", "\n    ") for i, part in enumerate(self.schedulers))
        return f"{super().__repr__()[:-1]}\n{parts})"

    def _words(self) -> list[str]:
        return [word for word in super()._words() if not word.startswith("schedulers=")]

    def _checked_state(self, state_dict: Any) -> dict[str, Any]:
        state = super()._checked_state(state_dict)
        owner = f"{self._name}.load_state_dict"
        parts = _check.mapping(owner, "the state", state_dict, "schedulers")["schedulers"]
        if not isinstance(parts, list | tuple):
            raise TypeError(f"{owner}: schedulers must be a list of states. Received: {_check.shown(parts)}")
        if len(parts) != len(self.schedulers):
            raise ValueError(f"{owner}: {len(parts)} schedules given, {len(self.schedulers)} needed")
        pairs = zip(self.schedulers, parts, strict=True)
        return {**state, "schedulers": [scheduler._checked_state(part) for scheduler, part in pairs]}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        super()._set_state(state)
        for scheduler, part in zip(self.schedulers, state["schedulers"], strict=True):
            scheduler._set_state(part)


def _parts(owner: str, schedulers: Any, optimizer: Any) -> list[LRScheduler]:
    """The schedules as a list; raises unless there are some, all of this optimiser."""
    if not isinstance(schedulers, Sequence) or isinstance(schedulers, str):
        raise TypeError(f"{owner}: schedulers must be a list of schedules. Received: {_check.shown(schedulers)}")
    if not schedulers:
        raise ValueError(f"{owner}: at least one schedule is needed. Received: none")
    for scheduler in schedulers:
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(f"{owner}: an LRScheduler is needed. Received: {type(scheduler).__name__}")
        if scheduler.optimizer is not optimizer:
            raise ValueError(f"{owner}: a schedule has another optimiser")
    return list(schedulers)


class SequentialLR(_Combined):
    """Run several schedules one after the other. Each counts its steps from its own beginning.

    Args:
        optimizer: the optimiser. All the schedules must belong to it.
        schedulers: the schedules, in order. Step this schedule only; it steps them.
        milestones: the steps at which the second, third, ... schedule begins: one number less than there are schedules.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        ValueError: there are no schedules, the number of milestones is not one less than that of the schedules, the
            milestones do not increase, or a schedule belongs to another optimiser.
        TypeError: schedulers is not a list of schedules.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> warm_up = optim.LinearLR(optimizer, 0.5, total_iters=2)
        >>> schedule = optim.SequentialLR(optimizer, [warm_up, optim.CosineAnnealingLR(optimizer, 10)], [2])
        >>> schedule.get_last_lr()
        [0.5]

    Source: PyTorch's definition.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self.schedulers = _parts("SequentialLR", schedulers, optimizer)
        self.milestones = milestone_list("SequentialLR", milestones, 1)
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR: one milestone less than schedules is needed. "
                f"Received: {len(self.schedulers)} schedules, milestones={self.milestones}"
            )
        if self.milestones != sorted(set(self.milestones)):
            raise ValueError(f"SequentialLR: milestones must increase. Received: {self.milestones}")
        self.optimizer = optimizer
        before = self._take_over()
        try:
            super().__init__(optimizer, last_epoch)
        except BaseException:
            optimizer._shares[:] = before
            raise

    def _part(self) -> tuple[LRScheduler, int]:
        """The schedule whose turn it is, and the step at which it began."""
        index = bisect_right(self.milestones, self.last_epoch)
        return self.schedulers[index], self.milestones[index - 1] if index else 0

    def get_lr(self) -> list[float]:
        scheduler, begin = self._part()
        scheduler._advance(self.last_epoch - begin)
        scheduler._last_lr = list(scheduler._share.rates)
        return scheduler.get_last_lr()

    def _write_others(self) -> None:
        self._part()[0]._write_others()


class ChainedScheduler(_Combined):
    """Apply several schedules at the same time: their factors are multiplied.

    lr = initial_lr * factor of the first * factor of the second * ...

    The learning rates are the same as when all the schedules are stepped one after the other. But there is only one
    schedule to step, to save and to give to `training.fit`.

    Args:
        schedulers: the schedules, all of one optimiser. Step this schedule only; it steps them.
        optimizer: the optimiser of the schedules. None (default) takes it from the first.
    Raises:
        ValueError: there are no schedules, or they belong to several optimisers.
        TypeError: schedulers is not a list of schedules.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0)
        >>> warm_up = optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> schedule = optim.ChainedScheduler([warm_up, optim.ExponentialLR(optimizer, 0.5)])
        >>> for _ in range(3):
        ...     print(schedule.get_last_lr())
        ...     schedule.step()
        [0.5]
        [0.375]
        [0.25]

    Source: PyTorch's definition.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if optimizer is None and isinstance(schedulers, Sequence) and schedulers:
            optimizer = getattr(schedulers[0], "optimizer", None)
        self.schedulers = _parts("ChainedScheduler", schedulers, optimizer)
        assert optimizer is not None  # the schedules have it
        self.optimizer = optimizer
        self._offsets = [part.last_epoch for part in self.schedulers]  # steps that each was ahead when it was given
        before = self._take_over()
        try:
            super().__init__(optimizer)
        except BaseException:
            optimizer._shares[:] = before
            raise

    def get_lr(self) -> list[float]:
        before = [(part, part.last_epoch, part._share.rates) for part in self.schedulers]
        try:
            for part, offset in zip(self.schedulers, self._offsets, strict=True):
                part._advance(self.last_epoch + offset)
        except BaseException:
            for part, last_epoch, rates in before:
                part.last_epoch, part._share.rates = last_epoch, rates
            raise
        for part in self.schedulers:
            part._last_lr = list(part._share.rates)
        return joined([part._share for part in self.schedulers])

    def _write_others(self) -> None:
        for part in self.schedulers:
            part._write_others()

    def _set_state(self, state: Mapping[str, Any]) -> None:
        super()._set_state(state)
        self._offsets = [part.last_epoch - self.last_epoch for part in self.schedulers]
