"""Check functions that students wrote in NumPy, and name their mistakes."""

from fastnn.grading.errors import StudentError
from fastnn.grading.limits import Limits
from fastnn.grading.report import Part, Report
from fastnn.grading.sandbox import Handle, Sandbox

__all__ = ["Handle", "Limits", "Part", "Report", "Sandbox", "StudentError"]
