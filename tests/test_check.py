"""functional/_check.py: what counts as a number, an integer, a word, and how values are shown in errors."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from fastnn import _check
from fastnn import functional as F


def kind(value):
    """A short name of a case."""
    return type(value).__name__


NO_NUMBERS = [
    None, "1", "", b"1", bytearray(b"1"), 1j, np.complex64(1), True, np.True_, object(), [1], (1,), {}, np.array([1.0]),
    np.array([1, 2]), np.array("1"), np.array(1j), np.array(True), int, len,
]  # fmt: skip


# ---- numbers ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", NO_NUMBERS, ids=kind)
def test_check_number_refuses_what_is_none(value):
    with pytest.raises(TypeError, match=r"^op: size must be a number. Received: "):
        _check.number("op", "size", value)


@pytest.mark.parametrize(
    "value", [2, 2.0, np.float32(2), np.int8(2), np.array(2), np.array(2.0), Fraction(2), Decimal(2)], ids=kind
)
def test_check_number_takes_every_kind_and_gives_a_float(value):
    result = _check.number("op", "size", value, 0, 2, finite=True)
    assert result == 2
    assert type(result) is float


@pytest.mark.parametrize(
    ("value", "limits", "words"),
    [
        (math.nan, (), "must be finite. Received: nan"),
        (np.float32("nan"), (), "must be finite"),
        (math.nan, (0,), "must be >= 0. Received: nan"),
        (-0.5, (0,), "must be >= 0. Received: -0.5"),
        (1.5, (0, 1), "must be >= 0 and <= 1. Received: 1.5"),
        (2, (-math.inf, 1), "must be <= 1. Received: 2"),
        (10**400, (), "must be finite"),
        (-(10**400), (0,), "must be >= 0"),
    ],
)
def test_check_number_outside_is_refused(value, limits, words):
    with pytest.raises(ValueError, match=f"^op: size {words}"):
        _check.number("op", "size", value, *limits)


@pytest.mark.parametrize("value", [math.inf, -math.inf, np.float64("inf"), np.array(math.inf)])
def test_check_number_may_be_infinite_unless_it_must_be_finite(value):
    assert math.isinf(_check.number("op", "size", value))
    with pytest.raises(ValueError, match=r"^op: size must be finite. Received: "):
        _check.number("op", "size", value, finite=True)


@pytest.mark.parametrize("value", [0, 0.0, 1e-5, np.float32(1e-3), 1e300])
def test_check_epsilon_is_finite_and_not_negative(value):
    assert _check.epsilon("op", value) == value


@pytest.mark.parametrize("value", [-1e-9, math.inf, math.nan])
def test_check_epsilon_refuses_the_rest(value):
    with pytest.raises(ValueError, match=r"^op: eps must be >= 0 and finite. Received: "):
        _check.epsilon("op", value)


# ---- integers --------------------------------------------------------------------------------------------------------
NO_INTEGERS = [
    None,
    "1",
    b"1",
    1.0,
    np.float64(1),
    1j,
    True,
    np.True_,
    object(),
    [1],
    (1,),
    np.array([1]),
    np.array(1.0),
]


@pytest.mark.parametrize("value", NO_INTEGERS, ids=kind)
def test_check_integer_refuses_what_is_none(value):
    with pytest.raises(TypeError, match=r"^op: n must be an integer. Received: "):
        _check.integer("op", "n", value, 0)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)], ids=kind)
def test_check_integer_takes_every_kind_and_gives_an_int(value):
    assert type(_check.integer("op", "n", value, 3, 3)) is int


@pytest.mark.parametrize(
    ("value", "limits", "words"),
    [
        (-1, (0,), "must be >= 0. Received: -1"),
        (4, (0, 3), "must be <= 3. Received: 4"),
        (np.int8(4), (0, 3), "must be <= 3. Received: "),
        (2**63, (0,), f"must be <= {2**63 - 1}. Received: {2**63}"),
    ],
)
def test_check_integer_outside_is_refused(value, limits, words):
    with pytest.raises(ValueError, match=f"^op: n {words}"):
        _check.integer("op", "n", value, *limits)


@pytest.mark.parametrize(
    "value", [2, (2, 2), [2, 2], np.array(2), np.array([2, 2]), range(2, 4), np.int16(2)], ids=kind
)
def test_check_pair_takes_one_or_two(value):
    result = _check.pair("op", "size", value, 1)
    assert result in ((2, 2), (2, 3))
    assert all(type(item) is int for item in result)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ("22", TypeError, "an integer or two of them. Received: '22'"),
        (b"22", TypeError, "an integer or two of them"),
        ((1.0, 2.0), TypeError, "an integer or two of them"),
        ((True, 2), TypeError, "an integer or two of them"),
        ({1, 2}, TypeError, "an integer or two of them"),
        (None, TypeError, "an integer or two of them. Received: None"),
        (np.ones((2, 2), int), TypeError, "an integer or two of them"),
        ((2,), ValueError, r"one or two integers >= 1. Received: \(2,\)"),
        ((), ValueError, "one or two integers >= 1"),
        ((1, 2, 3), ValueError, "one or two integers >= 1"),
        ((0, 2), ValueError, "one or two integers >= 1"),
        ((2, 0), ValueError, "one or two integers >= 1"),
        ((2, 2**31), ValueError, f"<= {2**31 - 1}"),
        ((2**63, 2), ValueError, f"<= {2**31 - 1}"),
        ([2**64, 2], ValueError, f"<= {2**31 - 1}"),
    ],
)
def test_check_pair_refuses_the_rest(value, error, words):
    with pytest.raises(error, match=f"^op: size must be {words}"):
        _check.pair("op", "size", value, 1)


def test_check_integers_takes_one_or_several():
    assert _check.integers("op", "shape", 3, 1) == (3,)
    assert _check.integers("op", "shape", (3,), 1) == (3,)
    assert _check.integers("op", "shape", [np.int8(3), 4, 5], 1) == (3, 4, 5)
    for value in ((), (0,), (3, 0), (2**63,)):
        with pytest.raises(ValueError, match=r"^op: shape must be one or more positive integers. Received: "):
            _check.integers("op", "shape", value, 1)
    for value in (None, "3", (True,), (2.5, 3), {3: 4}):
        with pytest.raises(TypeError, match=r"^op: shape must be an integer or several. Received: "):
            _check.integers("op", "shape", value, 1)


# ---- words and booleans ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [True, False, np.True_, np.False_, 1, 0, np.int64(1)], ids=kind)
def test_check_boolean_takes_truths_and_gives_a_bool(value):
    assert _check.boolean("op", "flag", value) is bool(value)


@pytest.mark.parametrize(
    "value", [None, "yes", "", 2, -1, 0.0, 1.0, [], np.array([True]), np.array(True), object()], ids=kind
)
def test_check_boolean_refuses_the_rest(value):
    with pytest.raises(TypeError, match=r"^op: flag must be True or False. Received: "):
        _check.boolean("op", "flag", value)


def test_check_one_of_lists_what_there_is():
    assert _check.one_of("op", "mode", "a", ("a", "b")) == "a"
    assert _check.one_of("op", "mode", None, (None, "b")) is None
    for value in ("c", None, 1, ["a"], np.array(["a", "b"]), np.array("c"), {}):
        with pytest.raises(ValueError, match=r"^op: mode must be 'a', 'b' or 'd'. Received: "):
            _check.one_of("op", "mode", value, ("a", "b", "d"))
    with pytest.raises(ValueError, match=r"^op: mode must be 'a'. Received: 'b'$"):
        _check.one_of("op", "mode", "b", ("a",))


# ---- arrays ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.ones(2, np.float16), r"op: x has dtype float16, float32 or float64 is needed; cast it with x.astype"),
        (np.ones(2, bool), r"op: x has dtype bool, float32 or float64 is needed; cast it with x.astype"),
        (np.ones(2, np.uint8), r"op: x has dtype uint8, .* cast it with x.astype\(numpy.float32\)$"),
        (2**62, r"op: x has dtype int64, .* cast it"),
        (2**64, r"op: x has dtype object, float32 or float64 is needed; it must hold real numbers$"),
        (np.ones(2, object), r"op: x has dtype object, .* it must hold real numbers$"),
        (np.ones(2, complex), r"op: x has dtype complex128, .* it must hold real numbers$"),
        (None, r"op: x has dtype object"),
        ("text", r"op: x has dtype <U4"),
    ],
)
def test_check_floats_says_dtype_and_cure_in_one_sentence(value, words):
    with pytest.raises(TypeError, match=f"^{words}"):
        _check.floats("op", "x", value)


class Broken:
    """An array that is none."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value", [[[1.0], [1.0, 2.0]], [np.ones(2), np.ones(3)], Broken()], ids=["lists", "arrays", "own"]
)
@pytest.mark.parametrize("check", [_check.floats, _check.array, _check.reals, _check.numbers])
def test_check_of_what_makes_no_array_names_it(check, value):
    with pytest.raises(ValueError, match=r"^op: x cannot be made an array"):
        check("op", "x", value)


