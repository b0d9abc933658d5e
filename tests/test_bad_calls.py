"""Whatever a caller passes, the process survives it, quickly, and an error names the function or the argument."""

import os

import pytest
from bad_calls import names_it, survey
from bad_calls_table import GOOD, SKIPPED, public

CALLS = int(os.environ.get("FASTNN_FUZZ", "15000"))
# Of 100 random bad calls so many may end in words that name nothing: NumPy's own, mostly.
PERCENT = 2


def test_bad_calls_table_knows_everything_public():
    assert public() == (set(GOOD) | set(SKIPPED)) & public(), sorted(public() - set(GOOD) - set(SKIPPED))
    assert set(SKIPPED) <= public()
    assert not set(SKIPPED) & set(GOOD)


# What needs files of the real world to come to a good end.
NO_FILES = {
    "data.CIFAR10", "data.ImageFolder", "data.MNIST", "data.read_image", "training.load_state", "training.load_weights",
    "training.read_preprocessing",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(GOOD) - NO_FILES))
def test_bad_calls_start_from_a_good_one(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    function, arguments = GOOD[name][1]()
    function(**arguments)


@pytest.mark.parametrize(
    ("error", "name", "spoiled", "named"),
    [
        (TypeError("SGD: lr must be a number"), "optim.SGD", ["lr"], True),
        (TypeError("relu: x has dtype int64"), "nn.ReLU.forward", ["x"], True),
        (TypeError("f() missing 1 required positional argument: 'x'"), "functional.relu", ["x"], True),
        (ValueError("the learning rate lr is too large"), "optim.SGD", ["lr"], True),
        (TypeError("must be real number, not str"), "optim.SGD", ["lr"], False),
        (TypeError("a string or a real number is needed"), "optim.SGD", ["a"], False),
        (AttributeError("'str' object has no attribute 'parameters'"), "optim.clip_grad_norm_", ["parameters"], False),
        (IndexError("softmax: dim=3 is no axis"), "functional.softmax", ["dim"], True),
        (KeyError("lr"), "optim.SGD", ["lr"], False),
    ],
)
def test_bad_calls_know_an_error_that_names_something(error, name, spoiled, named):
    assert names_it(error, name, spoiled) is named


@pytest.mark.slow
def test_bad_calls_end_in_errors_that_name_function_or_argument():
    outcome = survey(CALLS)
    assert not outcome["crashes"]
    assert not outcome["hangs"]
    lines = outcome["unnamed"]
    assert len(lines) <= PERCENT / 100 * CALLS, "\n".join(sorted(lines))
    assert len(outcome["refused"]) > CALLS / 2  # the bad values are bad
