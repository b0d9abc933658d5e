"""Convolution: C against the NumPy twin, the twin against loops, gradients against finite differences."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn
from fastnn.autograd.observer import Observer, observing
from fastnn.functional._conv2d_plan import DIRECTIONS, explain


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def problems(draw):
    """Arguments of one convolution, around the widths of vectors and tiles, plus a seed."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    c_in = draw(st.sampled_from([1, 2, 3, 5, 8, 16, 17, 33]))
    c_out = draw(st.sampled_from([1, 2, 4, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65]))
    if draw(st.booleans()) and groups == 1 and draw(st.booleans()):  # depthwise
        groups, c_in, c_out = draw(st.integers(1, 40)), 1, 1
    kernel, size = draw(pairs(1, 4)), draw(pairs(1, 9))
    stride, dilation = draw(pairs(1, 3)), draw(pairs(1, 2))
    padding = draw(st.one_of(pairs(0, 4), st.sampled_from(["same", "valid"])))
    if padding == "same":
        stride = (1, 1)
    n = draw(st.integers(1, 7))
    for s, k, d, p in zip(size, kernel, dilation, (0, 0) if isinstance(padding, str) else padding, strict=True):
        assume(padding == "same" or s + 2 * p > d * (k - 1))
    shapes = (n, groups * c_in, *size), (groups * c_out, c_in, *kernel)
    return shapes, (stride, padding, dilation, groups), draw(dtypes), draw(seeds)


def arrays(shapes, dtype, seed):
    rng = np.random.default_rng(seed)
    x, weight = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return x, weight, rng.standard_normal(len(weight)).astype(dtype), rng


