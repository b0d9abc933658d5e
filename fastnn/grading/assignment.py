"""Grade a submission: every task of a spec, each in a sandbox of its own."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastnn import _check
from fastnn.grading.check import check
from fastnn.grading.errors import StudentError
from fastnn.grading.limits import Limits
from fastnn.grading.methods import Method, as_function
from fastnn.grading.report import Part, Report
from fastnn.grading.sandbox import Sandbox
from fastnn.grading.spec import Spec, Task, read_spec
from fastnn.grading.submission import Submission, read_submission
from fastnn.grading.text import clean, one_line

__all__ = ["Assignment", "Result", "grade"]

_MOST_OUTPUT = 4000
_LONGEST_MISTAKE, _LONGEST_NOTE, _MOST_NOTES = 2000, 300, 30
# What code that runs when a file is loaded may lack, by the exception.
_WANTS_MORE = {
    "EOFError": "code that asks for input",
    "FileNotFoundError": "code that reads files, which are not there while a submission is graded,",
    "PermissionError": "code that reads or writes files",
}


@dataclass
class Result:
    """What came of one task.

    Attributes:
        name: of the task.
        report: of its check.
        hint: of the spec; '' where all is right.
        visibility: for Gradescope.
        output: what the submission printed, shortened.
        trace: the lines of the student's file where it failed to load.
    """

    name: str
    report: Report
    hint: str = ""
    visibility: str = "visible"
    output: str = ""
    trace: str = ""

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.report.points:g} of {self.report.max_points:g} points"]
        for part in self.report.parts:
            lines += [f"  {line}" for line in str(part).splitlines()]
        if self.trace:
            lines += [f"    {line}" for line in self.trace.splitlines()]
        if self.hint:
            lines.append(f"  Hint: {self.hint}")
        if self.output:
            lines += ["  Printed:", *(f"    {line}" for line in self.output.splitlines())]
        return "\n".join(lines)


@dataclass
class Assignment:
    """A graded submission. Printed, it is the text for the student.

    Attributes:
        title: of the assignment.
        submission: the name of the file.
        results: of the tasks, in the order of the spec.
        notes: what of the submission was left out, and what this system lacks to guard against it.
        seed: of the inputs.
    """

    title: str
    submission: str
    results: Sequence[Result]
    notes: Sequence[str] = field(default_factory=tuple)
    seed: int = 0

    @classmethod
    def of(cls, *reports: Report, title: str = "Report", submission: str = "") -> "Assignment":
        """The reports of `check`, each as a task, to be written as HTML, JUnit XML or Gradescope's JSON.

        Example:
            >>> from fastnn import grading
            >>> report = grading.check("relu", forward=lambda x: x * (x > 0))
            >>> "10 of 10 points" in grading.Assignment.of(report).to_html()
            True
        """
        return cls(title, submission, [Result(report.operation, report) for report in reports])

    def _repr_html_(self) -> str:
        """For notebooks."""
        from fastnn.grading.html import assignment_fragment

        return assignment_fragment(self)

    @property
    def reports(self) -> list[Report]:
        """The reports of the tasks."""
        return [result.report for result in self.results]

    @property
    def points(self) -> float:
        """The sum of all points."""
        return sum(report.points for report in self.reports)

    @property
    def max_points(self) -> float:
        """The sum of what can be earned."""
        return sum(report.max_points for report in self.reports)

    @property
    def passed(self) -> bool:
        """Whether everything is right."""
        return all(report.passed for report in self.reports)

    @property
    def output(self) -> str:
        """What the submission printed, by task."""
        return "\n".join(f"{result.name}:\n{result.output}" for result in self.results if result.output)

    def __str__(self) -> str:
        name = ": ".join(filter(None, [self.title, self.submission]))
        head = f"{name}: {self.points:g} of {self.max_points:g} points"
        notes = [f"Note: {note}" for note in self.notes]
        return "\n\n".join(["\n".join([head, *notes]), *map(str, self.results)])

    def to_html(self) -> str:
        """The report as one HTML file that needs nothing else."""
        from fastnn.grading.html import to_html

        return to_html(self)

    def to_junit(self) -> str:
        """The report as JUnit XML, which systems for continuous integration read."""
        from fastnn.grading.junit import to_junit

        return to_junit(self)

    def to_gradescope(self) -> str:
        """The report as the results.json that Gradescope's autograder reads."""
        from fastnn.grading.gradescope import to_gradescope

        return to_gradescope(self)


