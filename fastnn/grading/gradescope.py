"""A graded submission as the results.json of Gradescope's autograder.

Source: Gradescope's autograder documentation, "Specifications", output format.
"""

import json
from typing import TYPE_CHECKING, Any

from fastnn.grading.text import clean

if TYPE_CHECKING:
    from fastnn.grading.assignment import Assignment

__all__ = ["to_gradescope"]


def to_gradescope(assignment: "Assignment") -> str:
    """One test for each part; what a submission printed is for the teacher's eyes only."""
    notes = [f"Note: {clean(note)}" for note in assignment.notes]
    head = f"{clean(assignment.title)}: {assignment.points:g} of {assignment.max_points:g} points"
    tests: list[dict[str, Any]] = []
    for number, result in enumerate(assignment.results, 1):
        for place, part in enumerate(result.report.parts, 1):
            lines = [*part.mistakes, part.details] if not part.passed else [part.details]
            if result.hint and not part.passed:
                lines.append(f"Hint: {result.hint}")
            if result.trace and not part.passed:
                lines.append(result.trace)
            tests.append(
                {
                    "name": clean(f"{result.name}: {part.name}"),
                    "number": f"{number}.{place}",
                    "score": part.points,
                    "max_score": part.max_points,
                    "status": "passed" if part.passed else "failed",
                    "output": clean("\n".join(filter(None, lines))),
                    "output_format": "text",
                    "visibility": result.visibility,
                }
            )
    results = {
        "score": assignment.points,
        "max_score": assignment.max_points,
        "output": "\n".join([head, *notes]),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
    }
    return json.dumps(results, indent=1, allow_nan=False) + "\n"
