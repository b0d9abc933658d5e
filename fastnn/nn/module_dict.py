"""A dict whose modules are found."""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView

from fastnn import _check
from fastnn.nn.module import Module

__all__ = ["ModuleDict"]


class ModuleDict(Module):
    """A dict of modules, whose parameters are found as those of any submodule are; in a plain dict they are not.

    It has no forward: the module that holds it says which of them run.

    Args:
        modules: a dict of names and modules, or pairs of them.
    Raises:
        TypeError: a name is no word without a dot, or a value no module.
    Example:
        >>> heads = nn.ModuleDict({"colour": nn.Linear(8, 3), "shape": nn.Linear(8, 5)})
        >>> list(heads), heads["shape"].out_features, list(heads.state_dict())[0]
        (['colour', 'shape'], 5, 'colour.weight')
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.update(modules)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, or replace those of the same names."""
        try:
            pairs = list(dict(modules).items())
        except (TypeError, ValueError):
            words = _check.shown(modules)
            raise TypeError(f"ModuleDict: modules must be a dict of modules. Received: {words}") from None
        for name, module in pairs:
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        self._check_name("ModuleDict", name)
        if not isinstance(module, Module):
            raise TypeError(f"ModuleDict: {name!r} must be a module. Received: {_check.shown(module)}")
        self._modules[name] = module

    def __getitem__(self, name: str) -> Module:
        return self._modules[name]

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def pop(self, name: str) -> Module:
        """Take a module out."""
        return self._modules.pop(name)

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()

    def keys(self) -> KeysView[str]:
        return self._modules.keys()

    def values(self) -> ValuesView[Module]:
        return self._modules.values()

    def items(self) -> ItemsView[str, Module]:
        return self._modules.items()

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)
