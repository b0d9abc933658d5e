"""What an assignment asks for: a file in TOML, read strictly."""

import difflib
import importlib.util
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastnn import FileError
from fastnn.grading.limits import Limits
from fastnn.grading.methods import Method
from fastnn.grading.operations import OPERATIONS
from fastnn.grading.text import one_line

__all__ = ["Spec", "Task", "read_spec", "spec_names"]

_FOLDER = Path(__file__).parent / "specs"
_LARGEST, _LONGEST_REASON = 1 << 18, 1000
_MOST_DOTS = 100
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*+(?:"|\\?\Z)|'[^']*+(?:'|\Z)""")  # what has no end goes to the end
_VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")
_STYLES = ("pytorch", "cs231n")
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_SIZE = re.compile(r"([^\W\d]\w*)\.(\d)")
_METHOD_KEYS = ("class", "method", "arguments", "new", "set", "returns")


@dataclass(frozen=True)
class Task:
    """One operation that is to be written.

    Attributes:
        name: for the student.
        operation: as `check` knows it.
        functions: part of the operation -> the name in the student's file, or a method there.
        points: part -> its points.
        style: of the functions; None if it is recognised.
        require: optional parameters that the functions must take.
        settings: of the operation.
        visibility: for Gradescope: "visible", "hidden", "after_due_date" or "after_published".
        hint: shown where a part is wrong.
    """

    name: str
    operation: str
    functions: Mapping[str, str | Method]
    points: Mapping[str, float]
    style: str | None = None
    require: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    visibility: str = "visible"
    hint: str = ""


@dataclass(frozen=True)
class Spec:
    """An assignment.

    Attributes:
        title: of the assignment.
        tasks: what is to be written.
        limits: of time, memory and output, of each task.
        allow: packages that submissions may import besides NumPy.
        ignore: packages that they may import and that do nothing.
        file: the name of the file in a submission that is a folder; None if submissions are files.
    """

    title: str
    tasks: Sequence[Task]
    limits: Limits = field(default_factory=Limits)
    allow: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    file: str | None = None


def spec_names() -> list[str]:
    """The names of the specs that come with fastnn.

    Example:
        >>> from fastnn.grading.spec import spec_names
        >>> "pku" in spec_names()
        True
    """
    return sorted(file.stem for file in _FOLDER.glob("*.toml"))


def read_spec(path: str | os.PathLike[str]) -> Spec:
    """Read the spec of an assignment: a file, or the name of one that comes with fastnn, such as "pku".

    Raises:
        OSError: the file cannot be read.
        FileError: something in it is wrong; the message names line and key, and what is allowed.
    Example:
        >>> from fastnn import grading
        >>> spec = grading.read_spec("pku")
        >>> spec.tasks[0].functions["backward"]
        'bn_backward'
    """
    name = os.fspath(path)
    if name in spec_names():
        path = _FOLDER / f"{name}.toml"
    elif not os.path.exists(path) and not name.endswith(".toml") and not os.path.dirname(name):
        raise FileError(f"there is no such file and no such spec; specs are {', '.join(spec_names())}", name)
    with open(path, "rb") as stream:
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise FileError(f"a spec of more than {_LARGEST:,} bytes", path)
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        # To read a key takes time and memory with the square of its parts.
        if any(_QUOTED.sub("", line).count(".") > _MOST_DOTS for line in text.splitlines()):
            raise FileError(f"a line with more than {_MOST_DOTS} dots outside quotes", path)
        table = tomllib.loads(text)
        return _Reader(path, text).spec(table)
    except FileError:
        raise
    except RecursionError:
        raise FileError("its tables or lists are nested too deeply", path) from None
    except ValueError as error:  # also of UTF-8, and of numbers of thousands of digits
        raise FileError(f"it is no TOML: {one_line(str(error))[:500]}", path) from None


def _is_file_name(name: str) -> bool:
    return name == Path(name).name == one_line(name) and name not in ("", "..")


def _is_installed(name: str) -> bool:
    spec = importlib.util.find_spec(name) if name != "__main__" else None
    return spec is not None and (bool(spec.submodule_search_locations) or spec.has_location)


def _has_key(line: str, key: str, at_the_beginning: bool) -> bool:
    """Whether a line of TOML sets a key, also in an inline table."""
    before = r"\s*" if at_the_beginning else r"(?:\s*|.*[{,.]\s*)"
    return re.match(rf"""{before}["']?{re.escape(key)}["']?\s*[=.]""", line) is not None


