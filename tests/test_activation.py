"""Pointwise activations: C against the NumPy twin, the twin against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import dtypes, from_reference, layouts, seeds

from fastnn import functional as F


@given(n=st.integers(0, 100), dtype=dtypes, seed=seeds)
def test_relu_matches_reference(isa, n, dtype, seed):
    x = np.random.default_rng(seed).standard_normal(n).astype(dtype)
    dy = np.random.default_rng(seed + 1).standard_normal(n).astype(dtype)
    y = F.relu(x)
    np.testing.assert_array_equal(y, from_reference(F.relu, x))
    np.testing.assert_array_equal(F.relu_backward(dy, y), from_reference(F.relu_backward, dy, y))


def test_relu_keeps_nan_and_is_zero_at_zero(isa):
    x = np.array([np.nan, -0.0, 0.0, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(F.relu(x), np.array([np.nan, 0, 0, np.inf, 0], np.float32))
    np.testing.assert_array_equal(F.relu_backward(np.ones_like(x), F.relu(x))[1:], np.array([0, 0, 1, 0], np.float32))


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_relu_accepts_any_layout(layout, rng):
    x = rng.standard_normal((3, 5, 4, 2)).astype(np.float32)
    given = layouts(x)[layout]
    before = given.copy()
    np.testing.assert_array_equal(F.relu(given), np.maximum(x, 0))
    np.testing.assert_array_equal(given, before)


def test_relu_rejects_integers():
    with pytest.raises(TypeError, match=r"relu: x has dtype int64.*astype"):
        F.relu(np.arange(3))
