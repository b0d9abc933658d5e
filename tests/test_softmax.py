"""Softmax and its logarithm: C against the NumPy twins, the twins against their definition, the layers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn

FUNCTIONS = {
    "softmax": (F.softmax, F.softmax_backward, nn.Softmax),
    "log_softmax": (F.log_softmax, F.log_softmax_backward, nn.LogSoftmax),
}
names = pytest.mark.parametrize("name", FUNCTIONS)


@st.composite
def problems(draw):
    """A shape, with axes around the vector lengths, and one of its axes."""
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 4, 7, 8, 10, 16, 17, 33]), min_size=1, max_size=4))
    while math.prod(shape) > 20_000:
        shape.pop()
    return tuple(shape), draw(st.integers(-len(shape), len(shape) - 1))


@given(problem=problems(), dtype=dtypes, seed=seeds)
@names
def test_softmax_matches_reference(isa, name, problem, dtype, seed):
    forward, backward, _ = FUNCTIONS[name]
    shape, dim = problem
    rng = np.random.default_rng(seed)
    x = (4 * rng.standard_normal(shape)).astype(dtype)
    dy = rng.standard_normal(shape).astype(dtype)
    # An exponential and a quotient (or a logarithm) each way, and a sum of shape[dim] terms.
    terms = shape[dim] + 8
    y = from_reference(forward, x, dim)
    assert_close(forward(x, dim), y, terms, np.abs(y) + (np.abs(x).max() if name == "log_softmax" else 0))
    dx = from_reference(backward, dy, y, dim)
    probability = y if name == "softmax" else np.exp(y)
    total = np.abs(dy) * y if name == "softmax" else np.abs(dy)
    factor = probability if name == "softmax" else 1
    magnitude = factor * np.abs(dy) + probability * total.sum(axis=dim, keepdims=True)
    assert_close(backward(dy, y, dim), dx, terms, magnitude)


@names
def test_softmax_reference_is_the_definition(name, rng):
    x = rng.standard_normal((3, 4, 5))
    y = from_reference(FUNCTIONS[name][0], x, 1)
    for i, j, k in np.ndindex(x.shape):
        expected = math.exp(x[i, j, k]) / math.fsum(math.exp(v) for v in x[i, :, k])
        assert y[i, j, k] == pytest.approx(expected if name == "softmax" else math.log(expected), rel=1e-14)


@names
@pytest.mark.parametrize("dim", [0, 1, 2, 3])
def test_softmax_gradient_matches_differences(isa, name, dim, rng):
    forward, backward, _ = FUNCTIONS[name]
    x, dy = rng.standard_normal((2, 3, 4, 2, 5))
    numeric = numeric_gradient(lambda: forward(x, dim), x, dy)
    assert relative_error(backward(dy, forward(x, dim), dim), numeric) < 1e-8


@pytest.mark.parametrize("columns", [1, 3, 10, 16, 19, 40])
def test_softmax_treats_infinities_and_nan_like_pytorch(isa, columns):
    x = np.zeros((5, columns), np.float32)
    x[0, -1] = -np.inf
    x[1, 0] = np.inf
    x[2, -1] = np.nan
    x[3] = -np.inf
    x[4] = 3e38
    y, log_y = F.softmax(x, 1), F.log_softmax(x, 1)
    for broken in (1, 2, 3):
        assert np.isnan(y[broken]).all()
        assert np.isnan(log_y[broken]).all()
    if columns == 1:
        assert np.isnan(y[0, 0])
    else:
        assert y[0, -1] == 0
        assert log_y[0, -1] == -np.inf
        np.testing.assert_allclose(y[0, :-1], 1 / (columns - 1), rtol=1e-6)
    np.testing.assert_allclose(y[4], 1 / columns, rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(from_reference(F.softmax, x, 1)), np.isnan(y))
    with np.errstate(invalid="ignore"):
        assert_close(log_y, from_reference(F.log_softmax, x, 1), 10 + columns, np.float32(8))


def test_log_softmax_is_accurate_for_small_probabilities(isa):
    x = np.array([[0.0, 200.0, 1000.0]], np.float32)
    np.testing.assert_array_equal(F.log_softmax(x, 1), np.array([[-1000.0, -800.0, 0.0]], np.float32))


@names
def test_softmax_bits_do_not_depend_on_threads(isa, name, rng):
    forward, backward, _ = FUNCTIONS[name]
    x, dy = rng.standard_normal((2, 6007, 10)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        y = forward(x, 1)
        results.append((y.tobytes(), backward(dy, y, 1).tobytes()))
    assert results[0] == results[1] == results[2]


@names
@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_softmax_accepts_any_layout(name, dim, layout, rng):
    forward, backward, _ = FUNCTIONS[name]
    x, dy = rng.standard_normal((2, 3, 5, 4, 2)).astype(np.float32)
    given, dy_given = layouts(x)[layout], layouts(dy)[layout]
    before = given.copy()
    y = forward(x, dim)
    np.testing.assert_array_equal(forward(given, dim), y)
    np.testing.assert_array_equal(backward(dy_given, layouts(y)[layout], dim), backward(dy, y, dim))
    np.testing.assert_array_equal(given, before)


def test_softmax_over_channels_takes_pixel_major_images_as_they_are(rng):
    x = fastnn._layout.empty_images((2, 3, 4, 5), np.float32)
    x[...] = rng.standard_normal(x.shape)
    before = fastnn._layout.conversions()
    y = F.softmax(x, 1)
    assert y.strides == x.strides
    assert fastnn._layout.conversions() == before


@pytest.mark.parametrize("shape", [(0, 10), (3, 0), (0,), (2, 0, 3, 4)])
@names
def test_softmax_of_nothing_is_nothing(name, shape):
    forward, backward, _ = FUNCTIONS[name]
    x = np.zeros(shape, np.float32)
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            assert forward(x, -1).shape == shape
            assert backward(x, x, -1).shape == shape


@names
def test_softmax_layer_is_the_function(name, rng):
    forward, backward, layer_class = FUNCTIONS[name]
    x, dy = rng.standard_normal((2, 4, 5))
    layer = layer_class(dim=1)
    y = layer(x)
    np.testing.assert_array_equal(y, forward(x, 1))
    np.testing.assert_array_equal(layer.backward(dy), backward(dy, y, 1))
    assert repr(layer) == f"{layer_class.__name__}(dim=1)"
    assert not layer.state_dict()


@pytest.mark.parametrize(("ndim", "dim"), [(1, 0), (2, 1), (3, 0), (4, 1)])
def test_softmax_without_dim_takes_the_axis_of_pytorch(ndim, dim, rng):
    x = rng.standard_normal((2, 3, 4, 5)[:ndim])
    np.testing.assert_array_equal(F.softmax(x), F.softmax(x, dim))


@names
def test_softmax_rejects_bad_arguments(name):
    forward, backward, _ = FUNCTIONS[name]
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(IndexError, match=f"{name}: dim=2 is no axis of an array with 2 dimensions"):
        forward(x, 2)
    with pytest.raises(IndexError, match="dim=0 is no axis of an array with 0 dimensions"):
        forward(np.float32(1), 0)
    with pytest.raises(TypeError, match="dim must be an integer or None"):
        forward(x, 1.0)
    with pytest.raises(TypeError, match="x has dtype int64"):
        forward(np.arange(3), 0)
    with pytest.raises(ValueError, match="must have the same shape"):
        backward(x.T, x, 1)
    with pytest.raises(TypeError, match="dtypes differ"):
        backward(x.astype(np.float64), x, 1)
