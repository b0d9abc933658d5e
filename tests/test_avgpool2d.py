"""Average pooling: C against the NumPy twin, the twin against loops, PyTorch's divisors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

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
        "ceil_mode": draw(st.booleans()),
        "count_include_pad": draw(st.booleans()),
    }
    # N * C crosses the vectors of every ISA: one lane, a partial vector, blocks of four vectors and a rest.
    shape = (draw(st.integers(1, 3)), draw(st.sampled_from([1, 3, 5, 16, 31, 67])))
    return (*shape, draw(st.integers(4, 9)), draw(st.integers(4, 9))), kwargs


def random_images(shape, dtype, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def loops(x, kernel_size, stride, padding, ceil_mode, count_include_pad):
    """The mean of every window, pixel by pixel."""
    steps = stride or kernel_size
    starts = []
    for axis in (0, 1):
        size, k, s, p = x.shape[2 + axis], kernel_size[axis], steps[axis], padding[axis]
        positions = range(-p, size, s)  # ceil_mode: every window that starts before the end of the image
        starts.append([a for a in positions if a + k <= size + p or (ceil_mode and a + k - s < size + p)])
    y = np.zeros((*x.shape[:2], len(starts[0]), len(starts[1])), x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        total, in_image, in_padded = 0.0, 0, 0
        for h in range(starts[0][i], starts[0][i] + kernel_size[0]):
            for w in range(starts[1][j], starts[1][j] + kernel_size[1]):
                in_padded += h < x.shape[2] + padding[0] and w < x.shape[3] + padding[1]
                if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
                    in_image += 1
                    total += x[n, c, h, w]
        y[n, c, i, j] = total / (in_padded if count_include_pad else in_image)
    return y


@given(pooling=poolings(), dtype=dtypes, seed=seeds)
def test_avgpool2d_matches_reference(isa, pooling, dtype, seed):
    shape, kwargs = pooling
    x = random_images(shape, dtype, seed)
    y = F.avg_pool2d(x, **kwargs)
    terms = kwargs["kernel_size"][0] * kwargs["kernel_size"][1]
    assert_close(y, from_reference(F.avg_pool2d, x, **kwargs), terms, from_reference(F.avg_pool2d, abs(x), **kwargs))
    dy = random_images(y.shape, dtype, seed + 1)
    backward = F.avg_pool2d_backward
    magnitude = from_reference(backward, abs(dy), shape, **kwargs)
    assert_close(backward(dy, shape, **kwargs), from_reference(backward, dy, shape, **kwargs), terms + 2, magnitude)


@given(pooling=poolings(), seed=seeds)
def test_avgpool2d_reference_matches_loops(pooling, seed):
    (_, _, h, w), kwargs = pooling
    x = random_images((1, 2, h, w), np.float64, seed)
    terms = kwargs["kernel_size"][0] * kwargs["kernel_size"][1]
    assert_close(from_reference(F.avg_pool2d, x, **kwargs), loops(x, **kwargs), terms, loops(abs(x), **kwargs))


@given(pooling=poolings(), seed=seeds)
def test_avgpool2d_backward_is_the_adjoint(isa, pooling, seed):
    """sum(pool(x) * dy) == sum(x * backward(dy)) for a linear operation."""
    shape, kwargs = pooling
    x = random_images(shape, np.float64, seed)
    y = F.avg_pool2d(x, **kwargs)
    dy = random_images(y.shape, np.float64, seed + 1)
    one, other = np.sum(y * dy), np.sum(x * F.avg_pool2d_backward(dy, shape, **kwargs))
    assert abs(one - other) <= 1e-13 * np.sum(F.avg_pool2d(abs(x), **kwargs) * abs(dy)) + 1e-300


@pytest.mark.parametrize("kwargs", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}])
def test_avgpool2d_same_bits_on_any_threads(isa, kwargs, rng):
    x = rng.standard_normal((40, 67, 20, 19)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        y = F.avg_pool2d(x, **kwargs)
        results.append((y, F.avg_pool2d_backward(y, x.shape, **kwargs)))
    for y, dx in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(dx, results[0][1])


def test_avgpool2d_large_windows(isa, rng):
    """More pixels than one kernel call takes."""
    x = rng.standard_normal((2, 37, 18, 17))
    y = F.avg_pool2d(x, (15, 9), 1)
    assert_close(y, from_reference(F.avg_pool2d, x, (15, 9), 1), 135, F.avg_pool2d(abs(x), (15, 9), 1))
    dx, twin = (call(F.avg_pool2d_backward, y, x.shape, (15, 9), 1) for call in (lambda f, *a: f(*a), from_reference))
    assert_close(dx, twin, 135, from_reference(F.avg_pool2d_backward, abs(y), x.shape, (15, 9), 1))


def test_avgpool2d_mean_of_equal_values_is_exact(isa):
    x = np.full((1, 5, 9, 9), 3, np.float32)
    np.testing.assert_array_equal(F.avg_pool2d(x, 3), np.full((1, 5, 3, 3), 3, np.float32))


def test_avgpool2d_gradient_is_numeric_gradient(isa, rng):
    x = rng.standard_normal((2, 3, 5, 6))
    layer = nn.AvgPool2d(3, 2, 1)
    dy = rng.standard_normal(layer(x).shape)
    # The function is linear: a long step loses no accuracy to curvature.
    assert relative_error(layer.backward(dy), numeric_gradient(lambda: layer(x), x, dy, step=0.1)) < 1e-8


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_avgpool2d_accepts_any_layout(layout, rng):
    x = rng.standard_normal((3, 5, 4, 6)).astype(np.float32)
    given = layouts(x)[layout]
    before = given.copy()
    y = F.avg_pool2d(given, 2)
    np.testing.assert_array_equal(y, F.avg_pool2d(x, 2))
    np.testing.assert_array_equal(given, before)
    dy = np.ascontiguousarray(y)
    np.testing.assert_array_equal(
        F.avg_pool2d_backward(layouts(dy)[layout], x.shape, 2), F.avg_pool2d_backward(y, x.shape, 2)
    )


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4)])
def test_avgpool2d_empty_batch(shape):
    layer = nn.AvgPool2d(2)
    y = layer(np.zeros(shape, np.float32))
    assert y.shape == (*shape[:2], 2, 2)
    assert layer.backward(y).shape == shape


def test_avgpool2d_layer_has_no_state():
    assert nn.AvgPool2d(2).state_dict() == {}
    assert repr(nn.AvgPool2d(3, 2, 1)) == "AvgPool2d(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))"


@pytest.mark.parametrize(
    ("x", "kwargs", "error", "words"),
    [
        (np.zeros((3, 4, 4)), {}, ValueError, r"x has 3 dimensions, 4 are needed"),
        (np.zeros((1, 1, 4, 4), int), {}, TypeError, r"int64.*astype"),
        (np.zeros((1, 1, 1, 4)), {}, ValueError, r"reaches over 2 pixels, the padded image has only 1"),
        (np.zeros((1, 1, 4, 4)), {"padding": 2}, ValueError, r"at most half of kernel_size"),
        (np.zeros((1, 1, 4, 4)), {"stride": (1, 2, 3)}, ValueError, r"one or two integers >= 1"),
    ],
)
def test_avgpool2d_rejects_bad_input(x, kwargs, error, words):
    with pytest.raises(error, match="avg_pool2d: .*" + words):
        F.avg_pool2d(x, 2, **kwargs)


def test_avgpool2d_backward_rejects_other_shapes():
    with pytest.raises(ValueError, match=r"avg_pool2d_backward: dy must have shape \(1, 1, 2, 2\)"):
        F.avg_pool2d_backward(np.zeros((1, 1, 3, 2)), (1, 1, 4, 4), 2)


@pytest.mark.torch
@given(pooling=poolings(), dtype=dtypes, seed=seeds)
def test_avgpool2d_matches_torch(pooling, dtype, seed):
    import torch

    shape, kwargs = pooling
    x = random_images(shape, dtype, seed)
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = torch.nn.functional.avg_pool2d(x_torch, **kwargs)
    layer = nn.AvgPool2d(**kwargs)
    terms = kwargs["kernel_size"][0] * kwargs["kernel_size"][1]
    assert_close(layer(x), y_torch.detach().numpy(), terms, F.avg_pool2d(abs(x), **kwargs))
    dy = random_images(y_torch.shape, dtype, seed + 1)
    y_torch.backward(torch.tensor(dy))
    magnitude = F.avg_pool2d_backward(abs(dy), shape, **kwargs)
    assert_close(layer.backward(dy), x_torch.grad.numpy(), terms + 2, magnitude)


@pytest.mark.parametrize("input_size", [1, None, "2244", 4.0, object(), {2: 2}, np.ones((2, 2), int), [[2], [2, 4]]])
def test_avgpool2d_backward_of_no_shape_names_it(input_size):
    for backward in (F.avg_pool2d_backward, F.adaptive_avg_pool2d_backward):
        arguments = (2,) if backward is F.avg_pool2d_backward else ()
        with pytest.raises(TypeError, match=r"avg_pool2d_backward: input_size must be "):
            backward(np.ones((2, 2, 2, 2)), input_size, *arguments)


def test_avgpool2d_flags_are_booleans():
    x = np.ones((1, 1, 4, 4))
    for name in ("ceil_mode", "count_include_pad"):
        with pytest.raises(TypeError, match=f"^avg_pool2d: {name} must be True or False. Received: "):
            F.avg_pool2d(x, 2, **{name: np.ones(3)})
    with pytest.raises(TypeError, match=r"^max_pool2d: return_indices must be True or False. Received: 'no'"):
        F.max_pool2d(x, 2, return_indices="no")
