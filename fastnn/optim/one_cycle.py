"""The one-cycle schedule of learning rate and momentum."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastnn import _check
from fastnn.optim.optimizer import Optimizer, number
from fastnn.optim.scheduler import LRScheduler, checked_optimizer, fraction, per_group

__all__ = ["OneCycleLR"]


class OneCycleLR(LRScheduler):
    """One cycle: the learning rate rises to max_lr, then falls to almost zero, while momentum moves the opposite way.

    Step it after every batch. The learning rate starts at initial_lr = max_lr / div_factor and reaches max_lr in the
    first pct_start of all steps. It then falls to initial_lr / final_div_factor at the last step. With three_phase it
    first falls back to initial_lr, in as many steps as it rose, and then to initial_lr / final_div_factor.

    OneCycleLR sets learning rates and does not multiply them by factors. Schedules that were made for the optimiser
    before it therefore end.

    Args:
        optimizer: the optimiser. With cycle_momentum it must have `momentum` or `betas`.
        max_lr: the largest learning rate: one number, or a list of one for each parameter group.
        total_steps: the number of steps of the cycle. None (default): epochs * steps_per_epoch, which must be given.
        epochs: the number of epochs; used if total_steps is None.
        steps_per_epoch: the number of batches in an epoch; used if total_steps is None.
        pct_start: the fraction of the steps, in [0, 1], during which the learning rate rises. Default 0.3.
        anneal_strategy: the shape of the phases, 'cos' (default) or 'linear'.
        cycle_momentum: also change the momentum (beta1 for optimisers with betas). Default True.
        base_momentum: the momentum when the learning rate is max_lr: one number, or one for each group. Default 0.85.
        max_momentum: the momentum at the start and the end of the cycle: one number, or one for each group. Default
            0.95.
        div_factor: max_lr over the initial learning rate. Default 25.
        final_div_factor: the initial learning rate over the last one. Default 1e4.
        three_phase: use a third phase, see above. Default False.
        last_epoch: the step after which to continue; -1 (default) begins anew. See `LRScheduler`.
    Raises:
        ValueError: an argument is outside its range, or the optimiser has no momentum to change. `step` raises it when
            the cycle is over.
        KeyError: last_epoch is not -1, and the groups lack the values that the cycle began with.
    Example:
        >>> from fastnn import optim
        >>> optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0, momentum=0.9)
        >>> schedule = optim.OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.4, anneal_strategy="linear")
        >>> for _ in range(4):
        ...     print([round(lr, 3) for lr in schedule.get_last_lr()])
        ...     schedule.step()
        [0.04]
        [1.0]
        [0.667]
        [0.333]

    Source: Smith and Topin, 2018, "Super-convergence: very fast training of neural networks using large learning
    rates"; PyTorch's definition.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        owner = "OneCycleLR"
        checked_optimizer(owner, optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            epochs = _check.integer(owner, "epochs", epochs, 1)
            total_steps = epochs * _check.integer(owner, "steps_per_epoch", steps_per_epoch, 1)
        self.total_steps = _check.integer(owner, "total_steps", total_steps, 1)
        pct_start = fraction(owner, "pct_start", pct_start)
        _check.one_of(owner, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = _check.boolean(owner, "cycle_momentum", cycle_momentum)
        three_phase = _check.boolean(owner, "three_phase", three_phase)
        known = [optimizer.group_defaults(group).keys() for group in optimizer.param_groups]
        if self.cycle_momentum and not all({"momentum", "betas"} & names for names in known):
            raise ValueError("OneCycleLR: the optimiser has neither momentum nor betas; set cycle_momentum=False")
        div_factor = _divisor("div_factor", div_factor)
        final_div_factor = _divisor("final_div_factor", final_div_factor)
        peaks = per_group(owner, "max_lr", max_lr, optimizer, number)
        lows = per_group(owner, "base_momentum", base_momentum, optimizer, _momentum)
        highs = per_group(owner, "max_momentum", max_momentum, optimizer, _momentum)
        self._began = [
            {
                "initial_lr": peak / div_factor,
                "max_lr": peak,
                "min_lr": peak / div_factor / final_div_factor,
                **({"base_momentum": low, "max_momentum": high} if self.cycle_momentum else {}),
            }
            for peak, low, high in zip(peaks, lows, highs, strict=True)
        ]
        # (last step of the phase, learning rate at its start and end, momentum at its start and end)
        up_end = float(pct_start * self.total_steps) - 1
        up: tuple[Any, ...] = (up_end, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        end = self.total_steps - 1
        if three_phase:
            down_end = float(2 * pct_start * self.total_steps) - 2
            down = (down_end, "max_lr", "initial_lr", "base_momentum", "max_momentum")
            self._phases: list[tuple[Any, ...]] = [
                up,
                down,
                (end, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        else:
            self._phases = [up, (end, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        before = list(optimizer._shares)
        optimizer._shares[:] = [share for share in before if not share.sets]
        try:
            super().__init__(optimizer, last_epoch)
        except BaseException:
            optimizer._shares[:] = before
            raise

    def _starts(self) -> list[float]:
        if self.last_epoch != -1:  # the groups, from the state of an optimiser, tell what the cycle began with
            for group, began in zip(self.optimizer.param_groups, self._began, strict=True):
                missing = [key for key in began if key not in group]
                if missing:
                    raise KeyError(
                        f"OneCycleLR: to continue from last_epoch={self.last_epoch}, groups need {', '.join(missing)}"
                    )
                began.update({key: number("OneCycleLR", key, group[key]) for key in began})
        return [began["initial_lr"] for began in self._began]

    def _write_starts(self) -> None:
        for group, began in zip(self.optimizer.param_groups, self._began, strict=True):
            group.update(began)

    def _between(self, start: float, end: float, progress: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * progress + start
        return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))

    def _now(self, start: int, end: int) -> list[float]:
        """What each group has now of what goes from column `start` to column `end` of the phases."""
        begin = 0.0
        for phase in self._phases:
            if self.last_epoch <= phase[0] or phase is self._phases[-1]:
                break
            begin = phase[0]
        # At the step after the last one the cycle is over, and nothing moves on.
        progress = min((self.last_epoch - begin) / (phase[0] - begin), 1.0) if phase[0] != begin else 1.0
        return [self._between(began[phase[start]], began[phase[end]], progress) for began in self._began]

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR: step {self.last_epoch} of a cycle of {self.total_steps} steps")
        return self._now(1, 2)

    def _write_others(self) -> None:
        if self.cycle_momentum:
            self._set_momenta(self._now(3, 4))

    def _set_momenta(self, momenta: Sequence[float]) -> None:
        for group, momentum in zip(self.optimizer.param_groups, momenta, strict=True):
            if "betas" in self.optimizer.group_defaults(group):
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum

    # ---- state -------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """The state of `LRScheduler.state_dict`, with two more entries.

        "began" holds the learning rates and momenta that each group's cycle is made of, "momenta" the present momenta.
        """
        state = {**super().state_dict(), "began": [dict(began) for began in self._began]}
        if self.cycle_momentum:
            state["momenta"] = [
                group["betas"][0] if "betas" in self.optimizer.group_defaults(group) else group["momentum"]
                for group in self.optimizer.param_groups
            ]
        return state

    def _checked_state(self, state_dict: Any) -> dict[str, Any]:
        state = super()._checked_state(state_dict)
        owner, n = "OneCycleLR.load_state_dict", len(self._began)
        keys = ("began", "momenta") if self.cycle_momentum else ("began",)
        _check.mapping(owner, "the state", state_dict, *keys)
        for key in keys:
            if not isinstance(state_dict[key], list | tuple) or len(state_dict[key]) != n:
                raise ValueError(f"{owner}: {key} must be a list of {n}. Received: {_check.shown(state_dict[key])}")
        state["began"] = []
        for mine, given in zip(self._began, state_dict["began"], strict=True):
            _check.mapping(owner, "began", given, *mine)
            state["began"].append({name: _check_start(owner, name, given[name]) for name in mine})
        if self.cycle_momentum:
            state["momenta"] = [_momentum(owner, "momenta", momentum) for momentum in state_dict["momenta"]]
        return state

    def _set_state(self, state: Mapping[str, Any]) -> None:
        super()._set_state(state)
        self._began = state["began"]
        self._write_starts()
        if self.cycle_momentum:
            self._set_momenta(state["momenta"])


def _divisor(name: str, value: Any) -> float:
    result = number("OneCycleLR", name, value)
    if result == 0:
        raise ValueError(f"OneCycleLR: {name} must be > 0. Received: {_check.shown(value)}")
    return result


def _momentum(owner: str, name: str, value: Any) -> float:
    return number(owner, name, value, below=1)


def _check_start(owner: str, name: str, value: Any) -> float:
    return (_momentum if name.endswith("momentum") else number)(owner, name, value)
