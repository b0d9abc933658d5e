"""Initialisers: their distributions, their structure, and what they leave alone."""

import math

import numpy as np
import pytest

import fastnn
from fastnn import functional as F
from fastnn import nn
from fastnn.nn import init

SHAPE = (64, 32, 5, 4)  # fan_in 640, fan_out 1280
RANDOM = [
    "uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_",
    "orthogonal_",
]  # fmt: skip
FIXED = ["zeros_", "ones_", "dirac_"]


def check_moments(values, mean, std):
    """Mean and standard deviation of a sample, within five of their standard errors."""
    n = values.size
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(n)
    assert abs(values.std() / std - 1) < 5 / math.sqrt(n)  # at most 1 / sqrt(2 n) for what is drawn here


@pytest.mark.parametrize(
    ("name", "settings", "mean", "std"),
    [
        ("uniform_", {}, 0.5, 1 / math.sqrt(12)),
        ("uniform_", {"a": -3, "b": 1}, -1, 4 / math.sqrt(12)),
        ("normal_", {}, 0, 1),
        ("normal_", {"mean": 5, "std": 0.1}, 5, 0.1),
        ("xavier_uniform_", {"gain": 2}, 0, 2 * math.sqrt(2 / 1920)),
        ("xavier_normal_", {}, 0, math.sqrt(2 / 1920)),
        ("kaiming_uniform_", {}, 0, math.sqrt(2 / 640)),
        ("kaiming_uniform_", {"a": math.sqrt(5)}, 0, 1 / math.sqrt(3 * 640)),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}, 0, math.sqrt(2 / 1280)),
        ("kaiming_normal_", {"nonlinearity": "tanh"}, 0, 5 / 3 / math.sqrt(640)),
        ("orthogonal_", {"gain": 2}, 0, 2 / math.sqrt(640)),
        ("trunc_normal_", {}, 0, 0.879626),  # sqrt(1 - 4 phi(2) / (2 Phi(2) - 1))
        ("trunc_normal_", {"std": 0.02}, 0, 0.02),
        ("trunc_normal_", {"mean": 1, "a": 1, "b": 50}, 1 + math.sqrt(2 / math.pi), math.sqrt(1 - 2 / math.pi)),
        ("trunc_normal_", {"a": 8, "b": 1000}, 8.121369, 0.119448),  # far in the tail, by quadrature
    ],
)
def test_init_distribution_has_its_moments(rng, name, settings, mean, std):
    check_moments(getattr(init, name)(np.empty(SHAPE), generator=rng, **settings), mean, std)


@pytest.mark.parametrize(
    ("name", "settings", "low", "high"),
    [
        ("uniform_", {"a": -3, "b": 1}, -3, 1),
        ("xavier_uniform_", {}, -math.sqrt(6 / 1920), math.sqrt(6 / 1920)),
        ("kaiming_uniform_", {"a": math.sqrt(5)}, -1 / math.sqrt(640), 1 / math.sqrt(640)),
        ("trunc_normal_", {"a": -0.3, "b": 0.7}, -0.3, 0.7),
        ("trunc_normal_", {"a": 0.25, "b": 0.25}, 0.25, 0.25),
    ],
)
def test_init_distribution_fills_its_range(rng, name, settings, low, high):
    values = getattr(init, name)(np.empty(SHAPE), generator=rng, **settings)
    margin = 1e-3 * (high - low)
    assert low <= values.min() <= low + margin
    assert high - margin <= values.max() <= high


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 2, 3, 3), (6, 1, 2)])
def test_init_orthogonal_has_orthonormal_rows_or_columns(rng, shape):
    w = init.orthogonal_(np.empty(shape), gain=3, generator=rng).reshape(shape[0], -1) / 3
    product = w @ w.T if len(w) <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-14)


@pytest.mark.parametrize(("channels", "groups", "kernel"), [(4, 1, 3), (6, 3, 5), (6, 6, 1)])
def test_init_dirac_makes_convolution_the_identity(rng, channels, groups, kernel):
    layer = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=groups, bias=False)
    init.dirac_(layer.weight, groups)
    x = rng.standard_normal((2, channels, 6, 7)).astype(np.float32)
    np.testing.assert_array_equal(layer(x), x)


def test_init_dirac_leaves_further_filters_zero():
    w = init.dirac_(np.full((5, 2, 3, 3), 7.0))
    assert w.sum() == 2
    assert w[0, 0, 1, 1] == w[1, 1, 1, 1] == 1


def test_init_eye_makes_linear_the_identity(rng):
    x = rng.standard_normal((3, 4))
    np.testing.assert_array_equal(F.linear(x, init.eye_(np.empty((4, 4)))), x)


