"""Reports of graded submissions: well-formed, complete, and safe with whatever a submission wrote."""

import html.parser
import json
from xml.etree import ElementTree

import numpy as np
import pytest

from fastnn import grading
from fastnn.grading import Part, Report
from fastnn.grading.assignment import Assignment, Result
from fastnn.grading.text import clean

NASTY = "<script>alert('x')</script> & \"]]> \x00\x1b[31m\x9b\ud800\uffff \u00e9 \u4e2d \U0001f600"


def assignment(text=NASTY):
    parts = [
        Part("forward", True, 4, 4, [], text),
        Part("backward", False, 0, 6, [text, "the mean is missing"], f"first wrong place\n{text}"),
    ]
    results = [
        Result("Task " + text, Report("relu", parts), hint=text, output=text, trace=text, visibility="after_due_date"),
        Result("Other", Report("relu", [Part("forward", True, 2.5, 2.5)])),
    ]
    return Assignment("Title " + text, text, results, [text], seed=3)


class Page(html.parser.HTMLParser):
    """Remembers tags and text, and that every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_points_are_summed():
    made = assignment()
    assert (made.points, made.max_points, made.passed) == (6.5, 12.5, False)
    assert [report.operation for report in made.reports] == ["relu", "relu"]
    assert "Task" in made.output


def test_reports_of_check_can_be_written_too():
    made = Assignment.of(
        Report("relu", [Part("forward", True, 2, 2)]), Report("linear", [Part("forward", False, 0, 3)])
    )
    assert (made.points, made.max_points) == (2, 5)
    assert str(made).startswith("Report: 2 of 5 points")
    assert [test["name"] for test in json.loads(made.to_gradescope())["tests"]] == ["relu: forward", "linear: forward"]
    assert "linear" in made.to_html()
    assert made.to_junit().count("<testcase") == 2


def test_html_is_one_file_with_everything_escaped():
    text = assignment().to_html()
    page = Page(text)
    assert not page.open
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe")]
    assert not [a for _, a in page.tags if any(key.startswith("on") or key == "src" for key in a)]
    assert all(a["href"].startswith("#") for tag, a in page.tags if tag == "a")
    assert "6.5 of 12.5 points" in page.text
    assert clean(NASTY) in page.text
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text


def test_colours_have_contrast_in_both_schemes():
    import re

    from fastnn.grading.html import _STYLE

    def luminance(colour):
        colour = colour * 2 if len(colour) == 3 else colour
        colour = "".join(c * 2 for c in colour[:3]) if len(set(colour)) == 1 else colour
        channels = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    schemes = re.findall(r":root \{(.*?)\}", _STYLE, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): #(\w+)", scheme))
        for ground in ("ground", "box"):
            for name in ("text", "soft", "right", "wrong"):
                light, dark = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground)


def test_junit_is_xml_with_a_case_for_each_part():
    root = ElementTree.fromstring(assignment().to_junit().encode())
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "3", "1")
    suites = root.findall("testsuite")
    assert [suite.get("failures") for suite in suites] == ["1", "0"]
    assert [case.get("name") for case in root.iter("testcase")] == ["forward", "backward", "forward"]
    (failure,) = root.iter("failure")
    assert "the mean is missing" in failure.get("message")
    assert suites[0].find("system-out").text == clean(NASTY)
    assert {p.get("name"): p.get("value") for p in suites[0].iter("property")} == {"points": "4", "max_points": "10"}


def test_gradescope_has_what_its_autograder_reads():
    results = json.loads(assignment().to_gradescope())
    assert (results["score"], results["max_score"], results["stdout_visibility"]) == (6.5, 12.5, "hidden")
    assert results["output_format"] == "text"
    assert len(results["tests"]) == 3
    wrong = results["tests"][1]
    assert (wrong["score"], wrong["max_score"], wrong["status"]) == (0, 6, "failed")
    assert (wrong["visibility"], wrong["output_format"]) == ("after_due_date", "text")
    assert "the mean is missing" in wrong["output"]
    assert sum(test["score"] for test in results["tests"]) == results["score"]
    assert all(set(test) <= TEST_KEYS for test in results["tests"])


# Of Gradescope's specification.
TEST_KEYS = {
    "score", "max_score", "status", "name", "name_format", "number", "output", "output_format", "tags", "visibility",
    "extra_data",
}  # fmt: skip


def test_the_text_has_all_of_it():
    text = str(assignment("plain"))
    for words in (
        "Title plain: plain: 6.5 of 12.5 points",
        "Note: plain",
        "Hint: plain",
        "the mean is missing",
        "Other",
    ):
        assert words in text


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0xD800, 0xDFFF, 0xFFFE, 0xFFFF])
def test_no_character_breaks_xml_or_a_terminal(code):
    text = clean(f"a{chr(code)}b")
    ElementTree.fromstring(f"<a>{text}</a>".encode())
    if chr(code) not in "\t\n":
        assert chr(code) not in text


def test_report_of_one_check_writes_itself():
    report = grading.check("relu", forward=lambda x: np.abs(x), backward=lambda dy, y: dy * (y > 0))
    assert repr(report) == str(report)
    assert "relu: 5 of 10 points" in repr(report)
    assert "the absolute value" in report.to_html()
    assert "the absolute value" in report.to_junit()
    assert json.loads(report.to_gradescope())["score"] == 5
