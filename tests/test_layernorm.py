"""Layer normalisation: C against the NumPy twin, the twin against loops, gradients against finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn


def arguments(shape, axes, dtype, seed):
    """x, dy, weight, bias; every row of x has another mean and another scale."""
    rng = np.random.default_rng(seed)
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight, bias = (rng.standard_normal(axes).astype(dtype) for _ in range(2))
    rows = (*shape[: len(shape) - len(axes)], *(1,) * len(axes))
    x = x * rng.uniform(0.5, 2, rows).astype(dtype) + 3 * rng.standard_normal(rows).astype(dtype)
    return x, dy, weight, bias


@given(
    rows=st.integers(0, 40),
    features=st.one_of(st.integers(1, 140), st.sampled_from([255, 256, 257])),
    dtype=dtypes,
    seed=seeds,
    affine=st.sampled_from([(True, True), (True, False), (False, False)]),
)
def test_layernorm_matches_reference(isa, rows, features, dtype, seed, affine):
    x, dy, weight, bias = arguments((rows, features), (features,), dtype, seed)
    weight, bias = (v if given else None for v, given in zip((weight, bias), affine, strict=True))
    actual = F.layer_norm(x, features, weight, bias)
    expected = from_reference(F.layer_norm, x, features, weight, bias)
    eps, std = np.finfo(dtype).eps, 1 / expected.invstd
    # C sums up deviations, the twin values, but those in float64.
    size = std + np.abs(x).max(1, initial=0) * np.finfo(np.float64).eps / eps
    np.testing.assert_array_less(np.abs(actual.mean - expected.mean), (features + 2) * eps * size)
    np.testing.assert_allclose(actual.invstd, expected.invstd, rtol=(features + 2) * eps)
    x_hat = (size[:, None] + np.abs(x - expected.mean[:, None])) * expected.invstd[:, None]
    scale = np.ones(features) if weight is None else np.abs(weight)
    assert_close(actual.y, expected.y, features + 4, x_hat * scale + (0 if bias is None else np.abs(bias)))
    backward = (dy, x, features, expected.mean, expected.invstd, weight)
    actual, twin = F.layer_norm_backward(*backward), from_reference(F.layer_norm_backward, *backward)
    g = np.abs(dy) * scale
    means = g.mean(1, keepdims=True) + x_hat * (g * x_hat).mean(1, keepdims=True) if rows else 0
    assert_close(actual[0], twin[0], features + 6, expected.invstd[:, None] * (g + means))
    assert_close(actual[1], twin[1], rows + 6, (np.abs(dy) * x_hat).sum(0))
    assert_close(actual[2], twin[2], rows, np.abs(dy).sum(0))


def test_layernorm_reference_matches_loops(rng):
    x, _, weight, bias = arguments((4, 6), (6,), np.float64, 1)
    y = from_reference(F.layer_norm, x, 6, weight, bias, 1e-3).y
    for i in range(4):
        mean = sum(x[i]) / 6
        variance = sum((v - mean) ** 2 for v in x[i]) / 6
        for j in range(6):
            assert y[i, j] == pytest.approx((x[i, j] - mean) / np.sqrt(variance + 1e-3) * weight[j] + bias[j])


@pytest.mark.parametrize(("shape", "axes"), [((3, 19), (19,)), ((2, 3, 4), (3, 4)), ((2, 3, 2, 4), (3, 2, 4))])
def test_layernorm_gradients_match_finite_differences(isa, shape, axes):
    x, dy, weight, bias = arguments(shape, axes, np.float64, 2)
    result = F.layer_norm(x, axes, weight, bias)
    gradients = F.layer_norm_backward(dy, x, axes, result.mean, result.invstd, weight)
    for array, gradient in zip((x, weight, bias), gradients, strict=True):
        step = 1e-5 if array is x else 1e-3
        numeric = numeric_gradient(lambda: F.layer_norm(x, axes, weight, bias).y, array, dy, step)
        assert relative_error(gradient, numeric) < 1e-8


@pytest.mark.parametrize("shape", [(2000, 300), (30000, 20), (20, 30000)])
def test_layernorm_bits_do_not_depend_on_threads(isa, shape):
    x, dy, weight, bias = arguments(shape, shape[1:], np.float32, 3)
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        result = F.layer_norm(x, shape[1], weight, bias)
        results.append([*result, *F.layer_norm_backward(dy, x, shape[1], result.mean, result.invstd, weight)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    exact = from_reference(F.layer_norm_backward, dy, x, shape[1], result.mean, result.invstd, weight)
    assert_close(results[0][4], exact[1], 600, (np.abs(dy) * 5).sum(0))


@pytest.mark.parametrize("features", [7, 64, 1000])
def test_layernorm_large_mean_costs_no_precision(isa, features, rng):
    """|mean| / std = 1e4, float32."""
    x = (1e4 + rng.standard_normal((50, features))).astype(np.float32)
    actual, exact = F.layer_norm(x, features), from_reference(F.layer_norm, x, features)
    np.testing.assert_allclose(actual.mean, exact.mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(actual.y, exact.y, rtol=3e-6, atol=3e-6)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    dx = F.layer_norm_backward(dy, x, features, actual.mean, actual.invstd)[0]
    expected = from_reference(F.layer_norm_backward, dy, x, features, exact.mean, exact.invstd)[0]
    np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
@pytest.mark.parametrize(("shape", "axes"), [((3, 5, 4, 2), (5, 4, 2)), ((3, 5, 4, 2), (2,)), ((6, 5), (5,))])
def test_layernorm_accepts_any_layout_and_changes_no_argument(layout, shape, axes):
    args = arguments(shape, axes, np.float32, 4)
    x, dy, weight, bias = given = [layouts(array)[layout] for array in args]
    before = [array.copy() for array in given]
    result, expected = F.layer_norm(x, axes, weight, bias), F.layer_norm(args[0], axes, *args[2:])
    gradients = F.layer_norm_backward(dy, x, axes, result.mean, result.invstd, weight)
    wanted = F.layer_norm_backward(args[1], args[0], axes, expected.mean, expected.invstd, args[2])
    for a, b in zip([*result, *gradients], [*expected, *wanted], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(given, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_layernorm_takes_pixel_major_images(rng):
    x = nn.Conv2d(3, 4, 3)(rng.standard_normal((2, 3, 8, 8)).astype(np.float32))
    layer = nn.LayerNorm((4, 6, 6))
    y = layer(x)
    np.testing.assert_array_equal(y, nn.LayerNorm((4, 6, 6))(np.ascontiguousarray(x)))
    assert layer.backward(np.asfortranarray(y)).shape == x.shape


def test_layernorm_nan_stays_in_its_row(isa, rng):
    x = rng.standard_normal((4, 70))
    x[2, 69] = np.nan
    np.testing.assert_array_equal(np.isnan(F.layer_norm(x, 70).y).all(1), [False, False, True, False])
    assert np.isfinite(F.layer_norm(x, 70).y[[0, 1, 3]]).all()


def test_layernorm_constant_row_gives_the_bias(isa):
    bias = np.arange(33, dtype=np.float32)
    y = F.layer_norm(np.full((3, 33), 0.1, np.float32), 33, None, bias).y
    np.testing.assert_allclose(y, np.broadcast_to(bias, y.shape), atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 4), (0, 3, 4), (3, 0, 4)])
def test_layernorm_empty_input_gives_empty_results(shape):
    x = np.zeros(shape, np.float32)
    result = F.layer_norm(x, 4)
    assert result.y.shape == shape
    assert result.mean.shape == shape[:-1]
    dx, dweight, dbias = F.layer_norm_backward(x, x, 4, result.mean, result.invstd)
    assert dx.shape == shape
    np.testing.assert_array_equal(dweight, np.zeros(4, np.float32))
    np.testing.assert_array_equal(dbias, np.zeros(4, np.float32))


@pytest.mark.parametrize(
    ("args", "error", "words"),
    [
        ((np.zeros((2, 3)), 4), ValueError, r"last axes of x must be normalized_shape \(4,\).*\(2, 3\)"),
        ((np.zeros(3), (2, 3)), ValueError, "last axes of x"),
        ((np.zeros((2, 3)), ()), ValueError, "normalized_shape must be"),
        ((np.zeros((2, 3)), 3, np.ones(2)), ValueError, "weight must have normalized_shape"),
        ((np.zeros((2, 3)), 3, np.ones(3), np.ones(3, np.float32)), TypeError, "dtypes differ"),
        ((np.zeros((2, 3), int), 3), TypeError, "x has dtype int64"),
        ((np.zeros((2, 3)), 3, None, None, float("nan")), ValueError, "eps must be"),
    ],
)
def test_layernorm_bad_arguments_are_named(args, error, words):
    with pytest.raises(error, match="layer_norm: .*" + words):
        F.layer_norm(*args)


def test_layernorm_backward_bad_arguments_are_named():
    x = np.zeros((2, 3))
    with pytest.raises(ValueError, match="dy and x must have the same shape"):
        F.layer_norm_backward(np.zeros((2, 4)), x, 3, np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=r"mean and invstd must have shape \(2,\)"):
        F.layer_norm_backward(x, x, 3, np.ones(2), np.ones(3))


@pytest.mark.parametrize(("affine", "bias"), [(True, True), (True, False), (False, True)])
def test_layernorm_layer_gives_the_gradients_of_its_function(affine, bias, rng):
    layer = nn.LayerNorm((5, 4), elementwise_affine=affine, bias=bias)
    assert list(layer.state_dict()) == ["weight", "bias"][: affine + (affine and bias)]
    x, dy, weight, _ = arguments((3, 5, 4), (5, 4), np.float32, 5)
    if affine:
        layer.weight.data = weight
    result = F.layer_norm(x, (5, 4), weight if affine else None)
    expected = F.layer_norm_backward(dy, x, (5, 4), result.mean, result.invstd, weight if affine else None)
    np.testing.assert_array_equal(layer(x), result.y)
    np.testing.assert_array_equal(layer.backward(dy), expected[0])
    if affine:
        np.testing.assert_array_equal(layer.weight.grad, expected[1])
    if layer.bias is not None:
        np.testing.assert_array_equal(layer.bias.grad, expected[2])
    layer.input_grad = False
    assert layer.backward(dy) is None


def test_layernorm_state_dict_round_trips(rng):
    layer, other = nn.LayerNorm(6), nn.LayerNorm(6)
    layer.weight.data = rng.standard_normal(6).astype(np.float32)
    assert [(k, v.shape, v.dtype.name) for k, v in layer.state_dict().items()] == [
        ("weight", (6,), "float32"),
        ("bias", (6,), "float32"),
    ]
    other.load_state_dict(layer.state_dict())
    x = rng.standard_normal((3, 6)).astype(np.float32)
    np.testing.assert_array_equal(other(x), layer(x))
    assert repr(layer) == "LayerNorm((6,), eps=1e-05, elementwise_affine=True)"
