"""Check functions that students wrote in NumPy, and name their mistakes.

report = grading.check("batch_norm", forward=my_forward, backward=my_backward)
print(report)

`operations()` lists what can be checked, `signatures(operation)` prints the accepted signatures.
"""

from fastnn.grading.check import check, operations, signatures
from fastnn.grading.report import Part, Report

__all__ = ["Part", "Report", "check", "operations", "signatures"]
