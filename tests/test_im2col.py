"""im2col and col2im against the NumPy twin, loops and each other; convolution through them against the direct one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, seeds

import fastnn
from fastnn import functional as F

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def patches(draw):
    """(shape of x, keyword arguments) of patches that fit."""
    kwargs = {
        "kernel_size": draw(pairs),
        "stride": draw(pairs),
        "padding": draw(st.tuples(st.integers(0, 4), st.integers(0, 4))),  # also taps that never reach the image
        "dilation": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
    }
    reach = [d * (k - 1) + 1 for k, d in zip(kwargs["kernel_size"], kwargs["dilation"], strict=True)]
    least = [max(1, r - 2 * p) for r, p in zip(reach, kwargs["padding"], strict=True)]
    image = [draw(st.integers(m, m + 5)) for m in least]
    return (draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 5, 17])), *image), kwargs


def integers(shape, dtype, seed):
    """Sums of these are exact."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


@given(case=patches(), dtype=dtypes, seed=seeds)
def test_im2col_matches_reference(isa, case, dtype, seed):
    shape, kwargs = case
    x = integers(shape, dtype, seed)
    columns = F.im2col(x, **kwargs)
    np.testing.assert_array_equal(columns, from_reference(F.im2col, x, **kwargs))
    other = integers(columns.shape, dtype, seed + 1)
    summed = F.col2im(other, shape[2:], **kwargs)
    np.testing.assert_array_equal(summed, from_reference(F.col2im, other, shape[2:], **kwargs))
    assert columns.dtype == summed.dtype == dtype


@given(case=patches(), seed=seeds)
def test_im2col_reference_matches_loops(case, seed):
    shape, kwargs = case
    x = integers(shape, np.float64, seed)
    columns = from_reference(F.im2col, x, **kwargs)
    (kernel_h, kernel_w), (stride_h, stride_w) = kwargs["kernel_size"], kwargs["stride"]
    (pad_h, pad_w), (dilation_h, dilation_w) = kwargs["padding"], kwargs["dilation"]
    w_out = (shape[3] + 2 * pad_w - dilation_w * (kernel_w - 1) - 1) // stride_w + 1
    for n, row, column in np.ndindex(columns.shape):
        c, p, q = row // (kernel_h * kernel_w), row // kernel_w % kernel_h, row % kernel_w
        h = column // w_out * stride_h - pad_h + p * dilation_h
        w = column % w_out * stride_w - pad_w + q * dilation_w
        inside = 0 <= h < shape[2] and 0 <= w < shape[3]
        assert columns[n, row, column] == (x[n, c, h, w] if inside else 0)


@given(case=patches(), seed=seeds)
def test_im2col_and_col2im_are_adjoint(case, seed):
    """sum(im2col(x) * columns) == sum(x * col2im(columns)), exactly for integers."""
    shape, kwargs = case
    x = integers(shape, np.float64, seed)
    columns = integers(F.im2col(x, **kwargs).shape, np.float64, seed + 1)
    assert np.sum(F.im2col(x, **kwargs) * columns) == np.sum(x * F.col2im(columns, shape[2:], **kwargs))


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_im2col_accepts_any_layout(layout, rng):
    x = rng.standard_normal((3, 5, 4, 6)).astype(np.float32)
    given = layouts(x)[layout]
    before = given.copy()
    columns = F.im2col(x, 3, padding=1)
    np.testing.assert_array_equal(F.im2col(given, 3, padding=1), columns)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(
        F.col2im(layouts(columns)[layout], (4, 6), 3, padding=1), F.col2im(columns, (4, 6), 3, padding=1)
    )


def test_im2col_accepts_pixel_major_images(rng):
    y = F.max_pool2d(rng.standard_normal((3, 5, 4, 6)), 2)
    np.testing.assert_array_equal(F.im2col(y, 2), F.im2col(np.ascontiguousarray(y), 2))


