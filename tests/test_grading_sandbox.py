"""Submissions in the sandbox: results come as they are, and mistakes are told."""

import inspect
import os

import numpy as np
import pytest
from grading_boxes import box_fixture, call, nothing_is_left, told  # noqa: F401

from fastnn.grading import Handle, Limits, Sandbox, StudentError

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the sandbox needs a system of the family of Unix"),
    pytest.mark.usefixtures("nothing_is_left"),
]


# ---- functions -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -(10**40),
        0.1,
        float("inf"),
        1 + 2j,
        "a\u00e9\0\ud800",
        [],
        (),
        {},
        [1, (2, [3])],
        {"a": [1], 2: (None,), (1, "b"): {}},
        np.float32(0.1),
        np.int8(-3),
        np.bool_(True),
        np.dtype("float32"),
    ],
)
def test_values_come_back_as_they_went(box, value):
    result = call(box, "def f(x): return x", value)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i1", "u8", "c8", "c16", "?"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_arrays_come_back_as_they_went(box, rng, dtype, shape):
    value = np.array(rng.normal(size=shape) * 9).astype(dtype)
    result = call(box, "def f(x): return x.copy()", value)
    assert result.dtype == value.dtype
    np.testing.assert_array_equal(result, value)
    assert result.flags.writeable


def test_order_and_write_protection_travel(box):
    value = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    value.flags.writeable = False
    assert call(box, "def f(x): return x.flags.f_contiguous, x.flags.writeable", value) == (True, False)


def test_a_function_has_the_name_and_signature_of_the_students(box):
    f = box("def relu(x, slope=0.01, *, out=None, mode='a'): return x").function("relu")
    assert f.__name__ == "relu"
    assert str(inspect.signature(f)) == "(x, slope=0.01, *, out=None, mode='a')"


def test_the_same_array_twice_is_the_same_array_there(box):
    x = np.ones(3)
    assert call(box, "def f(x, y): return x is y", x, x) is True


def test_changes_in_place_are_mirrored(box):
    x, items, d = np.ones((2, 3)).T, [1, 2], {"a": np.zeros(2), "b": {"c": 1}}
    inner, a = d["b"], d["a"]
    code = """
def f(x, items, d):
    x *= 2
    items.append("new")
    d["a"] -= 1
    d["b"]["c"] = 5
    d["d"] = np.ones(1)
    return x, d["a"]
"""
    result = call(box, code, x, items, d)
    np.testing.assert_array_equal(x, np.full((3, 2), 2.0))
    assert result[0] is x
    assert items == [1, 2, "new"]
    assert d["b"] is inner
    assert d["a"] is a
    assert inner == {"c": 5}
    np.testing.assert_array_equal(d["a"], [-1, -1])
    np.testing.assert_array_equal(d["d"], [1])


def test_objects_stay_there_and_come_back(box):
    code = """
class Cache:
    def __init__(self, x): self.x = x
def f(x): return x + 1, Cache(x)
def g(cache): return cache.x * 2
"""
    made = box(code)
    y, cache = made.function("f")(3)
    assert isinstance(cache, Handle)
    assert cache.type_name == "Cache"
    assert "Cache" in repr(cache)
    assert y == 4
    assert made.function("g")(cache) == 6


def test_classes_are_made_and_their_methods_called(box):
    code = """
class Net:
    def __init__(self, n): self.params = {"n": n}
    def loss(self, x): return x * self.params["n"]
"""
    made = box(code)
    net = made.function("Net")(3)
    assert made.get(net, "params") == {"n": 3}
    made.set(net, "params", {"n": 5})
    assert made.method(net, "loss")(2) == 10
    assert made.function("Net.loss")(net, 2) == 10


def test_a_returned_function_can_be_called(box):
    y, backward = call(box, "def f(x): return x * x, lambda dy: 2 * x * dy", 3.0)
    assert y == 9
    assert backward(1.0) == 6


def test_functions_among_the_arguments_are_called_back(box):
    calls = []

    def square(x):
        calls.append(x.copy())
        return (x * x).sum()

    code = "def f(g, x): return (g(x + 1e-3) - g(x - 1e-3)) / 2e-3"
    assert call(box, code, square, np.full(1, 3.0)) == pytest.approx(6)
    assert len(calls) == 2


def test_a_callback_may_call_the_student_again(box):
    made = box("def f(g, n): return g(n)\ndef h(n): return n + 1")
    h = made.function("h")
    assert made.function("f")(lambda n: h(n) * 2, 3) == 8