def test_check_array_and_reals_take_what_they_should():
    assert _check.array("op", "x", ["a"]).dtype.kind == "U"
    assert _check.reals("op", "x", [1, 2]).dtype == np.int64
    assert _check.numbers("op", "x", [1, 2]).dtype == np.float64
    with pytest.raises(TypeError, match=r"^op: x must be an array of numbers. Received: None"):
        _check.array("op", "x", None)
    for value in (None, ["a"], [True], [1j]):
        with pytest.raises(TypeError, match=r"^op: x must hold numbers. Received: dtype="):
            _check.reals("op", "x", value)


@pytest.mark.parametrize("value", [np.float32, "float64", np.dtype("f4"), float])
def test_check_float_dtype_takes_two(value):
    assert _check.float_dtype("op", value) == np.dtype(value)


@pytest.mark.parametrize("value", [None, "nonsense", np.float16, int, "f4, f4", object(), {}, "(", 1])
def test_check_float_dtype_refuses_the_rest(value):
    with pytest.raises(TypeError, match=r"^op: dtype must be float32 or float64. Received: "):
        _check.float_dtype("op", value)


def test_check_fits_memory_draws_the_line_before_the_bytes_overflow():
    _check.fits_memory("op", "a weight", (2**30, 2**18))
    with pytest.raises(ValueError, match=r"^op: no memory holds a weight of shape \(1073741824, 262145\)"):
        _check.fits_memory("op", "a weight", (2**30, 2**18 + 1))


