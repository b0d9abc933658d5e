"""Docstrings are plain text with a few habits; here they become reStructuredText."""

import re
from typing import Any


def _escaped(line: str) -> str:
    """`line` without the characters that mean something in reStructuredText, but for what stands between backquotes."""
    pieces = line.split("`")
    for i in range(0, len(pieces), 2):
        pieces[i] = re.sub(r"([*|])", r"\\\1", pieces[i])
        pieces[i] = re.sub(r"(?<=\w)_(?!\w)", r"\\_", pieces[i])
    return "`".join(pieces)


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [line if line.lstrip().startswith(">>>") else _escaped(line) for line in lines]


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process, priority=100)  # before napoleon
    return {"parallel_read_safe": True}
