"""The sum of two arrays: C against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import dtypes, from_reference, layouts, seeds

import fastnn
from fastnn import functional as F


@given(n=st.integers(0, 100), dtype=dtypes, seed=seeds)
def test_add_equals_reference(isa, n, dtype, seed):
    a, b = np.random.default_rng(seed).standard_normal((2, n)).astype(dtype)
    y = F.add(a, b)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, a + b)
    np.testing.assert_array_equal(from_reference(F.add, a, b), a + b)


def test_add_bits_do_not_depend_on_threads(isa, threads, rng):
    a, b = rng.standard_normal((2, 310_001)).astype(np.float32)
    assert F.add(a, b).tobytes() == (a + b).tobytes()


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_add_accepts_any_layout(layout, rng):
    a, b = rng.standard_normal((2, 3, 5, 4, 2)).astype(np.float32)
    given = layouts(b)[layout]
    before = given.copy()
    np.testing.assert_array_equal(F.add(a, given), a + b)
    np.testing.assert_array_equal(F.add(given, a), a + b)
    np.testing.assert_array_equal(given, before)


def test_add_keeps_the_pixel_major_order(rng):
    a = fastnn._layout.empty_images((2, 3, 4, 5), np.float32)
    a[...] = rng.standard_normal(a.shape)
    assert F.add(a, np.ones((2, 3, 4, 5), np.float32)).strides == a.strides


def test_add_rejects_what_would_broadcast_or_convert():
    a = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"add: a and b must have the same shape.*\(2, 3\).*\(1, 3\)"):
        F.add(a, a[:1])
    with pytest.raises(TypeError, match="add: dtypes differ"):
        F.add(a, a.astype(np.float64))
    with pytest.raises(TypeError, match="b has dtype int64"):
        F.add(a, np.ones((2, 3), np.int64))
