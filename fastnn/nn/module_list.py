"""A list whose modules are found."""

from collections.abc import Iterable, Iterator
from typing import overload

from fastnn import _check
from fastnn.nn.module import Module

__all__ = ["ModuleList"]


class ModuleList(Module):
    """A list of modules, whose parameters are found as those of any submodule are; in a plain list they are not.

    It has no forward: the module that holds it says in which order they run. Names are "0", "1", ...

    Args:
        modules: the modules.
    Raises:
        TypeError: not modules.
    Example:
        >>> branches = nn.ModuleList([nn.Linear(4, 2) for _ in range(3)])
        >>> len(branches), len(list(branches.parameters())), type(branches[-1]).__name__
        (3, 6, 'Linear')
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def append(self, module: Module) -> "ModuleList":
        """Add a module at the end."""
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> "ModuleList":
        """Add modules at the end."""
        try:
            added = list(modules)
        except TypeError:
            words = _check.shown(modules)
            raise TypeError(f"ModuleList: modules must be a list of modules. Received: {words}") from None
        self._set([*self, *added])
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put a module before the one at `index`."""
        modules = list(self)
        modules.insert(index, module)
        self._set(modules)

    def _set(self, modules: list[Module]) -> None:
        for module in modules:
            if not isinstance(module, Module):
                raise TypeError(f"ModuleList: modules are needed. Received: {type(module).__name__}")
        self._modules.clear()
        self._modules.update({str(index): module for index, module in enumerate(modules)})

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(list(self._modules.values()))

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> "ModuleList": ...
    def __getitem__(self, index: int | slice) -> "Module | ModuleList":
        modules = list(self._modules.values())
        return ModuleList(modules[index]) if isinstance(index, slice) else modules[index]

    def __setitem__(self, index: int, module: Module) -> None:
        modules = list(self)
        modules[index] = module
        self._set(modules)

    def __delitem__(self, index: int) -> None:
        modules = list(self)
        del modules[index]
        self._set(modules)
