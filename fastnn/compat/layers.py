"""Which package of fastnn stands for which library, and what a name of that library is in it."""

import importlib
import re
import types
from collections.abc import Mapping
from typing import Any

__all__ = ["LAYERS", "LackingError", "advice_of", "find", "in_layer", "module_of"]

# A library -> the package that has its names, at the same paths.
LAYERS: dict[str, str] = {"torch": "fastnn.compat.torch", "torchvision": "fastnn.compat.torchvision"}


class LackingError(LookupError):
    """The layer lacks a name; the message says so, or what the layer says to use instead.

    Args:
        name: as the library calls it, up to the first part that is lacking.
        text: the message.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


def in_layer(name: str, layers: Mapping[str, str]) -> str | None:
    """The name that a module of a library has in its layer; None if there is no layer for it.

    Example:
        >>> from fastnn.compat.layers import LAYERS, in_layer
        >>> in_layer("torch.nn.functional", LAYERS)
        'fastnn.compat.torch.nn.functional'
        >>> in_layer("torchaudio", LAYERS)
    """
    top, dot, rest = name.partition(".")
    return f"{layers[top]}{dot}{rest}" if top in layers else None


def module_of(name: str, layers: Mapping[str, str]) -> types.ModuleType:
    """The module of the layer that stands for the module `name` of a library, imported.

    Raises:
        ModuleNotFoundError: the layer has no such module; its name is the library's, and it has the layer's advice.
    """
    target = in_layer(name, layers)
    assert target is not None
    try:
        return importlib.import_module(target)
    except ModuleNotFoundError as error:
        top = name.partition(".")[0]
        of_layer = error.name is not None and error.name.startswith(f"{layers[top]}.")
        if error.name is None or not of_layer or not f"{target}.".startswith(f"{error.name}."):
            raise  # the layer is not there at all, or something that it imports
        lacking = error.name
    known = f"{top}{lacking.removeprefix(layers[top])}"
    above, _, last = lacking.rpartition(".")
    try:
        getattr(importlib.import_module(above), last)
    except (AttributeError, ImportError) as error:
        text = advice_of(error) or f"No module named {known!r} in fastnn"
    else:
        text = f"{known} is no module in fastnn"
    raise ModuleNotFoundError(text, name=known)


def find(name: str, layers: Mapping[str, str]) -> Any:
    """What `name`, a module of a library or something in it, is in the layer.

    Raises:
        LackingError: the layer has no such name.
    """
    top, *rest = name.split(".")
    found: Any = module_of(top, layers)
    path = top
    for part in rest:
        path = f"{path}.{part}"
        try:
            found = getattr(found, part)
        except Exception as error:  # whatever a layer raises to advise
            if not isinstance(found, types.ModuleType):
                raise LackingError(path, advice_of(error) or f"fastnn has no {path}") from None
            try:
                found = importlib.import_module(f"{found.__name__}.{part}")
            except ImportError as of_module:
                is_there = of_module.name is not None and not f"{found.__name__}.{part}".startswith(of_module.name)
                reason = str(of_module) if is_there else advice_of(error) or f"fastnn has no {path}"
                raise LackingError(path, reason) from None
    return found


def advice_of(error: Exception) -> str | None:
    """What the layer says of a name that it lacks; None if the words are Python's, which name modules of fastnn."""
    text = str(error)
    return None if re.match(r"No module named|((module|type object) )?'.*' (object )?has no attribute", text) else text
