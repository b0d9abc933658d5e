"""`fastnn grade`: grades one submission, or many."""

import argparse
import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastnn._terminal import say
from fastnn.grading.assignment import Assignment, grade
from fastnn.grading.spec import Spec, read_spec, spec_names
from fastnn.grading.text import one_line
from fastnn.training import atomic_write

__all__ = ["grade_command"]

_FAILED = 1
_KINDS: dict[str, tuple[str, Callable[[Assignment], str]]] = {
    "html": (".html", Assignment.to_html),
    "junit": (".xml", Assignment.to_junit),
    "gradescope": (".json", Assignment.to_gradescope),
}
_SUFFIXES = (".py", ".ipynb")
_WIDEST_NAME = 60
_LONGEST_NAME = 200  # bytes: with what is added, file systems take 255


def grade_command(arguments: argparse.Namespace) -> int:
    """Grade; returns the exit code.

    Raises:
        ValueError, OSError: wrong options, a spec or files that cannot be read.
    """
    try:
        return _run(arguments)
    except ValueError as error:  # names of files may hold what a terminal obeys
        raise ValueError(one_line(str(error))) from error
    except OSError as error:
        if error.filename is None:
            raise
        raise OSError(error.errno, error.strerror, one_line(str(error.filename))) from error


def _run(arguments: argparse.Namespace) -> int:
    if arguments.spec == "list":
        for name in spec_names():
            print(f"{name:<8} {read_spec(name).title}")
        return 0
    if not arguments.submissions:
        raise ValueError("say which submission to grade: a file, a folder of files, or several")
    spec = _with_options(read_spec(arguments.spec), arguments)
    paths = _found(arguments.submissions, spec)
    if arguments.fail_under is not None and not 0 <= arguments.fail_under < float("inf"):
        raise ValueError(f"--fail-under must be a number of points. Received: {arguments.fail_under}")
    if arguments.seed < 0:
        raise ValueError(f"--seed must be at least 0. Received: {arguments.seed}")
    if paths == [Path(arguments.submissions[0])]:
        if arguments.csv is not None:
            raise ValueError("--csv is for several submissions")
        graded = [grade(paths[0], spec, arguments.seed)]
        print(graded[0])
        for kind in _KINDS:
            if (target := getattr(arguments, kind)) is not None:
                _write(target, _KINDS[kind][1](graded[0]))
    else:
        graded = _grade_all(paths, spec, arguments)
    worst = min((assignment.points for assignment in graded), default=0)
    return _FAILED if arguments.fail_under is not None and worst < arguments.fail_under else 0


def _with_options(spec: Spec, arguments: argparse.Namespace) -> Spec:
    given = {name: getattr(arguments, name) for name in ("time", "memory") if getattr(arguments, name) is not None}
    try:
        return replace(spec, limits=replace(spec.limits, **given))
    except (TypeError, ValueError) as error:
        raise ValueError(f"--{str(error).removeprefix('Limits: ')}") from None


def _found(names: Sequence[str], spec: Spec) -> list[Path]:
    """The submissions: files, and of folders what is in them.

    A folder that has the `file` of the spec is one submission.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.is_dir():
            if path.suffix not in _SUFFIXES:
                raise ValueError(f"{name}: a submission is a file {' or '.join(_SUFFIXES)}, or a folder")
            path.lstat()  # or the error that says that it is not there
            found.append(path)
        elif _is_submission(path, spec):
            found.append(path)
        else:
            inside = sorted(path.iterdir())
            # Links that lead nowhere and pipes count, too: a student whose file cannot be read has a row that says so.
            here = [
                p
                for p in inside
                if (p.suffix in _SUFFIXES and not p.is_dir()) or (p.is_dir() and _is_submission(p, spec))
            ]
            if spec.file is not None:
                for other in (p for p in inside if p.is_dir() and p not in here and p.name[:1] not in "._"):
                    say(f"fastnn: {one_line(str(other))}: left out, it has no file {one_line(spec.file)}")
            if not here:
                words = f", nor folders with the file {spec.file}" if spec.file else ""
                raise ValueError(f"{name}: it has no files {' or '.join(_SUFFIXES)}{words}")
            found += here
    return found


def _is_submission(folder: Path, spec: Spec) -> bool:
    return spec.file is not None and os.path.lexists(folder / spec.file)


def _grade_all(paths: Sequence[Path], spec: Spec, arguments: argparse.Namespace) -> list[Assignment]:
    """Grade many, show a table; the reports go to folders, one file for each submission."""
    names = _names(paths)
    for kind in _KINDS:
        if (target := getattr(arguments, kind)) is not None:
            os.makedirs(target, exist_ok=True)
    graded: list[Assignment] = []
    rows: list[list[Any]] = []
    width = min(max(len(one_line(name)) for name in names), _WIDEST_NAME)
    for name, path in zip(names, paths, strict=True):
        try:
            assignment = grade(path, spec, arguments.seed)
        except (ValueError, OSError) as error:  # no text, too large, no right to read: the next one is graded
            reason = one_line(
                f"{path}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
            )
            say(f"fastnn: {reason}")
            most = sum(sum(task.points.values()) for task in spec.tasks)
            rows.append([name, "", most, *("" for _ in spec.tasks), reason])
            continue
        graded.append(assignment)
        rows.append([name, assignment.points, assignment.max_points, *(r.points for r in assignment.reports), ""])
        print(f"{one_line(name)[:width]:<{width}} {assignment.points:>8g} of {assignment.max_points:g}", flush=True)
        for kind, (suffix, render) in _KINDS.items():
            if (target := getattr(arguments, kind)) is not None:
                _write(Path(target) / f"{name}{suffix}", render(assignment))
    notes = dict.fromkeys(note for a in graded for note in a.notes if note.startswith("not available here"))
    for note in notes:
        say(f"fastnn: {note}")
    if arguments.csv is not None:
        with atomic_write(arguments.csv, "w", encoding="utf-8", newline="", errors="backslashreplace") as file:
            writer = csv.writer(file)
            head = ["submission", "points", "max_points", *(task.name for task in spec.tasks), "error"]
            writer.writerows([[_cell(value) for value in row] for row in [head, *rows]])
    return graded


def _cell(value: Any) -> Any:
    """A text that a spreadsheet does not take for a formula, also one that reads wide characters of Asian scripts."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if text[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20") else text


def _names(paths: Sequence[Path]) -> list[str]:
    """Short names that tell the submissions apart, also on disks that do not tell A from a."""
    short = [path.stem if path.suffix in _SUFFIXES else path.name for path in paths]
    how_many = Counter(name.casefold() for name in short)
    names: list[str] = []
    taken: set[str] = set()
    for name, path in zip(short, paths, strict=True):
        if how_many[name.casefold()] > 1:
            name = re.sub(r"[/\\:]", "-", str(path)).strip("-.")
        base = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])
        unique, number = base, 2
        while unique.casefold() in taken:
            unique, number = f"{base}-{number}", number + 1
        taken.add(unique.casefold())
        names.append(unique)
    return names


def _write(path: str | os.PathLike[str], text: str) -> None:
    with atomic_write(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
