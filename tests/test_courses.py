"""The frame of the course recipes: reports, verdicts, stages, the command. And every recipe, quickly."""

import csv
import errno
import json
import math
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fastnn
from fastnn import cli, courses
from fastnn.courses import context as context_module
from fastnn.courses import recipe as recipe_module
from fastnn.courses.report import FAIL, NOT_RUN, PASS, Report
from fastnn.training import load_state

# ---- tools -----------------------------------------------------------------------------------------------------------
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads HTML: checks that tags are closed in order, keeps addresses, and texts by tag."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.texts, self.tags = [], [], {}, set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(text)


@pytest.fixture
def new_recipe(monkeypatch):
    """Registers recipes that are gone after the test; there are no others meanwhile."""
    courses.names()  # reads the files of the real ones into the real list
    monkeypatch.setattr(recipe_module, "registry", {})

    def register(function, name="toy", course="A course", **settings):
        recipe_module.registry.pop(name, None)
        recipe_module.recipe(name, course=course, title=f"The {name}", about=f"About {name}.", **settings)(function)

    return register


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DEBUG", raising=False)


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def curve():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, 1])
    return figure


# ---- rows ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("expected", "ours", "settings", "verdict"),
    [
        (1, 1, {}, PASS),
        (1, 2, {}, FAIL),
        (890_410, np.int64(890_410), {}, PASS),
        (1.0, 1.5, {"tolerance": 0.5}, PASS),
        (1.0, 1.5000001, {"tolerance": 0.5}, FAIL),
        (1.0, 0.5, {"tolerance": 0.5}, PASS),
        (100.0, 101.0, {"tolerance": 0.01, "relative": True}, PASS),
        (-100.0, -101.0, {"tolerance": 0.01, "relative": True}, PASS),
        (100.0, 101.0, {"tolerance": 0.009, "relative": True}, FAIL),
        (0.0, 0.0, {"tolerance": 0.1, "relative": True}, PASS),
        (0.0, 1e-300, {"tolerance": 0.1, "relative": True}, FAIL),
        (0.52, 0.53, {"at_least": True}, PASS),
        (0.52, 0.52, {"at_least": True}, PASS),
        (0.52, 0.51, {"at_least": True}, FAIL),
        (0.52, 0.51, {"at_least": True, "tolerance": 0.02}, PASS),
        (1.0, 0.9, {"at_most": True}, PASS),
        (1.0, 1.1, {"at_most": True}, FAIL),
        (1.0, 1.1, {"at_most": True, "tolerance": 0.2}, PASS),
        (1.0, math.nan, {"tolerance": 1e9}, FAIL),
        (1.0, math.nan, {"at_least": True}, FAIL),
        (1.0, math.nan, {"at_most": True}, FAIL),
        (math.nan, math.nan, {"tolerance": 1.0}, FAIL),
        (1.0, math.inf, {"tolerance": 1e9}, FAIL),
        (math.inf, math.inf, {}, PASS),
        (1.0, None, {"tolerance": 1.0}, FAIL),
        ("horse", "horse", {}, PASS),
        ("horse", "cat", {}, FAIL),
        (True, np.True_, {}, PASS),
        (True, False, {}, FAIL),
        ([1.0, 2.0], np.array([1.0, 2.1]), {"tolerance": 0.2}, PASS),
        ([1.0, 2.0], np.array([1.0, 2.3]), {"tolerance": 0.2}, FAIL),
        ([1.0, 2.0], [1.0, math.nan], {"tolerance": 0.2}, FAIL),
        ([1.0, 2.0], [1.0, 2.0, 3.0], {"tolerance": 9.0}, FAIL),
        ([], [], {"tolerance": 9.0}, FAIL),
    ],
)
def test_check_verdict(expected, ours, settings, verdict, tmp_path):
    report = Report("t", tmp_path)
    assert report.check("row", expected, ours, **settings) == (verdict == PASS)
    assert [row.verdict for row in report.rows] == [verdict]
    assert report.failed == ([] if verdict == PASS else ["row"])
    report.write()
    (row,) = json.loads((tmp_path / "metrics.json").read_text())["rows"]
    assert row["verdict"] == verdict


