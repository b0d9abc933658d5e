"""The text of a module, with those below it."""

from typing import Any

__all__ = ["text_of"]


def text_of(module: Any) -> str:
    extra = module.extra_repr()
    extra_lines = extra.split("\n") if extra else []
    lines = [f"({name}): {_indented(repr(child))}" for name, child in module._modules.items()]
    name = module._get_name()
    if not lines and len(extra_lines) <= 1:
        return f"{name}({extra})"
    return f"{name}(\n  " + "\n  ".join(extra_lines + lines) + "\n)"


def _indented(text: str) -> str:
    first, *others = text.split("\n")
    return "\n".join([first, *("  " + line for line in others)])


def text_of_list(module: Any) -> str:
    """Neighbours with the same text as one line: `(0-2): 3 x Linear(...)`."""
    texts = [repr(child) for child in module]
    if not texts:
        return f"{module._get_name()}()"
    runs: list[list[int]] = []
    for index, text in enumerate(texts):
        if runs and texts[runs[-1][0]] == text:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    lines = [
        f"({first}): {_indented(texts[first])}"
        if first == last
        else f"({first}-{last}): {last - first + 1} x {_indented(texts[first])}"
        for first, last in runs
    ]
    return f"{module._get_name()}(\n  " + "\n  ".join(lines) + "\n)"
