"""Channels to pixels and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import dtypes, from_reference, layouts

import fastnn
from fastnn import functional as F
from fastnn import nn

small = st.integers(1, 4)


def test_pixel_shuffle_by_hand():
    x = np.arange(8.0).reshape(1, 8, 1, 1)
    np.testing.assert_array_equal(F.pixel_shuffle(x, 2)[0], [[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
    images = np.arange(8.0).reshape(1, 1, 2, 4)
    channels = [[[0, 2]], [[1, 3]], [[4, 6]], [[5, 7]]]
    np.testing.assert_array_equal(F.pixel_unshuffle(images, 2)[0], channels)


@given(shape=st.tuples(small, small, small, small), r=st.integers(1, 3), dtype=dtypes)
def test_pixel_shuffle_is_its_definition_and_undone(shape, r, dtype):
    n, c, h, w = shape
    x = np.arange(n * c * r * r * h * w, dtype=dtype).reshape(n, c * r * r, h, w)
    y = F.pixel_shuffle(x, r)
    assert y.shape == (n, c, h * r, w * r)
    for k, i, j in np.ndindex(c, h * r, w * r):
        np.testing.assert_array_equal(y[:, k, i, j], x[:, k * r * r + i % r * r + j % r, i // r, j // r])
    np.testing.assert_array_equal(F.pixel_unshuffle(y, r), x)
    for function, array in ((F.pixel_shuffle, x), (F.pixel_unshuffle, y)):
        np.testing.assert_array_equal(from_reference(function, array, r), function(array, r))


@given(r=st.integers(1, 3))
def test_pixel_shuffle_gradients_go_back_to_where_numbers_came_from(r):
    x = np.random.default_rng(0).standard_normal((2, 9 * 4, 6, 6))
    for forward, backward in (
        (F.pixel_shuffle, F.pixel_shuffle_backward),
        (F.pixel_unshuffle, F.pixel_unshuffle_backward),
    ):
        tensor = fastnn.tensor(x[:, : 4 * r * r], requires_grad=True)
        y = forward(tensor, r)
        y.backward(y.data)
        np.testing.assert_array_equal(tensor.grad, tensor.data)
        np.testing.assert_array_equal(backward(y.data, r), tensor.data)


@pytest.mark.parametrize("function", [F.pixel_shuffle, F.pixel_unshuffle])
@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_pixel_shuffle_accepts_any_layout_and_gives_a_pixel_major_array(function, layout, rng):
    x = rng.standard_normal((2, 8, 4, 6))
    y = function(layouts(x)[layout], 2)
    np.testing.assert_array_equal(y, function(x, 2))
    assert y.transpose(2, 3, 0, 1).flags.c_contiguous


def test_pixel_shuffle_of_nothing_keeps_the_shape():
    assert F.pixel_shuffle(np.zeros((0, 8, 4, 6)), 2).shape == (0, 2, 8, 12)
    assert F.pixel_unshuffle(np.zeros((2, 0, 4, 6)), 2).shape == (2, 0, 2, 3)


def test_pixel_shuffle_bad_arguments_are_named():
    with pytest.raises(
        ValueError, match=r"^pixel_shuffle: the channels must be a multiple of 2\^2. Received: x.shape="
    ):
        F.pixel_shuffle(np.zeros((1, 6, 2, 2)), 2)
    with pytest.raises(ValueError, match=r"^pixel_unshuffle: height and width must be multiples of 2. Received: x.sh"):
        F.pixel_unshuffle(np.zeros((1, 6, 3, 2)), 2)
    with pytest.raises(ValueError, match=r"^pixel_shuffle_backward: height and width must be multiples of 2. Rec"):
        F.pixel_shuffle_backward(np.zeros((1, 6, 3, 2)), 2)
    with pytest.raises(ValueError, match=r"^PixelShuffle: upscale_factor must be >= 1. Received: 0"):
        nn.PixelShuffle(0)
    with pytest.raises(TypeError, match=r"^PixelUnshuffle: downscale_factor must be an integer. Received: 1.5"):
        nn.PixelUnshuffle(1.5)


def test_pixel_shuffle_layers_are_described():
    assert repr(nn.PixelShuffle(3)) == "PixelShuffle(upscale_factor=3)"
    assert repr(nn.PixelUnshuffle(2)) == "PixelUnshuffle(downscale_factor=2)"
