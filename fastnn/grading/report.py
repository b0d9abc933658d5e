"""What a check found: plain data, and its plain text."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.grading.assignment import Assignment

__all__ = ["Part", "Report"]


@dataclass
class Part:
    """The result for one function of an operation: forward, backward, inference, ...

    Attributes:
        name: of the part, as `check` names its argument: "forward".
        passed: whether every case was right.
        points: what the part earned: `max_points` where it passed, otherwise 0.
        max_points: what it can earn.
        mistakes: a sentence for each mistake found, in plain words; empty where the part passed.
        details: what was called, what was expected and received, and the first wrong place; several lines of text.
    """

    name: str
    passed: bool
    points: float
    max_points: float
    mistakes: list[str] = field(default_factory=list)
    details: str = ""

    def __str__(self) -> str:
        lines = [f"{self.name}: {'right' if self.passed else 'wrong'}, {self.points:g} of {self.max_points:g} points"]
        lines += [f"  - {mistake}" for mistake in self.mistakes]
        lines += [f"    {line}" for line in self.details.splitlines()]
        return "\n".join(lines)


@dataclass(repr=False)
class Report:
    """The result of `fastnn.grading.check` for one operation. Printed, it is the text for the student.

    Attributes:
        operation: its name, as `check` was given it.
        parts: one for each function that the operation consists of.
    """

    operation: str
    parts: list[Part]

    @property
    def passed(self) -> bool:
        """Whether every part passed."""
        return all(part.passed for part in self.parts)

    @property
    def points(self) -> float:
        """The sum of the points of all parts."""
        return sum(part.points for part in self.parts)

    @property
    def max_points(self) -> float:
        """The sum of what the parts can earn."""
        return sum(part.max_points for part in self.parts)

    @property
    def mistakes(self) -> list[str]:
        """The mistakes of all parts, each preceded by the name of its part where there are several parts."""
        prefix = len(self.parts) > 1
        return [f"{part.name}: {text}" if prefix else text for part in self.parts for text in part.mistakes]

    def __str__(self) -> str:
        head = f"{self.operation}: {self.points:g} of {self.max_points:g} points"
        return "\n".join([head, *(f"  {line}" for part in self.parts for line in str(part).splitlines())])

    __repr__ = __str__  # what a console shows

    def _repr_html_(self) -> str:
        """For notebooks."""
        from fastnn.grading.html import report_fragment

        return report_fragment(self)

    def to_html(self) -> str:
        """The report as one HTML file that needs nothing else."""
        return self._alone().to_html()

    def to_junit(self) -> str:
        """The report as JUnit XML, which systems for continuous integration read."""
        return self._alone().to_junit()

    def to_gradescope(self) -> str:
        """The report as the results.json that Gradescope's autograder reads."""
        return self._alone().to_gradescope()

    def _alone(self) -> "Assignment":
        from fastnn.grading.assignment import Assignment

        return Assignment.of(self)
