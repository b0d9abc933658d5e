"""Rows and columns around images: values by hand, NumPy's own pad, exact transposes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn

NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
LAYERS = {"constant": nn.ZeroPad2d, "reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d}


@st.composite
def problems(draw):
    h, w = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    mode = draw(st.sampled_from(list(NUMPY)))
    most = (w - 1, w - 1, h - 1, h - 1) if mode == "reflect" else (7,) * 4
    pad = tuple(draw(st.integers(0, m)) for m in most)
    rng = np.random.default_rng(draw(seeds))
    x = rng.standard_normal((draw(st.integers(1, 3)), draw(st.sampled_from([1, 3, 17])), h, w))
    return x.astype(draw(dtypes)), pad, mode


def test_pad_by_hand():
    x = np.arange(1.0, 7).reshape(1, 1, 2, 3)
    zeros = F.pad(x, (1, 0, 0, 1))
    np.testing.assert_array_equal(zeros[0, 0], [[0, 1, 2, 3], [0, 4, 5, 6], [0, 0, 0, 0]])
    reflected = F.pad(x, (2, 1, 1, 0), "reflect")
    np.testing.assert_array_equal(reflected[0, 0], [[6, 5, 4, 5, 6, 5], [3, 2, 1, 2, 3, 2], [6, 5, 4, 5, 6, 5]])
    replicated = F.pad(x, (0, 2, 1, 0), "replicate")
    np.testing.assert_array_equal(replicated[0, 0], [[1, 2, 3, 3, 3], [1, 2, 3, 3, 3], [4, 5, 6, 6, 6]])
    dy = np.ones((1, 1, 3, 6))
    np.testing.assert_array_equal(F.pad_backward(dy, (2, 1, 1, 0), "reflect")[0, 0], [[1, 3, 2], [2, 6, 4]])
    np.testing.assert_array_equal(F.pad_backward(dy, (1, 2, 0, 1), "replicate")[0, 0], [[2, 1, 3], [4, 2, 6]])
    np.testing.assert_array_equal(F.pad_backward(dy, (1, 2, 0, 1))[0, 0], np.ones((2, 3)))


@given(problem=problems())
def test_pad_is_that_of_numpy(isa, problem):
    x, pad, mode = problem
    left, right, top, bottom = pad
    y = F.pad(x, pad, mode)
    np.testing.assert_array_equal(y, np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), NUMPY[mode]))
    np.testing.assert_array_equal(LAYERS[mode](pad)(x), y)
    np.testing.assert_array_equal(from_reference(F.pad, x, pad, mode), y)


@given(problem=problems())
def test_pad_backward_matches_reference_and_is_the_transpose(isa, problem):
    x, pad, mode = problem
    y = F.pad(x, pad, mode)
    dy = np.random.default_rng(0).standard_normal(y.shape).astype(y.dtype)
    dx = F.pad_backward(dy, pad, mode)
    magnitude = from_reference(F.pad_backward, abs(dy), pad, mode)
    assert_close(dx, from_reference(F.pad_backward, dy, pad, mode), dy[0, 0].size, magnitude)
    if x.dtype == np.float64:
        assert abs(np.sum(y * dy) - np.sum(x * dx)) <= 1e-13 * np.sum(abs(x) * magnitude)


def test_pad_of_channels_and_images():
    x = np.arange(12.0).reshape(2, 3, 1, 2)
    y = F.pad(x, (0, 1, 0, 0, 1, 2, 1, 0), value=-7.0)
    np.testing.assert_array_equal(y, np.pad(x, ((1, 0), (1, 2), (0, 0), (0, 1)), constant_values=-7))
    np.testing.assert_array_equal(F.pad_backward(y, (0, 1, 0, 0, 1, 2, 1, 0)), x)


@pytest.mark.parametrize("mode", list(NUMPY))
def test_pad_copies_and_goes_back_to_pixel_major_arrays(mode):
    x = fastnn.tensor(np.ones((2, 3, 5, 4), np.float32), requires_grad=True)
    y = F.pad(x, (1, 2, 0, 1), mode)
    assert not np.shares_memory(F.pad(x.data, (0, 0, 0, 0), mode), x.data)
    before = fastnn.conversions()
    z = F.conv2d(y, np.ones((1, 3, 3, 3), np.float32))
    assert fastnn.conversions() == before
    z.sum().backward()
    assert x.grad.transpose(2, 3, 0, 1).flags.c_contiguous


@pytest.mark.parametrize("mode", list(NUMPY))
@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_pad_accepts_any_layout(layout, mode, rng):
    x = rng.standard_normal((2, 3, 4, 5))
    np.testing.assert_array_equal(F.pad(layouts(x)[layout], (1, 2, 3, 1), mode), F.pad(x, (1, 2, 3, 1), mode))


@pytest.mark.parametrize("mode", list(NUMPY))
def test_pad_bits_do_not_depend_on_threads(isa, mode, rng):
    x = rng.standard_normal((9, 33, 11, 10)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        y = F.pad(x, (3, 1, 2, 5), mode)
        results.append((y, F.pad_backward(y, (3, 1, 2, 5), mode)))
    for y, dx in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(dx, results[0][1])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"pad": (1, 2, 3)}, ValueError, "pad must be left, right, top, bottom. Received: pad=(1, 2, 3)"),
        ({"pad": (1,) * 10}, ValueError, "pad must be left, right, top, bottom"),
        ({"pad": (1,) * 6, "mode": "reflect"}, ValueError, "pad must be left, right, top, bottom"),
        ({"pad": (1, -1)}, ValueError, "pad must be one or more integers >= 0"),
        ({"pad": "ab"}, TypeError, "pad must be an integer or several"),
        (
            {"pad": (4, 0), "mode": "reflect"},
            ValueError,
            "a reflected padding must be smaller than the image. Received",
        ),
        ({"mode": "circular"}, ValueError, "mode must be 'constant', 'reflect' or 'replicate'. Received: 'circular'"),
        (
            {"mode": "reflect", "value": 1.0},
            ValueError,
            "value is for mode='constant'. Received: mode='reflect', value",
        ),
        ({"value": None}, TypeError, "value must be a number. Received: None"),
        ({"x": np.zeros((4, 4))}, ValueError, "x has 2 dimensions, 4 are needed"),
        ({"x": np.zeros((1, 1, 0, 4)), "mode": "replicate"}, ValueError, "the images have no pixels"),
    ],
)
def test_pad_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error) as caught:
        F.pad(**({"x": np.zeros((1, 1, 4, 4)), "pad": (1, 1)} | arguments))
    assert str(caught.value).startswith(f"pad: {words}")


def test_pad_backward_rejects_what_is_smaller_than_its_padding():
    with pytest.raises(ValueError, match=r"^pad_backward: pad is larger than dy. Received: dy.shape=\(1, 1, 2, 2\)"):
        F.pad_backward(np.zeros((1, 1, 2, 2)), (2, 1))
    with pytest.raises(ValueError, match=r"^pad_backward: a reflected padding must be smaller than the image"):
        F.pad_backward(np.zeros((1, 1, 5, 5)), (2, 1), "reflect")


def test_pad_layers_are_described_and_name_themselves():
    assert repr(nn.ZeroPad2d(2)) == "ZeroPad2d((2, 2, 2, 2))"
    assert nn.ReflectionPad2d([1, 2, 3, 4]).padding == (1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"^ReflectionPad2d: a reflected padding must be smaller than the image. Rec"):
        nn.ReflectionPad2d(3)(np.zeros((1, 1, 3, 9)))
    with pytest.raises(
        ValueError, match=r"^ZeroPad2d: padding must be one number or left, right, top, bottom. Received"
    ):
        nn.ZeroPad2d((1, 2))
