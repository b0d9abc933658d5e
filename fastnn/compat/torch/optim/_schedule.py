"""What PyTorch's schedules have in common: each step changes the learning rates that the groups have now."""

import warnings
from typing import Any

from fastnn import optim
from fastnn.compat.notes import note

__all__ = ["LRScheduler", "Scaled", "per_group"]

EPOCH_DEPRECATION_WARNING = (
    "scheduler.step(epoch) is deprecated in PyTorch: call scheduler.step() once an epoch, without its number"
)


def checked_optimizer(optimizer: Any) -> Any:
    if not isinstance(optimizer, optim.Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def per_group(name: str, optimizer: Any, value: Any) -> list[Any]:
    """`value`, or the values of a list, one for each parameter group."""
    n = len(checked_optimizer(optimizer).param_groups)
    if not isinstance(value, list | tuple):
        return [value] * n
    if len(value) != n:
        raise ValueError(f"{name} must have one value for each of {n} parameter groups. Received: {len(value)}")
    return list(value)


class LRScheduler:
    """The base class of schedules. A subclass defines `get_lr`, which gives the next learning rate of every group.

    class HalvedLR(torch.optim.lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base_lr * 0.5**self.last_epoch for base_lr in self.base_lrs]

    Attributes:
        last_epoch: steps so far.
        base_lrs: the learning rates in the beginning, also kept as group["initial_lr"].
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Any, last_epoch: int = -1, verbose: Any = None) -> None:
        note_verbose(type(self).__name__, verbose)
        self.optimizer = checked_optimizer(optimizer)
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{index}] when resuming scheduler with "
                    f"last_epoch={last_epoch}: load the state of the optimizer first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch: Any = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Any]:
        """The learning rate of every group at step `last_epoch`; `step` asks for it."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def get_last_lr(self) -> list[Any]:
        """The learning rates that were set last."""
        return self._last_lr

    def step(self, epoch: Any = None) -> None:
        """Set the learning rates of the next step; or, which PyTorch discourages, those of step `epoch`."""
        if self._step_count == 1 and not getattr(self.optimizer, "_opt_called", True):
            warnings.warn(
                "lr_scheduler.step() was called before optimizer.step(): the first learning rate of the schedule is "
                "skipped. Call optimizer.step() first",
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: Any = None) -> None:
        self._get_lr_called_within_step = True
        try:
            self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
            closed: Any = getattr(self, "_get_closed_form_lr", None) if epoch is not None else None
            values = self.get_lr() if closed is None else closed()
        finally:
            self._get_lr_called_within_step = False
        self._write(values)

    def _write(self, values: list[Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            group["lr"] = lr
        self._last_lr = self._rates()

    def _rates(self) -> list[Any]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "get_lr() is the next learning rate: get_last_lr() gives the one that was set last", stacklevel=3
            )

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the result of `state_dict`."""
        self.__dict__.update(state_dict)


class Scaled(LRScheduler):
    """A schedule that multiplies by a factor: `lr_at(t, base_lr)` is fastnn's, and its ratio is what a step changes."""

    # Whether a schedule that is made with last_epoch leaves the learning rates as they are.
    _resumes_unchanged = False

    def lr_at(self, t: Any, base_lr: float) -> float:
        raise NotImplementedError

    def _change(self, t: int, lr: float, base_lr: float) -> float:
        """The learning rate of step t, where it was `lr` before; of step 0, where it was that."""
        now = self.lr_at(t, 1.0)
        if t == 0:
            return lr * now
        before = self.lr_at(t - 1, 1.0)
        if now == before:
            return lr
        return lr * (now / before) if before else self.lr_at(t, base_lr)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        rates = self._rates()
        if self._is_initial and self.last_epoch > 0 and self._resumes_unchanged:
            return rates
        return [self._change(self.last_epoch, lr, base) for lr, base in zip(rates, self.base_lrs, strict=True)]

    def _get_closed_form_lr(self) -> list[Any]:
        return [self.lr_at(self.last_epoch, base_lr) for base_lr in self.base_lrs]


def note_verbose(name: str, verbose: Any) -> None:
    if verbose not in (None, False, "deprecated"):
        note(f"{name}: verbose is no longer in PyTorch and prints nothing: print(scheduler.get_last_lr())")
