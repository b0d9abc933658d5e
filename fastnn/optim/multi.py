"""Several optimisers as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from numpy.typing import NDArray

from fastnn.optim.optimizer import Optimizer, is_iterable

__all__ = ["MultiOptimizer"]


class MultiOptimizer(Optimizer):
    """Several optimisers used as one, each for its own parameters: one object to step, schedule, save and resume.

    The parameter groups are those of the optimisers, in their order. Each group keeps the hyper-parameters of its
    optimiser and gets the key 'optimizer', the index of that optimiser in the list. Groups and states are copied when
    the object is made. From then on set learning rates in the `param_groups` of this object, and step this object only.

    Args:
        optimizers: the optimisers. No two may train the same parameter.
    Attributes:
        optimizers: the list of the optimisers, which compute the updates.
    Raises:
        ValueError: there are no optimisers, or two of them train the same parameter.
        TypeError: optimizers is not a list of optimisers.
    Example:
        >>> from fastnn import optim
        >>> matrix, vector = nn.Parameter(np.eye(2)), nn.Parameter(np.ones(2))
        >>> muon, sgd = optim.Muon([matrix], lr=0.02), optim.SGD([vector], lr=0.1)
        >>> optimizer = optim.MultiOptimizer([muon, sgd])
        >>> schedule = optim.LinearLR(optimizer, start_factor=0.5)
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.01, 0.05]
    """

    def __init__(self, optimizers: Iterable[Optimizer]) -> None:
        if not is_iterable(optimizers):
            raise TypeError(f"{self._name}: a list of optimisers is needed. Received: {type(optimizers).__name__}")
        self.optimizers = list(optimizers)
        for optimizer in self.optimizers:
            if not isinstance(optimizer, Optimizer):
                raise TypeError(f"{self._name}: optimisers are needed. Received: {type(optimizer).__name__}")
        groups = [
            {**group, "optimizer": index}
            for index, optimizer in enumerate(self.optimizers)
            for group in optimizer.param_groups
        ]
        super().__init__(groups, {})
        self.state = {parameter: state for one in self.optimizers for parameter, state in one.state.items()}

    def group_defaults(self, group: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._of(group).group_defaults(group), "optimizer": group["optimizer"]}

    def check_group(self, group: dict[str, Any]) -> None:
        owner = self._of(group)
        for parameter in group["params"]:
            owner.check_parameter(parameter)
        owner.check_group(group)

    def state_names(self, group: Mapping[str, Any]) -> dict[str, bool]:
        return self._of(group).state_names(group)

    def update(self, parameter: NDArray, gradient: NDArray, state: dict[str, Any], group: dict[str, Any]) -> None:
        self._of(group).update(parameter, gradient, state, group)

    def updates_of(self, group: Mapping[str, Any]) -> AbstractContextManager[None]:
        return self._of(group).updates_of(group)

    def _of(self, group: Mapping[str, Any]) -> Optimizer:
        """The optimiser that a group belongs to."""
        index, n = group.get("optimizer"), len(self.optimizers)
        if not isinstance(index, int) or index not in range(n):
            raise ValueError(f"{self._name}: a group needs 'optimizer', an index below {n}. Received: {index!r}")
        return self.optimizers[index]
