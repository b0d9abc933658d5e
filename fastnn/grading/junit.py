"""A graded submission as JUnit XML."""

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from fastnn.grading.text import clean

if TYPE_CHECKING:
    from fastnn.grading.assignment import Assignment

__all__ = ["to_junit"]


def to_junit(assignment: "Assignment") -> str:
    """One suite for each task, one test case for each part; a wrong part is a failure with its mistakes."""
    n_tests = sum(len(report.parts) for report in assignment.reports)
    n_failed = sum(not part.passed for report in assignment.reports for part in report.parts)
    name = clean(f"{assignment.title}: {assignment.submission}")
    root = ElementTree.Element("testsuites", name=name, tests=str(n_tests), failures=str(n_failed), errors="0")
    for result in assignment.results:
        parts = result.report.parts
        failed = str(sum(not part.passed for part in parts))
        suite = ElementTree.SubElement(
            root, "testsuite", name=clean(result.name), tests=str(len(parts)), failures=failed, errors="0", skipped="0"
        )
        properties = ElementTree.SubElement(suite, "properties")
        ElementTree.SubElement(properties, "property", name="points", value=f"{result.report.points:g}")
        ElementTree.SubElement(properties, "property", name="max_points", value=f"{result.report.max_points:g}")
        for part in parts:
            case = ElementTree.SubElement(suite, "testcase", classname=clean(result.name), name=clean(part.name))
            if not part.passed:
                message = clean("; ".join(part.mistakes))
                failure = ElementTree.SubElement(case, "failure", message=message, type="wrong")
                failure.text = clean(str(part))
        if result.output:
            ElementTree.SubElement(suite, "system-out").text = clean(result.output)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False).join(
        ['<?xml version="1.0" encoding="UTF-8"?>\n', "\n"]
    )
