"""Transposed convolution: values by hand, C against the NumPy twin, and the transpose of `conv2d`."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn

small = st.integers(1, 3)
pairs = st.tuples(small, small)


@st.composite
def problems(draw):
    """Arrays of one transposed convolution, and its settings by name."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    stride, dilation = draw(pairs), draw(pairs)
    more = tuple(draw(st.integers(0, max(axis) - 1)) for axis in zip(stride, dilation, strict=True))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    c_in, c_out = draw(st.sampled_from([1, 3, 8, 17])), draw(st.sampled_from([1, 2, 7, 16, 33]))
    kernel, size = draw(pairs), draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    reach = [
        (n - 1) * s - 2 * p + d * (k - 1) + m
        for n, s, p, d, k, m in zip(size, stride, padding, dilation, kernel, more, strict=True)
    ]
    assume(min(reach) >= 0)
    dtype, rng = draw(dtypes), np.random.default_rng(draw(seeds))
    x = rng.standard_normal((draw(small), groups * c_in, *size)).astype(dtype)
    weight = rng.standard_normal((groups * c_in, c_out, *kernel)).astype(dtype)
    bias = rng.standard_normal(groups * c_out).astype(dtype)
    settings = {"stride": stride, "padding": padding, "output_padding": more, "groups": groups, "dilation": dilation}
    return (x, weight, bias), settings


