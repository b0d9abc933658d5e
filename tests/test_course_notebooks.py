"""The notebooks of the courses run from a fresh kernel: as students get them, and with every open function written."""

import ast
import os
import re
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

_TESTS = Path(__file__).parent
_NOTEBOOKS = _TESTS.parent / "docs" / "courses" / "notebooks"
_COURSES = ("fudan", "hlcv", "itu", "pku")

pytestmark = pytest.mark.slow


def _functions(source):
    lines = source.split("\n")
    return {
        node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    }


def _read(course):
    text = (_NOTEBOOKS / f"{course}.md").read_text(encoding="utf-8")
    kernel = "  name: python3\n  display_name: Python 3\n  language: python\n"
    return jupytext.reads(text.replace("  name: python3\n", kernel, 1), fmt="md:myst")


def _solved(notebook, course):
    """The notebook with each open function replaced by the solution of its name."""
    solutions = _functions((_TESTS / "notebook_solutions" / f"{course}.py").read_text(encoding="utf-8"))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for name, source in _functions(cell.source).items():
                if "NotImplementedError" in source:
                    cell.source = cell.source.replace(source, solutions.pop(name))
    assert not solutions, "solutions of functions that the notebook does not ask for"
    return notebook


def _run(notebook, folder):
    """Everything that the notebook prints."""
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    return "".join(output["text"] for output in outputs if output.output_type == "stream" and output.name == "stdout")


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """A kernel that sees the package as the tests do, no settings of the user's, and data only where they are."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    return tmp_path


@pytest.mark.parametrize("course", _COURSES)
def test_notebook_as_students_get_it_runs_and_awards_nothing(course, kernel, monkeypatch):
    monkeypatch.setenv("FASTNN_DATA", str(kernel / "nothing"))
    text = _run(_read(course), kernel)
    assert "not written yet" in text
    points = [float(number) for number in re.findall(r"([\d.]+) of [\d.]+ points", text)]
    assert points, text
    assert not any(points) or course == "itu"  # whose notebook also checks a function that it shows


@pytest.mark.parametrize("course", _COURSES)
@pytest.mark.parametrize("data", ["built-in", "real"])
def test_solved_notebook_passes_every_check(course, data, kernel, monkeypatch):
    if data == "built-in":
        monkeypatch.setenv("FASTNN_DATA", str(kernel / "nothing"))
    elif not os.environ.get("FASTNN_DATA"):
        pytest.skip("FASTNN_DATA is not set")
    text = _run(_solved(_read(course), course), kernel)
    assert "not written yet" not in text
    assert "stands in for yours" not in text
    if data == "real":
        assert "not found" not in text
