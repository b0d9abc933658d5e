"""Convolutions of shapes that have code of their own: few channels or filters, small groups, strides, few images."""

import numpy as np
import pytest
from oracle import assert_close, from_reference

import fastnn
from fastnn import functional as F
from fastnn.functional._conv2d_plan import explain

# images, channels and size of x; filters, kernel; settings
FEW_CHANNELS = [
    ((1, 3, 23, 30), (64, 7, 7), {"stride": 2, "padding": 3}),
    ((5, 3, 35, 34), (70, 11, 11), {"stride": 4, "padding": 2}),
    ((9, 1, 28, 28), (6, 5, 5), {}),
    ((3, 3, 32, 32), (7, 5, 5), {"padding": 2}),
    ((4, 7, 12, 9), (20, 4, 4), {"stride": (1, 3), "padding": (0, 1)}),
    ((2, 3, 32, 48), (17, 16, 16), {"stride": 16}),
    ((2, 2, 20, 21), (33, 5, 4), {"stride": (3, 2), "dilation": (1, 3), "padding": (4, 5)}),
    ((130, 3, 9, 8), (16, 3, 3), {"padding": 1}),
    ((2, 3, 6, 300), (5, 3, 6), {"padding": (1, 20)}),
]
SMALL_GROUPS = [  # channels of x and filters of a group, groups
    (1, 2, 9), (1, 8, 3), (2, 2, 13), (3, 4, 7), (4, 4, 32), (4, 4, 5), (5, 8, 6), (8, 8, 9), (2, 1, 8), (8, 4, 3),
    (1, 16, 5),
]  # fmt: skip
FEW_IMAGES = [
    ((1, 20, 15, 16), (70, 3, 3), {"stride": 2, "padding": 1}),
    ((2, 35, 9, 14), (40, 3, 3), {"stride": (3, 2), "padding": (1, 0)}),
    ((1, 24, 13, 13), (130, 3, 3), {"dilation": 2, "padding": 2}),
    ((3, 64, 14, 15), (72, 1, 1), {"stride": 2}),
    ((1, 300, 7, 7), (65, 3, 3), {"padding": 1}),
    ((1, 24, 5, 6), (48, 5, 2), {"stride": (2, 7), "padding": (2, 1), "groups": 2}),
    ((1, 12, 40, 30), (9, 4, 4), {"stride": 4}),
]


def check(x_shape, filters, settings, dtype, rng):
    """All directions against the twin."""
    groups = settings.get("groups", 1)
    x = rng.standard_normal(x_shape).astype(dtype)
    weight = rng.standard_normal((filters[0], x_shape[1] // groups, *filters[1:])).astype(dtype)
    bias = rng.standard_normal(filters[0]).astype(dtype)
    y = F.conv2d(x, weight, bias, **settings, algorithm="direct")
    expected = from_reference(F.conv2d, x, weight, bias, **settings)
    magnitude = from_reference(F.conv2d, abs(x), abs(weight), abs(bias), **settings)
    assert_close(y, expected, weight[0].size + 1, magnitude)
    dy = rng.standard_normal(y.shape).astype(dtype)
    addend = rng.standard_normal(x_shape).astype(dtype)
    actual = F.conv2d_backward(dy, x, weight, **settings, algorithm="direct", addend=addend)
    expected = from_reference(F.conv2d_backward, dy, x, weight, **settings, addend=addend)
    magnitude = from_reference(F.conv2d_backward, abs(dy), abs(x), abs(weight), **settings, addend=abs(addend))
    terms = weight.size // weight.shape[1], y.size // y.shape[1], y.size // y.shape[1]
    for a, e, m, n in zip(actual, expected, magnitude, terms, strict=True):
        assert_close(a, e, n + 1, m)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("x_shape", "filters", "settings"), FEW_CHANNELS + FEW_IMAGES)
def test_conv2d_of_few_channels_or_images_matches_reference(isa, x_shape, filters, settings, dtype, rng):
    check(x_shape, filters, settings, dtype, rng)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("c_in", "c_out", "groups"), SMALL_GROUPS)
