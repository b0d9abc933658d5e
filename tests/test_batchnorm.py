"""Batch normalisation: C against the NumPy twin, the twin against loops, gradients against finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import _memory, nn
from fastnn import functional as F

# 1 to 9 channels are folded into rows of 64 and more columns; 63 to 67 and 129 end in part of a vector.
channel_counts = st.one_of(st.integers(1, 9), st.sampled_from([15, 16, 17, 24, 63, 64, 65, 67, 129]))
image_shapes = st.tuples(st.integers(0, 5), channel_counts, st.integers(1, 6), st.integers(1, 6))
shapes = image_shapes.flatmap(lambda s: st.sampled_from([s, s[:3], s[:2]]))


def per_channel(values, x):
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def arguments(shape, dtype, seed):
    """x, dy, running mean and variance, weight, bias; a channel with the mean 0 would hide mistakes."""
    rng = np.random.default_rng(seed)
    x, dy = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    mean, weight, bias = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(3))
    return 2 * x + 3 * per_channel(mean, x), dy, mean, rng.uniform(0.5, 2, shape[1]).astype(dtype), weight, bias


def magnitudes(dy, x, mean, invstd, weight):
    """The size of the terms that the mean, y, dx and dweight are sums of."""
    # C sums up deviations, the twin values, but those in float64: so much may the mean be off by.
    size = 1 / invstd + np.abs(x).max(initial=0) * np.finfo(np.float64).eps / np.finfo(x.dtype).eps
    x_hat = (np.abs(x - per_channel(mean, x)) + per_channel(size, x)) * per_channel(invstd, x)
    axes = (0, *range(2, x.ndim))
    n = max(1, x.size // x.shape[1])
    product = (np.abs(dy) * x_hat).sum(axes)
    mean_dy, mean_product = (per_channel(sums / n, x) for sums in (np.abs(dy).sum(axes), product))
    scale = per_channel(np.abs(weight * invstd), x)
    y = x_hat * per_channel(np.abs(weight), x)
    return size, y, scale * (np.abs(dy) + mean_dy + x_hat * mean_product), product


@given(shape=shapes, dtype=dtypes, seed=seeds, training=st.booleans())
def test_batchnorm_matches_reference(isa, shape, dtype, seed, training):
    training = training and np.prod(shape) != shape[1]  # one value per channel is an error
    x, dy, running_mean, running_var, weight, bias = arguments(shape, dtype, seed)
    args = (x, running_mean, running_var, weight, bias, training)
    actual, expected = F.batch_norm(*args), from_reference(F.batch_norm, *args)
    # In training, a rounded mean moves all x_hat, and a rounded variance scales them; both are sums over n values.
    n = x.size // shape[1]
    terms = n if training else 0
    size, y, dx, dweight = magnitudes(dy, x, expected.mean, expected.invstd, weight)
    assert_close(actual.y, expected.y, terms + 4, y + np.abs(per_channel(bias, x)))
    eps = np.finfo(dtype).eps
    np.testing.assert_array_less(np.abs(actual.mean - expected.mean), (terms + 2) * eps * size)
    np.testing.assert_allclose(actual.invstd, expected.invstd, rtol=(terms + 2) * eps)
    magnitude = np.abs(expected.running_mean) + np.sqrt(expected.running_var)
    assert_close(actual.running_mean, expected.running_mean, terms, magnitude)
    assert_close(actual.running_var, expected.running_var, terms)
    backward = (dy, x, expected.mean, expected.invstd, weight, training)
    actual, expected = F.batch_norm_backward(*backward), from_reference(F.batch_norm_backward, *backward)
    assert_close(actual[0], expected[0], terms + 6, dx)
    assert_close(actual[1], expected[1], n + 4, dweight)
    assert_close(actual[2], expected[2], n, np.abs(dy).sum((0, *range(2, x.ndim))))


def test_batchnorm_reference_matches_loops(rng):
    x, _, mean, var, weight, bias = arguments((4, 3, 2, 5), np.float64, 1)
    result = from_reference(F.batch_norm, x, mean, var, weight, bias, True, 0.3, 1e-3)
    for c in range(3):
        values = [x[n, c, i, j] for n in range(4) for i in range(2) for j in range(5)]
        batch_mean = sum(values) / 40
        squares = sum((v - batch_mean) ** 2 for v in values)
        assert result.running_mean[c] == pytest.approx(0.7 * mean[c] + 0.3 * batch_mean)
        assert result.running_var[c] == pytest.approx(0.7 * var[c] + 0.3 * squares / 39)
        for n, i, j in np.ndindex(4, 2, 5):
            expected = (x[n, c, i, j] - batch_mean) / np.sqrt(squares / 40 + 1e-3) * weight[c] + bias[c]
            assert result.y[n, c, i, j] == pytest.approx(expected)
    evaluated = from_reference(F.batch_norm, x, mean, var, weight, bias, False, 0.3, 1e-3)
    assert evaluated.y[1, 2, 0, 3] == pytest.approx(
        (x[1, 2, 0, 3] - mean[2]) / np.sqrt(var[2] + 1e-3) * weight[2] + bias[2]
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 5, 2, 3), (7, 18), (2, 3, 5)])
def test_batchnorm_gradients_match_finite_differences(isa, shape, training):
    x, dy, running_mean, running_var, weight, bias = arguments(shape, np.float64, 2)

    def forward():
        return F.batch_norm(x, running_mean, running_var, weight, bias, training)

    result = forward()
    gradients = F.batch_norm_backward(dy, x, result.mean, result.invstd, weight, training)
    for array, gradient in zip((x, weight, bias), gradients, strict=True):
        numeric = numeric_gradient(lambda: forward().y, array, dy, step=1e-4 if array is not x else 1e-5)
        assert relative_error(gradient, numeric) < 1e-8


@pytest.mark.parametrize("shape", [(64, 64, 20, 20), (20000, 3), (300, 1100)])
def test_batchnorm_bits_do_not_depend_on_threads(isa, shape, rng):
    x, dy = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        result = F.batch_norm(x, None, None, training=True)
        results.append([*result[:3], *F.batch_norm_backward(dy, x, result.mean, result.invstd)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("channels", [3, 16, 64, 80])
def test_batchnorm_large_mean_costs_no_precision(isa, channels, rng):
    """|mean| / std = 1e4, float32: the formula mean of x^2 - mean^2 would have no correct digit."""
    x = (1e4 + rng.standard_normal((20000, channels))).astype(np.float32)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    result, exact = (
        F.batch_norm(x, None, None, training=True),
        from_reference(F.batch_norm, x, None, None, training=True),
    )
    # 512 additions in float32 at most, then double; their roundings partly cancel.
    np.testing.assert_allclose(result.mean, exact.mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(result.invstd, exact.invstd, rtol=2e-6)
    np.testing.assert_allclose(result.y, exact.y, rtol=3e-6, atol=3e-6)
    gradients = F.batch_norm_backward(dy, x, result.mean, result.invstd)
    expected = from_reference(F.batch_norm_backward, dy, x, exact.mean, exact.invstd)
    np.testing.assert_allclose(gradients[0], expected[0], rtol=3e-6, atol=3e-6)


def test_batchnorm_one_outlier_keeps_the_variance_accurate(isa, rng):
    """The first rows of a tile give the shift of its sums; a far one among them costs digits, but few."""
    x = rng.standard_normal((5000, 8)).astype(np.float32)
    x[0] = 1e5
    result, exact = (
        F.batch_norm(x, None, None, training=True),
        from_reference(F.batch_norm, x, None, None, training=True),
    )
    np.testing.assert_allclose(result.invstd, exact.invstd, rtol=1e-5)


def test_batchnorm_constant_channel_gives_the_bias(isa):
    x = np.full((50, 3, 4, 4), 0.1, np.float32)
    bias = np.array([1, 2, 3], np.float32)
    result = F.batch_norm(x, None, None, None, bias, training=True)
    np.testing.assert_allclose(result.y, np.broadcast_to(bias[:, None, None], x.shape), rtol=1e-5)


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
@pytest.mark.parametrize("shape", [(3, 5, 4, 2), (3, 5, 4), (6, 5)])
def test_batchnorm_accepts_any_layout_and_changes_no_argument(layout, shape):
    args = arguments(shape, np.float32, 3)
    x, dy, mean, var, weight, bias = given = [layouts(array)[layout] for array in args]
    before = [array.copy() for array in given]
    result = F.batch_norm(x, mean, var, weight, bias, True)
    expected = F.batch_norm(args[0], *args[2:], True)
    for actual, wanted in zip(result, expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)
    gradients = F.batch_norm_backward(dy, x, result.mean, result.invstd, weight)
    wanted = F.batch_norm_backward(args[1], args[0], expected.mean, expected.invstd, args[4])
    for a, b in zip(gradients, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(given, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batchnorm_keeps_the_layout_of_its_neighbours(rng):
    x = nn.Conv2d(3, 4, 3)(rng.standard_normal((2, 3, 8, 8)).astype(np.float32))
    conversions = fastnn._layout.conversions()
    layer = nn.BatchNorm2d(4)
    layer.backward(layer(layer(x)))
    assert fastnn._layout.conversions() == conversions


@pytest.mark.parametrize("training", [True, False])
def test_batchnorm_nan_stays_in_its_channel(isa, training, rng):
    x = rng.standard_normal((4, 20, 3, 3))
    x[1, 7, 2, 0] = np.nan
    y = F.batch_norm(x, np.zeros(20), np.ones(20), training=training).y
    expected = np.zeros(x.shape, bool)
    expected[(slice(None), 7) if training else (1, 7, 2, 0)] = True
    np.testing.assert_array_equal(np.isnan(y), expected)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (0, 3), (2, 3, 0, 4)])
@pytest.mark.parametrize("training", [True, False])
def test_batchnorm_empty_batch_changes_nothing(shape, training):
    x = np.zeros(shape, np.float32)
    result = F.batch_norm(x, np.full(3, 2.0), np.full(3, 4.0), training=training)
    assert result.y.shape == shape
    assert result.y.dtype == np.float32
    np.testing.assert_array_equal(result.running_mean, np.full(3, 2.0))
    np.testing.assert_array_equal(result.running_var, np.full(3, 4.0))
    dx, dweight, dbias = F.batch_norm_backward(x, x, result.mean, result.invstd, training=training)
    assert dx.shape == shape
    assert not dweight.any()
    assert not dbias.any()
    layer = nn.BatchNorm2d(3) if len(shape) == 4 else nn.BatchNorm1d(3)
    layer(x)
    assert layer.num_batches_tracked == 0


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)])
def test_batchnorm_training_on_one_value_says_what_to_do(shape):
    x = np.ones(shape, np.float32)
    layer = nn.BatchNorm2d(3) if len(shape) == 4 else nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match=r"more than one value per channel.*drop_last=True.*x\.shape=\(1, 3"):
        layer(x)
    assert layer.num_batches_tracked == 0
    np.testing.assert_array_equal(layer.running_mean, np.zeros(3))
    assert layer.eval()(x).shape == shape


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "words"),
    [
        ((np.zeros(3), None, None), {}, ValueError, "x has 1 dimensions"),
        ((np.zeros((2, 3), int), None, None), {}, TypeError, "x has dtype int64"),
        ((np.zeros((2, 3)), None, None), {}, ValueError, "running_mean and running_var are needed"),
        ((np.zeros((2, 3)), np.zeros(3), None), {}, ValueError, "both be given"),
        (
            (np.zeros((2, 3)), np.zeros(4), np.ones(4)),
            {},
            ValueError,
            r"running_mean needs one value.*3 in all.*\(4,\)",
        ),
        ((np.zeros((2, 3)), None, None, np.ones(2)), {"training": True}, ValueError, "weight needs one value"),
        ((np.zeros((2, 3)), None, None, np.ones(3, np.float32)), {"training": True}, TypeError, "dtypes differ"),
        ((np.zeros((2, 3)), None, None), {"training": True, "eps": -1.0}, ValueError, "eps must be"),
    ],
)
def test_batchnorm_bad_arguments_are_named(args, kwargs, error, words):
    with pytest.raises(error, match="batch_norm: .*" + words):
        F.batch_norm(*args, **kwargs)


def test_batchnorm_backward_bad_arguments_are_named():
    x, ones = np.zeros((2, 3)), np.ones(3)
    with pytest.raises(ValueError, match=r"dy and x must have the same shape.*\(2, 4\)"):
        F.batch_norm_backward(np.zeros((2, 4)), x, ones, ones)
    with pytest.raises(ValueError, match=r"mean and invstd need one value.*3 in all.*invstd\.shape=\(2,\)"):
        F.batch_norm_backward(x, x, ones, np.ones(2))


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (nn.BatchNorm2d(3), (2, 3), "BatchNorm2d: x has 2 dimensions, 4 are needed"),
        (nn.BatchNorm1d(3), (2, 3, 4, 5), "BatchNorm1d: x has 4 dimensions, 2 or 3 are needed"),
        (nn.BatchNorm1d(3, affine=False, track_running_stats=False), (2, 4), "BatchNorm1d: x has 4 channels.*3"),
    ],
)
def test_batchnorm_layer_rejects_other_inputs(layer, shape, words):
    with pytest.raises(ValueError, match=words):
        layer(np.zeros(shape, np.float32))


def test_batchnorm_running_statistics_follow_momentum(rng):
    layer = nn.BatchNorm1d(4, momentum=0.25)
    x = rng.standard_normal((6, 4, 5)).astype(np.float32) * 3 + 1
    first_mean = layer.running_mean
    layer(x)
    np.testing.assert_allclose(layer.running_mean, 0.25 * x.mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, 0.75 + 0.25 * x.var((0, 2), ddof=1), rtol=1e-5)
    np.testing.assert_array_equal(first_mean, np.zeros(4))  # replaced, not written to
    layer.eval()(x)
    assert layer.num_batches_tracked == 1


def test_batchnorm_momentum_none_is_the_mean_over_batches(rng):
    layer = nn.BatchNorm2d(3, momentum=None)
    batches = rng.standard_normal((5, 4, 3, 2, 2)).astype(np.float32)
    for x in batches:
        layer(x)
    assert layer.num_batches_tracked == 5
    np.testing.assert_allclose(layer.running_mean, batches.mean((0, 1, 3, 4)), atol=1e-6)
    np.testing.assert_allclose(layer.running_var, batches.var((1, 3, 4), ddof=1).mean(0), rtol=1e-5)
    layer.eval()(batches[0])
    assert layer.num_batches_tracked == 5
    layer.reset_running_stats()
    assert layer.num_batches_tracked == 0
    np.testing.assert_array_equal(layer.running_var, np.ones(3))


def test_batchnorm_without_tracking_uses_the_batch_in_evaluation(rng):
    x = rng.standard_normal((4, 3, 2, 2)).astype(np.float32) * 5
    layer = nn.BatchNorm2d(3, track_running_stats=False)
    trained = layer(x)
    dx = layer.backward(np.sin(trained))
    np.testing.assert_array_equal(layer.eval()(x), trained)
    np.testing.assert_array_equal(layer.backward(np.sin(trained)), dx)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert list(nn.BatchNorm2d(3, affine=False, track_running_stats=False).state_dict()) == []


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_batchnorm_layer_gives_the_gradients_of_its_function(training, affine, rng):
    layer = nn.BatchNorm2d(5, affine=affine).train(training)
    x, dy = (rng.standard_normal((3, 5, 4, 4)).astype(np.float32) for _ in range(2))
    layer.running_mean = rng.standard_normal(5).astype(np.float32)
    weight = None
    if affine:
        weight = layer.weight.data = rng.standard_normal(5).astype(np.float32)
    result = F.batch_norm(x, layer.running_mean, layer.running_var, weight, training=training)
    expected = F.batch_norm_backward(dy, x, result.mean, result.invstd, weight, training)
    np.testing.assert_array_equal(layer(x), result.y)
    layer.train(not training)  # how forward ran decides
    np.testing.assert_array_equal(layer.backward(dy), expected[0])
    if affine:
        np.testing.assert_array_equal(layer.weight.grad, expected[1])
        np.testing.assert_array_equal(layer.bias.grad, expected[2])
    layer.input_grad = False
    assert layer.backward(dy) is None


def test_batchnorm_state_dict_has_pytorch_keys_and_round_trips(rng):
    layer = nn.BatchNorm2d(6)
    layer(rng.standard_normal((4, 6, 3, 3)).astype(np.float32))
    state = layer.state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [a.dtype for a in state.values()] == [np.float32] * 4 + [np.int64]
    assert [a.shape for a in state.values()] == [(6,)] * 4 + [()]
    other = nn.BatchNorm2d(6)
    other.load_state_dict(state)
    x = rng.standard_normal((2, 6, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(other.eval()(x), layer.eval()(x))
    assert other.num_batches_tracked == 1
    assert repr(layer) == "BatchNorm2d(6, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"


# ---- what the compiled functions take --------------------------------------------------------------------------------
def pixel_major(*shape, dtype=np.float32):
    """Zeros that lie as the compiled functions want them."""
    order = (*range(2, len(shape)), 0, 1)
    return np.zeros([shape[axis] for axis in order], dtype).transpose(np.argsort(order))


IMAGES, VALUES = pixel_major(2, 5, 3, 4), np.ones(5, np.float32)


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype)
    return np.lib.stride_tricks.as_strided(memory, array.shape, array.strides)


@pytest.mark.parametrize(
    ("x", "values", "images"),
    [
        (np.zeros((2, 5, 3, 4), np.float32), VALUES, None),
        (unaligned(IMAGES), VALUES, None),
        (pixel_major(2, 5, 3, 4, dtype=">f4"), VALUES, None),
        (pixel_major(2, 5, 3, 4, dtype=np.float16), VALUES, None),
        (pixel_major(2, 5, 3, 4, dtype="M8[s]"), VALUES, None),
        (pixel_major(2, 5, 3, 4, dtype=object), VALUES, None),
        (pixel_major(0, 5, 3, 4), VALUES, None),
        (IMAGES[:, :, ::2], VALUES, None),
        (IMAGES[:1, :, :, :2], VALUES, None),
        (np.zeros(5, np.float32), VALUES, None),
        (np.zeros((1, 2, 5, 3, 4), np.float32), VALUES, None),
        ([[0.0] * 5] * 2, VALUES, None),
        (IMAGES, np.ones(4, np.float32), None),
        (IMAGES, np.ones(5), None),
        (IMAGES, np.ones(10, np.float32)[::2], None),
        (IMAGES, np.ones((5, 1), np.float32), None),
        (IMAGES, [1.0] * 5, None),
        (IMAGES, VALUES, np.zeros((2, 5, 3, 4), np.float32)),
        (IMAGES, VALUES, pixel_major(2, 5, 3, 4, dtype=np.float64)),
        (IMAGES, VALUES, pixel_major(2, 5, 4, 3)),
        (IMAGES, VALUES, unaligned(IMAGES)),
    ],
)
def test_batchnorm_of_the_module_refuses_what_does_not_fit(x, values, images):
    native, statistics, scratch = fastnn._runtime._native, np.ones((4, 5)), _memory.workspace(1 << 16)
    assert not native.batchnorm_fits(x, (None, values), (None, images))
    y = pixel_major(2, 5, 3, 4)
    errors = (ValueError, TypeError, BufferError, AttributeError)
    with pytest.raises(errors):
        native.batchnorm_forward(x, statistics[0], statistics[1], values, None, None, images, y, scratch, 1)
    with pytest.raises(errors):
        native.batchnorm_training(
            x, 0.1, 0.1, None, None, values, None, None, images, statistics, None, None, y, scratch, 1
        )
    with pytest.raises(errors):
        native.batchnorm_backward(
            y, x, statistics[0], statistics[1], values, None, "relu", images, True, y, None, values, values, scratch, 1
        )


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 7), (2, 5, 3, 4), (1, 5, 1, 4), (2, 1, 3, 1), (1, 1, 1, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batchnorm_of_the_module_takes_what_lies_pixel_major(shape, dtype):
    x, values = pixel_major(*shape, dtype=dtype), np.ones(shape[1], dtype)
    assert fastnn._runtime._native.batchnorm_fits(x, (values, None), (x, None))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("running_dtype", [np.float32, np.float64])
def test_batchnorm_keeps_running_statistics_in_their_dtype(dtype, running_dtype, rng):
    x = rng.standard_normal((6, 3, 4, 4)).astype(dtype)
    mean, var = rng.standard_normal(3).astype(running_dtype), rng.uniform(1, 2, 3).astype(running_dtype)
    result = F.batch_norm(x, mean, var, training=True)
    twin = from_reference(F.batch_norm, x, mean, var, training=True)
    assert result.running_mean.dtype == result.running_var.dtype == running_dtype
    np.testing.assert_allclose(result.running_mean, twin.running_mean, rtol=1e-6)
    np.testing.assert_allclose(result.running_var, twin.running_var, rtol=1e-6)
    np.testing.assert_allclose(
        F.batch_norm(x, mean, var).y, from_reference(F.batch_norm, x, mean, var).y, rtol=1e-5, atol=1e-6
    )
