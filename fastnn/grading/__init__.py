"""Check functions that students wrote in NumPy, and name their mistakes.

report = grading.check("batch_norm", forward=my_forward, backward=my_backward)
print(report)

`operations()` lists what can be checked, `signatures(operation)` prints the accepted signatures. `grade(file, spec)`
checks all tasks of an assignment in a process of its own, with limits; so does the command `fastnn grade`.
"""

from fastnn.grading.assignment import Assignment, grade
from fastnn.grading.check import check, operations, signatures
from fastnn.grading.errors import StudentError
from fastnn.grading.limits import Limits
from fastnn.grading.report import Part, Report
from fastnn.grading.sandbox import Handle, Sandbox
from fastnn.grading.spec import Spec, read_spec

__all__ = [
    "Assignment",
    "Handle",
    "Limits",
    "Part",
    "Report",
    "Sandbox",
    "Spec",
    "StudentError",
    "check",
    "grade",
    "operations",
    "read_spec",
    "signatures",
]
