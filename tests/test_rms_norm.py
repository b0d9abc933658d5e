"""RMSNorm: closed forms, the twin, accuracy, and what it refuses."""

import numpy as np
import pytest
from oracle import layouts, relative_error

import fastnn
from fastnn import functional as F
from fastnn import nn, reference


def test_rms_norm_by_hand():
    """The root of (9 + 16) / 2 is 5 / sqrt(2)."""
    y = F.rms_norm([[3.0, 4.0], [-30.0, 40.0]], 2, eps=0.0)
    np.testing.assert_allclose(y, np.sqrt(2) / 5 * np.array([[3, 4], [-3, 4]]), rtol=1e-15)


def test_rms_norm_gives_rows_of_root_mean_square_one(rng):
    y = nn.RMSNorm(64, eps=0.0)(rng.standard_normal((5, 3, 64)).astype(np.float32))
    np.testing.assert_allclose(np.square(y).mean(axis=-1), 1, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rms_norm_eps_of_none_is_the_machine_epsilon(dtype):
    x = np.full((1, 4), 1e-6, dtype)
    eps = np.finfo(dtype).eps
    expected = 1e-6 / np.sqrt(1e-12 + float(eps))
    np.testing.assert_allclose(F.rms_norm(x, 4), np.full((1, 4), expected), rtol=10 * eps)
    np.testing.assert_allclose(nn.RMSNorm(4, elementwise_affine=False)(x), np.full((1, 4), expected), rtol=10 * eps)


@pytest.mark.parametrize("shape", [(7, 5), (5,), (2, 3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rms_norm_agrees_with_its_twin(shape, axes, dtype, rng):
    sizes = shape[-axes:]
    if len(sizes) < axes:
        return
    x, weight = rng.standard_normal(shape).astype(dtype), rng.standard_normal(sizes).astype(dtype)
    for given in (weight, None):
        actual, expected = F.rms_norm(x, sizes, given, 0.1), reference.rms_norm(x, sizes, given, 0.1)
        assert actual.dtype == expected.dtype == dtype
        assert relative_error(actual, expected) < 4 * np.finfo(dtype).eps


def test_rms_norm_gradient_is_orthogonal_to_the_input(rng):
    """Without eps, the length of a row does not matter."""
    x = fastnn.tensor(rng.standard_normal((6, 9)), requires_grad=True)
    F.rms_norm(x, 9, eps=0.0).backward(rng.standard_normal((6, 9)))
    np.testing.assert_allclose((x.grad * x.data).sum(axis=1), 0, atol=1e-14)


@pytest.mark.parametrize("scale", [1e-18, 1e-3, 1e3, 1e18])
def test_rms_norm_of_small_and_large_numbers_in_float32(scale, rng):
    x = (scale * rng.standard_normal((4, 8))).astype(np.float32)
    expected = F.rms_norm(x.astype(float), 8, eps=0.0)
    assert relative_error(F.rms_norm(x, 8, eps=0.0), expected) < 1e-6


def test_rms_norm_passes_on_what_is_not_finite_without_a_warning():
    x = fastnn.tensor([[1.0, np.inf], [np.nan, 1.0], [0.0, 0.0], [1e200, 1e200], [3.0, 4.0]], requires_grad=True)
    y = F.rms_norm(x, 2, eps=0.0)
    y.backward(np.ones((5, 2)))
    assert np.isnan(y.data[:3]).any(axis=1).all()
    assert np.isfinite(y.data[4]).all()
    assert np.isfinite(x.grad[4]).all()


def test_rms_norm_is_the_same_for_any_layout(rng):
    x, dy = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 4, 5))
    layer = nn.RMSNorm((4, 5)).astype(np.float64)
    expected = layer(x), layer.backward(dy)
    for name in layouts(x):
        np.testing.assert_array_equal(layer(layouts(x)[name]), expected[0])
        np.testing.assert_array_equal(layer.backward(layouts(dy)[name]), expected[1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: nn.RMSNorm(4)(np.zeros((2, 5))),
            r"rms_norm: the last axes of x must be .*\(4,\). .* x.shape=\(2, 5\)",
        ),
        (
            lambda: F.rms_norm(np.zeros(5), (2, 5)),
            r"rms_norm: the last axes of x must be .*\(2, 5\). .* x.shape=\(5,\)",
        ),
        (lambda: F.rms_norm(np.zeros(5), 5, np.ones(4)), r"rms_norm: weight must have .* weight.shape=\(4,\)"),
        (lambda: F.rms_norm(np.zeros(5), 5, eps=-1), "rms_norm: eps must be >= 0 and finite. Received: -1"),
        (lambda: F.rms_norm(np.zeros(5, int), 5), "rms_norm: x has dtype int64"),
        (lambda: F.rms_norm(np.zeros(5), 5, np.ones(5, np.float32)), "rms_norm: dtypes differ"),
        (lambda: nn.RMSNorm(()), "RMSNorm: normalized_shape must be one or more positive integers"),
        (lambda: nn.RMSNorm(2**60), "RMSNorm: no memory holds a weight"),
    ],
)
def test_rms_norm_refuses_by_name(call, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        call()
