"""`fastnn check`: what scripts that were written for PyTorch use and fastnn lacks."""

import ast
import dataclasses
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fastnn.compat._installed import is_installed
from fastnn.compat._names import Source
from fastnn.compat._uses import Finding, attributes_of_classes, known_attributes, uses
from fastnn.compat.imports import is_own_code
from fastnn.compat.layers import LAYERS
from fastnn.compat.notebooks import Cell, cells, is_notebook

__all__ = ["Finding", "check", "findings"]

_LACKING = 1
# How far above a script the folder of its project may lie.
_LEVELS = 3


def check(paths: Sequence[str], *, as_json: bool = False, layers: Mapping[str, str] = LAYERS) -> int:
    """Print what is lacking; 1 if anything is for certain, else 0.

    Args:
        paths: files and folders.
        as_json: whether to print for programs: {"files": [...], "findings": [{"file", "line", "column", "kind", "name",
            "text", "is_certain"}, ...]}.
        layers: a library -> the package that stands for it.
    Raises:
        ValueError: a path is no file of Python and no notebook.
        OSError: a file cannot be read.
    """
    files, found = findings(paths, layers)
    if as_json:
        print(json.dumps({"files": files, "findings": [dataclasses.asdict(one) for one in found]}, indent=2))
    else:
        for one in found:
            maybe = "" if one.is_certain else "maybe "
            print(f"{one.file}:{one.line}:{one.column}: {maybe}{one.name}: {one.text}")
        print(_summary(len(files), sum(one.is_certain for one in found), sum(not one.is_certain for one in found)))
    return _LACKING if any(one.is_certain for one in found) else 0


def _summary(files: int, lacking: int, maybe: int) -> str:
    read = f"{files} file{'s' if files > 1 else ''} read"
    if not lacking and not maybe:
        return f"{read}: nothing is lacking"
    certain = f"{lacking} lacking" if lacking else "nothing lacking for certain"
    return f"{read}: {certain}{f', {maybe} maybe' if maybe else ''}"


def findings(paths: Sequence[str], layers: Mapping[str, str] = LAYERS) -> tuple[list[str], list[Finding]]:
    """The files that were read, those that the given ones import included, and what is lacking there.

    Example:
        >>> import pathlib
        >>> from fastnn.compat.check import findings
        >>> _ = pathlib.Path("script.py").write_text("import math\\nimport no_such_package\\n")
        >>> files, (finding,) = findings(["script.py"], layers={})
        >>> files
        ['script.py']
        >>> finding.line, finding.name, finding.text
        (2, 'no_such_package', 'no_such_package is not installed')
    """
    project = _Project(layers)
    for name in paths:
        for file, roots in _files(name):
            project.add(file, roots)
    return project.files, project.findings()


def _files(name: str) -> Iterator[tuple[str, list[str]]]:
    """The files of a path, each with the folders where its imports are looked for."""
    path = Path(name)
    if path.is_dir():
        found = [file for file in sorted(path.rglob("*.py")) if is_own_code(str(file), os.path.abspath(path))]
        if not found:
            raise ValueError(f"there is no .py file in {name}")
        yield from ((str(file), [str(file.parent), name]) for file in found)
        return
    if not path.is_file():
        raise ValueError(f"there is no file {name}")
    yield name, [os.path.dirname(os.path.realpath(name)) if path.is_symlink() else str(path.parent)]


def _remedy(line: str) -> str:
    """What to do about a line that Python cannot read, if it is of a kind that scripts of PyTorch have."""
    if re.search(r"\basync\s*=", line):
        return "; since Python 3.7 the argument `async` of PyTorch is called non_blocking"
    if re.match(r"\s*[%!]", line):
        return "; it is a command of IPython, for notebooks: leave it out"
    return ""


def _above(folder: str) -> Iterator[str]:
    """The folders around a folder of a project, from the inside out."""
    for _ in range(_LEVELS):
        folder = os.path.normpath(os.path.join(folder, os.pardir))
        yield folder


class _Project:
    """Files, and those that they import from their folder."""

    def __init__(self, layers: Mapping[str, str]) -> None:
        self._layers = layers
        self._sources: dict[str, Source] = {}  # by their real path
        self._broken: list[Finding] = []
        self._cells: dict[str, list[tuple[int, Cell]]] = {}  # of notebooks, each with the line before its first
        self._changes_path = False  # then modules may lie in a folder above the script's

    @property
    def files(self) -> list[str]:
        return [source.path for source in self._sources.values()]

    def add(self, path: str, roots: Sequence[str]) -> Source:
        """Read a file, and what it imports from `roots`, unless that is done or under way."""
        real = os.path.realpath(path)
        if real not in self._sources:
            text = self._joined(path) if is_notebook(Path(path)) else Path(path).read_bytes()
            # Before anything is imported from it: that may import this file.
            source = self._sources[real] = Source(os.path.normpath(path), self._parsed(path, text), text, self._layers)
            self._changes_path = self._changes_path or b"sys.path" in text
            source.bind(lambda name, level: self._imported(name, level, path, roots))
        return self._sources[real]

    def _joined(self, path: str) -> bytes:
        """The cells of a notebook as one text."""
        text, places = "", self._cells.setdefault(os.path.normpath(path), [])
        for cell in cells(Path(path)):
            places.append((text.count("\n"), cell))
            text += cell.code.rstrip("\n") + "\n"
        return text.encode()

    def _in_cell(self, finding: Finding) -> Finding:
        """With the cell and the line in it, if it is of a notebook."""
        for before, cell in reversed(self._cells.get(finding.file, [])):
            if finding.line > before:
                return dataclasses.replace(finding, file=cell.name(finding.file), line=finding.line - before)
        return finding

    def _parsed(self, path: str, text: bytes) -> ast.Module:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the script's strings
                return ast.parse(text, path)
        except (SyntaxError, ValueError) as error:  # ValueError: it has null bytes
            line, column = getattr(error, "lineno", None) or 1, getattr(error, "offset", None) or 1
            words = getattr(error, "msg", str(error)) + _remedy(getattr(error, "text", None) or "")
            self._broken.append(Finding(os.path.normpath(path), line, column, "syntax", "syntax error", words))
            return ast.Module([], [])

    def _imported(self, name: str, level: int, importer: str, roots: Sequence[str]) -> Source | None:
        """A module that lies where `importer` finds it, with the packages around it; None if it is no file there."""
        places = list(roots)
        if level:
            places = roots = [os.path.join(os.path.dirname(importer), *[os.pardir] * (level - 1))]
        elif self._changes_path and not is_installed(name.partition(".")[0]):
            places += (folder for root in roots for folder in _above(root))
        for root in places:
            path = os.path.join(root, *name.split(".")) if name else root
            for file in (os.path.join(path, "__init__.py"), f"{path}.py"):
                if os.path.isfile(file):
                    for i in range(1, len(name.split("."))):
                        package = os.path.join(root, *name.split(".")[:i], "__init__.py")
                        if os.path.isfile(package):
                            self.add(package, roots)
                    return self.add(file, roots)
            if os.path.isdir(path) and any(Path(path).rglob("*.py")):  # a package without __init__.py
                return Source(path, ast.Module([], []), b"", self._layers)
        return None

    def findings(self) -> list[Finding]:
        sources = list(self._sources.values())
        known = known_attributes(self._layers).union(*(attributes_of_classes(source.tree) for source in sources))
        found = sorted(self._broken) + [one for source in sources for one in uses(source, known)]
        return [self._in_cell(one) for one in found]