def test_check_array_shows_its_worst_element(tmp_path):
    report = Report("t", tmp_path)
    report.check("gradient", np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.5], [2.0, 4.0]]), tolerance=0.1)
    (row,) = report.rows
    assert (row.expected, row.ours, row.difference, row.elements) == (3.0, 2.0, -1.0, 4)


@pytest.mark.parametrize("quick", [False, True])
def test_check_of_the_full_run_is_not_judged_in_a_quick_one(quick, tmp_path):
    report = Report("t", tmp_path, quick=quick)
    assert report.check("accuracy", 0.5, 0.1, at_least=True, full_only=True) is quick
    assert report.rows[0].verdict == (NOT_RUN if quick else FAIL)
    report.check("other", 1, 1)
    assert report.verdict() == (
        "1 of 1 rows pass, 1 need the full run" if quick else "1 of 2 rows pass; failed: accuracy"
    )
    report.write()
    for name in ("report.md", "report.html"):
        assert ("A quick run" in (tmp_path / name).read_text()) is quick


@pytest.mark.parametrize(
    "settings", [{"at_least": True, "at_most": True}, {"tolerance": -1.0}, {"tolerance": math.nan}]
)
def test_check_contradictory_arguments_are_refused(settings, tmp_path):
    with pytest.raises(ValueError, match="check 'row'"):
        Report("t", tmp_path).check("row", 1, 1, **settings)


# ---- files -----------------------------------------------------------------------------------------------------------
HOSTILE = "<script src='http://example.org/x.js'>|&"


def filled(folder):
    report = Report(f"Title {HOSTILE}", folder, course="The course", about="It is **bold** and `a < b`.")
    report.facts = {"Ran on": "a machine", "Empty": ""}
    report.task("Task 1", asked="Compute.", done=f"Computed {HOSTILE}.")
    report.text("A paragraph\nof two lines.\n\n### Below\n- one `x*y`\n- two\n  goes on\n\n```python\na < b\n```\nEnd.")
    report.check(f"loss {HOSTILE}", 1.30378789133, 1.3037878913298202, tolerance=1e-11, note="of the *toy* data")
    report.check("images", 50_000, 49_999)
    report.table(f"Speeds {HOSTILE}", ["name", "speed"], [["a|b", 1234.56789], [HOSTILE, np.float32(2)], ["c", None]])
    report.figure("curve_1", curve(), f"Loss {HOSTILE}")
    report.metric("accuracy", np.float64(0.25))
    report.metric("bad", math.nan)
    report.metric("curve", np.arange(2))
    report.history([{"epoch": 1, "loss": 2.5}])
    report.history([{"epoch": 2, "accuracy": 0.5}])
    report.write()
    return report


def test_report_writes_all_its_files(tmp_path):
    filled(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.md", "report.html", "metrics.json", "history.csv", "curve_1.png"
    }  # fmt: skip
    assert (tmp_path / "curve_1.png").read_bytes().startswith(b"\x89PNG")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["metrics"] == {"accuracy": 0.25, "bad": None, "curve": [0, 1]}
    assert metrics["failed"] == ["images"]
    assert metrics["passed"] is False
    assert [(row["task"], row["expected"], row["ours"]) for row in metrics["rows"]] == [
        ("Task 1", 1.30378789133, 1.3037878913298202),
        ("Task 1", 50_000, 49_999),
    ]
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert rows == [{"epoch": "1", "loss": "2.5", "accuracy": ""}, {"epoch": "2", "loss": "", "accuracy": "0.5"}]


def test_report_html_needs_nothing_else_and_shows_texts_as_they_are(tmp_path):
    filled(tmp_path)
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert "url(" not in text
    assert "@import" not in text
    assert HOSTILE in page.texts["figcaption"][0]
    assert f"Title {HOSTILE}" in "".join(page.texts["h1"])
    assert page.texts["strong"] == ["bold", "Asked.", "Done."]
    assert page.texts["code"] == ["a < b", "x*y", "a < b"]
    assert page.texts["h3"] == ["Below"]
    assert "".join(page.texts["li"]) == "one two goes on"
    cells = page.texts["td"]
    assert {"1.30378789133", "-1", "50,000", "49,999", "pass", "FAIL", "1234.57"} <= set(cells)
    assert "1 of 2 rows pass; failed: images." in page.texts["p"]


