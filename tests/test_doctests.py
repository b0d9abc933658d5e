"""The examples in the docstrings of all modules run, and give what they say."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import fastnn
from fastnn import nn

MODULES = ["fastnn", *(m.name for m in pkgutil.walk_packages(fastnn.__path__, "fastnn.") if "__main__" not in m.name)]


@pytest.mark.parametrize("name", [name for name in MODULES if name != "fastnn._native"])
def test_doctests_run(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # for examples that write files
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    said = []
    for example in doctest.DocTestFinder().find(module, extraglobs={"np": np, "nn": nn}):
        runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)
