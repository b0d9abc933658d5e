"""`fastnn reproduce`: what it runs, what it says, how it fails. And every recipe, quickly."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from html_page import Page

import fastnn
from fastnn import cli, courses


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


# ---- the command -----------------------------------------------------------------------------------------------------
def passing(context):
    context.report.check("one", 1, 1)


def failing(context):
    context.report.check("two", 2, 1)
    context.report.check("three", 3, 1)


def test_reproduce_says_what_failed_and_where_the_report_is(new_recipe, capsys):
    new_recipe(passing, "good")
    new_recipe(failing, "bad")
    assert run("reproduce", "good", "--quick") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("good: 1 of 1 rows pass (")
    assert captured.out.endswith("runs/good-quick/report.html\n")
    assert run("reproduce", "bad", "--out", "there") == 1
    captured = capsys.readouterr()
    assert captured.err == "fastnn: not as expected: bad: two; three\n"
    assert captured.out.endswith("there/report.html\n")
    assert Path("there/report.html").exists()


def test_reproduce_all_runs_all_although_one_fails(new_recipe, capsys):
    seen = {}

    def asks(context):
        seen.update(epochs=context.option("epochs", 10), seed=context.seed, quick=context.quick)
        context.report.check("one", 1, 1)

    new_recipe(failing, "a")
    new_recipe(asks, "b", options=("epochs",))
    assert run("reproduce", "all", "--quick", "--out", "all", "--epochs", 2, "--seed", 7) == 1
    captured = capsys.readouterr()
    assert [line.split(":")[0] for line in captured.out.splitlines()] == ["a", "b"]
    assert captured.err == "fastnn: not as expected: a: two; three\n"
    assert seen == {"epochs": 2, "seed": 7, "quick": True}
    assert Path("all/a/report.md").exists()
    assert "--quick" in Path("all/b/report.md").read_text()


def test_reproduce_list_explains_every_recipe(new_recipe, capsys):
    new_recipe(passing, "x-one", course="Course X")
    new_recipe(passing, "a-one", course="Course A", options=("epochs", "n_items"))
    new_recipe(passing, "x-two", course="Course X")
    assert run("reproduce", "--list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Course A",
        "  a-one [--epochs] [--n-items]",
        "      About a-one.",
        "Course X",
        "  x-one",
        "      About x-one.",
        "  x-two",
        "      About x-two.",
    ]


def test_reproduce_sets_threads(new_recipe):
    seen = []
    new_recipe(lambda context: seen.append(fastnn.num_threads()))
    assert run("reproduce", "toy", "--threads", 1) == 0
    assert seen == [1]


def needs(package):
    def recipe(context):
        raise ModuleNotFoundError(f"No module named '{package}.x'", name=f"{package}.x")

    return recipe


def no_data(context):
    context.find("courses/nothing.npz")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say which recipe"),
        (["none"], "there is no recipe 'none'; choose from data, optuna, toy"),
        (["toy", "--epochs", "2"], "toy has no option 'epochs'; it has model"),
        (["data", "--model", "a"], "data has no option 'model'; it has none"),
        (["all", "--image", "a.png"], "no recipe has the option --image"),
        (["toy", "--epochs", "0"], "--epochs must be at least 1"),
        (["toy", "--n-items", "-3"], "--n-items must be at least 1"),
        (["toy", "--epochs", "x"], "invalid int"),
        (["toy", "--seed", "-1"], "--seed must not be negative"),
        (["toy", "--threads", "0"], "between 1 and 4096"),
        (["toy", "--data", "nowhere"], "there is no folder nowhere: let --data or"),
        (
            ["toy", "--out", "file"],
            "file: no results can be written there (File exists): name another folder with --out",
        ),
        (["toy", "--out", "file/a"], "file/a: "),
        (["data"], "courses/nothing.npz was not found in "),
        (["optuna"], "optuna needs Optuna, which is not installed: pip install 'fastnn[tune]'"),
        (["toy", "--wings"], "unrecognized arguments: --wings"),
    ],
)
def test_reproduce_errors_are_one_sentence_and_exit_code_2(arguments, words, new_recipe, capsys):
    Path("file").write_text("text")
    new_recipe(passing, options=("model",))
    new_recipe(no_data, "data")
    new_recipe(needs("optuna"), "optuna")
    assert run("reproduce", *arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""


def test_reproduce_into_a_read_only_folder_is_told_first(new_recipe, monkeypatch, capsys):
    def closed(**kwargs):  # root may write everywhere, so the rights of a folder prove nothing
        raise PermissionError(errno.EACCES, "Permission denied", str(kwargs["dir"]))

    calls = []
    new_recipe(calls.append)
    monkeypatch.setattr("tempfile.mkstemp", closed)
    assert run("reproduce", "toy", "--out", "closed") == 2
    assert capsys.readouterr().err == (
        "fastnn: closed: no results can be written there (Permission denied): name another folder with --out\n"
    )
    assert not calls


def test_reproduce_missing_module_of_the_package_itself_is_not_called_an_extra(new_recipe):
    new_recipe(needs("fastnn"))
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'fastnn\.x'"):
        courses.run("toy", out="out", say=str)


def test_reproduce_that_is_interrupted_continues(new_recipe, capsys):
    calls, fail = [], [KeyboardInterrupt()]

    def second():
        calls.append("second")
        if fail:
            raise fail.pop()

    def recipe(context):
        context.stage("first", lambda: calls.append("first"))
        context.stage("second", second)
        context.report.check("one", 1, 1)

    new_recipe(recipe)
    assert run("reproduce", "toy") == 130
    captured = capsys.readouterr()
    assert captured.err == "fastnn: toy was interrupted; run it again to continue\n"
    assert captured.out == ""
    assert not Path("runs/toy/report.md").exists()
    assert run("reproduce", "toy") == 0
    assert calls == ["first", "second", "second"]
    assert "first: done before" in capsys.readouterr().err
    assert Path("runs/toy/report.md").exists()


# ---- what every recipe says --------------------------------------------------------------------------------------
@pytest.fixture
def nothing_there(tmp_path, monkeypatch):
    """A computer without data, on which work is a mistake."""
    monkeypatch.setattr("fastnn.data._files.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.delenv("FASTNN_DEBUG", raising=False)
    monkeypatch.setattr(fastnn.nn.Module, "__call__", lambda *_: pytest.fail("work before the data was looked for"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8\xff")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def only_sentence(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.parametrize("name", courses.names())
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere"], "there is no folder nowhere: let --data or the environment variable FASTNN_DATA name"),
        (["--data", "empty"], "let --data or the environment variable FASTNN_DATA name the folder that has"),
        (["--out", "file"], "file: no results can be written there (File exists): name another folder with --out"),
        (["--out", "file/a"], "file/a: no results can be written there (Not a directory): name another folder"),
    ],
)
def test_every_recipe_tells_a_wrong_folder_at_once(name, arguments, words, nothing_there, capsys):
    assert run("reproduce", name, "--out", "out", *arguments) == 2
    assert words in only_sentence(capsys)


@pytest.mark.parametrize("name", courses.names())
def test_every_recipe_tells_a_read_only_folder_at_once(name, nothing_there, monkeypatch, capsys):
    def closed(**kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(kwargs["dir"]))

    monkeypatch.setattr("tempfile.mkstemp", closed)
    assert run("reproduce", name, "--out", "closed") == 2
    words = "closed: no results can be written there (Permission denied): name another folder with --out"
    assert only_sentence(capsys) == f"fastnn: {words}"


@pytest.mark.parametrize(
    ("name", "options", "module", "package"),
    [
        ("itu-two-layer", [], "optuna", "Optuna"),
        ("pku-mlp", [], "PIL", "Pillow"),
        ("pku-bn", [], "PIL", "Pillow"),
        ("pku-cnn", ["--image", "image.jpg"], "PIL", "Pillow"),
    ],
)
def test_recipes_tell_a_missing_package_at_once(name, options, module, package, nothing_there, monkeypatch, capsys):
    (nothing_there / "empty/pku-mnist-subset").mkdir()
    (nothing_there / "empty/pku-mnist-subset/0.png").write_bytes(b"")
    images = fastnn.data.Dataset(np.zeros((2000, 3, 32, 32), np.uint8), np.zeros(2000, np.int64))
    monkeypatch.setattr(fastnn.data, "CIFAR10", lambda root=None, train=True: images)
    monkeypatch.setitem(sys.modules, module, None)
    assert run("reproduce", name, "--data", "empty", *options) == 2
    assert only_sentence(capsys) == (
        f"fastnn: {name} needs {package}, which is not installed: "
        f"pip install 'fastnn[{'tune' if module == 'optuna' else 'image'}]'"
    )


# ---- the recipes -----------------------------------------------------------------------------------------------------
def test_recipes_say_what_they_are():
    for name in courses.names():
        recipe = courses.get(name)
        assert recipe.name == name
        assert recipe.course
        assert recipe.title
        assert re.fullmatch(r"[A-Z](?:[^.!?]|[.](?=\d))*[.]", recipe.about), recipe.about  # one sentence
        assert set(recipe.options) <= {"epochs", "n_items", "model", "image", "full"}, name


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("FASTNN_DATA"), reason="FASTNN_DATA is not set")
def test_recipes_reproduce_their_courses_quickly(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
    # -P: in a checkout, the folder at hand has sources without the compiled module.
    result = subprocess.run(
        [sys.executable, "-P", "-m", "fastnn", "reproduce", "all", "--quick", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=1200,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "compiled module is missing" not in result.stderr
    for name in courses.names():
        folder = tmp_path / name
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["rows"], name
        assert "A quick run" in (folder / "report.md").read_text()
        page = Page((folder / "report.html").read_text())
        figures = list(folder.glob("*.png"))
        assert figures, name
        assert len(page.addresses) == len(figures)
        assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
        assert (folder / "history.csv").exists(), name


def test_recipes_are_in_the_documentation():
    text = (Path(__file__).parent.parent / "docs/courses/README.md").read_text()
    assert {name for name in courses.names() if f"`{name}`" not in text} == set()
