"""torch.optim.swa_utils: averages of weights, and the learning rate of the steps that are averaged.

averaged = AveragedModel(model)
for ... :
    ...
    averaged.update_parameters(model)
update_bn(train_loader, averaged)
"""

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnn.autograd.tensor import Tensor as NumPyTensor
from fastnn.compat.torch._missing import missing
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.autograd.grad_mode import no_grad
from fastnn.compat.torch.nn import Module
from fastnn.compat.torch.nn.modules.batchnorm import _BatchNorm
from fastnn.compat.torch.optim._schedule import LRScheduler, per_group

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


# ---- how an average goes on ------------------------------------------------------------------------------------------
def _for_all(one: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], None]:
    """Of a function of one parameter the one of lists of them, which it writes into."""

    @no_grad()
    def average(averaged: Any, current: Any, n_averaged: Any) -> None:
        for a, b in zip(averaged, current, strict=True):
            a.copy_(one(a, b, n_averaged))

    return average


def get_swa_avg_fn() -> Callable[[Any, Any, Any], Any]:
    """averaged + (current - averaged) / (n + 1), the mean of all so far."""

    @no_grad()
    def average(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    """decay * averaged + (1 - decay) * current, a mean in which old ones fade."""
    _check_decay(decay)

    @no_grad()
    def average(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return average


def get_swa_multi_avg_fn() -> Callable[[Any, Any, Any], None]:
    """`get_swa_avg_fn` for a list of parameters."""
    return _for_all(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], None]:
    """`get_ema_avg_fn` for a list of parameters."""
    return _for_all(get_ema_avg_fn(decay))


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


# ---- the averaged model ----------------------------------------------------------------------------------------------
class AveragedModel(Module):
    """A copy of a model with averages of its parameters, and a forward of its own.

    Args:
        model: what is copied.
        avg_fn: the next average, from the average, the parameter and how many there were; the mean of all if None.
        multi_avg_fn: the same for lists, written into the averages.
        use_buffers: average buffers, too; else they are the model's latest.
    """

    def __init__(
        self,
        model: Any,
        device: Any = None,
        avg_fn: Callable[[Any, Any, Any], Any] | None = None,
        multi_avg_fn: Callable[[Any, Any, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", new(np.zeros((), np.int64)))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """That of the copy."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Any) -> None:
        """Average the model's parameters in; the first are taken as they are."""
        averaged, current = list(self.module.parameters()), list(model.parameters())
        buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
        if self.use_buffers:
            averaged += [own for own, _ in buffers]
            current += [theirs for _, theirs in buffers]
        averaged, current = ([x.detach() for x in tensors] for tensors in (averaged, current))
        if not int(self.n_averaged):
            for own, theirs in zip(averaged, current, strict=True):
                own.copy_(theirs)
        elif self.avg_fn is not None:
            _for_all(self.avg_fn)(averaged, current, self.n_averaged)
        else:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(averaged, current, self.n_averaged)
        if not self.use_buffers:
            for own, theirs in buffers:
                own.detach().copy_(theirs.detach())
        self.n_averaged += 1


@no_grad()
def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Let the running statistics of all BatchNorm layers be those of the loader's batches, or their first elements."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta, was_training = [norm.momentum for norm in norms], model.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
    model.train()
    for batch in loader:
        model(batch if isinstance(batch, NumPyTensor) else batch[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)


# ---- the schedule ----------------------------------------------------------------------------------------------------
class SWALR(LRScheduler):
    """From the learning rate that there is to swa_lr in anneal_epochs steps, along half a cosine or a line."""

    def __init__(
        self,
        optimizer: Any,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for group, lr in zip(optimizer.param_groups, per_group("swa_lr", optimizer, swa_lr), strict=True):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of swa_lr there is after this many steps."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            target = group["swa_lr"]
            start = target if before == 1 else (group["lr"] - before * target) / (1 - before)
            rates.append(target * now + start * (1 - now))
        return rates


__getattr__ = missing(__name__)
