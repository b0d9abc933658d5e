"""A student's file as it is sent to the sandbox: a Python file, a notebook, or a folder with such a file in it."""

import io
import json
import os
import stat
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastnn.compat import notebooks

__all__ = ["Submission", "read_submission"]

_LARGEST_FILE, _LARGEST_NOTEBOOK, _LARGEST_FOLDER = 4 << 20, 16 << 20, 16 << 20
_MOST_CODE, _MOST_CELLS = 1 << 20, 2000
_SHOWN_LINES = 8
_MOST_FILES = 500
# What Python files name in `# -*- coding: ... -*-`; each byte or character stands for one character there.
_ENCODINGS = ("utf-8", "utf-8-sig", "ascii", "iso-8859-1", "iso-8859-15", "latin-1", "cp1252", "windows-1252", "gbk")


@dataclass(frozen=True)
class Cell:
    """Code that runs as one piece.

    Attributes:
        name: in messages: "submission.py", "cell 3".
        code: of Python.
    """

    name: str
    code: str


@dataclass(frozen=True)
class Submission:
    """A file of a student, read.

    Attributes:
        name: of the file.
        files: what lies in the folder of the submission, by name: that file, and those beside it if a folder was given.
        cells: what runs.
        is_notebook: whether the cells go on after one that failed.
        notes: what was left out.
    """

    name: str
    files: Mapping[str, bytes]
    cells: Sequence[Cell]
    is_notebook: bool = False
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def module(self) -> str:
        """The name under which the file is imported."""
        stem = Path(self.name).stem
        return stem if stem.isidentifier() and stem != "__main__" else "submission"

    def cell_file(self, folder: Path, number: int) -> str:
        """What Python calls the file of a cell."""
        path = str(folder / self.name)
        return f"{path}, {self.cells[number].name}" if self.is_notebook else path

    def trace(self, rows: Sequence[Sequence[Any]]) -> tuple[int | None, str]:
        """The last line, and a traceback, of places in the cells: number of the cell, line, function."""
        line, texts = None, []
        for cell_number, number, function in rows[-_SHOWN_LINES:]:
            if not 0 <= cell_number < len(self.cells):
                continue
            cell = self.cells[cell_number]
            lines = io.StringIO(cell.code, newline=None).read().split("\n")  # as Python counts them
            if not 1 <= number <= len(lines):
                continue
            line = number
            where = f" in {function}" if function.isidentifier() else ""
            texts.append(f"{cell.name}, line {number}{where}\n    {lines[number - 1].strip()[:200]}")
        return line, "\n".join(texts)


def read_submission(path: str | os.PathLike[str], file: str | None = None) -> Submission:
    """Read a student's file, or, of a folder, the file of this name and the Python files beside it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, no text, or no notebook.
    """
    path = Path(path)
    files: dict[str, bytes] = {}
    main = path
    if path.is_dir():
        if path.is_symlink():
            raise ValueError(f"{path}: it is a link, which a submission may not be")
        if file is None:
            raise ValueError(f"{path}: it is a folder, and the spec does not say which `file` in it is to be graded")
        main = path / file
        total = 0
        for other in sorted(path.rglob("*.py")):
            if other.is_file() and not other.is_symlink() and other != main:
                content = _content(other)
                total += len(content)
                if total > _LARGEST_FOLDER or len(files) == _MOST_FILES:
                    most = f"{_MOST_FILES} Python files, or {_LARGEST_FOLDER >> 20} MB of them"
                    raise ValueError(f"{path}: it has more than {most}; is an environment of packages in it?")
                files[other.relative_to(path).as_posix()] = content
    is_notebook = notebooks.is_notebook(main)
    content = _content(main, _LARGEST_NOTEBOOK if is_notebook else _LARGEST_FILE)
    files[main.name] = content
    cells, notes = _notebook_cells(main) if is_notebook else ([Cell(main.name, _text(main, content))], [])
    size = sum(len(json.dumps(cell.code)) for cell in cells)  # as it is sent
    if size > _MOST_CODE or len(cells) > _MOST_CELLS:
        raise ValueError(
            f"{main}: it has {size:,} bytes of code in {len(cells):,} cells; {_MOST_CODE:,} bytes in {_MOST_CELLS:,} "
            "cells are allowed"
        )
    return Submission(main.name, files, cells, is_notebook, notes)


def _text(path: Path, content: bytes) -> str:
    """The code in a file, in the encoding that it names as Python asks."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    except SyntaxError as error:
        encoding = "utf-8" if "invalid or missing" in str(error) else ""
    if encoding.lower() not in _ENCODINGS:
        raise ValueError(f"{path}: it names an encoding that is not known here; save it as UTF-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}: it is no text in UTF-8 (line {line}); save it as UTF-8") from None


def _content(path: Path, largest: int = _LARGEST_FILE) -> bytes:
    if path.is_symlink():  # it could name the solution
        raise ValueError(f"{path}: it is a link, which a submission may not be")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path}: it is no file")
    size = status.st_size
    if size > largest:
        hint = "; clear the outputs of its cells" if notebooks.is_notebook(path) else ""
        raise ValueError(f"{path}: it has {size:,} bytes, {largest:,} are allowed{hint}")
    with path.open("rb") as stream:
        return stream.read(largest)


def _notebook_cells(path: Path) -> tuple[list[Cell], list[str]]:
    cells, notes = [], []
    for cell in notebooks.cells(path):
        cells.append(Cell(f"cell {cell.number}", cell.code))
        if cell.commands:
            commands = ", ".join(command[:80] for command in cell.commands[:5])
            notes.append(f"cell {cell.number}: left out {commands}")
    return cells, notes
