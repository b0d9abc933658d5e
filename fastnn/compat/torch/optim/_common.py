"""What the optimisers have in common."""

from typing import Any

from numpy.typing import NDArray

from fastnn.compat.torch.optim.optimizer import Optimizer
from fastnn.optim.optimizer import number

__all__ = ["InNumPy", "average", "decayed", "settings"]


def settings(arguments: dict[str, Any]) -> dict[str, Any]:
    """The hyper-parameters among the local variables of an `__init__`."""
    return {name: value for name, value in arguments.items() if name not in ("self", "params", "__class__")}


class InNumPy(Optimizer):
    """An optimiser that fastnn.optim has not: its `update` is in NumPy."""

    _counts = True
    _at_least_zero: tuple[str, ...] = ("lr",)

    def check_group(self, group: dict[str, Any]) -> None:
        owner = type(self).__name__
        for name in self._at_least_zero:
            number(owner, name, group[name])
        for index, beta in enumerate(group.get("betas", ())):
            number(owner, f"betas[{index}]", beta, 0, 1)


def decayed(parameter: NDArray, gradient: NDArray, group: dict[str, Any]) -> NDArray:
    """The gradient that is descended, with the decay of weights in it."""
    gradient = -gradient if group["maximize"] else gradient
    decay = group.get("weight_decay", 0)
    return gradient + decay * parameter if decay else gradient


def average(kept: NDArray, value: NDArray, beta: float) -> None:
    """Let `kept` be beta * kept + (1 - beta) * value."""
    kept += (value - kept) * (1 - beta)