def loops(x, weight, bias, stride, padding, output_padding, groups, dilation):
    """The definition, word for word."""
    (n, c_in, h, w), (_, c_out_group, kernel_h, kernel_w) = x.shape, weight.shape
    out = [
        (size - 1) * s - 2 * p + d * (k - 1) + m + 1
        for size, s, p, d, k, m in zip(
            (h, w), stride, padding, dilation, (kernel_h, kernel_w), output_padding, strict=True
        )
    ]
    y = np.zeros((n, c_out_group * groups, *out))
    for c, k, i, j, p, q in itertools.product(*map(range, (c_in, c_out_group, h, w, kernel_h, kernel_w))):
        row, column = i * stride[0] + p * dilation[0] - padding[0], j * stride[1] + q * dilation[1] - padding[1]
        if 0 <= row < out[0] and 0 <= column < out[1]:
            y[:, c // (c_in // groups) * c_out_group + k, row, column] += x[:, c, i, j] * weight[c, k, p, q]
    return y + bias[:, None, None]


def test_conv_transpose2d_by_hand():
    x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    weight = np.array([[[[1.0, 10.0], [100.0, 1000.0]]]])
    y = F.conv_transpose2d(x, weight, np.array([0.5]), stride=2)
    expected = np.kron(x[0, 0], weight[0, 0]) + 0.5  # the copies of the filter stand side by side
    np.testing.assert_array_equal(y[0, 0], expected)
    np.testing.assert_array_equal(F.conv_transpose2d(x, weight, stride=2, padding=1)[0, 0], [[1000, 200], [30, 4]])
    overlapping = F.conv_transpose2d(x, np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(overlapping[0, 0], [[1, 3, 2], [4, 10, 6], [3, 7, 4]])


def test_conv_transpose2d_output_padding_keeps_what_padding_cuts_off():
    x, weight = np.array([[[[1.0, 2.0]]]]), np.array([[[[1.0, 2.0, 4.0]]]])
    settings = {"stride": (1, 2), "padding": (0, 1)}
    np.testing.assert_array_equal(F.conv_transpose2d(x, weight, **settings)[0, 0], [[2, 6, 4]])
    np.testing.assert_array_equal(
        F.conv_transpose2d(x, weight, output_padding=(0, 1), **settings)[0, 0], [[2, 6, 4, 8]]
    )
    wide = F.conv_transpose2d(x, weight, stride=1, dilation=(1, 3), output_padding=(0, 2))
    np.testing.assert_array_equal(wide[0, 0], [[1, 2, 0, 2, 4, 0, 4, 8, 0, 0]])


@given(problem=problems())
def test_conv_transpose2d_reference_equals_definition(problem):
    arrays, settings = problem
    x, weight, bias = (array.astype(np.float64) for array in arrays)
    expected = loops(x, weight, bias, **settings)
    y = from_reference(F.conv_transpose2d, x, weight, bias, **settings)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13 * max(1, np.abs(expected).max()))


@given(problem=problems())
def test_conv_transpose2d_matches_reference(isa, problem):
    (x, weight, bias), settings = problem
    terms = weight.shape[0] * weight.shape[2] * weight.shape[3] + 1
    y = F.conv_transpose2d(x, weight, bias, **settings)
    magnitude = from_reference(F.conv_transpose2d, abs(x), abs(weight), abs(bias), **settings)
    assert_close(y, from_reference(F.conv_transpose2d, x, weight, bias, **settings), terms, magnitude)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
    found = F.conv_transpose2d_backward(dy, x, weight, **settings)
    twins = from_reference(F.conv_transpose2d_backward, dy, x, weight, **settings)
    magnitudes = from_reference(F.conv_transpose2d_backward, abs(dy), abs(x), abs(weight), **settings)
    for actual, expected, size in zip(found, twins, magnitudes, strict=True):
        assert_close(actual, expected, y[:, 0].size + weight[0].size, size)


@pytest.mark.parametrize("settings", [{}, {"stride": 2, "padding": 1}, {"stride": (2, 1), "dilation": 2}])
def test_conv_transpose2d_is_the_gradient_of_conv2d(settings, rng):
    """One number for both: sum(conv2d(x, w) * z) == sum(x * conv_transpose2d(z, w)), and dx is conv2d itself."""
    x, weight = rng.standard_normal((2, 4, 9, 9)), rng.standard_normal((6, 4, 3, 3))
    y = F.conv2d(x, weight, **settings)
    z = rng.standard_normal(y.shape)
    back = F.conv_transpose2d(z, weight, **settings)
    assert back.shape == x.shape
    np.testing.assert_array_equal(back, F.conv2d_backward(z, x, weight, **settings)[0])
    dz, _, dbias = F.conv_transpose2d_backward(x, z, weight, **settings)
    np.testing.assert_array_equal(dz, y)
    np.testing.assert_allclose(dbias, x.sum(axis=(0, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("groups", [1, 8])
def test_conv_transpose2d_bits_do_not_depend_on_threads(isa, dtype, groups, rng):
    layer = nn.ConvTranspose2d(32, 40, 4, 2, 1, groups=groups).astype(dtype)
    x = rng.standard_normal((9, 32, 11, 10)).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        layer.zero_grad()
        y = layer(x)
        results.append([y, layer.backward(np.cos(y)), layer.weight.grad, layer.bias.grad])
    for other in results[1:]:
        for a, b in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "winograd", "winograd24"])
def test_conv_transpose2d_follows_the_preferred_algorithm(algorithm, rng):
    x, weight = rng.standard_normal((3, 16, 9, 8)), rng.standard_normal((16, 24, 3, 3))
    expected = F.conv_transpose2d(x, weight, padding=1)
    with fastnn.conv2d_algorithm(algorithm):
        np.testing.assert_allclose(F.conv_transpose2d(x, weight, padding=1), expected, rtol=0, atol=1e-11)


def test_conv_transpose2d_result_is_pixel_major_and_read_as_it_is(rng):
    x = rng.standard_normal((2, 6, 5, 4)).astype(np.float32)
    y = F.conv_transpose2d(x, rng.standard_normal((6, 3, 2, 2)).astype(np.float32), np.ones(3, np.float32), 2)
    before = fastnn.conversions()
    F.conv2d(y, np.ones((1, 3, 3, 3), np.float32))
    assert fastnn.conversions() == before


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_conv_transpose2d_accepts_any_layout(layout, rng):
    x, weight = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((3, 4, 3, 2))
    y = F.conv_transpose2d(layouts(x)[layout], layouts(weight)[layout], stride=2)
    np.testing.assert_array_equal(y, F.conv_transpose2d(x, weight, stride=2))


def test_conv_transpose2d_computes_and_keeps_only_what_is_needed(rng):
    layer = nn.ConvTranspose2d(3, 4, 2, 2)
    layer.weight.requires_grad = False
    layer.input_grad = False
    x = rng.standard_normal((2, 3, 4, 4)).astype(np.float32)
    y = layer(x)
    assert layer.backward(y) is None
    assert layer.weight.grad is None
    np.testing.assert_allclose(layer.bias.grad, y.sum(axis=(0, 2, 3)), rtol=1e-4)
    assert F.conv_transpose2d_backward(y, x, layer.weight.data, 2, need_dx=False)[0] is None


def test_conv_transpose2d_gradient_of_tensors(rng):
    x = fastnn.tensor(rng.standard_normal((2, 3, 4, 5)), requires_grad=True)
    weight = fastnn.tensor(rng.standard_normal((3, 2, 3, 3)), requires_grad=True)
    dy = rng.standard_normal((2, 2, 9, 11))
    F.conv_transpose2d(x, weight, None, 2).backward(dy)
    dx, dweight, _ = F.conv_transpose2d_backward(dy, x.data, weight.data, 2)
    np.testing.assert_array_equal(x.grad, dx)
    np.testing.assert_array_equal(weight.grad, dweight)


def test_conv_transpose2d_gradients_are_those_of_the_arrays_as_they_were(rng):
    layer = nn.ConvTranspose2d(3, 4, 3, 2).astype(np.float64)
    x = np.ascontiguousarray(rng.standard_normal((4, 5, 2, 3))).transpose(2, 3, 0, 1)  # as the kernels read it
    dy = rng.standard_normal((2, 4, 9, 11))
    before = x.copy()
    layer(x)
    x[...] = 0
    layer.backward(dy)
    expected = F.conv_transpose2d_backward(dy, before, layer.weight.data, 2)[1]
    np.testing.assert_array_equal(layer.weight.grad, expected)


def test_conv_transpose2d_refuses_to_go_back_with_a_weight_that_was_written_into(rng):
    layer = nn.ConvTranspose2d(3, 4, 2, 2)
    y = layer(fastnn.tensor(rng.standard_normal((1, 3, 2, 2)).astype(np.float32), requires_grad=True))
    with fastnn.no_grad():
        layer.weight *= 2
    with pytest.raises(RuntimeError, match=r"^ConvTranspose2d: an array that its backward needs was written into"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            {"x": np.zeros((2, 4, 5, 5))},
            ValueError,
            r"x has 4 channels, weight expects 3. Received: x.shape=\(2, 4, 5, 5",
        ),
        ({"x": np.zeros((3, 5, 5))}, ValueError, "x has 3 dimensions, 4 are needed"),
        ({"x": np.zeros((2, 3, 5, 5), np.float32)}, TypeError, "dtypes differ"),
        ({"bias": np.zeros(3)}, ValueError, "bias needs one value for each of 4 output channels"),
        ({"groups": 2}, ValueError, "3 input channels cannot be cut into 2 groups"),
        ({"padding": 9}, ValueError, "padding leaves nothing: the result would have -11 x -11 pixels"),
        (
            {"output_padding": 1},
            ValueError,
            "output_padding must be smaller than stride or dilation. Received: output_p",
        ),
        ({"stride": 0}, ValueError, "stride must be one or two integers >= 1"),
        ({"x": np.zeros((2, 3, 0, 5))}, ValueError, "the images have no pixels"),
    ],
)
def test_conv_transpose2d_bad_arguments_are_named(arguments, error, words):
    good = {"x": np.zeros((2, 3, 5, 5)), "weight": np.zeros((3, 4, 3, 3))}
    with pytest.raises(error, match=rf"^conv_transpose2d: {words}"):
        F.conv_transpose2d(**(good | arguments))