def test_init_constants():
    w = np.empty((2, 3), np.float32)
    np.testing.assert_array_equal(init.constant_(w, 0.5), np.full((2, 3), 0.5))
    np.testing.assert_array_equal(init.zeros_(w), np.zeros((2, 3)))
    np.testing.assert_array_equal(init.ones_(w), np.ones((2, 3)))


@pytest.mark.parametrize("name", RANDOM + FIXED)
def test_init_fills_a_parameter_in_place_and_keeps_its_memory_order(name):
    layer = nn.Conv2d(3, 4, 3)
    data, strides = layer.weight.data, layer.weight.data.strides
    data[...] = np.nan
    assert getattr(init, name)(layer.weight) is layer.weight
    assert layer.weight.data is data
    assert data.strides == strides
    assert data.dtype == np.float32
    assert not np.isnan(data).any()


@pytest.mark.parametrize("name", RANDOM)
def test_init_draws_the_same_values_for_any_memory_order_and_dtype(name):
    fill = getattr(init, name)
    draws = [
        fill(array, generator=np.random.default_rng(3))
        for array in (
            np.empty((4, 3, 2)),
            np.empty((2, 3, 4)).T,
            np.empty((8, 3, 4))[::2].transpose(0, 1, 2)[:, :, ::2],
        )
    ]
    for draw in draws[1:]:
        np.testing.assert_array_equal(draw, draws[0])
    single = fill(np.empty((4, 3, 2), np.float32), generator=np.random.default_rng(3))
    np.testing.assert_array_equal(single, draws[0].astype(np.float32))


@pytest.mark.parametrize("name", RANDOM)
def test_init_draws_from_the_seeded_generator(name):
    fill = getattr(init, name)
    fastnn.manual_seed(5)
    first, second = fill(np.empty((3, 4))), fill(np.empty((3, 4)))
    fastnn.manual_seed(5)
    np.testing.assert_array_equal(fill(np.empty((3, 4))), first)
    assert not (first == second).any()


@pytest.mark.parametrize("name", RANDOM)
def test_init_leaves_the_global_generator_alone_if_given_one(name):
    state = fastnn._random.random_state()
    getattr(init, name)(np.empty((3, 4)), generator=np.random.default_rng(0))
    assert fastnn._random.random_state() == state


@pytest.mark.parametrize("name", [*RANDOM, "zeros_", "ones_"])
def test_init_of_nothing_is_nothing(name):
    assert getattr(init, name)(np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    ("nonlinearity", "param", "gain"),
    [
        ("linear", None, 1), ("conv_transpose2d", None, 1), ("sigmoid", None, 1), ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)), ("leaky_relu", None, math.sqrt(2 / 1.0001)), ("leaky_relu", 1, 1),
        ("selu", None, 0.75),
    ],
)  # fmt: skip
def test_init_gain(nonlinearity, param, gain):
    assert init.calculate_gain(nonlinearity, param) == gain


def test_init_dirac_of_even_kernels_is_behind_the_middle_as_in_pytorch():
    filters = init.dirac_(np.empty((3, 2, 2, 4)))
    expected = np.zeros((3, 2, 2, 4))
    expected[0, 0, 1, 2] = expected[1, 1, 1, 2] = 1
    np.testing.assert_array_equal(filters, expected)


@pytest.mark.parametrize(
    ("a", "b", "mean", "std"),
    [
        (-math.inf, math.inf, 0.0, 1.0), (0.0, math.inf, math.sqrt(2 / math.pi), math.sqrt(1 - 2 / math.pi)),
        (-math.inf, 0.0, -math.sqrt(2 / math.pi), math.sqrt(1 - 2 / math.pi)), (-2.0, 2.0, 0.0, 0.87963),
        (3.0, math.inf, 3.28310, 0.26627), (-math.inf, -3.0, -3.28310, 0.26627),
    ],
)  # fmt: skip
def test_init_trunc_normal_with_an_infinite_bound_is_cut_on_the_other_side_only(a, b, mean, std):
    """Moments of the truncated normal distribution: N. L. Johnson et al., "Continuous univariate distributions"."""
    n = 40_000
    values = init.trunc_normal_(np.empty(n), a=a, b=b, generator=np.random.default_rng(4))
    assert a <= values.min() <= values.max() <= b
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(n)
    assert abs(values.std() / std - 1) < 5 / math.sqrt(n)  # tails are no heavier than of an exponential distribution
    if math.isinf(b):
        assert values.max() > max(a, 0) + 1
    if math.isinf(a):
        assert values.min() < min(b, 0) - 1


def test_init_trunc_normal_bounds_are_values_and_not_multiples_of_std():
    values = init.trunc_normal_(np.empty(20_000), mean=5.0, std=2.0, a=4.0, b=9.0, generator=np.random.default_rng(5))
    assert 4 <= values.min() < 4.01
    assert 8.9 < values.max() <= 9
    # Mean of a normal distribution cut at -0.5 and 2 standard deviations.
    assert values.mean() == pytest.approx(5 + 2 * 0.4455, abs=0.05)


