"""What `grading.check` does with signatures, points, and functions that misbehave."""

import sys

import numpy as np
import pytest
import test_grading_right as right

from fastnn import grading
from fastnn.grading.operations import OPERATIONS

PARTS = [(operation.name, part.name) for operation in OPERATIONS.values() for part in operation.parts]


class Evil:
    def __array__(self, *arguments, **keywords):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError


def _raise(error):
    raise error


HOSTILE = {
    "none": lambda *a: None,
    "evil": lambda *a: Evil(),
    "exit": lambda *a: sys.exit(3),
    "todo": lambda *a: _raise(NotImplementedError()),
    "text": lambda *a: "hello",
    "zero": lambda *a: 0,
    "ragged": lambda *a: [1, [2]],
    "empty tuple": lambda *a: (),
    "nan": lambda *a: np.nan,
    "complex": lambda *a: 1j,
    "objects": lambda *a: np.array([None]),
    "empty": lambda *a: np.zeros((0, 3)),
    "dict": lambda *a: {},
    "infinite": lambda *a: (np.inf, np.inf, np.inf),
    "nones": lambda *a: (None, None, None),
    "no parameters": lambda: 1,
    "named only": lambda *, q: q,
    "not a function": 5,
    "missing": None,
}


@pytest.mark.parametrize("kind", list(HOSTILE))
@pytest.mark.parametrize(("name", "part"), PARTS)
def test_nothing_that_a_function_does_ends_the_check(name, part, kind):
    report = grading.check(name, **{part: HOSTILE[kind]})
    assert not report.passed
    assert report.points == 0
    assert report.mistakes
    assert str(report)


@pytest.mark.parametrize(
    ("phrase", "function"),
    [
        ("returns None", HOSTILE["none"]),
        ("not written yet", HOSTILE["todo"]),
        ("ends the program", HOSTILE["exit"]),
        ("raises ZeroDivisionError", lambda dy, x, weight: 1 / 0),
        ("wrong number of results: it returns 2", lambda dy, x, weight: (dy @ weight, dy.T @ x)),
        ("returns None for dbias", lambda dy, x, weight: (dy @ weight, dy.T @ x, None)),
        ("complex", lambda dy, x, weight: (dy @ weight * 1j, dy.T @ x, dy.sum(0))),
        ("wrong shape", lambda dy, x, weight: (dy @ weight, dy.T @ x, dy.sum(0, keepdims=True))),
        ("wrong dtype: int64", lambda dy, x, weight: (dy @ weight, dy.T @ x, dy.sum(0).astype(np.int64))),
        ("takes no weight", lambda dy, x: (dy, x, x)),
        ("signature is not an accepted one", lambda a, b, c, d, e, f: a),
        ("argument dy is overwritten in place", lambda dy, x, weight: (dy @ weight, dy.T @ x, _overwritten(dy))),
    ],
)
def test_what_is_wrong_beside_the_numbers_is_named(phrase, function):
    report = grading.check("linear", style="pytorch", backward=function)
    assert any(phrase in text for text in report.mistakes), report.mistakes


def _overwritten(dy):
    result = dy.sum(0)
    dy *= 2
    return result


def test_an_unaccepted_signature_tells_the_accepted_ones():
    report = grading.check("linear", forward=lambda a: a)
    assert "Received: <lambda>(a)" in report.parts[0].details
    assert "forward(x, weight, bias) -> y" in report.parts[0].details


def test_a_result_kept_from_call_to_call_is_named():
    total = np.zeros(3)

    def backward(dy, x, weight):
        nonlocal total
        total = (total if total.shape == dy.shape[1:] else 0) + dy.sum(0)
        return dy @ weight, dy.T @ x, total

    report = grading.check("linear", backward=backward)
    assert any("called again" in text for text in report.mistakes)


def test_a_wrong_forward_does_not_make_backward_wrong():
    report = grading.check("linear", forward=lambda x, weight, bias: x @ weight.T, backward=right.linear_backward)
    assert [part.passed for part in report.parts] == [False, True]
    assert report.points == 5