def test_conv_transpose2d_backward_rejects_a_gradient_of_another_shape():
    with pytest.raises(ValueError, match=r"^conv_transpose2d_backward: dy must have shape \(2, 4, 7, 7\)"):
        F.conv_transpose2d_backward(np.zeros((2, 4, 5, 5)), np.zeros((2, 3, 5, 5)), np.zeros((3, 4, 3, 3)))


def test_conv_transpose2d_layer_is_described_and_checked():
    layer = nn.ConvTranspose2d(8, 6, 3, 2, 1, 1, groups=2, bias=False)
    assert repr(layer) == (
        "ConvTranspose2d(8, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1), groups=2, "
        "bias=False)"
    )
    assert {key: value.shape for key, value in layer.state_dict().items()} == {"weight": (8, 3, 3, 3)}
    assert np.abs(layer.weight.data).max() <= 1 / np.sqrt(27)
    with pytest.raises(ValueError, match=r"^ConvTranspose2d: groups must divide the channels. Received: in_channels=8"):
        nn.ConvTranspose2d(8, 5, 3, groups=2)
    with pytest.raises(ValueError, match=r"^ConvTranspose2d: output_padding must be smaller than stride or dilation"):
        nn.ConvTranspose2d(8, 5, 3, output_padding=1)
    with pytest.raises(ValueError, match=r"^ConvTranspose2d: padding_mode must be 'zeros'. Received: 'reflect'"):
        nn.ConvTranspose2d(8, 5, 3, padding_mode="reflect")
