"""The results of a recipe: by task, the numbers beside the expected ones, tables and figures."""

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import _arguments, _check
from fastnn.training.checkpoint import atomic_write
from fastnn.training.history import History

__all__ = ["FAIL", "NOT_RUN", "PASS", "Checks", "Figure", "Report", "Row", "Table", "Task", "Text"]

PASS, FAIL, NOT_RUN = "pass", "fail", "not run (quick)"
_DPI = 120


@dataclass(frozen=True)
class Row:
    """An expected number and ours. For arrays they are the two elements that differ most."""

    task: str
    what: str
    expected: Any
    ours: Any
    difference: float | None
    allowed: str
    verdict: str
    note: str
    elements: int  # that were compared


@dataclass
class Text:
    markdown: str


@dataclass
class Checks:
    rows: list[Row] = field(default_factory=list)


@dataclass
class Table:
    caption: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass
class Figure:
    name: str
    caption: str
    png: bytes


@dataclass
class Task:
    heading: str
    asked: str = ""
    done: str = ""
    items: list[Text | Checks | Table | Figure] = field(default_factory=list)


class Report:
    """Collects results and writes report.md, report.html, metrics.json, history.csv and the figures.

    Args:
        title: the title of the report.
        out: an existing folder.
        course: the course, shown at the top.
        about: one sentence, shown at the top.
        quick: whether this is a quick run. The report says so, and does not judge rows that need the full run.
    Attributes:
        tasks: the sections.
        facts: facts about the run, by name, shown at the top.
    Example:
        >>> import tempfile
        >>> from fastnn.courses import Report
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = Report("Two plus two", folder)
        ...     report.task("Task 1", asked="Add.", done="Added.")
        ...     ok = report.check("sum", expected=4, ours=2 + 2)
        ...     report.write()
        >>> ok, report.failed
        (True, [])
    """

    def __init__(
        self, title: str, out: str | os.PathLike[str], *, course: str = "", about: str = "", quick: bool = False
    ) -> None:
        for key, value in (("title", title), ("course", course), ("about", about)):
            _arguments.text("Report", key, value)
        self.title, self.course, self.about = title, course, about
        self.quick = _check.boolean("Report", "quick", quick)
        self.out = Path(_arguments.path("Report", "out", out))
        self.tasks: list[Task] = []
        self.facts: dict[str, str] = {}
        self._metrics: dict[str, Any] = {}
        self._history: list[dict[str, Any]] = []

    # ---- filling -----------------------------------------------------------------------------------------------------
    def task(self, heading: str, asked: str = "", done: str = "") -> None:
        """Start a section.

        Args:
            heading: its heading.
            asked: what the course asks for.
            done: what was done here.
        """
        self.tasks.append(Task(heading, asked, done))

    def text(self, markdown: str) -> None:
        """Add text in Markdown: paragraphs, lists (`- `), code, **bold** and sub-headings (`### `)."""
        self._add(Text(markdown))

    def check(
        self,
        what: str,
        expected: Any,
        ours: Any,
        *,
        tolerance: float | None = None,
        relative: bool = False,
        at_least: bool = False,
        at_most: bool = False,
        full_only: bool = False,
        note: str = "",
    ) -> bool:
        """Add a row that compares a number, a string or an array of numbers with what is expected.

        Args:
            what: the name of the row.
            expected: the expected value.
            ours: our value, of the same shape. Of arrays, the element that differs most decides and is shown.
            tolerance: the largest difference that passes. None (default) demands equality.
            relative: divide differences by the magnitude of the expected value. Default False.
            at_least: `expected` is a lower bound, reduced by `tolerance`. Default False.
            at_most: `expected` is an upper bound, increased by `tolerance`. Default False.
            full_only: a quick run cannot produce this number, and does not judge it. Default False.
            note: a remark.
        Returns:
            Whether the row passes, or is not judged.
        Raises:
            ValueError: the arguments contradict each other.
        """
        for key, flag in (
            ("relative", relative),
            ("at_least", at_least),
            ("at_most", at_most),
            ("full_only", full_only),
        ):
            _check.boolean(f"check {what!r}", key, flag)
        if tolerance is not None:
            tolerance = _check.number(f"check {what!r}", "tolerance", tolerance, 0, finite=True)
        if at_least and at_most:
            raise ValueError(f"check {what!r}: at_least and at_most exclude each other")
        bound = "at least" if at_least else "at most" if at_most else ""
        if full_only and self.quick:
            row = Row(self._heading(), what, expected, ours, None, bound, NOT_RUN, note, np.size(expected))
        else:
            expected, ours, difference, passed, elements = _compare(expected, ours, tolerance, relative, bound)
            allowed = _allowed(tolerance, relative, bound)
            verdict = PASS if passed else FAIL
            row = Row(self._heading(), what, expected, ours, difference, allowed, verdict, note, elements)
        items = self._items()
        group = items[-1] if items else None
        if not isinstance(group, Checks):
            group = Checks()
            items.append(group)
        group.rows.append(row)
        return row.verdict != FAIL

    def table(self, caption: str, columns: list[str], rows: list[list[Any]]) -> None:
        """Add a table of numbers and strings.

        Args:
            caption: the caption.
            columns: the names of the columns.
            rows: the cells of each row.
        Raises:
            ValueError: a row does not have as many cells as there are columns.
        """
        columns = _arguments.sequence("table", "columns", columns)
        cells = [
            _arguments.sequence("table", "each of rows", row) for row in _arguments.sequence("table", "rows", rows)
        ]
        if any(len(row) != len(columns) for row in cells):
            raise ValueError(f"table {caption!r}: every row needs {len(columns)} cells")
        self._add(Table(caption, list(columns), cells))

    def figure(self, name: str, figure: Any, caption: str) -> None:
        """Write a matplotlib Figure to `name`.png and show it in the report.

        Raises:
            ValueError: the name is not a plain file name, or was used before.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(f"figure {name!r}: the name may hold letters, digits, _ and -")
        if any(isinstance(item, Figure) and item.name == name for task in self.tasks for item in task.items):
            raise ValueError(f"there are two figures {name!r}")
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        path = self.out / f"{name}.png"
        figure.set_dpi(_DPI)
        with atomic_write(path) as file:
            FigureCanvasAgg(figure).print_png(file)
        self._add(Figure(name, caption, path.read_bytes()))

    def metric(self, name: str, value: Any) -> None:
        """Add a number to metrics.json that is not a row of the report."""
        _arguments.text("metric", "name", name)
        self._metrics[name] = value

    def history(self, rows: list[dict[str, Any]]) -> None:
        """Add lines to history.csv."""
        lines = [_check.mapping("history", "each of rows", row) for row in _arguments.sequence("history", "rows", rows)]
        self._history.extend(map(dict, lines))

    def curves(self, columns: Mapping[str, Any], **labels: Any) -> None:
        """Add a line to history.csv for each point of some curves.

        Args:
            columns: the numbers of each column, equally many.
            labels: columns that have the same value in all these lines. They come first.
        """
        points = zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True)
        self.history([{**labels, **dict(zip(columns, point, strict=True))} for point in points])

    # ---- reading -----------------------------------------------------------------------------------------------------
    @property
    def rows(self) -> list[Row]:
        """All rows that `check` added."""
        return [row for task in self.tasks for item in task.items if isinstance(item, Checks) for row in item.rows]

    @property
    def failed(self) -> list[str]:
        """The names of the rows whose number is not the expected one."""
        return [row.what for row in self.rows if row.verdict == FAIL]

    def verdict(self) -> str:
        """The result of all rows in one sentence."""
        judged = [row for row in self.rows if row.verdict != NOT_RUN]
        left = len(self.rows) - len(judged)
        passed = len(judged) - len(self.failed)
        words = f"{passed} of {len(judged)} rows pass"
        if left:
            words += f", {left} need the full run"
        return words + (f"; failed: {'; '.join(self.failed)}" if self.failed else "")

    # ---- writing -----------------------------------------------------------------------------------------------------
    def write(self) -> None:
        """Write all files but the figures, which are already written."""
        from fastnn.courses import report_pages

        for name, text in (
            ("report.md", report_pages.to_markdown(self)),
            ("report.html", report_pages.to_html(self)),
            ("metrics.json", json.dumps(self._json(), indent=1, allow_nan=False) + "\n"),
        ):
            with atomic_write(self.out / name, "w", encoding="utf-8") as file:
                file.write(text)
        if self._history:
            History(self._history).to_csv(self.out / "history.csv")

    def _json(self) -> dict[str, Any]:
        return _plain(
            {
                "title": self.title,
                "quick": self.quick,
                "passed": not self.failed,
                "failed": self.failed,
                "facts": self.facts,
                "metrics": self._metrics,
                "rows": [vars(row) for row in self.rows],
            }
        )

    def _items(self) -> list[Text | Checks | Table | Figure]:
        if not self.tasks:
            self.task("Results")
        return self.tasks[-1].items

    def _add(self, item: Text | Checks | Table | Figure) -> None:
        self._items().append(item)

    def _heading(self) -> str:
        self._items()
        return self.tasks[-1].heading


def _compare(
    expected: Any, ours: Any, tolerance: float | None, relative: bool, bound: str
) -> tuple[Any, Any, float | None, bool, int]:
    """(expected, ours, difference, whether it passes, elements); of arrays the worst element."""
    a, b = (_check._converted("check", name, value) for name, value in (("expected", expected), ("ours", ours)))
    if not (_is_number(a) and _is_number(b)):
        return expected, ours, None, bool(np.array_equal(a, b)), 1
    if a.shape != b.shape or not a.size:
        return f"shape {a.shape}", f"shape {b.shape}", None, False, a.size
    with np.errstate(all="ignore"):
        difference = b.astype(np.float64) - a.astype(np.float64)
        if relative:
            difference = difference / np.abs(a)
        difference = np.where(a == b, 0.0, difference)  # of two infinities, and relative to 0
    badness = {"at least": -difference, "at most": difference}.get(bound, np.abs(difference))
    worst = np.unravel_index(np.argmax(badness), badness.shape)  # NaN counts as the largest
    passed = bool(badness[worst] <= (tolerance or 0.0))
    return a[worst].item(), b[worst].item(), float(difference[worst]), passed, a.size


def _is_number(array: np.ndarray) -> bool:
    return array.dtype.kind in "iuf"


def _allowed(tolerance: float | None, relative: bool, bound: str) -> str:
    """What the column of the table says."""
    if not tolerance:
        return bound or "equal"
    width = f"{tolerance:g}{' of it' if relative else ''}"
    return f"{bound}, within {width}" if bound else f"\N{PLUS-MINUS SIGN}{width}"


def _plain(value: Any) -> Any:
    """`value` as JSON knows it: arrays become lists, NaN and infinity null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
