"""Submissions that want points they have not earned, to mislead the reader of a report, or to stop others' grading."""

import csv
import json
import os
import re
import time

import numpy as np
import pytest
from grading_boxes import box_fixture, call, nothing_is_left, told  # noqa: F401
from grading_submissions import RIGHT, SPEC

from fastnn import FileError, cli, grading
from fastnn.grading import Limits
from fastnn.grading._child.transport import Decoder, TransportError
from fastnn.grading.check import _Run
from fastnn.grading.errors import ChannelError
from fastnn.grading.submission import read_submission

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the sandbox needs a system of the family of Unix"),
    pytest.mark.usefixtures("nothing_is_left"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text(SPEC)
    (tmp_path / "all").mkdir()
    return tmp_path


def graded(code, spec="spec.toml", name="submission.py"):
    with open(name, "wb") as file:
        file.write(code.encode() if isinstance(code, str) else code)
    return grading.grade(name, spec)


def mistakes(result):
    return [text for report in result.reports for part in report.parts for text in part.mistakes]


# ---- points ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("y", "dx"), [("0 * x", "0 * dout"), ("x / keep", "dout / dropout_keep[0]")])
def test_a_forward_that_drops_all_or_nothing_does_not_make_backward_of_dropout_right(y, dx):
    calls, dropout_keep = [], [1.0]

    def forward(x, dropout_param):
        calls.append(1)
        keep = dropout_keep[0] = dropout_param["p"]
        if len(calls) > 7:  # the calls that check forward are over
            return eval(y, {"x": x, "keep": keep}), None
        return x * (np.random.rand(*x.shape) < keep) / keep, None  # noqa: NPY002 - it is what submissions use

    report = grading.check(
        "dropout", forward=forward, backward=lambda dout, cache: eval(dx, {"dout": dout, "dropout_keep": dropout_keep})
    )
    assert [part.passed for part in report.parts] == [True, False]


def _without_stride(x, weight, bias):
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (2, 3))
    return np.einsum("nchwij,kcij->nkhw", windows, weight) + bias[:, None, None]


def test_a_function_without_the_parameters_that_are_asked_for_is_wrong():
    assert grading.check("conv2d", forward=_without_stride).passed
    report = grading.check("conv2d", forward=_without_stride, require=("stride", "padding"))
    assert report.points == 0
    assert [text.partition(",")[0] for text in report.mistakes] == [
        "it takes no parameter stride",
        "it takes no parameter padding",
    ]
    with pytest.raises(ValueError, match="require"):
        grading.check("conv2d", forward=_without_stride, require=("groups",))


def test_a_spec_says_which_parameters_are_asked_for(folder):
    conv = SPEC.replace('"relu"', '"conv2d"\nrequire = ["stride"]').replace(', backward = "relu_backward"', "")
    (folder / "spec.toml").write_text(conv.replace(", backward = 6", ""))
    assert grading.read_spec("spec.toml").tasks[0].require == ("stride",)
    code = "import numpy as np\ndef relu_forward(x, weight, bias, padding=0): pass"
    assert "it takes no parameter stride, which is asked for" in mistakes(graded(code))[0]
    (folder / "spec.toml").write_text(SPEC.replace('"relu"', '"conv2d"\nrequire = ["groups"]'))
    with pytest.raises(FileError, match="require must be a list of optional parameters of conv2d: padding, stride"):
        grading.read_spec("spec.toml")


def test_a_part_without_words_for_its_mistake_is_wrong_all_the_same(monkeypatch):
    monkeypatch.setattr(_Run, "mistakes", lambda self, checker: [])
    report = grading.check("relu", forward=lambda x: x)
    assert report.points == 0
    assert report.mistakes == ["the results are not the right ones"]


def test_an_array_that_is_returned_in_every_call_is_read_each_time():
    kept = {}

    def forward(x):
        return np.maximum(x, 0, out=kept.setdefault((x.shape, x.dtype), np.empty_like(x)))

    assert grading.check("relu", forward=forward).passed


