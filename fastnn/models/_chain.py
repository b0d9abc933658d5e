"""A Sequential whose modules have names."""

from fastnn import nn

__all__ = ["Chain"]


class Chain(nn.Sequential):
    """Modules applied one after the other, each with a name.

    Args:
        **modules: the modules by name, in order.
    Raises:
        TypeError: one of them is not a module.
    Example:
        >>> from fastnn.models import Chain
        >>> model = Chain(features=nn.Linear(4, 8), head=nn.Linear(8, 2))
        >>> list(model.state_dict())
        ['features.weight', 'features.bias', 'head.weight', 'head.bias']
    """

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__(modules)
