"""Fixtures and helpers of the tests of the sandbox."""

import contextlib
import glob
import os
import re
import tempfile
import threading
from pathlib import Path

import pytest

from fastnn.grading import Limits, Sandbox, StudentError

QUICK = Limits(time=1, total=5, memory=300, output=64, result=16)


def children():
    """The processes that this one has started and not waited for, where the system says."""
    return {pid for path in glob.glob("/proc/self/task/*/children") for pid in Path(path).read_text().split()}


@pytest.fixture
def nothing_is_left(tmp_path_factory, monkeypatch):
    """No folder, no process, no thread of a sandbox outlives it."""
    folder = tmp_path_factory.mktemp("sandboxes")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before, threads = children(), threading.active_count()
    yield
    assert os.listdir(folder) == []
    assert threading.active_count() == threads
    assert children() <= before


@pytest.fixture(name="box")
def box_fixture(tmp_path):
    """Makes a sandbox of code; it is closed at the end."""
    boxes = []

    def make(code, **options):
        path = tmp_path / "submission.py"
        path.write_text(code)
        boxes.append(Sandbox(path, options.pop("limits", QUICK), **options))
        return boxes[-1].__enter__()

    yield make
    for each in boxes:
        each.close()


def call(box, code, *arguments, limits=QUICK):
    """The result of the function f in this code."""
    return box("import numpy as np\n" + code, limits=limits).function("f")(*arguments)


@contextlib.contextmanager
def told(words, kind=StudentError):
    """The block raises an error of a student, with these words."""
    with pytest.raises(kind) as caught:
        yield caught
    assert re.search(words, caught.value.sentence), caught.value.sentence
