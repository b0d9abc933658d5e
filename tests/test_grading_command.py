"""`fastnn grade`: points, files, exit codes; hostile submissions get none, and harm nobody."""

import csv
import json
import os
import subprocess
import sys
import time
from xml.etree import ElementTree

import pytest
from grading_submissions import RIGHT, SPEC, with_body

from fastnn import cli, grading

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the sandbox needs a system of the family of Unix")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text(SPEC)
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(RIGHT.replace("cache > 0", "cache < 0"))
    return tmp_path


def run(capsys, *arguments):
    code = cli.main(["grade", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# ---- the command -----------------------------------------------------------------------------------------------------
def test_a_right_submission_has_all_points(folder, capsys):
    code, out, err = run(capsys, "right.py", "--spec", "spec.toml")
    assert code == 0
    assert "Small: right.py: 10 of 10 points" in out
    assert not err


def test_a_wrong_part_has_no_points_and_the_hint(folder, capsys):
    code, out, _ = run(capsys, "wrong.py", "--spec", "spec.toml")
    assert code == 0
    assert "4 of 10 points" in out
    assert "Hint: Look at the sign." in out


def test_the_same_seed_gives_the_same_report(folder):
    first, second = (str(grading.grade("wrong.py", "spec.toml", seed=5)) for _ in range(2))
    assert first == second


def test_the_command_works_as_a_program(folder):
    command = [sys.executable, "-m", "fastnn", "grade", "right.py", "--spec", "spec.toml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "10 of 10 points" in done.stdout


@pytest.mark.parametrize(("points", "code"), [("4", 0), ("4.5", 1), ("10", 1)])
def test_fail_under_is_the_only_way_to_fail(folder, capsys, points, code):
    assert run(capsys, "wrong.py", "--spec", "spec.toml", "--fail-under", points)[0] == code


def test_reports_are_written(folder, capsys):
    files = "--html", "r.html", "--junit", "r.xml", "--gradescope", "r.json"
    assert run(capsys, "wrong.py", "--spec", "spec.toml", *files)[0] == 0
    assert "4 of 10 points" in (folder / "r.html").read_text()
    assert ElementTree.parse(folder / "r.xml").getroot().get("failures") == "1"
    assert json.loads((folder / "r.json").read_text())["score"] == 4


def test_many_submissions_give_a_table(folder, capsys):
    (folder / "all").mkdir()
    for name in ("right", "wrong"):
        (folder / f"{name}.py").rename(folder / "all" / f"{name}.py")
    (folder / "all" / "=1+1.py").write_text("import torch")
    (folder / "all" / "binary.py").write_bytes(b"\xff\xfe\x00")
    code, out, err = run(capsys, "all", "--spec", "spec.toml", "--csv", "table.csv", "--html", "pages")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["=1+1", "0", "of", "10"],
        ["right", "10", "of", "10"],
        ["wrong", "4", "of", "10"],
    ]
    assert "binary.py: it is no text in UTF-8" in err
    with open("table.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["submission", "points", "max_points", "ReLU", "error"]
    assert [row[:3] for row in rows[1:]] == [
        ["'=1+1", "0", "10"],
        ["binary", "", "10"],
        ["right", "10", "10"],
        ["wrong", "4", "10"],
    ]
    assert sorted(os.listdir("pages")) == ["=1+1.html", "right.html", "wrong.html"]


def test_folders_of_students_are_submissions_if_the_spec_names_the_file(folder, capsys):
    (folder / "spec.toml").write_text('file = "work.py"\n' + SPEC)
    for name in ("ann", "bob"):
        (folder / "all" / name).mkdir(parents=True)
    (folder / "all" / "ann" / "work.py").write_text("from helper import *\n")
    (folder / "all" / "ann" / "helper.py").write_text(RIGHT)
    (folder / "all" / "bob" / "work.py").write_text("from helper import *\n")
    code, out, _ = run(capsys, "all", "--spec", "spec.toml")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [["ann", "10"], ["bob", "0"]]
    assert "10 of 10" in run(capsys, "all/ann", "--spec", "spec.toml")[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["right.py"], "required: --spec"),
        (["--spec", "spec.toml"], "say which submission"),
        (["nothing.py", "--spec", "spec.toml"], "nothing.py: No such file"),
        (["spec.toml", "--spec", "spec.toml"], "a submission is a file .py or .ipynb"),
        (["empty", "--spec", "spec.toml"], "empty: it has no files .py or .ipynb"),
        (["right.py", "--spec", "no_such_spec"], "there is no such file and no such spec; specs are"),
        (["right.py", "--spec", "nothing.toml"], "nothing.toml: No such file"),
        (["right.py", "--spec", "right.py"], "right.py: it is no TOML"),
        (["right.py", "--spec", "spec.toml", "--time", "0"], "--time must be >= 0.01"),
        (["right.py", "--spec", "spec.toml", "--memory", "0"], "--memory must be >= 1"),
        (["right.py", "--spec", "spec.toml", "--seed", "-1"], "--seed must be at least 0"),
        (["right.py", "--spec", "spec.toml", "--fail-under", "nan"], "--fail-under must be"),
        (["right.py", "--spec", "spec.toml", "--csv", "a.csv"], "--csv is for several"),
        (["right.py", "--spec", "spec.toml", "--html", "no/such/r.html"], "No such file"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_line(folder, capsys, arguments, words):
    (folder / "empty").mkdir()
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1


def test_the_specs_that_come_with_fastnn_are_listed(capsys):
    code, out, _ = run(capsys, "--spec", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["fudan", "hlcv", "itu", "pku"]


def test_a_submission_is_no_link_to_the_solution_and_no_pipe(folder, capsys):
    (folder / "all" / "cat").mkdir(parents=True)
    (folder / "spec.toml").write_text('file = "work.py"\n' + SPEC)
    (folder / "right.py").rename(folder / "solution.py")
    (folder / "all" / "ann.py").symlink_to(folder / "solution.py")
    (folder / "all" / "cat" / "work.py").symlink_to(folder / "solution.py")
    os.mkfifo(folder / "pipe.py")
    code, out, err = run(capsys, "all", "--spec", "spec.toml")
    assert (code, out) == (0, "")
    assert err.count("it is a link, which a submission may not be") == 2
    code, _, err = run(capsys, "pipe.py", "--spec", "spec.toml")
    assert code == 2
    assert "pipe.py: it is no file" in err


@pytest.mark.parametrize("name", ["numpy", "json", "__main__", "my work", "a-b"])
def test_a_file_may_have_any_name(folder, name):
    (folder / "right.py").rename(folder / f"{name}.py")
    assert grading.grade(f"{name}.py", "spec.toml").passed


# ---- notebooks -------------------------------------------------------------------------------------------------------
def test_a_notebook_runs_cell_by_cell(folder):
    sources = ["%matplotlib inline\nimport numpy as np", "undefined + 1", "# text", *RIGHT.split("def ")]
    sources[3:] = [sources[3], *(f"def {source}" for source in sources[4:])]
    cells = [{"cell_type": "code", "source": source} for source in sources]
    (folder / "book.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    result = grading.grade("book.ipynb", "spec.toml")
    assert result.points == 10
    assert "cell 1: left out %matplotlib inline" in result.notes
    assert any(note.startswith("cell 2 failed: NameError: name 'undefined'") for note in result.notes)


def test_a_notebook_that_is_none_is_an_error(folder, capsys):
    (folder / "book.ipynb").write_text("[]")
    code, _, err = run(capsys, "book.ipynb", "--spec", "spec.toml")
    assert code == 2
    assert "is no notebook" in err


# ---- hostile submissions ---------------------------------------------------------------------------------------------
# Name: what the two functions do, or the whole file if it begins with FILE; what the report says.
HOSTILE = {
    "printing points": ("print('{\"score\": 10}', '10 of 10 points')\nreturn None", "None|no array"),
    "exit with 0": ("sys.exit(0)", "SystemExit"),
    "exit at once": ("os._exit(0)", "ended the process with exit code 0"),
    "abort": ("os.abort()", "SIGABRT"),
    "loop": ("while True: pass", "took more than 1 s"),
    "loop that catches all": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "took more than 1 s",
    ),
    "memory": ("return np.ones(10**11)", "more than 300 MB"),
    "recursion": ("return relu_forward(*args)", "RecursionError"),
    "output": ("while True: print('x' * 1000)", "more than 64 KB"),
    "result that equals all": (
        "class All:\n    def __eq__(self, other): return True\n"
        "    def __array__(self, *a, **k): return args[0]\nreturn All()",
        "All",
    ),
    "operators of its own": (
        "class Mine(np.ndarray):\n    def __array_ufunc__(self, *a, **k): return np.bool_(True)\n"
        "return (args[0] * 0 + 7).view(Mine)",
        "7|factor|wrong",
    ),
    "objects": ("return np.array([None] * 3)", "no array of numbers"),
    "generator": ("return (x for x in args[0])", "generator"),
    "huge shape": ("return np.broadcast_to(0.0, (10**7, 10**7))", "cannot be taken"),
    "shape 0": ("return np.zeros((0, 10**9))", "shape"),
    "huge integer": ("return 10**3000", "cannot be taken"),
    "escapes": ("raise ValueError('\\x1b[2J\\x00\\ud800' * 9)", "ValueError"),
    "writing the spec": ("open({spec!r}, 'w').write('')", "may not write files"),
    "reading the spec": ("return open({spec!r}).read()", "may not read this file"),
    "reading the twin": ("import fastnn.reference", "No module named 'fastnn'"),
    "patching the checker": (
        "import importlib\nfor name in list(sys.modules):\n    if 'grading' in name or 'fastnn' in name:\n"
        "        sys.modules[name].allclose = lambda *a: True\nnp.array_equal = np.allclose = lambda *a, **k: True\n"
        "np.abs = np.max = np.subtract = lambda *a, **k: 0\nreturn np.full_like(args[0], 3)",
        "wrong|constant|3",
    ),
    "file: loop": ("FILE while True: pass", "loading the file took more than 1 s; code that trains belongs"),
    "file: exit": ("FILE import os; os._exit(0)", "exit code 0"),
    "file: no text": ("FILE \0", "the file cannot be loaded: "),
    "file: syntax": ("FILE def relu_forward(:", "the file cannot be loaded: SyntaxError"),
    "file: empty": ("FILE ", "there is no function relu_forward; the file has no functions"),
    "file: other names": ("FILE def relu_foward(x): pass", "the file has relu_foward"),
    "file: no function": ("FILE relu_forward = relu_backward = 3", "relu_forward is no function"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_submission_has_no_points_and_is_told(folder, name):
    body, words = HOSTILE[name]
    spec = folder / "spec.toml"
    code = body[5:] if body.startswith("FILE ") else with_body(body.replace("{spec!r}", repr(str(spec))))
    path = folder / "submission.py"
    path.write_text(code)
    before = {p: p.read_bytes() for p in folder.iterdir()}
    begin = time.monotonic()
    result = grading.grade(path, spec)
    assert time.monotonic() - begin < 20
    assert (result.points, result.max_points, result.passed) == (0, 10, False)
    assert any(_has(words, text) for report in result.reports for text in report.mistakes), str(result)
    assert {p: p.read_bytes() for p in folder.iterdir()} == before
    assert "\x1b" not in str(result)
    for text in (result.to_html(), result.to_junit(), result.to_gradescope()):
        text.encode()
    ElementTree.fromstring(result.to_junit().encode())
    json.loads(result.to_gradescope())


def _has(words, text):
    import re

    return re.search(words, text) is not None