class _Reader:
    """Makes a spec of a table, and words what is wrong in it."""

    def __init__(self, path: str | os.PathLike[str], text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    # ---- words -------------------------------------------------------------------------------------------------------
    def _fail(self, reason: str, key: str, task: int | None = None, section: str = "") -> FileError:
        line = self._line(key, task, section)
        reason = one_line(reason[:_LONGEST_REASON])  # a spec may be a stranger's
        return FileError(f"line {line}: {reason}" if line else reason, self._path)

    def _line(self, key: str, task: int | None, section: str) -> int | None:
        """The line where a key stands: in a section, or of a task; or else that of the section or task."""
        number_of_task, header = -1, ""
        fallback: int | None = None
        for number, line in enumerate(self._lines, 1):
            if match := re.match(r"\s*\[+\s*([\w.]+)\s*\]+", line):
                header = match[1]
                number_of_task += header == "task"
            inside = number_of_task == task if task is not None else not header.startswith("task")
            in_section = not section or header in (section, f"task.{section}") or _has_key(line, section, True)
            if not inside:
                continue
            if in_section and _has_key(line, key, False):
                return number
            if in_section and (section or header == "task"):
                fallback = fallback or number
        return fallback

    def _known(self, table: Mapping[str, Any], keys: Sequence[str], where: str, task: int | None, section: str) -> None:
        for key in table:
            if key not in keys:
                near = difflib.get_close_matches(key[:100], keys, 1)
                guess = f"; did you mean {near[0]}?" if near else "."
                raise self._fail(
                    f"{where} has no key {key!r}{guess} Its keys are {', '.join(keys)}.", key, task, section
                )

    def _text(
        self,
        table: Mapping[str, Any],
        key: str,
        where: str,
        task: int | None,
        default: str | None = None,
        section: str = "",
    ) -> str:
        value = table.get(key, default)
        if value is None:
            raise self._fail(f"{where} lacks the key {key!r}, a text", key, task, section)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise self._fail(f"{where}: {key} must be a text. Received: {value!r:.80}", key, task, section)
        return value

    # ---- parts -------------------------------------------------------------------------------------------------------
    def spec(self, table: Mapping[str, Any]) -> Spec:
        self._known(table, ("title", "file", "allow", "ignore", "limits", "task"), "the spec", None, "")
        tasks = table.get("task")
        if not isinstance(tasks, list) or not tasks or not all(isinstance(task, dict) for task in tasks):
            raise self._fail("the spec lacks tasks: one or more tables [[task]]", "task")
        read = [self._task(task, number) for number, task in enumerate(tasks)]
        names = [task.name for task in read]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise self._fail(f"two tasks are named {name!r}", "name", number)
        file = table.get("file")
        if file is not None and (not isinstance(file, str) or not _is_file_name(file)):
            raise self._fail(f"file must be the name of a file, without folders. Received: {file!r:.80}", "file")
        return Spec(
            title=self._text(table, "title", "the spec", None),
            tasks=read,
            limits=self._limits(table.get("limits", {})),
            allow=self._packages(table, "allow"),
            ignore=self._packages(table, "ignore"),
            file=file,
        )

    def _packages(self, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        names = table.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) and name.isidentifier() for name in names):
            raise self._fail(f'{key} must be a list of names of packages, as ["scipy"]. Received: {names!r:.80}', key)
        if key == "allow":
            for name in names:
                if name in ("fastnn", "numpy"):
                    why = "fastnn has the answers" if name == "fastnn" else "NumPy is allowed always"
                    raise self._fail(f"allow: {name} cannot be listed: {why}", key)
                if not _is_installed(name):
                    raise self._fail(f"allow: {name} is not installed here as a package", key)
        return tuple(names)

    def _limits(self, table: Any) -> Limits:
        if not isinstance(table, dict):
            raise self._fail(f"limits must be a table [limits]. Received: {table!r:.80}", "limits")
        self._known(table, ("time", "total", "memory", "output", "result"), "[limits]", None, "limits")
        for key, value in table.items():
            try:
                Limits(**{key: value})
            except (TypeError, ValueError) as error:
                raise self._fail(f"[limits]: {str(error).removeprefix('Limits: ')}", key, None, "limits") from None
        return Limits(**table)

    def _task(self, table: Mapping[str, Any], number: int) -> Task:
        where = f"task {number + 1}"
        keys = ("name", "operation", "functions", "points", "style", "require", "settings", "visibility", "hint")
        self._known(table, keys, where, number, "")
        name = self._text(table, "name", where, number)
        where = f"{where} ({name})"
        operation = self._text(table, "operation", where, number)
        if operation not in OPERATIONS:
            near = difflib.get_close_matches(operation, OPERATIONS, 1)
            guess = f"; did you mean {near[0]}?" if near else ";"
            reason = f"{where}: there is no operation {operation!r}{guess} operations are {', '.join(OPERATIONS)}"
            raise self._fail(reason, "operation", number)
        for key, values in (("style", _STYLES), ("visibility", _VISIBILITIES)):
            if key in table and table[key] not in values:
                reason = f"{where}: {key} must be one of {', '.join(values)}. Received: {table[key]!r:.80}"
                raise self._fail(reason, key, number)
        functions = self._functions(table.get("functions"), operation, where, number)
        return Task(
            name=name,
            operation=operation,
            functions=functions,
            points=self._points(table.get("points", 10), list(functions), where, number),
            style=table.get("style"),
            require=self._require(table.get("require", []), operation, where, number),
            settings=self._settings(table.get("settings", {}), operation, where, number),
            visibility=table.get("visibility", "visible"),
            hint=self._text(table, "hint", where, number, ""),
        )

    def _functions(self, table: Any, operation: str, where: str, number: int) -> dict[str, str | Method]:
        parts = [part.name for part in OPERATIONS[operation].parts]
        if not isinstance(table, dict) or not table:
            example = f'functions = {{{parts[0]} = "my_{parts[0]}"}}'
            words = f"{where} needs functions, the names in the student's file, as {example}"
            raise self._fail(words, "functions", number)
        for part in table:
            if part not in parts:
                reason = f"{where}: {operation} has no part {part!r}; its parts are {', '.join(parts)}"
                raise self._fail(reason, part, number, "functions")
        return {part: self._function(table[part], part, where, number) for part in parts if part in table}

    def _function(self, value: Any, part: str, where: str, number: int) -> str | Method:
        if isinstance(value, str) and _NAME.fullmatch(value):
            return value
        if not isinstance(value, dict):
            words = "must be the name of a function, or a table with class and method"
            reason = f"{where}: {part} {words}. Received: {value!r:.80}"
            raise self._fail(reason, part, number, "functions")
        where = f"{where}: {part}"
        self._known(value, _METHOD_KEYS, where, number, "functions")

        def wrong(key: str, wanted: str) -> FileError:
            return self._fail(f"{where}: {key} must {wanted}. Received: {value[key]!r:.80}", key, number, "functions")

        def names(key: str, pattern: re.Pattern[str], wanted: str, default: list[str] | None = None) -> list[str]:
            if key not in value and default is not None:
                return default
            found = value.get(key)
            if not isinstance(found, list) or not all(
                isinstance(name, str) and pattern.fullmatch(name) for name in found
            ):
                if key not in value:
                    raise self._fail(f"{where} lacks the key {key!r}: it must {wanted}", key, number, "functions")
                raise wrong(key, wanted)
            return found

        for key in ("class", "method"):
            if not self._text(value, key, where, number, None, "functions").isidentifier():
                raise wrong(key, "be a name")
        arguments = names("arguments", _NAME, 'list the parameters of the function, as ["x", "w", "b"]')
        new = names("new", _SIZE, 'list sizes of arrays, as ["w.0", "w.1"]', [])
        returns = names("returns", _NAME, 'list attributes, "self" and "result", as ["result", "dW"]', ["result"])
        attributes = value.get("set", {})
        if not isinstance(attributes, dict) or not all(
            _NAME.fullmatch(name) and isinstance(argument, str) and argument in arguments
            for name, argument in attributes.items()
        ):
            raise wrong("set", 'say which attribute gets which of the arguments, as {W = "w"}')
        return Method(value["class"], value["method"], tuple(arguments), tuple(new), dict(attributes), tuple(returns))

    def _points(self, points: Any, parts: list[str], where: str, number: int) -> dict[str, float]:
        def is_number(value: Any) -> bool:
            return type(value) in (int, float) and 0 <= value < 1e6

        if is_number(points):
            return {part: points / len(parts) for part in parts}
        if not isinstance(points, dict) or not all(map(is_number, points.values())):
            reason = f"{where}: points must be a number, or one for each part. Received: {points!r:.80}"
            raise self._fail(reason, "points", number)
        for part in points:
            if part not in parts:
                reason = f"{where}: points for {part!r}, which functions does not name; it names {', '.join(parts)}"
                raise self._fail(reason, "points", number)
        return {part: points.get(part, 0) for part in parts}

    def _require(self, names: Any, operation: str, where: str, number: int) -> tuple[str, ...]:
        known = OPERATIONS[operation].optional_parameters
        if not isinstance(names, list) or not all(isinstance(name, str) and name in known for name in names):
            words = f"a list of optional parameters of {operation}: {', '.join(known)}" if known else "an empty list"
            raise self._fail(f"{where}: require must be {words}. Received: {names!r:.80}", "require", number)
        return tuple(names)

    def _settings(self, table: Any, operation: str, where: str, number: int) -> dict[str, Any]:
        known = OPERATIONS[operation].settings
        if not isinstance(table, dict):
            raise self._fail(f"{where}: settings must be a table. Received: {table!r:.80}", "settings", number)
        for name in table:
            if name not in known:
                words = f"its settings are {', '.join(known)}" if known else "it has none"
                raise self._fail(f"{where}: {operation} has no setting {name!r}; {words}", name, number)
        for name, allowed in OPERATIONS[operation].allowed.items():
            if name in table and table[name] not in allowed:
                words = ", ".join(map(repr, allowed))
                reason = f"{where}: {name} must be one of {words}. Received: {table[name]!r:.80}"
                raise self._fail(reason, name, number)
        return dict(table)