def test_conv2d_of_small_groups_matches_reference(isa, c_in, c_out, groups, dtype, rng):
    check((2, c_in * groups, 6, 9), (c_out * groups, 3, 2), {"groups": groups, "padding": 1}, dtype, rng)
    check((1, c_in * groups, 8, 7), (c_out * groups, 3, 3), {"groups": groups, "stride": 2}, dtype, rng)


@pytest.mark.parametrize(("c_in", "c_out", "groups"), SMALL_GROUPS)
def test_conv2d_of_small_groups_has_the_bits_of_its_groups(isa, c_in, c_out, groups, rng):
    x = rng.standard_normal((9, c_in * groups, 6, 5)).astype(np.float32)
    weight = rng.standard_normal((c_out * groups, c_in, 3, 3)).astype(np.float32)
    settings = {"padding": 1, "algorithm": "direct"}
    y = F.conv2d(x, weight, groups=groups, **settings)
    dx, _, _ = F.conv2d_backward(y, x, weight, groups=groups, **settings)
    for g in range(groups):
        own, filters = slice(g * c_in, (g + 1) * c_in), slice(g * c_out, (g + 1) * c_out)
        np.testing.assert_array_equal(y[:, filters], F.conv2d(x[:, own], weight[filters], **settings))
        given = x[:, own], weight[filters]
        part, _, _ = F.conv2d_backward(y[:, filters], *given, **settings, need_dweight=False)
        if c_in == 1:  # filters that share an input: a sum for each, then the sum of these
            magnitude = F.conv2d_backward(np.abs(y[:, filters]), given[0], np.abs(given[1]), **settings)[0]
            assert_close(dx[:, own], part, terms=9 * c_out, magnitude=magnitude)
        else:
            np.testing.assert_array_equal(dx[:, own], part)


@pytest.mark.parametrize("settings", [{}, {"padding": 1, "stride": 2}, {"dilation": 2, "padding": 2}])
@pytest.mark.parametrize(("n", "channels", "multiplier"), [(1, 3, 2), (2, 17, 3), (9, 64, 2), (3, 5, 130)])
def test_conv2d_of_filters_that_share_an_input_matches_reference(isa, threads, n, channels, multiplier, settings, rng):
    fastnn.set_num_threads(threads)
    filters = (channels * multiplier, 3, 3)
    check((n, channels, 9, 8), filters, {"groups": channels, **settings}, np.float32, rng)
    shapes = (n, channels, 9, 8), (filters[0], 1, 3, 3)
    assert explain(*shapes, groups=channels, direction="backward_data", **settings).way == "by channel"


@pytest.mark.parametrize(("x_shape", "filters", "settings"), FEW_CHANNELS + FEW_IMAGES)
def test_conv2d_of_any_shape_has_the_bits_of_one_image_alone_and_of_any_threads(isa, x_shape, filters, settings, rng):
    from fastnn import num_threads

    x = rng.standard_normal((11, *x_shape[1:])).astype(np.float32)
    weight = rng.standard_normal((filters[0], x_shape[1] // settings.get("groups", 1), *filters[1:])).astype(np.float32)
    batch = F.conv2d(x, weight, **settings, algorithm="direct")
    gradients = F.conv2d_backward(batch, x, weight, **settings, algorithm="direct")
    for n in (1, 2, 4):
        np.testing.assert_array_equal(F.conv2d(x[:n], weight, **settings, algorithm="direct"), batch[:n])
        dx = F.conv2d_backward(batch[:n], x[:n], weight, **settings, algorithm="direct", need_dweight=False)[0]
        np.testing.assert_array_equal(dx, gradients[0][:n])
    for threads in (1, 3):
        with num_threads(threads):
            np.testing.assert_array_equal(F.conv2d(x, weight, **settings, algorithm="direct"), batch)
            again = F.conv2d_backward(batch, x, weight, **settings, algorithm="direct")
            for a, b in zip(again, gradients, strict=True):
                np.testing.assert_array_equal(a, b)
