"""Where a module is in a network, in words."""

from typing import Any

__all__ = ["called", "is_ours", "place"]

_LONGEST_REPR = 100


def is_ours(module: Any) -> bool:
    """Whether fastnn defines its class."""
    return type(module).__module__.startswith(("fastnn.nn.", "fastnn.compat."))


def place(root: Any, module: Any) -> str:
    """`classifier.4, Linear(in_features=512, out_features=10, bias=True)`; of a container only the class."""
    paths = [path for path, found in root._walk("", None) if found is module]
    text = called(module)
    if module is root:
        return text
    if not paths:
        return f"{text}, which no module has registered (nn.ModuleList registers those of a list)"
    first, *others = [path or "the outermost module" for path in paths]
    return f"{first} (also {', '.join(others)}), {text}" if others else f"{first}, {text}"


def called(module: Any) -> str:
    """The class, and the settings of a layer if they are short."""
    text = "" if module._modules else repr(module)
    return text if text and "\n" not in text and len(text) <= _LONGEST_REPR else type(module).__name__
