"""A network as HTML: a tree whose branches fold, for notebooks."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.nn.module import Module

__all__ = ["module_html"]

_OPEN_UP_TO = 40  # modules of a network that is shown unfolded
_SOFT = "opacity: 0.75"  # on light and dark ground


def module_html(module: "Module") -> str:
    """A tree of modules with settings, shapes and numbers of parameters; nested lists that a browser folds."""
    is_small = sum(1 for _ in module._walk("", None)) <= _OPEN_UP_TO
    return f'<div style="font-family: monospace; line-height: 1.5">{_branch("", module, True, is_small)}</div>'


def _branch(name: str, module: "Module", is_open: bool, are_open: bool) -> str:
    title = f"{_name(name)}<b>{escape(type(module).__name__)}</b>"
    settings = escape(module.extra_repr())
    settings = f"({settings})" if settings else ""
    shapes = [
        f"{escape(key)} {_shape(parameter.shape)}"
        for key, parameter in module._parameters.items()
        if parameter is not None
    ]
    words = ", ".join([*shapes, *_count(module)])
    facts = f' <span style="{_SOFT}">{words}</span>' if words else ""
    if not module._modules:
        return f"<div>{title}{settings}{facts}</div>"
    inner = "".join(
        f'<li style="margin: 0">{_branch(key, child, are_open, are_open)}</li>'
        for key, child in module._modules.items()
        if child is not None
    )
    state = ' open="open"' if is_open else ""
    return (
        f"<details{state}><summary>{title}{settings}{facts}</summary>"
        f'<ul style="list-style: none; margin: 0; padding-left: 1.5em">{inner}</ul></details>'
    )


def _name(name: str) -> str:
    return f"({escape(name)}): " if name else ""


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _count(module: "Module") -> list[str]:
    """How many parameters it has, in all; nothing if there are none."""
    parameters = list(module.parameters())
    if not parameters:
        return []
    total = sum(parameter.size for parameter in parameters)
    frozen = sum(parameter.size for parameter in parameters if not parameter.requires_grad)
    words = [f"{total:,} parameter{'s' if total != 1 else ''}"]
    return [*words, f"{frozen:,} of them frozen"] if frozen else words