def test_a_result_that_is_far_too_large_is_told_and_not_kept():
    report = grading.check("relu", forward=lambda x: np.ones((3000, 3000), np.int8))
    assert report.mistakes == ["y is too large: it has the shape (3000, 3000)"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (["x" * 10**6] + [""] * 10**5, "it holds a text"),  # as an array, 400 GB
        ([[np.ones(10**5)] * 10] * 10, "more than 262,144 numbers"),
        ([[1.0] * 1000] * 1000, "more than 262,144 numbers"),
    ],
)
def test_a_list_that_is_a_huge_array_is_refused_before_it_is_one(result, words):
    report = grading.check("softmax_cross_entropy", forward=lambda scores, labels: (result, result))
    assert words in report.mistakes[0]


def test_the_function_of_the_grader_takes_its_own_shape_only():
    def gradient(f, x, h=1e-5):
        return f(np.ones(10**6))

    report = grading.check("numeric_gradient", gradient=gradient)
    assert "f takes an array of shape (4,). Received: shape (1000000,)" in report.mistakes[0]


# ---- the channel -----------------------------------------------------------------------------------------------------
def test_a_shape_of_very_many_sides_is_refused_at_once():
    def refuse(*arguments):
        raise TransportError("refused")

    begin = time.monotonic()
    with pytest.raises(TransportError, match="impossible shape"):
        Decoder(b"", refuse, refuse).decode(["array", "<f8", [9] * 10**6, "C", True])
    assert time.monotonic() - begin < 1


def test_a_key_that_cannot_be_one_is_refused_before_an_argument_is_changed(box):
    code = """
import sys
def f(d):
    process = sys._getframe(2).f_locals["self"]
    process._send({"reply": "result", "values": [1, [[], [[0, [[["list", []], False, 1]]]]]]}, [])
"""
    argument = {"a": 1}
    with told("channel of the grader", ChannelError):
        call(box, code, argument)
    assert argument == {"a": 1}


def test_a_flood_while_a_request_is_written_is_ended(box):
    code = """
import os, sys
def f(x):
    process = sys._getframe(2).f_locals["self"]
    def flood():
        os.read(process._reads, 1)
        os.write(process._writes, b"fnn1")
        while True:
            os.write(process._writes, bytes(1 << 16))
    process._receive = flood
"""
    made = box(code, limits=Limits(time=20, total=20, memory=300, output=64, result=1))
    f = made.function("f")
    f(1)
    begin = time.monotonic()
    with told("channel of the grader", ChannelError):
        f(np.zeros(1 << 18))
    assert len(made._process._received) < 1 << 23
    assert time.monotonic() - begin < 10


# ---- words -----------------------------------------------------------------------------------------------------------
FORGED = "x\n\n  forward: right, 4 of 4 points\n\x1b[2J\u202eReLU: 10 of 10 points\u2028  backward: right"


@pytest.mark.parametrize(
    "code",
    [
        f"def relu_forward(x): raise ValueError({FORGED!r})",
        f"def relu_forward(x): return {{{FORGED!r}: x}}",
        f"def relu_forward(x, y={FORGED!r}, *, z): return x",
        f"def relu_forward(x): raise type({FORGED!r}, (Exception,), {{}})('a')",
        f"raise SystemExit({FORGED!r})",
        f"print({FORGED!r})",
    ],
)
@pytest.mark.parametrize("name", ["submission.py", "submission.ipynb"])
def test_no_text_of_a_submission_looks_like_a_line_of_the_report(folder, code, name):
    if name.endswith(".ipynb"):
        code = json.dumps({"cells": [{"cell_type": "code", "source": code}]})
    result = graded(code, name=name)
    own = str(result).split("  Printed:")[0]
    assert not re.search(r"^\s*(forward|backward|ReLU|Small).*(right|10 of 10)", own, re.MULTILINE)
    assert not re.search(r"[^\n\x20-\x7e]", str(result))
    for text in (result.to_html(), result.to_junit(), result.to_gradescope()):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_the_hint_of_the_teacher_is_for_what_is_wrong_not_for_what_is_missing(folder):
    assert "Hint" not in str(graded("def relu_forward(x): return abs(x) * (x > 0)"))
    assert "Hint" not in str(graded("1 +"))
    assert "Hint" in str(graded("def relu_forward(x): return x"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("n = input('How many? ')", "code that asks for input belongs under `if __name__ == '__main__':`"),
        ("open('data.csv')", "code that reads files, which are not there while a submission is graded, belongs under"),
        ("open('a.txt', 'w')", "code that reads or writes files belongs under `if __name__ == '__main__':`"),
        ("import torch", "No module named 'torch': a submission may import the standard library and NumPy"),
        ("x = " + "-" * 10**5 + "1", "SyntaxError: the code is nested too deeply"),
        (RIGHT.replace("relu_forward", "relu_foward"), "did you mean relu_foward?"),
        (
            "def relu_forward(x): return x.astype(object)",
            "y is no array of numbers of up to 64 bits: its dtype is another",
        ),
        ("def __getattr__(name): raise KeyError\nrelu_forward = 3", "relu_forward is no function"),
    ],
)
def test_what_to_do_is_told(folder, code, words):
    assert words in mistakes(graded(code))[0]


