"""Group normalisation: C against the NumPy twin, the twin against loops, gradients against finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn

image_shapes = st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(1, 6), st.integers(1, 6))


def arguments(shape, dtype, seed):
    """x, dy, weight, bias; every channel of every image has another mean."""
    rng = np.random.default_rng(seed)
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight, bias = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    x = x + 3 * rng.standard_normal((*shape[:2], *(1,) * (len(shape) - 2))).astype(dtype)
    return x, dy, weight, bias


@given(
    shape=image_shapes.flatmap(lambda s: st.sampled_from([s, s[:3], s[:2]])),
    groups=st.integers(1, 12),
    dtype=dtypes,
    seed=seeds,
)
def test_groupnorm_matches_reference(isa, shape, groups, dtype, seed):
    shape = (shape[0], shape[1] * groups, *shape[2:])
    x, dy, weight, bias = arguments(shape, dtype, seed)
    actual = F.group_norm(x, groups, weight, bias)
    expected = from_reference(F.group_norm, x, groups, weight, bias)
    pixels = int(np.prod(shape[2:]))
    n, eps, std = pixels * shape[1] // groups, np.finfo(dtype).eps, 1 / expected.invstd
    # C sums up deviations, the twin values, but those in float64.
    size = std + np.abs(x).max(initial=0) * np.finfo(np.float64).eps / eps
    np.testing.assert_array_less(np.abs(actual.mean - expected.mean), (n + 2) * eps * size)
    np.testing.assert_allclose(actual.invstd, expected.invstd, rtol=(n + 2) * eps)

    def per_value(statistics):
        return np.repeat(statistics, shape[1] // groups, 1).reshape(*shape[:2], *(1,) * (len(shape) - 2))

    w = np.abs(weight).reshape(-1, *(1,) * (len(shape) - 2))
    x_hat = (per_value(size) + np.abs(x - per_value(expected.mean))) * per_value(expected.invstd)
    bias_size = np.abs(bias).reshape(w.shape)
    assert_close(actual.y, expected.y, n + 4, x_hat * w + bias_size)
    backward = (dy, x, expected.mean, expected.invstd, weight)
    actual, twin = F.group_norm_backward(*backward), from_reference(F.group_norm_backward, *backward)

    def group_means(values):
        return per_value(values.reshape(shape[0], groups, n).mean(2) if values.size else np.zeros((0, groups)))

    g = np.abs(dy) * w
    terms = per_value(expected.invstd) * (g + group_means(g) + x_hat * group_means(g * x_hat))
    axes, values = (0, *range(2, len(shape))), max(1, shape[0] * pixels)
    assert_close(actual[0], twin[0], n + 6, terms)
    assert_close(actual[1], twin[1], values + 6, (np.abs(dy) * x_hat).sum(axes))
    assert_close(actual[2], twin[2], values, np.abs(dy).sum(axes))


def test_groupnorm_reference_matches_loops():
    x, _, weight, bias = arguments((2, 6, 3, 2), np.float64, 1)
    y = from_reference(F.group_norm, x, 3, weight, bias, 1e-3).y
    for n, g in np.ndindex(2, 3):
        values = [x[n, c, i, j] for c in (2 * g, 2 * g + 1) for i in range(3) for j in range(2)]
        mean = sum(values) / 12
        variance = sum((v - mean) ** 2 for v in values) / 12
        for c, i, j in np.ndindex(2, 3, 2):
            c += 2 * g
            expected = (x[n, c, i, j] - mean) / np.sqrt(variance + 1e-3) * weight[c] + bias[c]
            assert y[n, c, i, j] == pytest.approx(expected)


@pytest.mark.parametrize(("shape", "groups"), [((2, 6, 2, 3), 3), ((3, 4, 5), 1), ((3, 12), 2), ((2, 3, 2, 2), 3)])
def test_groupnorm_gradients_match_finite_differences(isa, shape, groups):
    x, dy, weight, bias = arguments(shape, np.float64, 2)
    result = F.group_norm(x, groups, weight, bias)
    gradients = F.group_norm_backward(dy, x, result.mean, result.invstd, weight)
    for array, gradient in zip((x, weight, bias), gradients, strict=True):
        step = 1e-5 if array is x else 1e-3
        numeric = numeric_gradient(lambda: F.group_norm(x, groups, weight, bias).y, array, dy, step)
        assert relative_error(gradient, numeric) < 1e-8


@pytest.mark.parametrize("shape", [(16, 64, 24, 24), (3, 6, 200, 200), (2000, 320)])
def test_groupnorm_bits_do_not_depend_on_threads(isa, shape):
    x, dy, weight, bias = arguments(shape, np.float32, 3)
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        result = F.group_norm(x, 2, weight, bias)
        results.append([*result, *F.group_norm_backward(dy, x, result.mean, result.invstd, weight)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    exact = from_reference(F.group_norm, x, 2, weight, bias)
    np.testing.assert_allclose(results[0][0], exact.y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_groupnorm_large_mean_costs_no_precision(isa, groups, rng):
    """|mean| / std = 1e4, float32."""
    x = (1e4 + rng.standard_normal((3, 8, 40, 40))).astype(np.float32)
    actual, exact = F.group_norm(x, groups), from_reference(F.group_norm, x, groups)
    np.testing.assert_allclose(actual.mean, exact.mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(actual.y, exact.y, rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
@pytest.mark.parametrize("shape", [(3, 6, 4, 2), (3, 6, 4), (5, 6)])
def test_groupnorm_accepts_any_layout_and_changes_no_argument(layout, shape):
    args = arguments(shape, np.float32, 4)
    x, dy, weight, bias = given = [layouts(array)[layout] for array in args]
    before = [array.copy() for array in given]
    result, expected = F.group_norm(x, 2, weight, bias), F.group_norm(args[0], 2, *args[2:])
    gradients = F.group_norm_backward(dy, x, result.mean, result.invstd, weight)
    wanted = F.group_norm_backward(args[1], args[0], expected.mean, expected.invstd, args[2])
    for a, b in zip([*result, *gradients], [*expected, *wanted], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(given, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_groupnorm_with_one_group_is_layer_norm_over_the_image(isa, rng):
    x = rng.standard_normal((3, 4, 5, 6))
    np.testing.assert_allclose(F.group_norm(x, 1).y, F.layer_norm(x, (4, 5, 6)).y, rtol=1e-12, atol=1e-13)


def test_groupnorm_nan_stays_in_its_group(isa, rng):
    x = rng.standard_normal((2, 6, 3, 3))
    x[1, 2, 0, 1] = np.nan
    expected = np.zeros(x.shape, bool)
    expected[1, 2:4] = True
    np.testing.assert_array_equal(np.isnan(F.group_norm(x, 3).y), expected)


@pytest.mark.parametrize("shape", [(0, 4, 3, 3), (0, 4), (2, 4, 0, 3)])
def test_groupnorm_empty_input_gives_empty_results(shape):
    x = np.zeros(shape, np.float32)
    result = F.group_norm(x, 2)
    assert result.y.shape == shape
    assert result.mean.shape == (shape[0], 2)
    dx, dweight, dbias = F.group_norm_backward(x, x, result.mean, result.invstd)
    assert dx.shape == shape
    np.testing.assert_array_equal(dweight, np.zeros(4, np.float32))
    np.testing.assert_array_equal(dbias, np.zeros(4, np.float32))


@pytest.mark.parametrize(
    ("args", "error", "words"),
    [
        ((np.zeros((2, 6)), 4), ValueError, "6 channels cannot be cut into 4 groups"),
        ((np.zeros((2, 6)), 0), ValueError, "num_groups must be >= 1"),
        ((np.zeros((2, 6)), 1.5), TypeError, "num_groups must be an integer"),
        ((np.zeros(6), 2), ValueError, "x has 1 dimensions"),
        ((np.zeros((2, 6)), 2, np.ones(5)), ValueError, "weight needs one value for each channel"),
        ((np.zeros((2, 6)), 2, np.ones(6, np.float32)), TypeError, "dtypes differ"),
        ((np.zeros((2, 6), bool), 2), TypeError, "x has dtype bool"),
    ],
)
def test_groupnorm_bad_arguments_are_named(args, error, words):
    with pytest.raises(error, match="group_norm: .*" + words):
        F.group_norm(*args)


def test_groupnorm_backward_bad_arguments_are_named():
    x = np.zeros((2, 6))
    with pytest.raises(ValueError, match="dy and x must have the same shape"):
        F.group_norm_backward(np.zeros((2, 4)), x, np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"mean must have shape \(N, num_groups\)"):
        F.group_norm_backward(x, x, np.ones((2, 4)), np.ones((2, 4)))


@pytest.mark.parametrize("affine", [True, False])
def test_groupnorm_layer_gives_the_gradients_of_its_function(affine):
    layer = nn.GroupNorm(2, 6, affine=affine)
    x, dy, weight, _ = arguments((3, 6, 4, 4), np.float32, 5)
    weight = weight if affine else None
    if affine:
        layer.weight.data = weight
    result = F.group_norm(x, 2, weight)
    expected = F.group_norm_backward(dy, x, result.mean, result.invstd, weight)
    np.testing.assert_array_equal(layer(x), result.y)
    np.testing.assert_array_equal(layer.backward(dy), expected[0])
    if affine:
        np.testing.assert_array_equal(layer.weight.grad, expected[1])
        np.testing.assert_array_equal(layer.bias.grad, expected[2])
    else:
        assert not layer.state_dict()
    layer.input_grad = False
    assert layer.backward(dy) is None


def test_groupnorm_layer_rejects_what_does_not_fit():
    with pytest.raises(ValueError, match="num_groups must divide num_channels"):
        nn.GroupNorm(4, 6)
    with pytest.raises(ValueError, match="GroupNorm: x has 4 channels, num_channels is 6"):
        nn.GroupNorm(2, 6)(np.zeros((2, 4), np.float32))


def test_groupnorm_state_dict_round_trips(rng):
    layer, other = nn.GroupNorm(2, 6), nn.GroupNorm(2, 6)
    layer.weight.data = rng.standard_normal(6).astype(np.float32)
    assert [(k, v.shape, v.dtype.name) for k, v in layer.state_dict().items()] == [
        ("weight", (6,), "float32"),
        ("bias", (6,), "float32"),
    ]
    other.load_state_dict(layer.state_dict())
    x = rng.standard_normal((3, 6, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(other(x), layer(x))
    assert repr(layer) == "GroupNorm(2, 6, eps=1e-05, affine=True)"
