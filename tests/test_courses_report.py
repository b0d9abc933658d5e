"""The reports of the course recipes: verdicts, and the files."""

import csv
import json
import math

import numpy as np
import pytest
from html_page import Page

from fastnn.courses.report import FAIL, NOT_RUN, PASS, Report


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


def test_report_curves_are_lines_of_the_history(tmp_path):
    report = Report("title", tmp_path)
    report.curves({"epoch": range(1, 3), "loss": np.array([2.5, 0.1])}, run="a", lr=0.1)
    with pytest.raises(ValueError, match="shorter"):
        report.curves({"epoch": [1, 2], "loss": [0.5]})
    report.write()
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines == ["run,lr,epoch,loss", "a,0.1,1,2.5", "a,0.1,2,0.1"]


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
