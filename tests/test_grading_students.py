"""Functions as students write them: those that are right pass, and the mistake of each other one is named."""

import re

import pytest
from students import library, wrong_dense, wrong_images, wrong_norms, wrong_training  # noqa: F401

from fastnn import grading


def _id(submission):
    return f"{submission.operation}: {submission.what}"


def test_library_has_wrong_functions_for_every_operation():
    assert {submission.operation for submission in library.WRONG} == set(grading.operations())
    assert len(library.WRONG) >= 60
    assert len(library.RIGHT) >= 20


@pytest.mark.parametrize("submission", library.RIGHT, ids=_id)
def test_right_function_passes(submission):
    report = grading.check(submission.operation, **submission.functions)
    assert report.passed, str(report)
    assert report.points == report.max_points


@pytest.mark.parametrize("submission", library.WRONG, ids=_id)
def test_wrong_function_fails_and_its_mistake_is_named(submission):
    report = grading.check(submission.operation, **submission.functions)
    assert not report.passed
    assert report.points < report.max_points
    assert any(re.search(submission.named, mistake) for mistake in report.mistakes), report.mistakes
