"""What PyTorch has and fastnn has not: each name says so, and what to use instead."""

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from opcode import opmap
from typing import Any

__all__ = ["missing"]

_OWN = "fastnn.compat."


def missing(
    module: str,
    names: Mapping[str, str] | None = None,
    modules: Collection[str] = (),
    elsewhere: Mapping[str, str] | None = None,
) -> Callable[[str], Any]:
    """The `__getattr__` of a module or package: whatever is asked for is not there, and the error says what to do.

    Args:
        module: its name, "torch.nn" or `__name__`.
        names: names that PyTorch has, and what to use instead of each; other names are said to be missing only.
        modules: modules in it that are imported when they are asked for.
        elsewhere: names, and the modules of torch that have them, which are imported when they are asked for.

    `from torch.nn import Conv3d` gets the same text in an ImportError, where Python's own would have no advice.

    Example:
        >>> getattr_of_nn = missing("torch.nn", {"Conv3d": "use Conv2d on one slice at a time"})
        >>> getattr_of_nn("Conv3d")
        Traceback (most recent call last):
        AttributeError: torch.nn.Conv3d is not in fastnn: use Conv2d on one slice at a time
    """
    theirs = module.removeprefix(_OWN)
    advice = dict(names or {})

    def __getattr__(name: str) -> Any:
        if name[:2] == "__":  # Python asks modules for these
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if name in modules:
            return importlib.import_module(f"{_OWN}{theirs}.{name}")
        if elsewhere and name in elsewhere:
            return getattr(importlib.import_module(f"{_OWN}{elsewhere[name]}"), name)
        said = advice.get(name)
        text = f"{theirs}.{name} is not in fastnn"
        text += f": {said}" if said else f"; what is there: help({_OWN}{theirs})"
        if _is_import(sys._getframe(1)):
            raise ImportError(text, name=f"{theirs}.{name}")
        raise AttributeError(text, name=name, obj=sys.modules.get(module))

    return __getattr__


def _is_import(frame: Any) -> bool:
    """Whether this frame stands at `from ... import name`, which hides the text of an AttributeError."""
    return bool(frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"])
