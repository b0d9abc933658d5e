"""Local response normalisation: C against the NumPy twin, the twin against loops and numeric gradients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn

settings = st.fixed_dictionaries(
    {
        "size": st.integers(1, 9),  # also more than there are channels
        "alpha": st.sampled_from([1e-4, 0.5]),
        "beta": st.sampled_from([0.75, 0.5, 1.3]),
        "k": st.sampled_from([1.0, 2.0]),
    }
)
# Channels cross the vectors of every ISA.
shapes = st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 5, 8, 16, 31, 33]), st.integers(1, 3), st.integers(1, 3))


def random_images(shape, dtype, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@given(shape=shapes, kwargs=settings, dtype=dtypes, seed=seeds)
def test_local_response_norm_matches_reference(isa, shape, kwargs, dtype, seed):
    x, dy = random_images(shape, dtype, seed), random_images(shape, dtype, seed + 1)
    # A sum of size + 1 positive terms, its power, and a product: the power multiplies relative errors by beta.
    terms = (kwargs["size"] + 1) * (1 + kwargs["beta"]) + 8
    y_twin = from_reference(F.local_response_norm, x, **kwargs)
    assert_close(F.local_response_norm(x, **kwargs), y_twin, terms)
    backward = F.local_response_norm_backward
    # The direct term plus one for each neighbour, at most |dy| + 2 alpha beta |x| max |dy x| in size since k >= 1.
    largest = 2 * kwargs["alpha"] * kwargs["beta"] * abs(dy * x).max()
    magnitude = abs(dy) + largest * abs(x)
    dx_twin = from_reference(backward, dy, x, **kwargs)
    assert_close(backward(dy, x, **kwargs), dx_twin, 2 * terms + kwargs["size"], magnitude)


@given(size=st.integers(1, 6), seed=seeds)
def test_local_response_norm_reference_matches_loops(size, seed):
    x = random_images((2, 5, 2, 1), np.float64, seed)
    expected = np.empty_like(x)
    for n, c, i, j in np.ndindex(x.shape):
        neighbours = [x[n, o, i, j] ** 2 for o in range(5) if c - size // 2 <= o <= c + (size - 1) // 2]
        expected[n, c, i, j] = x[n, c, i, j] / (1.5 + 0.3 / size * sum(neighbours)) ** 0.7
    assert_close(from_reference(F.local_response_norm, x, size, 0.3, 0.7, 1.5), expected, size + 8)


@pytest.mark.parametrize("size", [1, 2, 5, 12])
@pytest.mark.parametrize("beta", [0.75, 1.2])
def test_local_response_norm_gradient_is_numeric_gradient(isa, size, beta, rng):
    x = rng.standard_normal((2, 9, 2, 1))
    layer = nn.LocalResponseNorm(size, alpha=0.4, beta=beta, k=1.0)
    dy = rng.standard_normal(x.shape)
    layer(x)
    dx = layer.backward(dy)
    assert relative_error(dx, numeric_gradient(lambda: layer(x), x, dy, step=1e-5)) < 1e-8


def test_local_response_norm_same_bits_on_any_threads(isa, rng):
    x = rng.standard_normal((16, 33, 20, 20)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        y = F.local_response_norm(x, 5, 0.1)
        results.append((y, F.local_response_norm_backward(y, x, 5, 0.1)))
    for y, dx in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(dx, results[0][1])


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_local_response_norm_accepts_any_layout(layout, rng):
    x = rng.standard_normal((3, 5, 4, 6)).astype(np.float32)
    given = layouts(x)[layout]
    before = given.copy()
    np.testing.assert_array_equal(F.local_response_norm(given, 3), F.local_response_norm(x, 3))
    np.testing.assert_array_equal(
        F.local_response_norm_backward(given, given, 3), F.local_response_norm_backward(x, x, 3)
    )
    np.testing.assert_array_equal(given, before)


def test_local_response_norm_empty_batch_and_no_state():
    layer = nn.LocalResponseNorm(5)
    y = layer(np.zeros((0, 3, 4, 4), np.float32))
    assert layer.backward(y).shape == y.shape == (0, 3, 4, 4)
    assert layer.state_dict() == {}
    assert repr(layer) == "LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=1.0)"


def test_local_response_norm_rejects_bad_input():
    x = np.zeros((1, 2, 3, 3))
    with pytest.raises(ValueError, match=r"local_response_norm: x has 2 dimensions"):
        F.local_response_norm(np.zeros((2, 2)), 3)
    with pytest.raises(ValueError, match=r"local_response_norm: size must be >= 1"):
        F.local_response_norm(x, 0)
    with pytest.raises(TypeError, match=r"local_response_norm: size must be an integer"):
        F.local_response_norm(x, 2.5)
    with pytest.raises(TypeError, match=r"int64.*astype"):
        F.local_response_norm(x.astype(int), 3)
    with pytest.raises(ValueError, match=r"local_response_norm_backward: dy and x must have the same shape"):
        F.local_response_norm_backward(x[..., :2], x, 3)
    with pytest.raises(TypeError, match=r"dtypes differ"):
        F.local_response_norm_backward(x.astype(np.float32), x, 3)


@pytest.mark.torch
@given(shape=shapes, kwargs=settings, seed=seeds)
def test_local_response_norm_matches_torch(shape, kwargs, seed):
    import torch

    x, dy = random_images(shape, np.float64, seed), random_images(shape, np.float64, seed + 1)
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = torch.nn.LocalResponseNorm(**kwargs)(x_torch)
    y_torch.backward(torch.tensor(dy))
    layer = nn.LocalResponseNorm(**kwargs)
    assert relative_error(layer(x), y_torch.detach().numpy()) < 1e-13
    assert relative_error(layer.backward(dy), x_torch.grad.numpy()) < 1e-13