def loops(x, weight, bias, stride, pad, dilation, groups, out):
    """The definition, word for word: seven loops."""
    n, h, w = len(x), *x.shape[2:]
    c_out, c_in_group, kernel_h, kernel_w = weight.shape
    y = np.zeros((n, c_out, *out))
    for i, k, a, b in np.ndindex(y.shape):
        group = k // (c_out // groups)
        for c, p, q in itertools.product(range(c_in_group), range(kernel_h), range(kernel_w)):
            row, column = a * stride[0] - pad[0] + p * dilation[0], b * stride[1] - pad[1] + q * dilation[1]
            if 0 <= row < h and 0 <= column < w:
                y[i, k, a, b] += weight[k, c, p, q] * x[i, group * c_in_group + c, row, column]
        y[i, k, a, b] += bias[k]
    return y


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [
        ((1, 1), (1, 1), (1, 1), 1),
        ((2, 1), (0, 2), (1, 2), 2),
        ((3, 2), (2, 1), (2, 1), 1),
        ((1, 1), "same", (2, 1), 2),
    ],
)
def test_conv2d_reference_equals_definition(stride, padding, dilation, groups, rng):
    x, weight = rng.standard_normal((2, 4, 5, 6)), rng.standard_normal((6, 4 // groups, 3, 2))
    bias = rng.standard_normal(6)
    y = from_reference(F.conv2d, x, weight, bias, stride, padding, dilation, groups)
    reach = [d * (k - 1) for d, k in zip(dilation, (3, 2), strict=True)]
    pad = [r // 2 for r in reach] if padding == "same" else padding
    expected = loops(x, weight, bias, stride, pad, dilation, groups, y.shape[2:])
    magnitude = loops(abs(x), abs(weight), abs(bias), stride, pad, dilation, groups, y.shape[2:])
    assert_close(y, expected, weight[0].size + 1, magnitude)


@given(problem=problems())
def test_conv2d_forward_matches_reference(isa, problem):
    shapes, settings, dtype, seed = problem
    x, weight, bias, _ = arrays(shapes, dtype, seed)
    expected = from_reference(F.conv2d, x, weight, bias, *settings)
    magnitude = from_reference(F.conv2d, np.abs(x), np.abs(weight), np.abs(bias), *settings)
    terms = weight[0].size + 1
    for algorithm in ("auto", "direct", "im2col"):
        assert_close(F.conv2d(x, weight, bias, *settings, algorithm), expected, terms, magnitude)


@pytest.mark.parametrize("algorithm", ["auto", "direct", "im2col"])
@given(problem=problems())
def test_conv2d_backward_matches_reference(isa, algorithm, problem):
    shapes, settings, dtype, seed = problem
    x, weight, bias, rng = arrays(shapes, dtype, seed)
    dy = rng.standard_normal(F.conv2d(x, weight, bias, *settings).shape).astype(dtype)
    actual = F.conv2d_backward(dy, x, weight, *settings, algorithm)
    expected = from_reference(F.conv2d_backward, dy, x, weight, *settings)
    magnitude = from_reference(F.conv2d_backward, np.abs(dy), np.abs(x), np.abs(weight), *settings)
    outputs = dy.size // dy.shape[1]
    for a, e, m, terms in zip(actual, expected, magnitude, (dy.shape[1] * 16, outputs, outputs), strict=True):
        assert_close(a, e, terms, m)


@pytest.mark.parametrize("algorithm", ["direct", "im2col"])
@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), [(1, 1, 1, 1), (2, 1, 1, 2), (1, "same", 2, 1)])
def test_conv2d_gradients_match_finite_differences(isa, algorithm, stride, padding, dilation, groups, rng):
    x, weight = rng.standard_normal((2, 4, 6, 5)), rng.standard_normal((4, 4 // groups, 3, 2))
    bias = rng.standard_normal(4)
    settings = (stride, padding, dilation, groups, algorithm)
    dy = rng.standard_normal(F.conv2d(x, weight, bias, *settings).shape)
    gradients = F.conv2d_backward(dy, x, weight, *settings)
    for array, gradient in zip((x, weight, bias), gradients, strict=True):
        # The function is linear in each argument, so that a large step has no error but rounding.
        numeric = numeric_gradient(lambda: F.conv2d(x, weight, bias, *settings), array, dy, step=1e-2)
        assert relative_error(gradient, numeric) < 1e-8


@pytest.mark.parametrize("algorithm", ["auto", "direct"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 16])
def test_conv2d_bits_do_not_depend_on_threads(isa, stride, groups, algorithm, rng):
    x = rng.standard_normal((32, 16, 16, 16)).astype(np.float32)
    weight = rng.standard_normal((48 if groups == 1 else 16, 16 // groups, 3, 3)).astype(np.float32)
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        y = F.conv2d(x, weight, None, stride, 1, 1, groups, algorithm)
        dy = np.sin(y)
        results.append([y, *F.conv2d_backward(dy, x, weight, stride, 1, 1, groups, algorithm)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("algorithm", ["direct", "winograd", "winograd24", "winograd4", "im2col"])
@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_conv2d_accepts_any_layout_and_changes_none(layout, algorithm, rng):
    x, weight = rng.standard_normal((3, 5, 6, 4)), rng.standard_normal((7, 5, 3, 3))
    dy = rng.standard_normal((3, 7, 6, 4))
    given = [layouts(array)[layout] for array in (x, weight, dy)]
    before = [array.copy() for array in given]
    settings = {"padding": 1, "algorithm": algorithm}
    np.testing.assert_array_equal(F.conv2d(given[0], given[1], **settings), F.conv2d(x, weight, **settings))
    expected = F.conv2d_backward(dy, x, weight, **settings)
    for a, b in zip(F.conv2d_backward(given[2], given[0], given[1], **settings), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(given, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_conv2d_same_padding_puts_the_odd_row_below():
    y = F.conv2d(np.arange(4.0).reshape(1, 1, 1, 4), np.ones((1, 1, 1, 2)), padding="same")
    np.testing.assert_array_equal(y[0, 0, 0], [1, 3, 5, 3])


def test_conv2d_empty_batch_gives_empty_result_and_zero_gradients():
    x, weight = np.zeros((0, 3, 8, 8), np.float32), np.ones((4, 3, 3, 3), np.float32)
    y = F.conv2d(x, weight, padding=1)
    assert y.shape == (0, 4, 8, 8)
    dx, dweight, dbias = F.conv2d_backward(y, x, weight, padding=1)
    assert dx.shape == x.shape
    assert not dweight.any()
    assert not dbias.any()


def test_conv2d_kernel_of_more_taps_than_one_call_takes(isa, rng):
    x, weight = rng.standard_normal((2, 3, 12, 13)), rng.standard_normal((5, 3, 9, 10))
    settings = (1, 4)
    y = F.conv2d(x, weight, None, *settings)
    magnitude = from_reference(F.conv2d, abs(x), abs(weight), None, *settings)
    assert_close(y, from_reference(F.conv2d, x, weight, None, *settings), weight[0].size, magnitude)
    actual = F.conv2d_backward(y, x, weight, *settings)
    expected = from_reference(F.conv2d_backward, y, x, weight, *settings)
    magnitudes = from_reference(F.conv2d_backward, abs(y), abs(x), abs(weight), *settings)
    outputs = y.size // y.shape[1]
    for a, e, m, terms in zip(actual, expected, magnitudes, (weight[:, 0].size, outputs, outputs), strict=True):
        assert_close(a, e, terms, m)


X, W = np.zeros((2, 3, 8, 8), np.float32), np.zeros((4, 3, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((X[0], W), ValueError, r"x has 3 dimensions, 4 are needed. Received: x.shape=\(3, 8, 8\)"),
        ((X[:, :2], W), ValueError, r"x has 2 channels, weight expects 3.*x.shape=\(2, 2, 8, 8\), weight.shape=\(4, 3"),
        ((X.astype(int), W), TypeError, r"dtype int64.*astype"),
        ((X, W.astype(float)), TypeError, r"dtypes differ.*x.dtype=float32, weight.dtype=float64"),
        ((X, W, np.zeros(3, np.float32)), ValueError, r"bias needs one value for each of 4 filters"),
        ((X, W, None, 0), ValueError, r"stride must be one or two integers >= 1. Received: 0"),
        ((X, W, None, 1.5), TypeError, r"stride must be an integer or two of them. Received: 1.5"),
        ((X, W, None, (1, 2, 3)), ValueError, r"stride must be one or two integers"),
        ((X, W, None, 1, -1), ValueError, r"padding must be one or two integers >= 0"),
        ((X, W, None, 1, "full"), ValueError, r"'same' or 'valid'. Received: 'full'"),
        ((X, W, None, 2, "same"), ValueError, r"padding='same' needs stride 1"),
        ((X, W, None, 1, 0, 5), ValueError, r"the kernel reaches over 11 x 11 pixels, the padded image has only 8 x 8"),
        ((X, W, None, 1, 0, 1, 2), ValueError, r"x has 3 channels, weight expects 6 \(2 groups of 3\)"),
        ((X, W, None, 1, 0, 1, 0), ValueError, r"groups must be >= 1"),
        (
            (X, W, None, 1, 0, 1, 1, "fft"),
            ValueError,
            r"algorithm must be one of auto, direct, winograd, winograd24, winograd4, im2col",
        ),
        ((X, W[:, :, :0]), ValueError, r"weight must not be empty"),
        ((X[:, :, :0], W, None, 1, 5), ValueError, r"the padded image"),
    ],
)
def test_conv2d_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match="conv2d: .*" + words):
        F.conv2d(*arguments)


def test_conv2d_backward_rejects_a_gradient_of_another_shape():
    with pytest.raises(ValueError, match=r"dy must have shape \(2, 4, 6, 6\). Received: dy.shape=\(2, 4, 8, 8\)"):
        F.conv2d_backward(np.zeros((2, 4, 8, 8), np.float32), X, W)


def test_conv2d_layer_gives_the_gradients_of_its_function(rng):
    layer = nn.Conv2d(3, 5, 3, stride=2, padding=1)
    x = rng.standard_normal((2, 3, 7, 7)).astype(np.float32)
    y = layer(x)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    expected = F.conv2d_backward(dy, x, layer.weight.data, 2, 1)
    np.testing.assert_array_equal(layer.backward(dy), expected[0])
    np.testing.assert_array_equal(layer.weight.grad, expected[1])
    np.testing.assert_array_equal(layer.bias.grad, expected[2])
    layer.backward(dy)  # gradients add up until zero_grad
    np.testing.assert_array_equal(layer.weight.grad, 2 * expected[1])


def test_conv2d_layer_skips_what_nobody_needs(rng):
    layer = nn.Conv2d(3, 5, 3, bias=False)
    layer.input_grad = False
    layer.weight.requires_grad = False
    y = layer(rng.standard_normal((2, 3, 7, 7)).astype(np.float32))
    assert layer.backward(y) is None
    assert layer.weight.grad is None


def test_conv2d_layer_state_round_trips(rng):
    first, second = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 3)
    x = rng.standard_normal((2, 3, 7, 7)).astype(np.float32)
    assert (first(x) != second(x)).any()
    assert list(first.state_dict()) == ["weight", "bias"]
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(first(x), second(x))


def test_conv2d_layer_weights_fill_their_interval():
    layer = nn.Conv2d(16, 64, 3)
    bound = 1 / np.sqrt(16 * 9)
    assert 0.99 * bound < layer.weight.data.max() <= bound
    assert -bound <= layer.weight.data.min() < -0.99 * bound
    assert layer.weight.data.dtype == np.float32


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"algorithm": "fft"},
            "algorithm must be one of auto, direct, winograd, winograd24, winograd4, im2col. Received: 'fft'",
        ),
        ({"padding": "full"}, "padding must be integers, 'same' or 'valid'. Received: 'full'"),
    ],
)
def test_conv2d_layer_is_told_at_once_what_cannot_be(settings, words):
    with pytest.raises(ValueError, match="Conv2d: " + words):
        nn.Conv2d(3, 4, 3, **settings)


def test_conv2d_layer_rejects_channels_that_groups_do_not_divide():
    with pytest.raises(ValueError, match=r"Conv2d: groups must divide the channels"):
        nn.Conv2d(3, 4, 3, groups=2)


# What a plan decides: (n, c_in, size, c_out, kernel, settings) and the ways of its three directions.
WAYS = [
    ((8, 16, 12, 16, 3, {"padding": 1, "algorithm": "direct"}), ("in runs", "in runs", "in runs")),
    ((128, 64, 32, 64, 3, {"padding": 1}), ("in tiles", "in tiles", "in tiles")),
    ((1, 16, 12, 16, 3, {"stride": 2}), ("gathered", "gathered", "in runs")),
    ((8, 16, 12, 16, 3, {"algorithm": "im2col"}), ("gathered", "gathered", "in runs")),
    ((8, 3, 12, 16, 5, {}), ("in planes", "in runs", "in planes")),
    ((8, 12, 12, 12, 3, {"groups": 12}), ("by channel", "by channel", "by channel")),
    ((8, 16, 12, 16, 3, {"groups": 4}), ("by channel", "by channel", "by channel")),
    ((4, 320, 2, 380, 3, {"padding": 1}), ("of few rows", "in runs", "in runs")),
    ((16, 20, 1, 20, 1, {}), ("of few rows", "of few rows", "in runs")),
    ((2, 20, 2, 20, 1, {}), ("of few rows", "of few rows", "of few rows")),
    ((17, 20, 1, 20, 1, {}), ("in runs", "in runs", "in runs")),
]


@pytest.mark.parametrize(("case", "expected"), WAYS)
def test_conv2d_goes_the_way_that_its_shape_calls_for(case, expected):
    n, c_in, size, c_out, kernel, settings = case
    shapes = (n, c_in, size, size), (c_out, c_in // settings.get("groups", 1), kernel, kernel)
    assert tuple(explain(*shapes, **settings, direction=direction).way for direction in DIRECTIONS) == expected


def test_conv2d_way_that_is_explained_is_the_one_that_runs():
    seen = []

    class Watcher(Observer):
        def kernel(self, name, plan=None):
            seen.append((plan.algorithm, plan.way))

    for algorithm in ("auto", "direct", "im2col"):
        seen.clear()
        with observing(Watcher()):
            F.conv2d(np.ones((1, 2, 4, 4)), np.ones((3, 2, 3, 3)), algorithm=algorithm)
        found = explain((1, 2, 4, 4), (3, 2, 3, 3), algorithm=algorithm)
        assert seen == [(found.algorithm, found.way)]
        assert found.why


def test_conv2d_explains_what_it_cannot_plan():
    assert explain((0, 2, 4, 4), (3, 2, 3, 3)) == ("direct", "direct: no images", "in runs")
    with fastnn.backend("reference"), pytest.raises(RuntimeError, match="computes by the definition alone"):
        explain((1, 2, 4, 4), (3, 2, 3, 3))


@pytest.mark.parametrize(("n", "size", "few"), [(1, 4, True), (4, 2, True), (2, 4, False), (5, 2, False)])
def test_conv2d_of_few_results_reads_many_weights_once(n, size, few, rng):
    x = rng.standard_normal((n, 320, size, size)).astype(np.float32)
    weight = rng.standard_normal((380, 320, 3, 3)).astype(np.float32)
    found = explain(x.shape, weight.shape, padding=1)
    assert (found.way == "of few rows") == few
    assert explain(x.shape, weight[:190].shape, padding=1).way != "of few rows"
    if few:
        assert found.why == "direct: only 16 results of each filter, so that reading the weights takes the time"
    magnitude = F.conv2d(abs(x), abs(weight), padding=1)
    assert_close(F.conv2d(x, weight, padding=1), from_reference(F.conv2d, x, weight, padding=1), 320 * 9, magnitude)
    for direction in ("backward_data", "backward_weight"):
        assert explain(x.shape, weight.shape, padding=1, direction=direction).way != "of few rows"


@pytest.mark.parametrize(
    ("size", "kernel", "settings"),
    [
        ((7, 7), (3, 3), {"padding": 1}),
        ((4, 5), (3, 3), {"padding": 2}),
        ((7, 6), (3, 3), {"padding": 1, "stride": 2}),
        ((5, 8), (2, 5), {"padding": (0, 2), "stride": (1, 3)}),
        ((8, 8), (3, 3), {"padding": 2, "dilation": 2, "groups": 2}),
        ((1, 1), (3, 3), {"padding": 3}),
        ((3, 2), (1, 1), {"padding": 2}),
        ((6, 6), (2, 2), {"padding": "same"}),
        ((4, 4), (4, 4), {"padding": "same", "groups": 8}),
        ((6, 9), (3, 3), {}),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conv2d_of_one_image_has_the_bits_of_that_image_in_a_batch(isa, size, kernel, settings, dtype, rng):
    """A few rows of a map are computed with zeros beside the image, many without taps on padding."""
    c_in, c_out = 24, 40
    x = rng.standard_normal((70, c_in, *size)).astype(dtype)
    weight = rng.standard_normal((c_out, c_in // settings.get("groups", 1), *kernel)).astype(dtype)
    bias = rng.standard_normal(c_out).astype(dtype)
    batch = F.conv2d(x, weight, bias, **settings, algorithm="direct")
    for n in (1, 2, 5):
        np.testing.assert_array_equal(F.conv2d(x[:n], weight, bias, **settings, algorithm="direct"), batch[:n])


@pytest.mark.parametrize("size", [(7, 7), (4, 5), (9, 8)])
def test_conv2d_of_one_image_with_many_channels_has_the_bits_of_that_image_in_a_batch(isa, size, rng):
    """The weights are used in slices: of a few rows, each slice for several rows of the map before the next."""
    x = rng.standard_normal((40, 350, *size)).astype(np.float32)
    weight = rng.standard_normal((75, 350, 3, 3)).astype(np.float32)
    batch = F.conv2d(x, weight, padding=1, algorithm="direct")
    for n in (1, 3):
        np.testing.assert_array_equal(F.conv2d(x[:n], weight, padding=1, algorithm="direct"), batch[:n])
    x, weight = x[:1].astype(np.float64), weight.astype(np.float64)
    exact = from_reference(F.conv2d, x, weight, padding=1)
    magnitude = from_reference(F.conv2d, abs(x), abs(weight), padding=1)
    assert_close(batch[:1], exact.astype(np.float32), weight[0].size, magnitude)


@pytest.mark.parametrize(
    ("algorithm", "groups"),
    [("winograd", 1), ("winograd24", 1), ("winograd4", 1), *itertools.product(["direct", "im2col"], [1, 2, 4])],
)
def test_conv2d_backward_adds_the_addend_where_it_stores(isa, algorithm, groups, rng):
    x, weight = rng.standard_normal((3, 4, 7, 6)), rng.standard_normal((4, 4 // groups, 3, 3))
    dy, addend = rng.standard_normal((3, 4, 7, 6)), rng.standard_normal(x.shape)
    settings = {"padding": 1, "groups": groups, "algorithm": algorithm, "need_dweight": False, "need_dbias": False}
    alone = F.conv2d_backward(dy, x, weight, **settings)[0]
    before = addend.copy()
    np.testing.assert_array_equal(F.conv2d_backward(dy, x, weight, **settings, addend=addend)[0], alone + addend)
    np.testing.assert_array_equal(addend, before)
    assert F.conv2d_backward(dy, x, weight, **{**settings, "need_dx": False}, addend=addend)[0] is None


def test_conv2d_backward_refuses_an_addend_that_does_not_fit():
    dy, x, weight = np.zeros((1, 2, 4, 4)), np.zeros((1, 3, 4, 4)), np.zeros((2, 3, 1, 1))
    with pytest.raises(ValueError, match=r"addend and x must have the same shape.*addend.shape=\(1, 3, 4, 5\)"):
        F.conv2d_backward(dy, x, weight, addend=np.zeros((1, 3, 4, 5)))
    with pytest.raises(TypeError, match=r"addend\.dtype=float32"):
        F.conv2d_backward(dy, x, weight, addend=np.zeros((1, 3, 4, 4), np.float32))


def test_conv2d_of_one_pixel_whose_filter_reads_padding_only_is_the_bias(isa):
    x, weight, bias = np.full((2, 3, 1, 1), 5.0), np.ones((4, 3, 1, 1)), np.arange(4.0)
    y = F.conv2d(x, weight, bias, stride=3, padding=1)
    np.testing.assert_array_equal(y, np.broadcast_to(bias[:, None, None], (2, 4, 1, 1)))