def test_generators_are_seeded_before_every_call(box):
    code = "import numpy as np, random\ndef f(): return np.random.rand(), random.random()"
    first = box(code, seed=3).function("f")
    a, b = first(), first()
    second = box(code, seed=3).function("f")
    assert (second(), second()) == (a, b)
    assert a != b


def test_hashes_are_the_same_every_day(box):
    code = "def f(): return list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})"
    assert box(code).function("f")() == box(code).function("f")()


def test_an_exception_names_line_and_function(box):
    code = "def f(x):\n    return g(x)\ndef g(x):\n    raise ValueError('no good')\n"
    with pytest.raises(StudentError) as caught:
        box(code).function("f")(1)
    error = caught.value
    assert (error.type_name, error.message, error.line, error.fatal) == ("ValueError", "no good", 4, False)
    assert error.trace == (
        "submission.py, line 2 in f\n    return g(x)\nsubmission.py, line 4 in g\n    raise ValueError('no good')"
    )


def test_after_an_exception_the_next_call_works(box):
    f = box("def f(x): return 1 / x").function("f")
    with told("ZeroDivisionError"):
        f(0)
    assert f(4) == 0.25


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def f(:\n", "SyntaxError.*line 1"),
        ("x = 1\nraise KeyError('a')", "KeyError.*line 2"),
        ("import torch", "ModuleNotFoundError: No module named 'torch': a submission may import"),
        ("import sys\nsys.exit(0)", r"SystemExit: the code left by sys.exit\(0\)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E: an error without words"),
    ],
)
def test_a_file_that_does_not_load_is_told(box, code, words):
    with told(words):
        box(code)


def test_a_missing_function_is_told_with_those_there_are(box):
    with told("there is no function relu; the file has rellu, forward"):
        box("def rellu(x): pass\ndef forward(x): pass").function("relu")


def test_what_cannot_be_sent_is_the_graders_mistake(box):
    with pytest.raises(TypeError, match="a object cannot be an argument"):
        call(box, "def f(x): pass", object())


def test_ignored_packages_do_nothing_and_others_are_not_there(box):
    code = """
import matplotlib.pyplot as plt
from matplotlib import cm
import cv2
plt.figure(figsize=(3, 4)).add_subplot().plot([1])
with plt.style.context("a"): plt.show()
def f(): return 1
"""
    assert box(code, ignore=["matplotlib", "cv2"]).function("f")() == 1
    with told("ModuleNotFoundError"):
        box(code)


def test_an_allowed_package_can_be_imported(box, tmp_path, monkeypatch):
    code = "import tqdm\ndef f(): return tqdm.__name__"
    assert box(code, allow=["tqdm"]).function("f")() == "tqdm"
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "one_file.py").write_text("size = 3")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    code = "import one_file, PIL.Image\ndef f(): return PIL.Image.new('L', (2, one_file.size)).size"
    assert box(code, allow=["one_file", "PIL"]).function("f")() == (2, 3)
    with pytest.raises(ValueError, match="fastnn has the answers"):
        box(code, allow=["fastnn"])
    with pytest.raises(ValueError, match="there is no package"):
        box(code, allow=["no_such_package"])


def test_most_of_the_standard_library_can_be_imported(box):
    names = (
        "json csv argparse logging queue threading glob shutil collections.abc concurrent.futures unittest io os sys"
    )
    names += " numpy.random numpy.linalg numpy.fft numpy.testing"
    code = f"import {', '.join(names.split())}\ndef f(): return 1"
    assert box(code).function("f")() == 1


def test_imports_work_after_the_caches_of_imports_are_gone(box):
    code = "import importlib\nimportlib.invalidate_caches()\ndef f():\n    import colorsys\n    return 1"
    assert box(code).function("f")() == 1


def test_a_sandbox_is_used_once_and_within_its_block(tmp_path):
    path = tmp_path / "submission.py"
    path.write_text("def f(): return 1")
    made = Sandbox(path)
    with pytest.raises(ValueError, match="within a `with` block"):
        made.function("f")
    with made:
        f = made.function("f")
        assert f() == 1
    for use in (f, lambda: made.function("f")):
        with told("the sandbox is closed"):
            use()
    with pytest.raises(ValueError, match="it has been used"):
        made.__enter__()


def test_generators_of_numpy_travel_to_the_submission_only(box):
    code = "def f(rng): return rng.normal(), rng"
    value, rng = call(box, code, np.random.default_rng(3))
    assert value == np.random.default_rng(3).normal()
    assert isinstance(rng, Handle)


@pytest.mark.parametrize("name", ["time", "total", "memory", "output", "result"])
def test_a_limit_is_a_positive_number(name):
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})
    with pytest.raises(TypeError, match=name):
        Limits(**{name: "1"})
