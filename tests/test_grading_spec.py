"""Specs of assignments: what is wrong in one is said with its line, its key and what is allowed."""

import pytest
from grading_submissions import SPEC

import fastnn
from fastnn import grading
from fastnn.grading.methods import Method
from fastnn.grading.spec import spec_names


def read(tmp_path, text):
    path = tmp_path / "spec.toml"
    path.write_text(text, encoding="utf-8")
    return grading.read_spec(path)


def test_a_spec_is_read(tmp_path):
    spec = read(tmp_path, 'allow = ["tqdm"]\nignore = ["cv2"]\nfile = "a.py"\n' + SPEC)
    assert (spec.title, spec.allow, spec.ignore, spec.file) == ("Small", ("tqdm",), ("cv2",), "a.py")
    assert spec.limits == grading.Limits(time=1, total=8, memory=300, output=64)
    (task,) = spec.tasks
    assert (task.name, task.operation, task.hint) == ("ReLU", "relu", "Look at the sign.")
    assert task.functions == {"forward": "relu_forward", "backward": "relu_backward"}
    assert task.points == {"forward": 4, "backward": 6}
    assert (task.style, task.visibility) == (None, "visible")


def test_points_are_shared_by_the_parts(tmp_path):
    text = SPEC.replace("points = { forward = 4, backward = 6 }", "points = 9")
    assert read(tmp_path, text).tasks[0].points == {"forward": 4.5, "backward": 4.5}


def test_a_function_may_be_a_method(tmp_path):
    method = (
        '{ class = "A", method = "f", arguments = ["x", "w"], new = ["w.0"], set = { W = "w" }, returns = ["self"] }'
    )
    task = read(tmp_path, SPEC.replace('"relu_forward"', method)).tasks[0]
    assert task.functions["forward"] == Method("A", "f", ("x", "w"), ("w.0",), {"W": "w"}, ("self",))


@pytest.mark.parametrize("name", spec_names())
def test_specs_that_come_with_fastnn_can_be_read(name):
    spec = grading.read_spec(name)
    assert spec.title
    assert all(task.hint for task in spec.tasks)


# ruff: noqa: E501
WRONG = [
    ("title =", "titel =", "line 2: the spec has no key 'titel'; did you mean title?"),
    ('title = "Small"', "", "the spec lacks the key 'title', a text"),
    ('title = "Small"', "title = 3", "line 2: the spec: title must be a text. Received: 3"),
    ('title = "Small"', 'title = "Small', "it is no TOML: .*line 2"),
    ('title = "Small"', 'title = "S"\nallow = "scipy"', r"line 3: allow must be a list of names of packages"),
    ('title = "Small"', 'title = "S"\nallow = ["fastnn"]', "line 3: allow: fastnn cannot be listed: fastnn has the answers"),
    ('title = "Small"', 'title = "S"\nallow = ["no_such"]', "line 3: allow: no_such is not installed"),
    ('title = "Small"', 'title = "S"\nfile = "../a.py"', "line 3: file must be the name of a file, without folders"),
    ("time = 1", "time = 0", r"line 4: \[limits\]: time must be >= 0.01"),
    ("time = 1", 'time = "1"', r"line 4: \[limits\]: time must be a number"),
    ("memory = 300", "memory = 0.5", r"line 6: \[limits\]: memory must be an integer"),
    ("memory = 300", "ram = 3", r"line 6: \[limits\] has no key 'ram'"),
    ("[[task]]", "[task]", "the spec lacks tasks: one or more tables"),
    ('name = "ReLU"', "", "line 8: task 1 lacks the key 'name'"),
    ('operation = "relu"', 'operation = "rellu"', r"line 10: task 1 \(ReLU\): there is no operation 'rellu'; did you mean relu\?"),
    ("points = { forward = 4, backward = 6 }", "points = -1", r"line 11: task 1 \(ReLU\): points must be a number"),
    ("points = { forward = 4,", "points = { forwards = 4,", "line 11: .*points for 'forwards', which functions does not name"),
    ("points = { forward = 4, backward = 6 }", 'points = 1\nstyle = "keras"', "line 12: .*style must be one of pytorch, cs231n"),
    ("points = { forward = 4, backward = 6 }", 'points = 1\nvisibility = "no"', "line 12: .*visibility must be one of visible"),
    ("points = { forward = 4, backward = 6 }", "points = nan", "line 11: .*points must be a number"),
    ("functions = { forward", "functions = { fwd", "line 13: .*relu has no part 'fwd'; its parts are forward, backward"),
    ("hint", "settings = { a = 1 }\nhint", "line 12: .*relu has no setting 'a'; it has none"),
    ("hint", "hints", "line 12: task 1 has no key 'hints'; did you mean hint?"),
    ('"relu_forward"', "3", "line 13: .*forward must be the name of a function"),
    ('"relu_forward"', '"relu forward"', "line 13: .*forward must be the name of a function"),
    ('"relu_forward"', '{ class = "A" }', "line 13: .*forward lacks the key 'method'"),
    ('"relu_forward"', '{ class = "A", method = "b" }', "line 13: .*forward lacks the key 'arguments'"),
    ('"relu_forward"', '{ class = "A", method = "b.c" }', "line 13: .*method must be a name"),
    ('"relu_forward"', '{ class = "A", method = "b", arguments = "x" }', "line 13: .*arguments must list the parameters"),
    ('"relu_forward"', '{ class = "A", method = "b", arguments = ["x"], new = ["W1"] }', "line 13: .*new must list sizes"),
    ('"relu_forward"', '{ class = "A", method = "b", arguments = ["x"], set = { a = "y" } }', "line 13: .*set must say"),
    ('"relu_forward"', '{ class = "A", method = "b", arguments = ["x"], returns = 1 }', "line 13: .*returns must list"),
    ('"relu_forward"', '{ class = "A", method = "b", argument = ["x"] }', "line 13: .*did you mean arguments"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), WRONG)
def test_what_is_wrong_is_said_with_line_and_key(tmp_path, old, new, words):
    assert old in SPEC
    with pytest.raises(fastnn.FileError, match=words):
        read(tmp_path, SPEC.replace(old, new, 1))


def test_two_tasks_of_one_name_are_refused(tmp_path):
    task = SPEC[SPEC.index("[[task]]") :]
    with pytest.raises(fastnn.FileError, match="line 15: two tasks are named 'ReLU'"):
        read(tmp_path, SPEC + task)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = " + b"[" * 100_000, b"\0", b"a" * (2 << 20), b""])
def test_anything_else_is_no_spec(tmp_path, content):
    path = tmp_path / "spec.toml"
    path.write_bytes(content)
    with pytest.raises(fastnn.FileError):
        grading.read_spec(path)
