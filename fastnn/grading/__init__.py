"""Check functions that students wrote in NumPy, and name their mistakes."""

from fastnn.grading.report import Part, Report

__all__ = ["Part", "Report"]
