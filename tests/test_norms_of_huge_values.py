"""Norms of finite values whose squares are no floats."""

import numpy as np
import pytest

import fastnn
from fastnn import functional as F

LARGEST = float(np.finfo(np.float32).max)


def normalized(values):
    """Of all values together, in float64."""
    values = values.astype(np.float64)
    return (values - values.mean()) / values.std()


def assert_near(actual, expected):
    # Values are rounded to float32 as multiples of the largest distance from the mean, as are the results.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=8 * np.finfo(np.float32).eps * np.abs(expected).max())


@pytest.mark.parametrize("scale", [1e18, 1e20, 1e30, 1e37])
@pytest.mark.parametrize("features", [3, 16, 77, 4000])
def test_layer_norm_of_huge_values(isa, features, scale, rng):
    x = (rng.standard_normal((5, features)) * scale).astype(np.float32)
    x[1] = np.arange(features)  # ordinary neighbours stay what they are
    alone = F.layer_norm(x[1:2], features).y
    y = F.layer_norm(x, features).y
    assert y[1].tobytes() == alone.tobytes()
    for row in (0, 2, 3, 4):
        assert_near(y[row], normalized(x[row]))


def test_layer_norm_of_values_whose_sum_is_no_float(isa):
    x = np.full((1, 1000), 0.9 * LARGEST, np.float32)
    x[0, ::2] *= 0.8
    result = F.layer_norm(x, 1000)
    assert result.mean[0] == pytest.approx(x.mean(dtype=np.float64))
    assert_near(result.y[0], normalized(x[0]))


@pytest.mark.parametrize("scale", [1e18, 1e20, 1e30, 1e37])
@pytest.mark.parametrize("channels", [1, 3, 16, 100, 600])
@pytest.mark.parametrize("images", [2, 5, 130])
def test_batch_norm_of_huge_values(isa, images, channels, scale, rng):
    x = rng.standard_normal((images, channels, 3, 3)).astype(np.float32)
    huge = rng.random(channels) < 0.3
    huge[0] = True
    ordinary = F.batch_norm(x, None, None, training=True).y
    x[:, huge] *= np.float32(scale)
    result = F.batch_norm(x, None, None, training=True)
    for channel in range(channels):
        if huge[channel]:
            assert_near(result.y[:, channel], normalized(x[:, channel]))
        else:
            assert result.y[:, channel].tobytes() == ordinary[:, channel].tobytes()


@pytest.mark.parametrize("scale", [1e-12, 1e20, 1e30])
def test_batch_norm_gradients_of_huge_values(isa, scale, rng):
    """Those of the values divided by a number, divided by it once more."""
    x, dy = rng.standard_normal((2, 6, 5, 4, 4)).astype(np.float32)
    result = F.batch_norm(x, None, None, training=True, eps=1e-60)
    expected = F.batch_norm_backward(dy, x, result.mean, result.invstd)
    x = x * np.float32(scale)
    result = F.batch_norm(x, None, None, training=True, eps=1e-60)
    dx, dweight, dbias = F.batch_norm_backward(dy, x, result.mean, result.invstd)
    assert_near(dx.astype(np.float64) * scale, expected[0])
    assert_near(dweight, expected[1])
    assert dbias.tobytes() == expected[2].tobytes()


@pytest.mark.parametrize("scale", [1e20, 1e30, 1e37])
@pytest.mark.parametrize("groups", [1, 4, 12])
def test_group_norm_of_huge_values(isa, groups, scale, rng):
    x = (rng.standard_normal((3, 12, 7, 5)) * scale).astype(np.float32)
    y = F.group_norm(x, groups).y
    for image in range(3):
        for group in range(groups):
            part = slice(12 // groups * group, 12 // groups * (group + 1))
            assert_near(y[image, part], normalized(x[image, part]))


@pytest.mark.parametrize("scale", [1e-12, 1e20, 1e30])
def test_group_norm_gradients_of_huge_values(isa, scale, rng):
    x, dy = rng.standard_normal((2, 3, 12, 7, 5)).astype(np.float32)
    result = F.group_norm(x, 4, eps=1e-60)
    expected = F.group_norm_backward(dy, x, result.mean, result.invstd)
    x = x * np.float32(scale)
    result = F.group_norm(x, 4, eps=1e-60)
    dx, dweight, dbias = F.group_norm_backward(dy, x, result.mean, result.invstd)
    assert_near(dx.astype(np.float64) * scale, expected[0])
    assert_near(dweight, expected[1])
    assert dbias.tobytes() == expected[2].tobytes()


@pytest.mark.parametrize("scale", [1e-12, 1e20, 1e30])
def test_layer_norm_gradients_of_huge_values(isa, scale, rng):
    x, dy = rng.standard_normal((2, 7, 50)).astype(np.float32)
    result = F.layer_norm(x, 50, eps=1e-60)
    expected = F.layer_norm_backward(dy, x, 50, result.mean, result.invstd)
    x = x * np.float32(scale)
    result = F.layer_norm(x, 50, eps=1e-60)
    dx, dweight, dbias = F.layer_norm_backward(dy, x, 50, result.mean, result.invstd)
    assert_near(dx.astype(np.float64) * scale, expected[0])
    assert_near(dweight, expected[1])
    assert dbias.tobytes() == expected[2].tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_spoil_their_own_statistics_only(isa, bad, rng):
    x = rng.standard_normal((4, 100, 3, 3)).astype(np.float32)
    ordinary = F.batch_norm(x, None, None, training=True).y
    x[2, 33, 1, 1] = bad
    y = F.batch_norm(x, None, None, training=True).y
    assert np.isnan(y[2, 33, 1, 1])
    others = np.arange(100) != 33
    assert y[:, others].tobytes() == ordinary[:, others].tobytes()
    assert np.isnan(F.layer_norm(x[:, :, 0, 0], 100).y).sum() == 0
    assert np.isnan(F.layer_norm(x[:, :, 1, 1], 100).y[2]).any()


def test_huge_values_have_the_same_bits_on_any_number_of_threads(isa, rng):
    x = (rng.standard_normal((40, 200, 20, 20)) * 1e25).astype(np.float32)
    results = []
    for n in (1, 2, 3):
        with fastnn.num_threads(n):
            results.append(F.batch_norm(x, None, None, training=True).y.tobytes())
    assert results[0] == results[1] == results[2]