def test_check_same_shape_compares_axes_and_not_sizes():
    _check.same_shape("op", a=np.ones((2, 3)), b=np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"^op: a and b must have the same shape. .*\(2, 3\), b.shape=\(3, 2\)"):
        _check.same_shape("op", a=np.ones((2, 3)), b=np.ones((3, 2)))


# ---- values in errors ------------------------------------------------------------------------------------------------
def test_check_shown_is_short_and_in_one_line():
    assert _check.shown(2.5) == "2.5"
    assert _check.shown("a\nb") == r"'a\nb'"
    assert _check.shown(np.ones(3)) == "array([1., 1., 1.])"
    assert _check.shown(np.ones((3, 3))) == "an array of shape (3, 3) and dtype float64"
    assert _check.shown(Broken()) == "an object of type Broken"
    long = _check.shown(list(range(1000)))
    assert len(long) == 100
    assert long.startswith("[0, 1, 2")
    assert long.endswith("...")


@pytest.mark.parametrize("call", [lambda: F.softmax(np.zeros(3), 1.5), lambda: F.softmax(np.zeros(3), "a" * 10**6)])
def test_check_error_of_a_large_value_stays_short(call):
    with pytest.raises(TypeError) as caught:
        call()
    assert len(str(caught.value)) < 200