def test_report_markdown_has_tables_of_equal_width(tmp_path):
    filled(tmp_path)
    text = (tmp_path / "report.md").read_text()
    tables = [[line for line in block.splitlines() if line.startswith("|")] for block in text.split("\n\n")]
    widths = [{line.replace("\\|", "").count("|") for line in lines} for lines in tables if lines]
    assert widths == [{8}, {3}]  # what, expected, ours, difference, allowed, verdict, note; name, speed
    assert "![Loss" in text
    assert "](curve_1.png)" in text
    assert "| images | 50,000 | 49,999 | -1 | equal | FAIL |  |" in text
    assert "**1 of 2 rows pass; failed: images.**" in text


def test_report_written_twice_is_the_same(tmp_path):
    report = filled(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    report.write()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_report_refuses_what_it_cannot_show(tmp_path):
    report = Report("t", tmp_path)
    with pytest.raises(ValueError, match="every row needs 2 cells"):
        report.table("t", ["a", "b"], [[1]])
    with pytest.raises(ValueError, match="the name may hold"):
        report.figure("../a", curve(), "")
    report.figure("a", curve(), "")
    with pytest.raises(ValueError, match="two figures 'a'"):
        report.figure("a", curve(), "")


# ---- stages ----------------------------------------------------------------------------------------------------------
class TwoStages:
    """A recipe that counts what it computes; `fail` is raised in the second stage."""

    def __init__(self):
        self.calls, self.results, self.fail = [], [], None

    def __call__(self, context):
        first = context.stage("first lr=0.1", self.first)
        second = context.stage("second", self.second)
        self.results.append((first, second, fastnn.random_state()))
        context.report.check("sum", 6.0, float(first["weights"].sum()), tolerance=1e-12)

    def first(self):
        self.calls.append("first")
        drawn = fastnn.nn.Linear(2, 2).weight.data
        return {"loss": np.float64(0.5), "weights": np.arange(4.0), "names": ["a"], "none": None, "drawn": drawn}

    def second(self):
        self.calls.append("second")
        if self.fail is not None:
            raise self.fail
        return {"drawn": fastnn.nn.Linear(2, 2).weight.data}


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b


def test_stage_is_read_the_second_time_and_gives_the_same(new_recipe):
    recipe = TwoStages()
    new_recipe(recipe)
    for _ in range(2):
        assert courses.run("toy", out="out", say=str).failed == []
    assert recipe.calls == ["first", "second"]
    (first, second, _), (first_again, second_again, _) = recipe.results
    assert same(first, first_again)
    assert same(second, second_again)
    assert not same(first["drawn"], second["drawn"])


def test_stage_does_not_depend_on_the_stages_before(new_recipe):
    recipe = TwoStages()
    new_recipe(recipe)
    courses.run("toy", out="out", say=str)
    next(Path("out/stages").glob("second*")).unlink()
    courses.run("toy", out="out", say=str)
    assert recipe.calls == ["first", "second", "second"]
    assert same(recipe.results[0][1], recipe.results[1][1])


def test_stage_leaves_the_generator_of_the_program_alone(new_recipe):
    new_recipe(TwoStages())
    fastnn.manual_seed(5)
    courses.run("toy", out="out", say=str)
    drawn = fastnn.nn.Linear(2, 2).weight.data
    fastnn.manual_seed(5)
    np.testing.assert_array_equal(drawn, fastnn.nn.Linear(2, 2).weight.data)


@pytest.mark.parametrize("damage", ["short", "empty", "text", "other"])
def test_stage_that_is_damaged_runs_again(damage, new_recipe):
    recipe, said = TwoStages(), []
    new_recipe(recipe)
    courses.run("toy", out="out", say=str)
    (path,) = Path("out/stages").glob("first*")
    if damage == "other":
        fastnn.save({"a": np.zeros(1)}, path)
    else:
        content = path.read_bytes()
        path.write_bytes({"short": content[:-1], "empty": b"", "text": b"not a file of tensors" * 9}[damage])
    courses.run("toy", out="out", say=said.append)
    assert recipe.calls == ["first", "second", "first"]
    assert "first lr=0.1 is run again" in said[0]
    assert load_state(path, kind="stage")["settings"]["stage"] == "first lr=0.1"


@pytest.mark.parametrize("change", [{"quick": True}, {"seed": 1}, {"epochs": 3}, {"version": 2}])
def test_stage_of_other_settings_runs_again(change, new_recipe):
    recipe, said = TwoStages(), []
    new_recipe(recipe, options=("epochs",))
    courses.run("toy", out="out", epochs=2, say=str)
    change = {"epochs": 2, **change}
    if "version" in change:
        new_recipe(recipe, options=("epochs",), version=change.pop("version"))
    courses.run("toy", out="out", say=said.append, **change)
    assert recipe.calls == ["first", "second"] * 2
    assert "of other settings" in said[0]


def test_stage_is_read_whatever_the_drawing_options_are(new_recipe):
    recipe = TwoStages()
    new_recipe(recipe, options=("epochs", "image"), drawing_options=("image",))
    for image in (None, "a.png", "b.png", None):
        courses.run("toy", out="out", epochs=2, image=image, say=str)
    assert recipe.calls == ["first", "second"]
    courses.run("toy", out="out", epochs=3, image="a.png", say=str)
    assert recipe.calls == ["first", "second"] * 2
    settings = load_state(next(Path("out/stages").glob("first*")), kind="stage")["settings"]
    assert settings["options"] == {"epochs": "3"}
    assert "image a.png" in Path("out/report.md").read_text()


def test_drawing_option_is_an_option(new_recipe):
    with pytest.raises(ValueError, match=r"toy: the drawing options \('image',\) must be among the options"):
        new_recipe(TwoStages(), options=("epochs",), drawing_options=("image",))


def test_stage_name_is_used_once(new_recipe):
    def twice(context):
        context.stage("a", lambda: 1)
        context.stage("a", lambda: 2)

    new_recipe(twice)
    with pytest.raises(ValueError, match="two stages 'a'"):
        courses.run("toy", out="out", say=str)


def test_interrupted_recipe_continues(new_recipe, capsys):
    recipe = TwoStages()
    recipe.fail = KeyboardInterrupt()
    new_recipe(recipe)
    assert run("reproduce", "toy") == 130
    captured = capsys.readouterr()
    assert captured.err == "fastnn: toy was interrupted; run it again to continue\n"
    assert captured.out == ""
    assert not Path("runs/toy/report.md").exists()
    recipe.fail = None
    assert run("reproduce", "toy") == 0
    assert recipe.calls == ["first", "second", "second"]
    assert "first lr=0.1: done before" in capsys.readouterr().err
    assert Path("runs/toy/report.md").exists()


# ---- data ------------------------------------------------------------------------------------------------------------
class Batches(TwoStages):
    """The same on CIFAR-10."""

    def __call__(self, context):
        images = context.cifar10()
        assert [len(part) for part in images] == [50_000, 10_000]
        super().__call__(context)


@pytest.fixture
def cifar10_folder():
    """A folder with CIFAR-10 in its binary version, in which every image is black and of class 3."""
    folder = Path("images/cifar-10-batches-bin")
    folder.mkdir(parents=True)
    records = np.zeros((10_000, 3073), np.uint8)
    records[:, 0] = 3
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


@pytest.mark.parametrize(
    ("name", "place"), [("data_batch_1", 5), ("data_batch_3", 3073 * 9_999), ("test_batch", 3073 * 10_000 - 1)]
)
def test_stage_of_other_images_runs_again(name, place, new_recipe, cifar10_folder):
    """CIFAR10 reads a folder whose pixels or labels were changed, so stages have to tell the images apart."""
    recipe, said = Batches(), []
    new_recipe(recipe)
    for _ in range(2):
        courses.run("toy", out="out", data="images", say=str)
    assert recipe.calls == ["first", "second"]
    path = cifar10_folder / f"{name}.bin"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    courses.run("toy", out="out", data="images", say=said.append)
    assert recipe.calls == ["first", "second"] * 2
    assert "of other settings" in said[0]


@pytest.mark.skipif(not os.environ.get("FASTNN_DATA"), reason="FASTNN_DATA is not set")
def test_stage_of_the_official_images_has_the_settings_that_it_always_had(new_recipe):
    new_recipe(Batches())
    courses.run("toy", out="out", say=str)
    settings = load_state(next(Path("out/stages").glob("first*")), kind="stage")["settings"]
    assert settings == {
        "recipe": "toy", "version": 1, "fastnn": fastnn.__version__, "stage": "first lr=0.1", "quick": False,
        "seed": 0, "options": {},
    }  # fmt: skip


# ---- time ------------------------------------------------------------------------------------------------------------
def test_forecast_follows_from_the_first_steps(new_recipe, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(context_module, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def recipe(context):
        context.forecast(1000, "images")
        for _ in context.progress(range(2), "epochs"):  # only the loop within counts
            for _ in context.progress([1, 2, 3], "steps", work=100):
                clock.now += 20

    new_recipe(recipe)
    said = []
    courses.run("toy", out="out", say=said.append)
    assert said == ["toy takes about 3 min 0 s more: 900 images at 5 a second"]
    metrics = json.loads(Path("out/metrics.json").read_text())["metrics"]
    assert metrics == {"seconds": 0.0}  # nothing was a stage


def test_forecast_counts_what_stored_stages_did(new_recipe, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(context_module, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def recipe(context):
        context.forecast(100)

        def compute():
            for _ in context.progress(range(10), "steps", work=5):
                clock.now += 10
            return {}

        context.stage("one", compute)
        context.stage("two", compute)

    new_recipe(recipe)
    courses.run("toy", out="out", say=str)
    Path("out/stages/two.safetensors").unlink()
    said = []
    courses.run("toy", out="out", say=said.append)
    assert said == ["one: done before, 1 min 40 s", "toy takes about 1 min 30 s more: 45 steps at 0.5 a second"]
    assert json.loads(Path("out/metrics.json").read_text())["metrics"]["seconds"] == 200


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
        (["toy", "--data", "nowhere"], "there is no folder nowhere"),
        (["toy", "--out", "file"], "file: "),
        (["toy", "--out", "file/a"], "file/a: "),
        (["data"], "courses/nothing.npz was not found in "),
        (["optuna"], "optuna needs optuna, which is not installed: pip install 'fastnn[tune]'"),
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
    assert capsys.readouterr().err == "fastnn: closed: Permission denied\n"
    assert not calls


def test_reproduce_missing_module_of_the_package_itself_is_not_called_an_extra(new_recipe):
    new_recipe(needs("fastnn"))
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'fastnn\.x'"):
        courses.run("toy", out="out", say=str)


def test_find_looks_where_it_was_told_first(new_recipe, monkeypatch):
    for folder in ("a", "b"):
        Path(folder, "courses").mkdir(parents=True)
    Path("b/courses/x.npz").write_text("x")
    Path("b/courses/y.npz").write_text("b")
    Path("a/courses/y.npz").write_text("a")
    monkeypatch.setenv("FASTNN_DATA", "b")
    found = []
    new_recipe(lambda context: found.extend(context.find(f"courses/{name}.npz") for name in "xy"))
    courses.run("toy", out="out", data="a", say=str)
    assert found == [Path("b/courses/x.npz"), Path("a/courses/y.npz")]


def test_option_that_was_not_registered_is_a_mistake_of_the_recipe(new_recipe):
    new_recipe(lambda context: context.option("wings", 2))
    with pytest.raises(ValueError, match="registered without the option 'wings'"):
        courses.run("toy", out="out", say=str)


def test_recipe_names_are_unique(new_recipe):
    new_recipe(passing)
    with pytest.raises(ValueError, match="two recipes 'toy'"):
        recipe_module.recipe("toy", course="", title="", about="")(passing)


# ---- the recipes -----------------------------------------------------------------------------------------------------
def test_recipes_say_what_they_are():
    for name in courses.names():
        recipe = courses.get(name)
        assert recipe.name == name
        assert recipe.course
        assert recipe.title
        assert recipe.about
        assert set(recipe.options) <= {"epochs", "n_items", "model", "image", "full"}, name


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("FASTNN_DATA"), reason="FASTNN_DATA is not set")
def test_recipes_reproduce_their_courses_quickly(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
    result = subprocess.run(
        [sys.executable, "-m", "fastnn", "reproduce", "all", "--quick", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=1200,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
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
