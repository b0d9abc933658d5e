"""Pointwise activations: C against the NumPy twins, the twins against their definitions, the layers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn, reference

# name: forward(x), backward(dy, x, y), the definition for one Python float.
ACTIVATIONS = {
    "relu": (F.relu, lambda dy, x, y: F.relu_backward(dy, y), lambda x: max(x, 0)),
    "leaky_relu": (
        lambda x: F.leaky_relu(x, 0.2),
        lambda dy, x, y: F.leaky_relu_backward(dy, x, 0.2),
        lambda x: x if x > 0 else 0.2 * x,
    ),
    "elu": (
        lambda x: F.elu(x, 1.5),
        lambda dy, x, y: F.elu_backward(dy, x, 1.5),
        lambda x: x if x > 0 else 1.5 * math.expm1(x),
    ),
    "gelu": (
        F.gelu,
        lambda dy, x, y: F.gelu_backward(dy, x),
        lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    ),
    "gelu_tanh": (
        lambda x: F.gelu(x, "tanh"),
        lambda dy, x, y: F.gelu_backward(dy, x, "tanh"),
        lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "silu": (F.silu, lambda dy, x, y: F.silu_backward(dy, x), lambda x: x / (1 + math.exp(-x))),
    "sigmoid": (F.sigmoid, lambda dy, x, y: F.sigmoid_backward(dy, y), lambda x: 1 / (1 + math.exp(-x))),
    "tanh": (F.tanh, lambda dy, x, y: F.tanh_backward(dy, y), math.tanh),
    "softplus": (
        lambda x: F.softplus(x, 2.0, 5.0),
        lambda dy, x, y: F.softplus_backward(dy, x, 2.0, 5.0),
        lambda x: x if 2 * x > 5 else math.log1p(math.exp(2 * x)) / 2,
    ),
}
LAYERS = {
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(0.2),
    "elu": nn.ELU(1.5),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU("tanh"),
    "silu": nn.SiLU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "softplus": nn.Softplus(2.0, 5.0),
}
# Rounding errors of one evaluation of C and of NumPy, in units of eps: at most 2.5 each for an exponential or a tanh,
# and one for each of the few products and sums around them. Where an argument of exp is itself rounded, its error
# counts as many times as the argument is large: `growth`.
TERMS = 10
# Where an exponential falls below the normal range and is flushed, factors around it (up to some hundred) multiply the
# error of `tiny`. As a magnitude, this allows for it in float32, and is nothing beside ordinary values.
FLUSHED = 1e-29


def growth(name, x):
    x = np.abs(x.astype(np.float64))
    return {"gelu": 1 + x * x / 2, "gelu_tanh": 1 + 1.6 * (x + 0.045 * x**3)}.get(name, 1.0)


def backward_magnitude(name, dy, x):
    """The sum of the absolute values of the terms of dx, where there are several."""
    dy, x = np.abs(dy.astype(np.float64)), x.astype(np.float64)
    if name == "gelu":
        cdf = np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x])
        return dy * (cdf + np.abs(x) * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))
    if name == "gelu_tanh":
        s = 1 / (1 + np.exp(-math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)))
        return dy * s * (1 + np.abs(x) * (1 - s) * math.sqrt(8 / math.pi) * (1 + 3 * 0.044715 * x * x))
    if name == "silu":
        s = 1 / (1 + np.exp(-x))
        return dy * s * (1 + np.abs(x) * (1 - s))
    return None


@given(n=st.integers(0, 100), scale=st.sampled_from([0.1, 1.0, 5.0]), dtype=dtypes, seed=seeds)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_matches_reference(isa, name, n, scale, dtype, seed):
    forward, backward, _ = ACTIVATIONS[name]
    rng = np.random.default_rng(seed)
    x = (scale * rng.standard_normal(n)).astype(dtype)
    dy = rng.standard_normal(n).astype(dtype)
    y = from_reference(forward, x)
    assert_close(forward(x), y, TERMS, np.abs(y) + FLUSHED, growth(name, x))
    dx = from_reference(backward, dy, x, y)
    magnitude = backward_magnitude(name, dy, x)
    magnitude = (np.abs(dx) if magnitude is None else magnitude) + FLUSHED
    assert_close(backward(dy, x, y), dx, TERMS, magnitude, growth(name, x))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_reference_is_the_definition(name, rng):
    forward, _, definition = ACTIVATIONS[name]
    x = 3 * rng.standard_normal(200)
    expected = np.array([definition(v) for v in x.tolist()])
    # Definitions cancel far from 0, by as much as x is large: 1 + tanh(x).
    assert_close(from_reference(forward, x), expected, TERMS, 1 + np.abs(x))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_gradient_matches_differences(isa, name, rng):
    forward, backward, _ = ACTIVATIONS[name]
    x = 2 * rng.standard_normal(60)
    x[np.abs(x) < 1e-3] = 0.5  # away from the kink at 0
    x[np.abs(x - 2.5) < 1e-3] = 0.5  # and from the threshold of this softplus
    dy = rng.standard_normal(60)
    assert relative_error(backward(dy, x, forward(x)), numeric_gradient(lambda: forward(x), x, dy)) < 1e-8


# Bounds of kernels/vector_math.h, and one unit for the oracle.
@pytest.mark.parametrize(("name", "units"), [("sigmoid", 3.5), ("tanh", 3.5)])
def test_activation_float32_is_accurate_over_the_whole_range(isa, name, units):
    x = np.concatenate([np.linspace(-86, 86, 50001), np.geomspace(1e-30, 1, 5001)]).astype(np.float32)
    exact = from_reference(getattr(F, name), x.astype(np.float64))
    error = np.abs(getattr(F, name)(x) - exact) / np.spacing(np.abs(exact).astype(np.float32))
    assert error.max() < units


def test_elu_and_softplus_are_accurate_near_and_far_below_zero(isa):
    x = -np.geomspace(1e-12, 600, 2000)
    np.testing.assert_allclose(F.elu(x), np.expm1(x), rtol=4 * np.finfo(float).eps)
    np.testing.assert_allclose(F.softplus(x), np.log1p(np.exp(x)), rtol=8 * np.finfo(float).eps)


def test_gelu_is_accurate_in_the_tail(isa):
    """Where 1 + erf(x) has cancelled to nothing, x * P(z < x) is still there."""
    for dtype, lowest in ((np.float32, -12.0), (np.float64, -36.0)):
        x = np.linspace(lowest, -4, 300).astype(dtype)
        assert_close(F.gelu(x), from_reference(F.gelu, x), TERMS, growth=growth("gelu", x))
        assert (F.gelu(x) < 0).all()


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 100.0, -100.0, 800.0, -800.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_treats_special_values_like_reference(isa, name, dtype):
    forward, backward, _ = ACTIVATIONS[name]
    x = SPECIAL.astype(dtype)
    # No growth: beyond the range of exp, results are 0, x or infinite, or denormal and flushed.
    y = from_reference(forward, x)
    assert_close(forward(x), y, TERMS)
    dy = np.ones_like(x)
    assert_close(backward(dy, x, y), from_reference(backward, dy, x, y), TERMS)
    assert np.isnan(forward(x)[0])


def test_relu_keeps_nan_and_is_zero_at_zero(isa):
    x = np.array([np.nan, -0.0, 0.0, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(F.relu(x), np.array([np.nan, 0, 0, np.inf, 0], np.float32))
    dx = F.relu_backward(np.ones_like(x), F.relu(x))
    np.testing.assert_array_equal(dx[1:], np.array([0, 0, 1, 0], np.float32))


def test_tanh_keeps_the_sign_of_zero(isa):
    np.testing.assert_array_equal(np.signbit(F.tanh(np.array([0.0, -0.0]))), [False, True])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_bits_do_not_depend_on_threads(isa, name, rng):
    forward, backward, _ = ACTIVATIONS[name]
    x, dy = rng.standard_normal((2, 310_001)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        y = forward(x)
        results.append((y.tobytes(), backward(dy, x, y).tobytes()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_activation_accepts_any_layout(name, layout, rng):
    forward, backward, _ = ACTIVATIONS[name]
    x, dy = rng.standard_normal((2, 3, 5, 4, 2)).astype(np.float32)
    given, dy_given = layouts(x)[layout], layouts(dy)[layout]
    y = forward(x)
    before, dy_before = given.copy(), dy_given.copy()
    np.testing.assert_array_equal(forward(given), y)
    expected = backward(dy, x, y)
    np.testing.assert_array_equal(backward(dy_given, given, y), expected)
    np.testing.assert_array_equal(backward(dy, given, y), expected)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(dy_given, dy_before)


def test_activation_keeps_the_pixel_major_order(rng):
    x = fastnn._layout.empty_images((2, 3, 4, 5), np.float32)
    x[...] = rng.standard_normal(x.shape)
    before = fastnn._layout.conversions()
    y = F.gelu(x)
    assert y.strides == x.strides
    assert F.gelu_backward(y, x).strides == x.strides
    assert fastnn._layout.conversions() == before


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_layer_is_the_function(name, rng):
    forward, backward, _ = ACTIVATIONS[name]
    layer = LAYERS[name]
    x, dy = rng.standard_normal((2, 4, 5))
    y = layer(x)
    np.testing.assert_array_equal(y, forward(x))
    np.testing.assert_array_equal(layer.backward(dy), backward(dy, x, y))
    assert not layer.state_dict()


def test_activation_layers_accept_pytorch_arguments():
    assert repr(nn.LeakyReLU(0.1, True)) == "LeakyReLU(negative_slope=0.1)"
    assert repr(nn.ELU(alpha=2.0, inplace=True)) == "ELU(alpha=2.0)"
    assert repr(nn.GELU("tanh")) == "GELU(approximate='tanh')"
    assert repr(nn.Softplus(beta=2.0)) == "Softplus(beta=2.0, threshold=20.0)"
    assert repr(nn.ReLU(inplace=True)) == "ReLU()"
    assert repr(nn.PReLU(3)) == "PReLU(num_parameters=3)"


# ---- prelu -----------------------------------------------------------------------------------------------------------
@given(
    shape=st.sampled_from([(7,), (5, 1), (5, 17), (3, 4, 2, 5), (2, 33, 3, 1), (4, 3, 6), (0, 3), (1, 16, 1, 1)]),
    shared=st.booleans(),
    dtype=dtypes,
    seed=seeds,
)
def test_prelu_matches_reference(isa, shape, shared, dtype, seed):
    rng = np.random.default_rng(seed)
    x, dy = rng.standard_normal((2, *shape)).astype(dtype)
    weight = rng.standard_normal(1 if shared or len(shape) < 2 else shape[1]).astype(dtype)
    assert_close(F.prelu(x, weight), from_reference(F.prelu, x, weight))
    dx, dweight = F.prelu_backward(dy, x, weight)
    expected_dx, expected_dweight = from_reference(F.prelu_backward, dy, x, weight)
    assert_close(dx, expected_dx)
    _, magnitude = reference.prelu_backward(np.abs(dy), -np.abs(x), weight)
    assert_close(dweight, expected_dweight, x.size // weight.size, np.abs(magnitude))


def test_prelu_bits_do_not_depend_on_threads(isa, rng):
    x, dy = rng.standard_normal((2, 8, 40, 32, 32)).astype(np.float32)
    for weight in (np.full(1, 0.2, np.float32), rng.standard_normal(40).astype(np.float32)):
        results = []
        for threads in (1, 2, 3):
            fastnn.set_num_threads(threads)
            dx, dweight = F.prelu_backward(dy, x, weight)
            results.append((F.prelu(x, weight).tobytes(), dx.tobytes(), dweight.tobytes()))
        assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("channels", [1, 3])
def test_prelu_gradients_match_differences(isa, channels, rng):
    layer = nn.PReLU(channels).astype(np.float64)
    x, dy = rng.standard_normal((2, 4, 3, 5, 2))
    x[np.abs(x) < 1e-3] = 0.5
    layer(x)
    dx = layer.backward(dy)
    weight = layer.weight.data
    assert relative_error(dx, numeric_gradient(lambda: F.prelu(x, weight), x, dy)) < 1e-8
    assert relative_error(layer.weight.grad, numeric_gradient(lambda: F.prelu(x, weight), weight, dy)) < 1e-8


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_prelu_accepts_any_layout(layout, rng):
    x, dy = rng.standard_normal((2, 3, 5, 4, 2)).astype(np.float32)
    for weight in (np.full(1, 0.2, np.float32), rng.standard_normal(5).astype(np.float32)):
        given = layouts(x)[layout]
        np.testing.assert_array_equal(F.prelu(given, layouts(weight)[layout]), F.prelu(x, weight))
        expected = from_reference(F.prelu_backward, dy, x, weight)
        dx, dweight = F.prelu_backward(layouts(dy)[layout], given, weight)
        np.testing.assert_array_equal(dx, expected[0])
        np.testing.assert_allclose(dweight, expected[1], rtol=1e-5)


def test_prelu_state_dict_round_trip():
    state = nn.PReLU(3, init=0.1).state_dict()
    assert {key: value.shape for key, value in state.items()} == {"weight": (3,)}
    layer = nn.PReLU(3)
    np.testing.assert_array_equal(layer.weight.data, np.full(3, 0.25, np.float32))
    layer.load_state_dict(state)
    np.testing.assert_array_equal(layer.weight.data, np.full(3, 0.1, np.float32))


# ---- bad arguments ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_rejects_integers(name):
    function = name.removesuffix("_tanh")
    with pytest.raises(TypeError, match=rf"{function}.*: x has dtype int64.*astype"):
        ACTIVATIONS[name][0](np.arange(3))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_backward_rejects_other_shapes_and_dtypes(name):
    backward = ACTIVATIONS[name][1]
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"must have the same shape.*\(3, 2\).*\(2, 3\)"):
        backward(x.T, x, x)
    with pytest.raises(TypeError, match="dtypes differ"):
        backward(x.astype(np.float64), x, x)


def test_activation_rejects_bad_parameters():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="approximate must be 'none' or 'tanh'"):
        F.gelu(x, "erf")
    with pytest.raises(ValueError, match="approximate must be 'none' or 'tanh'"):
        nn.GELU("erf")
    with pytest.raises(ValueError, match="beta must not be 0"):
        F.softplus(x, beta=0)
    with pytest.raises(ValueError, match=r"prelu: weight needs 1 or 3 elements.*weight.shape=\(2,\)"):
        F.prelu(x, np.ones(2, np.float32))
    with pytest.raises(ValueError, match="weight has 2 dimensions, 1 are needed"):
        F.prelu(x, np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match="num_parameters must be >= 1"):
        nn.PReLU(0)