def test_init_trunc_normal_of_one_value_is_that_value():
    np.testing.assert_array_equal(init.trunc_normal_(np.empty(3), a=0.5, b=0.5), 0.5)
    # -0.49 + 0.01 * ((-0.1 + 0.49) / 0.01) is not -0.1 to the last digit.
    np.testing.assert_array_equal(init.trunc_normal_(np.empty(3), mean=-0.49, std=0.01, a=-0.1, b=-0.1), -0.1)


def test_init_options_change_what_is_drawn():
    def draw(name, **options):
        return getattr(init, name)(np.empty((60, 40)), generator=np.random.default_rng(6), **options)

    np.testing.assert_allclose(draw("normal_", mean=3.0, std=2.0), 3 + 2 * draw("normal_"), rtol=1e-12)
    np.testing.assert_allclose(draw("uniform_", a=-1.0, b=3.0), -1 + 4 * draw("uniform_"), rtol=1e-12)
    for name in ("xavier_uniform_", "xavier_normal_", "orthogonal_"):
        np.testing.assert_allclose(draw(name, gain=3.0), 3 * draw(name), rtol=1e-12)
    for name in ("kaiming_uniform_", "kaiming_normal_"):
        plain = draw(name)
        np.testing.assert_allclose(draw(name, a=1.0), plain / math.sqrt(2), rtol=1e-12)
        np.testing.assert_allclose(draw(name, nonlinearity="linear"), plain / math.sqrt(2), rtol=1e-12)
        np.testing.assert_allclose(draw(name, mode="fan_out"), plain * math.sqrt(40 / 60), rtol=1e-12)
    np.testing.assert_allclose(draw("kaiming_uniform_"), draw("uniform_", a=-1, b=1) * math.sqrt(6 / 40), rtol=1e-12)
    np.testing.assert_allclose(draw("kaiming_normal_"), draw("normal_") * math.sqrt(2 / 40), rtol=1e-12)
    np.testing.assert_allclose(draw("xavier_uniform_"), draw("uniform_", a=-1, b=1) * math.sqrt(0.06), rtol=1e-12)
    np.testing.assert_allclose(draw("xavier_normal_"), draw("normal_") * math.sqrt(0.02), rtol=1e-12)


def test_init_of_a_vector_of_one_output_keeps_the_sign_convention_of_qr():
    """One row: the QR of a column fixes its sign, and only the correction makes both signs equally likely."""
    signs = [init.orthogonal_(np.empty((1, 3)), generator=np.random.default_rng(i))[0, 0] > 0 for i in range(40)]
    assert 8 < sum(signs) < 32


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: init.zeros_([1.0]), TypeError, "zeros_: a Parameter or an array .* Received: list"),
        (lambda: init.normal_(np.zeros(3, int)), TypeError, "dtype=int64"),
        (lambda: init.ones_(np.broadcast_to(np.zeros(1), 3)), ValueError, "read-only"),
        (lambda: init.normal_(np.empty(3), std=-1), ValueError, "std must be >= 0"),
        (lambda: init.uniform_(np.empty(3), 1, 0), ValueError, "a must be <= b"),
        (lambda: init.trunc_normal_(np.empty(3), a=1, b=0), ValueError, "a <= b"),
        (lambda: init.trunc_normal_(np.empty(3), std=0), ValueError, "std > 0"),
        (lambda: init.trunc_normal_(np.empty(3), mean=np.nan), ValueError, "mean must be finite"),
        (lambda: init.kaiming_normal_(np.empty(3)), ValueError, r"at least 2 dimensions.*shape=\(3,\)"),
        (lambda: init.xavier_uniform_(np.empty(3)), ValueError, "at least 2 dimensions"),
        (lambda: init.orthogonal_(np.empty(3)), ValueError, "at least 2 dimensions"),
        (lambda: init.kaiming_uniform_(np.empty((2, 2)), mode="fan"), ValueError, "'fan_in' or 'fan_out'"),
        (lambda: init.kaiming_uniform_(np.empty((2, 2)), nonlinearity="swish"), ValueError, "nonlinearity must be"),
        (lambda: init.calculate_gain("leaky_relu", "a"), TypeError, "param must be a number"),
        (lambda: init.eye_(np.empty((2, 2, 2))), ValueError, "a matrix is needed"),
        (lambda: init.dirac_(np.empty((2, 2))), ValueError, "3, 4 or 5 dimensions"),
        (lambda: init.dirac_(np.empty((5, 2, 3)), groups=2), ValueError, "cannot be cut into 2 groups"),
        (lambda: init.normal_(np.empty(2), generator=0), TypeError, "numpy.random.Generator"),
    ],
)  # fmt: skip
def test_init_rejects(call, error, words):
    with pytest.raises(error, match=words):
        call()
