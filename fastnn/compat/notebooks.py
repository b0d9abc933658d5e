"""The code of notebooks (`.ipynb`), cell by cell, without the commands that only IPython knows."""

import linecache
import re
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastnn._json import parse_json

__all__ = ["Cell", "cells", "is_notebook"]

# What stands after %% at the top of a cell whose other lines are Python.
_OF_PYTHON = frozenset(["capture", "prun", "time", "timeit"])


@dataclass(frozen=True)
class Cell:
    """A cell of code.

    Attributes:
        number: its place among all cells, from 1.
        code: of Python; commands of IPython are `pass`, so that the numbers of lines hold.
        commands: those commands.
    """

    number: int
    code: str
    commands: tuple[str, ...] = ()

    def name(self, notebook: str) -> str:
        """What tracebacks and findings call it."""
        return f"{notebook}, cell {self.number}"

    def compiled(self, notebook: str) -> types.CodeType:
        """Compiled, with its lines for tracebacks."""
        name = self.name(notebook)
        linecache.cache[name] = len(self.code), None, self.code.splitlines(keepends=True), name
        return compile(self.code, name, "exec", dont_inherit=True)


def is_notebook(path: Path) -> bool:
    return path.suffix == ".ipynb"


def cells(path: Path) -> Iterator[Cell]:
    """The cells of code in a notebook.

    Raises:
        ValueError: it is no notebook.
        OSError: it cannot be read.

    Example:
        >>> import pathlib
        >>> from fastnn.compat.notebooks import cells
        >>> source = '{"cells": [{"cell_type": "code", "source": ["%matplotlib inline\\\\n", "x = 1"]}]}'
        >>> _ = pathlib.Path("book.ipynb").write_text(source)
        >>> list(cells(pathlib.Path("book.ipynb")))
        [Cell(number=1, code='pass\\nx = 1\\n', commands=('%matplotlib inline',))]
    """
    for number, (kind, source) in enumerate(_sources(path), 1):
        if kind == "code":
            yield _cell(number, source)


def _sources(path: Path) -> Iterator[tuple[str, str]]:
    try:
        book: Any = parse_json(path.read_bytes().decode("utf-8-sig"))
        # Before its format 4, a notebook had worksheets, and cells of code called their text input.
        for cell in book["cells"] if "cells" in book else book["worksheets"][0]["cells"]:
            source = cell["source"] if "source" in cell else cell.get("input", "")
            yield cell["cell_type"], source if isinstance(source, str) else "".join(source)
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is no notebook that can be read ({type(error).__name__}: {error})") from None


def _cell(number: int, source: str) -> Cell:
    lines = source.splitlines()
    first = re.match(r"%%(\w+)", next((line for line in lines if line.strip()), ""))
    if first and first[1] not in _OF_PYTHON:
        return Cell(number, "pass\n", (f"%%{first[1]}",))
    if not first and _is_python(source):  # then a line that begins with % goes on with the one before
        return Cell(number, source)
    commands = []
    for i, line in enumerate(lines):
        if command := re.match(r"(\s*)(%\w.*|%%\w.*|!(?!=).*)", line):  # `% 4`, `%(a, b)`, `!= 4` may go on with a line
            kept = re.match(r"%time\s+(.+)", command[2])
            lines[i] = command[1] + (kept[1] if kept else "pass")
            commands.append(command[2])
    return Cell(number, "\n".join([*lines, ""]), tuple(commands))


def _is_python(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "cell", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: brackets or signs nested too deeply
        return False
    return True
