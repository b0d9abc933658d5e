"""Max pooling: C against the NumPy twin, the twin against loops, the rules for ties, NaN and padding."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn


@st.composite
def poolings(draw):
    """(shape of x, keyword arguments) of poolings that fit."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    kwargs = {
        "kernel_size": kernel,
        "stride": draw(st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4))),
        "padding": tuple(draw(st.integers(0, k // 2)) for k in kernel),
        "dilation": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        "ceil_mode": draw(st.booleans()),
    }
    # N * C crosses the vectors of every ISA: one lane, a partial vector, blocks of four vectors and a rest.
    shape = (draw(st.integers(1, 3)), draw(st.sampled_from([1, 3, 5, 16, 31, 67])))
    return (*shape, draw(st.integers(4, 9)), draw(st.integers(4, 9))), kwargs


def some_images(shape, dtype, seed):
    """Small integers, so that ties are frequent."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


def loops(x, kernel_size, stride, padding, dilation, ceil_mode):
    """Values and indices, pixel by pixel."""
    strides, out = stride or kernel_size, []
    for axis in (0, 1):
        positions, o = [], 0
        while True:
            start = o * strides[axis] - padding[axis]
            end = start + dilation[axis] * (kernel_size[axis] - 1)
            last_pixel = x.shape[2 + axis] + padding[axis] - 1
            if end > last_pixel and not (ceil_mode and end - strides[axis] < last_pixel):
                break
            if start >= x.shape[2 + axis]:
                break
            positions.append([start + k * dilation[axis] for k in range(kernel_size[axis])])
            o += 1
        out.append(positions)
    y = np.full((*x.shape[:2], len(out[0]), len(out[1])), -np.inf, x.dtype)
    indices = np.full(y.shape, -1, np.int64)
    for n, c, i, j in np.ndindex(y.shape):
        for h in out[0][i]:
            for w in out[1][j]:
                if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
                    value = x[n, c, h, w]
                    if indices[n, c, i, j] < 0 or value > y[n, c, i, j]:
                        y[n, c, i, j], indices[n, c, i, j] = value, h * x.shape[3] + w
    return y, indices


def pooled(x, kwargs):
    """(y, taps), or the example is dropped: a window may be larger than the padded image, which is an error."""
    try:
        return F.max_pool2d_taps(x, **kwargs)
    except ValueError as error:
        assume("reaches over" not in str(error))
        raise


@given(pooling=poolings(), dtype=dtypes, seed=seeds)
def test_maxpool2d_matches_reference(isa, pooling, dtype, seed):
    shape, kwargs = pooling
    x = some_images(shape, dtype, seed)
    y, taps = pooled(x, kwargs)
    y_twin, taps_twin = from_reference(F.max_pool2d_taps, x, **kwargs)
    np.testing.assert_array_equal(y, y_twin)
    np.testing.assert_array_equal(taps, taps_twin)
    assert y.dtype == dtype
    assert taps.dtype == taps_twin.dtype == np.uint8
    np.testing.assert_array_equal(F.max_pool2d(x, **kwargs), y)
    # Integers add up without rounding, in whatever order.
    dy = some_images(y.shape, dtype, seed + 1)
    dx = F.max_pool2d_backward(dy, taps, shape, **kwargs)
    np.testing.assert_array_equal(dx, from_reference(F.max_pool2d_backward, dy, taps, shape, **kwargs))


@given(pooling=poolings(), seed=seeds)
def test_maxpool2d_reference_matches_loops(pooling, seed):
    (_, _, h, w), kwargs = pooling
    x = some_images((1, 2, h, w), np.float64, seed)
    pooled(x, kwargs)
    y, indices = from_reference(F.max_pool2d, x, **kwargs, return_indices=True)
    y_loops, indices_loops = loops(x, **kwargs)
    np.testing.assert_array_equal(y, y_loops)
    np.testing.assert_array_equal(indices, indices_loops)


@pytest.mark.parametrize(
    "kwargs", [{"kernel_size": 2}, {"kernel_size": 3}, {"kernel_size": 3, "stride": 2, "padding": 1}]
)
def test_maxpool2d_same_bits_on_any_threads(isa, kwargs, rng):
    x = rng.standard_normal((40, 67, 20, 19)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        y, taps = F.max_pool2d_taps(x, **kwargs)
        results.append((y, taps, F.max_pool2d_backward(y, taps, x.shape, **kwargs)))
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kernel_size", [(15, 15), (16, 16), (17, 16)])
def test_maxpool2d_large_windows(isa, kernel_size, rng):
    """More taps than one kernel call takes, and than a byte counts."""
    x = rng.standard_normal((2, 37, 18, 17))
    kwargs = {"kernel_size": kernel_size, "stride": 1, "padding": (7, 3)}
    y, taps = F.max_pool2d_taps(x, **kwargs)
    assert taps.dtype == (np.uint8 if kernel_size[0] * kernel_size[1] <= 256 else np.int32)
    y_twin, taps_twin = from_reference(F.max_pool2d_taps, x, **kwargs)
    np.testing.assert_array_equal(y, y_twin)
    np.testing.assert_array_equal(taps, taps_twin)
    dy = rng.integers(-9, 9, y.shape).astype(x.dtype)
    dx = F.max_pool2d_backward(dy, taps, x.shape, **kwargs)
    np.testing.assert_array_equal(dx, from_reference(F.max_pool2d_backward, dy, taps, x.shape, **kwargs))


def test_maxpool2d_backward_tie_goes_to_first(isa):
    x = np.ones((1, 3, 2, 2), np.float32)
    y, taps = F.max_pool2d_taps(x, 2)
    dx = F.max_pool2d_backward(np.full_like(y, 5), taps, x.shape, 2)
    np.testing.assert_array_equal(dx[0, 1], [[5, 0], [0, 0]])


def test_maxpool2d_first_nan_wins(isa):
    x = np.array([1, np.nan, np.inf, np.nan], np.float32).reshape(1, 1, 2, 2)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    assert np.isnan(y).all()
    assert indices.tolist() == [[[[1]]]]


def test_maxpool2d_padding_never_wins(isa):
    x = np.full((1, 1, 3, 3), -np.inf)
    y, indices = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    np.testing.assert_array_equal(y, np.full((1, 1, 2, 2), -np.inf))
    assert indices.tolist() == [[[[0, 1], [3, 4]]]]


def test_maxpool2d_backward_writes_zero_where_no_window_is(isa):
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    y, taps = F.max_pool2d_taps(x, 1, stride=3)
    dx = F.max_pool2d_backward(np.ones_like(y), taps, x.shape, 1, stride=3)
    assert dx.sum() == 4
    assert dx[0, 0, ::3, ::3].all()


@pytest.mark.parametrize("kwargs", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}])
def test_maxpool2d_gradient_is_numeric_gradient(isa, kwargs, rng):
    x = rng.permutation(np.arange(2 * 3 * 5 * 6.0)).reshape(2, 3, 5, 6)  # no two values are within the step
    layer = nn.MaxPool2d(**kwargs)
    dy = rng.standard_normal(layer(x).shape)
    assert relative_error(layer.backward(dy), numeric_gradient(lambda: layer(x), x, dy, step=0.01)) < 1e-8


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_maxpool2d_accepts_any_layout(layout, rng):
    x = rng.standard_normal((3, 5, 4, 6)).astype(np.float32)
    given = layouts(x)[layout]
    before = given.copy()
    y, taps = F.max_pool2d_taps(given, 2)
    np.testing.assert_array_equal(y, from_reference(F.max_pool2d, x, 2))
    np.testing.assert_array_equal(given, before)
    dx = F.max_pool2d_backward(
        layouts(np.ascontiguousarray(y))[layout], layouts(np.ascontiguousarray(taps))[layout], x.shape, 2
    )
    np.testing.assert_array_equal(dx, F.max_pool2d_backward(y, taps, x.shape, 2))


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4)])
def test_maxpool2d_empty_batch(shape):
    x = np.zeros(shape, np.float32)
    layer = nn.MaxPool2d(2)
    y = layer(x)
    assert y.shape == (*shape[:2], 2, 2)
    assert layer.backward(y).shape == shape


def test_maxpool2d_layer_returns_indices(rng):
    x = rng.standard_normal((2, 3, 6, 7)).astype(np.float32)
    layer = nn.MaxPool2d(3, 2, 1, return_indices=True)
    y, indices = layer(x)
    flat = x.reshape(2, 3, -1)
    np.testing.assert_array_equal(np.take_along_axis(flat, indices.reshape(2, 3, -1), 2).reshape(y.shape), y)
    assert indices.dtype == np.int64
    assert layer.state_dict() == {}
    assert repr(nn.MaxPool2d(2)) == (
        "MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1), ceil_mode=False)"
    )


@pytest.mark.parametrize(
    ("x", "kwargs", "error", "words"),
    [
        (np.zeros((3, 4, 4)), {}, ValueError, r"x has 3 dimensions, 4 are needed"),
        (np.zeros((1, 1, 4, 4), int), {}, TypeError, r"int64.*astype"),
        (np.zeros((1, 1, 1, 4)), {}, ValueError, r"reaches over 2 pixels, the padded image has only 1"),
        (np.zeros((1, 1, 0, 4)), {}, ValueError, r"no pixels"),
        (np.zeros((1, 1, 4, 4)), {"padding": 2}, ValueError, r"at most half of kernel_size"),
        (np.zeros((1, 1, 4, 4)), {"stride": 0}, ValueError, r"stride must be one or two integers >= 1"),
        (np.zeros((1, 1, 4, 4)), {"stride": 1.5}, TypeError, r"stride must be an integer"),
    ],
)
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_maxpool2d_rejects_bad_input(backend, x, kwargs, error, words):
    with fastnn.backend(backend), pytest.raises(error, match="max_pool2d: .*" + words):
        F.max_pool2d(x, 2, **kwargs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_maxpool2d_window_on_padding_only_gives_minus_infinity(backend, dtype):
    x = np.array([[[[1, 2, 3, 4], [5, 6, 7, 8]]]], dtype)
    x = np.concatenate([x, -x], axis=1)
    with fastnn.backend(backend):
        y, indices = F.max_pool2d(x, 2, 1, 1, dilation=(3, 2), return_indices=True)
        np.testing.assert_array_equal(y, F.max_pool2d(x, 2, 1, 1, dilation=(3, 2)))
        _, taps = F.max_pool2d_taps(x, 2, 1, 1, dilation=(3, 2))
        np.testing.assert_array_equal(indices, F.max_pool2d_indices(taps, x.shape, 2, 1, 1, dilation=(3, 2)))
        dx = F.max_pool2d_backward(np.ones_like(y), taps, x.shape, 2, 1, 1, dilation=(3, 2))
    # One row of windows: it reaches over rows -1 and 2, which are both padding.
    assert y.dtype == dtype
    assert y.shape == (1, 2, 1, 4)
    assert (y == -np.inf).all()
    assert (indices == -1).all()
    assert not dx.any()


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_maxpool2d_layer_around_a_small_image_passes_no_gradient(backend, ceil_mode):
    x = np.array([[[[1.0, np.nan]]]])
    layer = nn.MaxPool2d((1, 2), 2, (0, 1), (1, 4 if ceil_mode else 3), return_indices=True, ceil_mode=ceil_mode)
    with fastnn.backend(backend):
        y, indices = layer(x)
        assert y.tolist() == [[[[-np.inf]]]]
        assert indices.tolist() == [[[[-1]]]]
        assert not layer.backward(np.ones((1, 1, 1, 1))).any()


def test_maxpool2d_backward_rejects_bad_input():
    y, taps = F.max_pool2d_taps(np.zeros((1, 1, 4, 4)), 2)
    with pytest.raises(ValueError, match=r"max_pool2d_backward: dy must have shape \(1, 1, 2, 2\)"):
        F.max_pool2d_backward(np.zeros((1, 1, 3, 2)), taps, (1, 1, 4, 4), 2)
    with pytest.raises(ValueError, match=r"taps must have shape"):
        F.max_pool2d_backward(y, taps[..., :1], (1, 1, 4, 4), 2)
    with pytest.raises(TypeError, match=r"taps must have dtype uint8. Received: int64"):
        F.max_pool2d_backward(y, taps.astype(np.int64), (1, 1, 4, 4), 2)
    with pytest.raises(ValueError, match=r"input_size must be \(N, C, H, W\)"):
        F.max_pool2d_backward(y, taps, (1, 4, 4), 2)
    # A tap that no window has moves no gradient anywhere.
    assert not F.max_pool2d_backward(y + 1, np.full_like(taps, 200), (1, 1, 4, 4), 2).any()


@pytest.mark.torch
@given(pooling=poolings(), dtype=dtypes, seed=seeds)
def test_maxpool2d_matches_torch(pooling, dtype, seed):
    import torch

    shape, kwargs = pooling
    x = some_images(shape, dtype, seed)
    pooled(x, kwargs)
    y, indices = F.max_pool2d(x, **kwargs, return_indices=True)
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch, indices_torch = torch.nn.functional.max_pool2d(x_torch, **kwargs, return_indices=True)
    np.testing.assert_array_equal(y, y_torch.detach().numpy())
    np.testing.assert_array_equal(indices, indices_torch.numpy())
    dy = some_images(y.shape, dtype, seed + 1)
    y_torch.backward(torch.tensor(dy))
    layer = nn.MaxPool2d(**kwargs)
    layer(x)
    np.testing.assert_array_equal(layer.backward(dy), x_torch.grad.numpy())
