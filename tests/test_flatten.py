"""Flatten: the order of the features is that of the indices, whatever the memory order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import layouts

import fastnn
from fastnn import functional as F
from fastnn import nn


@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=5), data=st.data())
def test_flatten_joins_axes_in_index_order(shape, data):
    first = data.draw(st.integers(0, len(shape) - 1))
    last = data.draw(st.integers(first, len(shape) - 1))
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    layer = nn.Flatten(first, last - len(shape))
    y = layer(x)
    np.testing.assert_array_equal(
        y, x.reshape(*shape[:first], int(np.prod(shape[first : last + 1])), *shape[last + 1 :])
    )
    np.testing.assert_array_equal(layer.backward(y), x)


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_flatten_accepts_any_layout(layout, rng):
    x = rng.standard_normal((3, 5, 4, 6)).astype(np.float32)
    given = layouts(x)[layout]
    before = given.copy()
    layer = nn.Flatten()
    np.testing.assert_array_equal(layer(given), x.reshape(3, -1))
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(layer.backward(layouts(x.reshape(3, -1))[layout]), x)


@pytest.mark.parametrize("shape", [(7, 67, 5, 3), (7, 67, 1, 1)])
def test_flatten_between_pooling_and_linear(isa, threads, shape, rng):
    """A pixel-major activation comes in, and a pixel-major gradient goes out."""
    x = F.relu(F.max_pool2d(rng.standard_normal(shape).astype(np.float32), 1))
    layer = nn.Flatten()
    y = layer(x)
    np.testing.assert_array_equal(y, np.ascontiguousarray(x).reshape(7, -1))
    assert y.flags.c_contiguous
    dx = layer.backward(y)
    np.testing.assert_array_equal(dx, x)
    before = fastnn.conversions()
    F.max_pool2d(dx, 1)
    assert fastnn.conversions() == before


def test_flatten_rejects_axes_that_are_not_there():
    with pytest.raises(IndexError, match=r"Flatten: there is no axis 1. Received: x.shape=\(3,\)"):
        nn.Flatten()(np.zeros(3))
    with pytest.raises(ValueError, match=r"Flatten: start_dim comes after end_dim"):
        nn.Flatten(2, 1)(np.zeros((2, 3, 4)))
    with pytest.raises(TypeError):
        nn.Flatten(1.5)


def test_flatten_has_no_state():
    assert nn.Flatten().state_dict() == {}
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float16, np.bool_])
def test_flatten_takes_pixel_major_images_that_are_no_floats_of_kernels(dtype):
    x = np.arange(2 * 3 * 2 * 2).reshape(2, 2, 2, 3).astype(dtype).transpose(2, 3, 0, 1)
    y = nn.Flatten()(x)
    np.testing.assert_array_equal(y, np.ascontiguousarray(x).reshape(2, 12))
    assert y.dtype == dtype
