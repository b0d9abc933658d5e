"""The one-cycle schedule of learning rate and momentum."""

import math
from collections.abc import Sequence

from fastnn.functional import _check
from fastnn.optim.optimizer import Optimizer
from fastnn.optim.scheduler import LRScheduler, fraction, per_group

__all__ = ["OneCycleLR"]


class OneCycleLR(LRScheduler):
    """Up to max_lr, then down to almost nothing, within total_steps; momentum goes the other way.

    From max_lr / div_factor to max_lr in the first pct_start of all steps, then to max_lr / div_factor /
    final_div_factor. With three_phase the way down is as long as the way up and ends where that began, and what remains
    goes on to the end. To be stepped after every batch.

    Args:
        optimizer: the optimiser; with cycle_momentum, one with momentum or betas.
        max_lr: the peak, one or a list of one for each group.
        total_steps: of the cycle; or give epochs and steps_per_epoch.
        epochs, steps_per_epoch: total_steps is their product.
        pct_start: the share of the way up.
        anneal_strategy: 'cos' or 'linear'.
        cycle_momentum: whether to change momentum (or beta1) too.
        base_momentum, max_momentum: its ends; the first goes with max_lr.
        div_factor, final_div_factor, three_phase: see above.
        last_epoch: see `LRScheduler`.
    Raises:
        ValueError: an argument is out of its range; or, from `step`, the cycle is over.

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
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            epochs = _check.integer("OneCycleLR", "epochs", epochs, 1)
            total_steps = epochs * _check.integer("OneCycleLR", "steps_per_epoch", steps_per_epoch, 1)
        self.total_steps = _check.integer("OneCycleLR", "total_steps", total_steps, 1)
        pct_start = fraction("OneCycleLR", "pct_start", pct_start)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear'. Received: {anneal_strategy!r}")
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        if cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError("OneCycleLR: the optimiser has neither momentum nor betas; set cycle_momentum=False")
        peaks = per_group("OneCycleLR", "max_lr", max_lr, optimizer)
        lows = per_group("OneCycleLR", "base_momentum", base_momentum, optimizer)
        highs = per_group("OneCycleLR", "max_momentum", max_momentum, optimizer)
        if last_epoch == -1:
            for group, peak, low, high in zip(optimizer.param_groups, peaks, lows, highs, strict=True):
                group["initial_lr"] = peak / div_factor
                group["max_lr"] = peak
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    group["base_momentum"], group["max_momentum"] = low, high
        # (last step of the phase, learning rate at its start and end, momentum at its start and end)
        up_end = float(pct_start * self.total_steps) - 1
        up = (up_end, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        end = self.total_steps - 1
        if three_phase:
            down_end = float(2 * pct_start * self.total_steps) - 2
            down = (down_end, "max_lr", "initial_lr", "base_momentum", "max_momentum")
            self._phases = [up, down, (end, "initial_lr", "min_lr", "max_momentum", "max_momentum")]
        else:
            self._phases = [up, (end, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, progress: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * progress + start
        return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        if t > self.total_steps:
            raise ValueError(f"OneCycleLR: step {t} of a cycle of {self.total_steps} steps")
        begin = 0.0
        for phase in self._phases:
            end, lr_start, lr_end, momentum_start, momentum_end = phase
            if t <= end or phase is self._phases[-1]:
                break
            begin = end
        progress = (t - begin) / (end - begin) if end != begin else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[lr_start], group[lr_end], progress))
            if self.cycle_momentum:
                momentum = self._between(group[momentum_start], group[momentum_end], progress)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return rates
