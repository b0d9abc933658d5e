"""Adaptive pooling: C against the NumPy twin, the twin against the window formula."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn

shapes = st.tuples(st.integers(1, 3), st.sampled_from([1, 5, 16, 67]), st.integers(1, 9), st.integers(1, 9))
sizes = st.tuples(st.integers(1, 10), st.integers(1, 10))  # also larger than the images


def window(i, size, out):
    return slice(math.floor(i * size / out), math.ceil((i + 1) * size / out))


@given(shape=shapes, out=sizes, dtype=dtypes, seed=seeds)
def test_adaptive_avg_pool2d_matches_reference(isa, shape, out, dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(dtype)
    terms = shape[2] * shape[3]
    y = F.adaptive_avg_pool2d(x, out)
    assert_close(y, from_reference(F.adaptive_avg_pool2d, x, out), terms, F.adaptive_avg_pool2d(abs(x), out))
    dy = rng.standard_normal(y.shape).astype(dtype)
    backward = F.adaptive_avg_pool2d_backward
    magnitude = from_reference(backward, abs(dy), shape)
    assert_close(backward(dy, shape), from_reference(backward, dy, shape), out[0] * out[1] + 2, magnitude)


@given(shape=shapes, out=sizes, dtype=dtypes, seed=seeds)
def test_adaptive_max_pool2d_matches_reference(isa, shape, out, dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, shape).astype(dtype)  # with ties
    y, taps = F.adaptive_max_pool2d_taps(x, out)
    y_twin, taps_twin = from_reference(F.adaptive_max_pool2d_taps, x, out)
    np.testing.assert_array_equal(y, y_twin)
    np.testing.assert_array_equal(taps, taps_twin)
    dy = rng.integers(-9, 9, y.shape).astype(dtype)
    dx = F.adaptive_max_pool2d_backward(dy, taps, shape)
    np.testing.assert_array_equal(dx, from_reference(F.adaptive_max_pool2d_backward, dy, taps, shape))


@given(shape=shapes, out=sizes, seed=seeds)
def test_adaptive_pool2d_reference_matches_window_formula(shape, out, seed):
    x = np.random.default_rng(seed).standard_normal(shape)
    mean = from_reference(F.adaptive_avg_pool2d, x, out)
    largest, indices = from_reference(F.adaptive_max_pool2d, x, out, return_indices=True)
    for i, j in np.ndindex(out):
        part = x[:, :, window(i, shape[2], out[0]), window(j, shape[3], out[1])]
        np.testing.assert_allclose(mean[:, :, i, j], part.mean(axis=(2, 3)), rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(largest[:, :, i, j], part.max(axis=(2, 3)))
    flat = x.reshape(*shape[:2], -1)
    found = np.take_along_axis(flat, indices.reshape(*shape[:2], -1), axis=2)
    np.testing.assert_array_equal(found.reshape(largest.shape), largest)


def test_adaptive_pool2d_same_bits_on_any_threads(isa, rng):
    x = rng.standard_normal((64, 67, 9, 11)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        y, taps = F.adaptive_max_pool2d_taps(x, (4, 5))
        mean = F.adaptive_avg_pool2d(x, (4, 5))
        results.append(
            (
                y,
                taps,
                mean,
                F.adaptive_max_pool2d_backward(y, taps, x.shape),
                F.adaptive_avg_pool2d_backward(mean, x.shape),
            )
        )
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layer", [nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d((3, 2)), nn.AdaptiveMaxPool2d((3, 2))])
def test_adaptive_pool2d_gradient_is_numeric_gradient(isa, layer, rng):
    x = rng.permutation(np.arange(2 * 3 * 5 * 6.0)).reshape(2, 3, 5, 6)  # no two values are within the step
    dy = rng.standard_normal(layer(x).shape)
    # The function is linear between ties: a long step loses no accuracy to curvature.
    assert relative_error(layer.backward(dy), numeric_gradient(lambda: layer(x), x, dy, step=0.1)) < 1e-8


def test_adaptive_pool2d_none_keeps_the_size(rng):
    x = rng.standard_normal((2, 3, 5, 6)).astype(np.float32)
    assert F.adaptive_avg_pool2d(x, (None, 2)).shape == (2, 3, 5, 2)
    np.testing.assert_array_equal(nn.AdaptiveMaxPool2d(None)(x), x)


def test_adaptive_pool2d_large_window_counts_taps_in_four_bytes(isa, rng):
    x = rng.standard_normal((2, 3, 17, 16)).astype(np.float32)
    layer = nn.AdaptiveMaxPool2d(1, return_indices=True)
    _, indices = layer(x)
    np.testing.assert_array_equal(indices[:, :, 0, 0], x.reshape(2, 3, -1).argmax(axis=2))
    dx = layer.backward(np.ones((2, 3, 1, 1), np.float32))
    np.testing.assert_array_equal(dx, (x == x.max(axis=(2, 3), keepdims=True)).astype(np.float32))


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_adaptive_pool2d_accepts_any_layout(layout, rng):
    x = rng.standard_normal((3, 5, 4, 6)).astype(np.float32)
    given = layouts(x)[layout]
    before = given.copy()
    np.testing.assert_array_equal(F.adaptive_avg_pool2d(given, 3), F.adaptive_avg_pool2d(x, 3))
    np.testing.assert_array_equal(F.adaptive_max_pool2d(given, 3), F.adaptive_max_pool2d(x, 3))
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("layer", [nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(2)])
def test_adaptive_pool2d_empty_batch(layer):
    y = layer(np.zeros((0, 3, 4, 4), np.float32))
    assert y.shape == (0, 3, 2, 2)
    assert layer.backward(y).shape == (0, 3, 4, 4)
    assert layer.state_dict() == {}
    assert repr(layer).endswith("(output_size=2)")


@pytest.mark.parametrize("function", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
def test_adaptive_pool2d_rejects_bad_input(function):
    with pytest.raises(ValueError, match=r"adaptive_.*_pool2d: x has 2 dimensions"):
        function(np.zeros((2, 2)), 1)
    with pytest.raises(ValueError, match=r"images have no pixels"):
        function(np.zeros((1, 1, 0, 2)), 1)
    with pytest.raises(ValueError, match=r"output_size must be one or two integers >= 1"):
        function(np.zeros((1, 1, 2, 2)), 0)
    with pytest.raises(ValueError, match=r"output_size must be one or two integers >= 1"):
        function(np.zeros((1, 1, 2, 2)), (1, 2, 3))
    with pytest.raises(TypeError, match=r"output_size must be"):
        function(np.zeros((1, 1, 2, 2)), 1.5)
    with pytest.raises(TypeError, match=r"int64.*astype"):
        function(np.zeros((1, 1, 2, 2), int), 1)


@pytest.mark.torch
@given(shape=shapes, out=sizes, dtype=dtypes, seed=seeds)
def test_adaptive_pool2d_matches_torch(shape, out, dtype, seed):
    import torch

    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(dtype)
    dy = rng.standard_normal((*shape[:2], *out)).astype(dtype)
    for layer, module in (
        (nn.AdaptiveAvgPool2d(out), torch.nn.AdaptiveAvgPool2d(out)),
        (nn.AdaptiveMaxPool2d(out), torch.nn.AdaptiveMaxPool2d(out)),
    ):
        x_torch = torch.tensor(x, requires_grad=True)
        y_torch = module(x_torch)
        y_torch.backward(torch.tensor(dy))
        terms = shape[2] * shape[3] + 2
        assert_close(layer(x), y_torch.detach().numpy(), terms, abs(x).max() * np.ones_like(dy))
        largest_sum = out[0] * out[1] * abs(dy).max()
        assert_close(layer.backward(dy), x_torch.grad.numpy(), out[0] * out[1] + 2, largest_sum * np.ones_like(x))
