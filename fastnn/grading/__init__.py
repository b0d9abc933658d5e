"""Check functions that students wrote in NumPy, and name their mistakes.

report = grading.check("batch_norm", forward=my_forward, backward=my_backward)
print(report)

`operations()` lists what can be checked. `signatures(operation)` prints its formula, its settings, and every accepted
signature: plain functions of arrays as in PyTorch, or functions with a cache as in the course cs231n.

A report has a `Part` for each function, with its points, its mistakes in sentences, and the details of the first wrong
call. A mistake is named only if making it gives the student's numbers in every case; two mistakes at once are found,
too. Where no known mistake does, the report says where and how the numbers are wrong.

`check` runs the functions in this process: it is for students who check their own work. A function that never returns
stops it. `grade(file, spec)` checks all tasks of an assignment in a process of its own, with limits; the command
`fastnn grade` does so, too.
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