def grade(
    submission: str | os.PathLike[str] | Submission,
    spec: str | os.PathLike[str] | Spec,
    seed: int = 0,
    limits: Limits | None = None,
) -> Assignment:
    """Grade a submission by the spec of an assignment.

    Each task runs in a process of its own, within the limits of the spec; see `Sandbox`. A submission that fails, in
    whatever way, has fewer points; it raises nothing.

    Args:
        submission: a Python file, a notebook, or a folder that has the `file` of the spec.
        spec: a file, the name of one that comes with fastnn, such as "pku", or what `read_spec` gives.
        seed: of the inputs of all checks.
        limits: in place of those of the spec.
    Raises:
        OSError: a file cannot be read, or this is Windows.
        ValueError: the submission is no text, or too large; the spec is wrong.
    Example:
        >>> import pathlib
        >>> from fastnn import grading
        >>> _ = pathlib.Path("bn.py").write_text("def bn_forward_train(x, gamma, beta): pass")
        >>> result = grading.grade("bn.py", "pku")
        >>> result.points, result.passed
        (0, False)
    """
    seed = _check.integer("grade", "seed", seed, 0, 2**31)
    spec = spec if isinstance(spec, Spec) else read_spec(spec)
    if limits is not None:
        spec = replace(spec, limits=limits)
    if not isinstance(submission, Submission):
        submission = read_submission(submission, spec.file)
    notes: dict[str, None] = {}
    results = [_grade_task(submission, spec, task, seed, notes) for task in spec.tasks]
    told = [
        *list(notes)[:_MOST_NOTES],
        *([f"{len(notes) - _MOST_NOTES} more notes"] if len(notes) > _MOST_NOTES else []),
    ]
    return Assignment(one_line(spec.title), one_line(submission.name), results, told, seed)


def _grade_task(submission: Submission, spec: Spec, task: Task, seed: int, notes: dict[str, None]) -> Result:
    box = Sandbox(submission, spec.limits, allow=spec.allow, ignore=spec.ignore, seed=seed)
    trace = hint = ""
    try:
        with box:
            report, is_called = _check_task(box, task, seed)
            hint = task.hint if is_called and not report.passed else ""
    except StudentError as error:
        trace = error.trace
        report = _nothing(task, error.sentence if error.fatal else f"the file cannot be loaded: {_advised(error)}")
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        # Of a result that the check was not made for: the next task and the next submission are graded all the same.
        report = _nothing(task, f"the results could not be checked ({type(error).__name__}: {error}); tell the teacher")
    for part in report.parts:
        part.mistakes[:] = [one_line(text[:_LONGEST_MISTAKE]) for text in part.mistakes]
        part.details = clean(part.details[: 4 * _LONGEST_MISTAKE])
    for text in box.missing:
        notes[one_line(f"not available here: {text}")] = None
    for text in box.notes:
        notes[one_line(text[:_LONGEST_NOTE])] = None
    printed = "\n".join(filter(None, [box.stdout.rstrip(), box.stderr.rstrip()]))
    return Result(
        one_line(task.name), report, one_line(hint), task.visibility, clean(_shortened(printed)), clean(trace)
    )


def _advised(error: StudentError) -> str:
    """The error of a file that does not load, and what to do if it wants more than there is."""
    if error.type_name not in _WANTS_MORE:
        return error.sentence
    return f"{error.sentence}; {_WANTS_MORE[error.type_name]} belongs under `if __name__ == '__main__':`"


def _check_task(box: Sandbox, task: Task, seed: int) -> tuple[Report, bool]:
    """The report, and whether a wrong part has a function that was called."""
    functions: dict[str, Any] = {}
    lacking: dict[str, str] = {}
    for part, name in task.functions.items():
        try:
            functions[part] = as_function(box, name) if isinstance(name, Method) else box.function(name)
        except StudentError as error:
            if error.fatal:
                raise
            words = str(error) if error.line is None else f"it cannot be looked up: {error.sentence}"
            functions[part], lacking[part] = None, words
    report = check(
        task.operation,
        points=dict(task.points),
        seed=seed,
        style=task.style,
        require=task.require,
        **functions,
        **dict(task.settings),
    )
    for checked in report.parts:
        if checked.name in lacking:
            checked.mistakes[:] = [lacking[checked.name]]
    return report, any(not part.passed and part.name not in lacking for part in report.parts)


def _nothing(task: Task, reason: str) -> Report:
    return Report(task.operation, [Part(part, False, 0, most, [reason]) for part, most in task.points.items()])


def _shortened(text: str) -> str:
    if len(text) <= _MOST_OUTPUT:
        return text
    half = _MOST_OUTPUT // 2
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"
