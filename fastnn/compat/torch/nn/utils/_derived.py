"""Parameters that are computed from others."""

from collections.abc import Iterable
from typing import Any

__all__ = ["derive", "is_derived"]


class Derived(dict[str, Any]):
    """The parameters of a module, without those that are computed; reading one of these gives the attribute.

    fastnn's layers read `_parameters["weight"]`, since reading attributes takes its time.
    """

    def __init__(self, module: Any, parameters: Iterable[tuple[str, Any]]) -> None:
        super().__init__(parameters)
        self.module = module

    def __missing__(self, name: str) -> Any:
        try:
            return getattr(self.module, name)
        except AttributeError:
            raise KeyError(name) from None

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __reduce__(self) -> Any:
        return Derived, (self.module, ()), None, None, iter(self.items())


def derive(module: Any, name: str) -> Any:
    """Take a parameter out of a module, whose attribute of this name is from now on what it computes with."""
    own = module.__dict__
    if not is_derived(own["_parameters"]):
        own["_parameters"] = Derived(module, own["_parameters"].items())
    return own["_parameters"].pop(name)


def is_derived(parameters: Any) -> bool:
    return isinstance(parameters, Derived)