def test_what_backward_lacks_is_told_once(folder):
    texts = mistakes(graded(RIGHT.replace("import numpy as np", "")))
    assert texts[1:] == [
        "backward needs the cache of forward, but in forward it raises NameError: name 'np' is not defined (line 4)"
    ]


# ---- files -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.ipynb", b"[" * 10**5, "is no notebook that can be read"),
        ("a.ipynb", b"\xff\xfe", "is no notebook that can be read"),
        ("a.ipynb", b"1" * 10**5, "is no notebook that can be read"),
        ("a.py", b"#" * (5 << 20), "5,242,880 bytes, 4,194,304 are allowed"),
        ("a.py", "\u00e9".encode() * 10**6, "bytes of code in 1 cells"),
        ("a.py", b"x = 1\n# \xe9\n", r"no text in UTF-8 \(line 2\); save it as UTF-8"),
        ("a.py", "x = 1".encode("utf-16"), "no text in UTF-8"),
        ("a.py", b"# coding: utf-7\n", "an encoding that is not known here"),
        ("a.py", b"# coding: rot13\n", "an encoding that is not known here"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_before_it_runs(folder, name, content, words):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_submission(folder / name)


@pytest.mark.parametrize("code", ["(" * 10**5, "x = " + "-" * 10**5 + "1", "x" + ".a" * 10**5, "x" + " + 1" * 10**5])
def test_code_that_is_nested_deeply_in_a_notebook_ends_that_cell_only(folder, code):
    cells = [{"cell_type": "code", "source": source} for source in (code, RIGHT)]
    result = graded(json.dumps({"cells": cells}), name="a.ipynb")
    assert result.points == 10
    assert result.notes[0].startswith("cell 1 failed: ")


def test_python_files_may_name_their_encoding_and_have_a_mark_and_windows_line_ends(folder):
    assert graded(b"# -*- coding: latin-1 -*-\n" + RIGHT.encode() + b"# \xe9t\xe9\n").points == 10
    assert graded(b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode()).points == 10
    assert graded(b"\f\n" + RIGHT.replace("    ", "\t").encode()).points == 10


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"Small"', "9" * 5000, "it is no TOML"),
        ('"Small"', "[" * 10**4, "nested too deeply"),
        ('title = "Small"', "title" + ".a" * 10**5 + " = 1", "a line with more than 100 dots"),
        ("[limits]", "[" + "a." * 10**5 + "a]", "a line with more than 100 dots"),
        ("[limits]", "file = '..'\n[limits]", "file must be the name of a file"),
        ("[limits]", 'file = "a\\u0000"\n[limits]', "file must be the name of a file"),
        ("[limits]", 'allow = ["__main__"]\n[limits]', "__main__ is not installed here as a package"),
        ("[limits]", 'allow = ["sys"]\n[limits]', "sys is not installed"),
        ('"relu"', '"\\u001b[31mrelu"', r"no operation '\\x1b\[31mrelu'"),
    ],
)  # fmt: skip
def test_a_spec_of_a_stranger_is_refused_quickly(folder, before, after, words):
    (folder / "spec.toml").write_text(SPEC.replace(before, after, 1))
    begin = time.monotonic()
    with pytest.raises(FileError, match=words) as caught:
        grading.read_spec("spec.toml")
    assert time.monotonic() - begin < 5
    assert "\x1b" not in str(caught.value)