def test_im2col_same_bits_on_any_threads(rng):
    x = rng.standard_normal((6, 16, 20, 20)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        columns = F.im2col(x, 3, padding=1)
        results.append((columns, F.col2im(columns, (20, 20), 3, padding=1)))
    for columns, images in results[1:]:
        np.testing.assert_array_equal(columns, results[0][0])
        np.testing.assert_array_equal(images, results[0][1])


def test_im2col_empty_batch():
    columns = F.im2col(np.zeros((0, 3, 4, 4), np.float32), 2)
    assert columns.shape == (0, 12, 9)
    assert F.col2im(columns, 4, 2).shape == (0, 3, 4, 4)


def test_im2col_rejects_bad_input():
    with pytest.raises(ValueError, match=r"im2col: x has 3 dimensions"):
        F.im2col(np.zeros((1, 2, 3)), 2)
    with pytest.raises(ValueError, match=r"im2col: the patches are larger than the padded image"):
        F.im2col(np.zeros((1, 1, 2, 2)), 3)
    with pytest.raises(ValueError, match=r"im2col: stride must be one or two integers >= 1"):
        F.im2col(np.zeros((1, 1, 2, 2)), 1, stride=0)
    with pytest.raises(TypeError, match=r"int64.*astype"):
        F.im2col(np.zeros((1, 1, 2, 2), int), 1)
    with pytest.raises(ValueError, match=r"col2im: columns must have shape \(N, C \* 4, 9\)"):
        F.col2im(np.zeros((1, 4, 8)), 4, 2)
    with pytest.raises(ValueError, match=r"col2im: columns must have shape \(N, C \* 4, 9\)"):
        F.col2im(np.zeros((1, 5, 9)), 4, 2)
    with pytest.raises(ValueError, match=r"col2im: columns has 2 dimensions"):
        F.col2im(np.zeros((4, 9)), 4, 2)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_im2col_and_col2im_of_tensors_are_the_gradients_of_each_other(backend, rng):
    x, kwargs = rng.standard_normal((2, 3, 5, 4)), {"kernel_size": (2, 3), "stride": (1, 2), "padding": 1}
    with fastnn.backend(backend):
        columns = F.im2col(x, **kwargs)
        images, other = fastnn.tensor(x, requires_grad=True), rng.standard_normal(columns.shape)
        y = F.im2col(images, **kwargs)
        np.testing.assert_array_equal(y.data, columns)
        y.backward(other)
        summed = F.col2im(other, (5, 4), **kwargs)
        np.testing.assert_array_equal(images.grad, summed)
        patches = fastnn.tensor(other, requires_grad=True)
        y = F.col2im(patches, (5, 4), **kwargs)
        np.testing.assert_array_equal(y.data, summed)
        y.backward(x)
        np.testing.assert_array_equal(patches.grad, columns)


@st.composite
def convolutions(draw):
    """(shape of x, shape of weight, keyword arguments) of convolutions that fit, with groups and uneven 'same'."""
    groups = draw(st.integers(1, 3))
    kernel = draw(pairs)
    kwargs = {"dilation": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))), "groups": groups}
    if draw(st.booleans()):
        kwargs["padding"] = "same"
        kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    else:
        kwargs |= {"padding": draw(st.tuples(st.integers(0, 2), st.integers(0, 2))), "stride": draw(pairs)}
    c_in, c_out = groups * draw(st.sampled_from([1, 3, 17])), groups * draw(st.sampled_from([1, 4, 19]))
    shape = (draw(st.integers(1, 3)), c_in, draw(st.integers(7, 9)), draw(st.integers(7, 9)))
    return shape, (c_out, c_in // groups, *kernel), kwargs


@given(case=convolutions(), dtype=dtypes, seed=seeds)
def test_im2col_convolution_matches_direct_and_reference(isa, case, dtype, seed):
    x_shape, weight_shape, kwargs = case
    rng = np.random.default_rng(seed)
    x, weight, bias = (rng.standard_normal(s).astype(dtype) for s in (x_shape, weight_shape, weight_shape[:1]))
    y = F.conv2d(x, weight, bias, algorithm="im2col", **kwargs)
    dy = rng.standard_normal(y.shape).astype(dtype)
    gradients = F.conv2d_backward(dy, x, weight, algorithm="im2col", **kwargs)

    kwargs["algorithm"] = "direct"
    sizes = F.conv2d(abs(x), abs(weight), abs(bias), **kwargs)
    gradient_sizes = F.conv2d_backward(abs(dy), abs(x), abs(weight), **kwargs)
    taps, pixels = int(np.prod(weight_shape[1:])), int(np.prod(y.shape)) // y.shape[1]
    terms = (weight_shape[0] * weight_shape[2] * weight_shape[3], pixels, pixels)
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            assert_close(y, F.conv2d(x, weight, bias, **kwargs), taps + 1, sizes)
            expected = F.conv2d_backward(dy, x, weight, **kwargs)
        for actual, wanted, count, magnitude in zip(gradients, expected, terms, gradient_sizes, strict=True):
            assert_close(actual, wanted, count, magnitude)


def test_im2col_convolution_same_bits_on_any_threads(isa, rng):
    x = rng.standard_normal((16, 18, 16, 16)).astype(np.float32)
    weight = rng.standard_normal((22, 9, 3, 3)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        y = F.conv2d(x, weight, padding=1, groups=2, algorithm="im2col")
        results.append((y, *F.conv2d_backward(y, x, weight, padding=1, groups=2, algorithm="im2col")))
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(one, other)


def test_im2col_convolution_more_taps_than_one_kernel_call(isa, rng):
    """Every input pixel lies in 81 patches."""
    x, weight = rng.standard_normal((2, 3, 12, 12)), rng.standard_normal((4, 3, 9, 9))
    y = F.conv2d(x, weight, padding=4, algorithm="im2col")
    dx, _, _ = F.conv2d_backward(y, x, weight, padding=4, algorithm="im2col")
    expected, _, _ = F.conv2d_backward(y, x, weight, padding=4)
    magnitude, _, _ = F.conv2d_backward(abs(y), x, abs(weight), padding=4)
    assert_close(dx, expected, 4 * 81, magnitude)


def test_im2col_convolution_computes_only_what_is_needed(rng):
    x, weight = rng.standard_normal((2, 3, 5, 5)), rng.standard_normal((4, 3, 3, 3))
    dy = rng.standard_normal((2, 4, 3, 3))
    dx, dweight, dbias = F.conv2d_backward(dy, x, weight, algorithm="im2col", need_dx=False, need_dweight=False)
    assert dx is None
    assert dweight is None
    assert_close(dbias, dy.sum(axis=(0, 2, 3)), 18, abs(dy).sum(axis=(0, 2, 3)))


def test_im2col_convolution_empty_batch():
    assert F.conv2d(np.zeros((0, 3, 5, 5)), np.ones((4, 3, 3, 3)), algorithm="im2col").shape == (0, 4, 3, 3)


@pytest.mark.torch
@given(case=patches(), seed=seeds)
def test_im2col_matches_torch(case, seed):
    import torch

    shape, kwargs = case
    x = integers(shape, np.float64, seed)
    columns = torch.nn.functional.unfold(torch.tensor(x), **kwargs)
    np.testing.assert_array_equal(F.im2col(x, **kwargs), columns.numpy())
    images = torch.nn.functional.fold(columns, shape[2:], **kwargs)
    np.testing.assert_array_equal(F.col2im(columns.numpy(), shape[2:], **kwargs), images.numpy())