def test_with_a_cache_a_wrong_forward_is_told():
    def forward(x, w, b):
        return x @ w, (x + 1, w, b)

    report = grading.check("linear", forward=forward, backward=right.affine_backward)
    assert not report.parts[1].passed
    assert any("correct forward first" in text for text in report.mistakes)


def test_backward_that_needs_a_cache_needs_forward():
    report = grading.check("conv2d", backward=right.conv_backward_naive)
    assert any("check both" in text for text in report.mistakes)


def test_points_are_shared_or_given_by_part():
    functions = {"forward": right.linear, "backward": lambda dy, x, weight: (dy, x, weight)}
    assert grading.check("linear", points=8, **functions).points == 4
    report = grading.check("linear", points={"forward": 2, "backward": 3}, **functions)
    assert (report.points, report.max_points) == (2, 5)
    only = grading.check("linear", points={"forward": 2, "backward": 3}, forward=right.linear)
    assert (only.points, only.max_points) == (2, 5)
    assert any("missing" in text for text in only.mistakes)


def test_the_style_can_be_given():
    def forward(x, w, b):
        return x @ w.T + b

    assert grading.check("linear", style="pytorch", forward=forward).passed
    assert not grading.check("linear", style="cs231n", forward=forward).passed


def test_a_fatal_exception_ends_the_check():
    class Died(Exception):
        fatal = True

    report = grading.check(
        "linear", forward=lambda x, w, b: _raise(Died("out of time")), backward=right.linear_backward
    )
    assert [part.points for part in report.parts] == [0, 0]
    assert "out of time" in report.parts[0].mistakes[0]
    assert "not checked" in report.parts[1].mistakes[0]


def test_errors_of_another_process_have_their_name():
    class StudentError(Exception):
        type_name = "KeyError"

    report = grading.check("relu", forward=lambda x: _raise(StudentError("'weights'")))
    assert report.mistakes == ["it raises KeyError: 'weights'"]


def test_the_same_seed_gives_the_same_report():
    first, second = (grading.check("conv2d", seed=3, forward=lambda x, w, b, s, p: x.mean()) for _ in range(2))
    assert str(first) == str(second)


def test_a_constant_cannot_pass():
    answers = iter(range(10**6))
    for name, part in PARTS:
        assert not grading.check(name, **{part: lambda *a: np.float64(next(answers))}).passed


def test_printing_and_exiting_students_leave_no_warnings():
    assert not grading.check("softmax", forward=lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)).passed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"operation": "attention"}, "operation must be"),
        ({"operation": "linear"}, "no function is given"),
        ({"operation": "linear", "step": len}, "its parts are forward, backward"),
        ({"operation": "linear", "forward": len, "style": "keras"}, "style must be"),
        ({"operation": "linear", "forward": len, "points": {"step": 2}}, "points are given for 'step'"),
        ({"operation": "softmax_cross_entropy", "forward": len, "reduction": "max"}, "reduction must be"),
    ],
)
def test_a_teachers_errors_are_told(arguments, words):
    with pytest.raises(ValueError, match=words):
        grading.check(**arguments)


@pytest.mark.parametrize("name", grading.operations())
def test_signatures_can_be_printed(name):
    text = grading.signatures(name)
    for part in OPERATIONS[name].parts:
        assert part.name in text
        for form in part.forms:
            assert form.text in text


def test_other_names_and_orders_of_parameters():
    assert grading.check("linear", forward=lambda bias, x, weight: x @ weight.T + bias).passed
    assert grading.check(
        "linear", style="pytorch", forward=lambda first, second, third: first @ second.T + third
    ).passed
    assert grading.check(
        "batch_norm", forward=lambda data, gamma, beta, epsilon=1e-5: right.batch_norm(data, gamma, beta, epsilon)
    ).passed
    assert grading.check("conv2d", forward=lambda x, weight, bias: right.conv2d(x, weight, bias)).passed


def test_what_a_signature_leaves_out_is_told():
    report = grading.check("conv2d", forward=lambda x, weight, bias: right.conv2d(x, weight, bias))
    assert "takes no padding, stride" in report.parts[0].details