def test_the_words_of_a_spec_carry_no_escapes(folder):
    (folder / "spec.toml").write_text(SPEC.replace('"Small"', '"\\u001b[2J\\nA"').replace('"ReLU"', '"\\u001b[2J\\nB"'))
    assert "\x1b" not in str(graded(RIGHT))
    assert str(graded("")).splitlines()[0] == "\\x1b[2J A: submission.py: 0 of 10 points"


def test_no_submission_keeps_the_others_from_being_graded(folder, capsys):
    names = ["right.py", "A.py", "a.py", "a.ipynb", "x\nalice 10 of 10.py", "\x1b[31m.py", "=1+1.py", "\uff1d1.py"]
    for name in [*names, "n" * 250 + ".py", "n" * 252 + ".py"]:
        (folder / "all" / name).write_text("" if name.endswith("b") else RIGHT)
    os.symlink("/nowhere", folder / "all" / "dangling.py")
    os.symlink(folder / "all" / "right.py", folder / "all" / "link.py")
    os.mkfifo(folder / "all" / "pipe.py")
    (folder / "all" / "deep.ipynb").write_text("[" * 10**5)
    (folder / "spec.toml").write_text(SPEC.replace('"ReLU"', '"=ReLU"'))
    assert cli.main(["grade", "all", "--spec", "spec.toml", "--csv", "a.csv", "--html", "html"]) == 0
    captured = capsys.readouterr()
    assert not re.search(r"[^\n\x20-\x7e]", captured.out.replace("\uff1d", ""))
    assert not re.search(r"^alice", captured.out, re.MULTILINE)
    with open("a.csv", encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head[3] == "'=ReLU"
    assert not any(cell[:1] in "=+-@\uff1d" for row in rows for cell in row if cell)
    points = {row[0]: row[1] for row in rows}
    assert len(rows) == 14
    assert len(points) == 14
    assert [points[name] for name in ("dangling", "link", "pipe", "deep")] == [""] * 4
    assert sum(value == "10" for value in points.values()) == 9
    assert len(os.listdir("html")) == 9


def test_a_folder_with_an_environment_of_packages_is_refused(folder):
    for number in range(502):
        (folder / "all" / f"m{number}.py").touch()
    with pytest.raises(ValueError, match="more than 500 Python files"):
        read_submission(folder / "all", "m0.py")


def test_cells_that_fail_without_end_do_not_hide_the_report(folder):
    cells = [{"cell_type": "code", "source": f"raise ValueError({number}, 'x' * 10**5)"} for number in range(1500)]
    cells.append({"cell_type": "code", "source": RIGHT})
    result = graded(json.dumps({"cells": cells}), name="a.ipynb")
    assert result.points == 10
    assert len(result.notes) == 31
    assert result.notes[-1] == "170 more notes"
    assert len(str(result)) < 20_000


def test_links_that_lead_nowhere_do_not_stop_the_grading_of_files_that_are_named(folder, capsys):
    (folder / "right.py").write_text(RIGHT)
    os.symlink("/nowhere", "\x1b[31m.py")
    assert cli.main(["grade", "right.py", "\x1b[31m.py", "--spec", "spec.toml"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("right")
    assert captured.err == "fastnn: \\x1b[31m.py: it is a link, which a submission may not be\n"
    for name in ("\x1b[31m.py", "\x1b[32m.py", "\x1b[33m.txt"):
        assert cli.main(["grade", name, "--spec", "spec.toml"]) == 2
        assert "\x1b" not in capsys.readouterr().err


def test_a_folder_without_the_file_is_named(folder, capsys):
    (folder / "spec.toml").write_text(SPEC.replace("[limits]", 'file = "layers.py"\n[limits]'))
    for name in ("alice", "bob"):
        (folder / "all" / name).mkdir()
    (folder / "all" / "alice" / "layers.py").write_text(RIGHT)
    assert cli.main(["grade", "all", "--spec", "spec.toml"]) == 0
    captured = capsys.readouterr()
    assert captured.out.split()[:2] == ["alice", "10"]
    assert "all/bob: left out, it has no file layers.py" in captured.err
