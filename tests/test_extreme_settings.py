"""Settings that no array bounds: a right result, or an error that names the function; never a crash, or gigabytes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracle import assert_close

import fastnn
from fastnn import functional as F
from fastnn import nn

SCRIPT = Path(__file__).with_name("extreme_settings.py")


def test_extreme_settings_of_every_function_and_layer():
    """Thousands of calls; the last line of a process that crashed is the call."""
    command = [sys.executable, "-W", "error", str(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"ended with {done.returncode} in {lines[-1]}: {done.stderr}"
    assert not [line for line in lines if line.startswith("WRONG")][:5]
    assert int(lines[-1].removeprefix("calls: ")) > 7_000


@pytest.fixture(params=["native", "reference"])
def _backend(request):
    with fastnn.backend(request.param):
        yield


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("reach", [10**8, 2**31 - 1])
@pytest.mark.parametrize("algorithm", ["auto", "direct", "im2col"])
def test_extreme_dilation_leaves_the_middle_tap_of_a_convolution(reach, algorithm, rng):
    x, weight = rng.standard_normal((2, 3, 5, 4)), rng.standard_normal((2, 3, 3, 3))
    settings = {"padding": reach, "dilation": reach, "algorithm": algorithm}
    middle = np.ascontiguousarray(weight[:, :, 1:2, 1:2])
    y = F.conv2d(x, weight, **settings)
    assert_close(y, F.conv2d(x, middle), terms=3)
    dx, dweight, _ = F.conv2d_backward(y, x, weight, **settings)
    expected_dx, expected_dweight, _ = F.conv2d_backward(y, x, middle)
    assert_close(dx, expected_dx, terms=3)
    assert_close(dweight[:, :, 1:2, 1:2], expected_dweight, terms=40)
    assert np.count_nonzero(dweight) == np.count_nonzero(expected_dweight)


@pytest.mark.parametrize("stride", [10**8, 2**31 - 1])
@pytest.mark.parametrize("channels", [3, 16])
def test_extreme_stride_leaves_the_first_pixel_and_takes_no_memory_for_the_others(stride, channels, rng):
    x, weight = rng.standard_normal((2, channels, 6, 7)), rng.standard_normal((4, channels, 5, 4))
    first = x[:, :, :5, :4]
    y = F.conv2d(x, weight, stride=stride)
    assert y.shape == (2, 4, 1, 1)
    assert_close(y, F.conv2d(first, weight), terms=20 * channels, magnitude=F.conv2d(abs(first), abs(weight)))
    dx, dweight, _ = F.conv2d_backward(y, x, weight, stride=stride)
    expected_dx, expected_dweight, _ = F.conv2d_backward(y, np.ascontiguousarray(first), weight)
    assert_close(dx[:, :, :5, :4], expected_dx, terms=4, magnitude=np.full_like(first, 40 * channels))
    assert not dx[:, :, 5:].any()
    assert not dx[:, :, :, 4:].any()
    assert_close(dweight, expected_dweight, terms=4, magnitude=np.full_like(weight, 40 * channels))


@pytest.mark.parametrize("name", ["stride", "padding", "dilation"])
@pytest.mark.parametrize("value", [2**31, 2**61, 2**64, (1, 2**61), [2**61, 1]])
def test_extreme_settings_of_a_convolution_are_named(name, value):
    with pytest.raises(ValueError, match=rf"^conv2d: {name} must be <= 2147483647. Received: "):
        F.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), **{name: value})
    with pytest.raises(ValueError, match=rf"^Conv2d: {name} must be <= 2147483647. Received: "):
        nn.Conv2d(1, 1, 3, **{name: value})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: F.conv2d(x, x, padding=2**30), r"^conv2d: the result would have the shape \(1, 1, 2147483649, "),
        (lambda x: F.im2col(x, 2, padding=2**30), r"^im2col: no memory holds patches of shape \(1, 2, 2, 2147483651, "),
        (
            lambda x: F.col2im(x[0, :, :, :1], 2**30, 1, 2**30),
            r"^col2im: no memory holds images of shape \(1, 4, 1073741824, ",
        ),
        (
            lambda x: nn.Conv2d(2**30, 1, 2**20),
            r"^Conv2d: no memory holds a weight of shape \(1, 1073741824, 1048576, ",
        ),
        (lambda x: nn.Linear(2**30, 2**30), r"^Linear: no memory holds a weight of shape \(1073741824, 1073741824\)"),
        (lambda x: F.adaptive_avg_pool2d(x, 2**30), r"^adaptive_avg_pool2d: images may have 67108864 pixels"),
        (
            lambda x: F.max_pool2d_indices(x, (1, 1, 2**30, 4), 2),
            r"^max_pool2d_indices: images may have 67108864 pixels",
        ),
    ],
)
def test_extreme_results_are_refused_before_memory_is_asked_for(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.ones((1, 1, 4, 4)))


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("size", [7, 8, 9, 16, 17, 1000, 2**31 - 1])
def test_extreme_window_of_local_response_norm_holds_all_channels(size, rng):
    x, dy = rng.standard_normal((2, 4, 3, 2)), rng.standard_normal((2, 4, 3, 2))
    alpha, beta, k = 0.7 * size, 0.6, 1.5
    mean = k + 0.7 * (x * x).sum(axis=1, keepdims=True)
    assert_close(F.local_response_norm(x, size, alpha, beta, k), x * mean**-beta, terms=20)
    through = (dy * x * mean ** (-beta - 1)).sum(axis=1, keepdims=True)
    expected = dy * mean**-beta - 2 * 0.7 * beta * x * through
    assert_close(F.local_response_norm_backward(dy, x, size, alpha, beta, k), expected, terms=40)


def test_extreme_window_of_a_pooling_holds_the_whole_image(rng):
    """Its list has the pixels of the image, not the taps of the window, which are 16 million for each result."""
    x = rng.standard_normal((1, 2, 300, 1))
    y = F.max_pool2d(x, (2**24, 1), 1, (2**23, 0))
    assert y.shape == (1, 2, 301, 1)
    assert (y == x.max(axis=2, keepdims=True)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
@pytest.mark.parametrize("shift", [-(2**63), 2**63 - 1, 4, -4])
@pytest.mark.parametrize("axis", [0, 1])
def test_extreme_shift_of_a_batch_is_an_index_error(dtype, padding_mode, shift, axis):
    shifts = np.zeros((1, 2), np.int64)
    shifts[0, axis] = shift
    with pytest.raises(IndexError, match=r"^augment_batch: a shift is as large as the image"):
        F.augment_batch(np.ones((1, 1, 4, 4), dtype), [0], shifts=shifts, padding_mode=padding_mode)


@pytest.mark.parametrize("name", ["indices", "shifts", "boxes"])
def test_extreme_unsigned_numbers_of_a_batch_do_not_become_negative(name):
    """2**64 - 1 as an index would be the last image, as a bound of a box -1."""
    given = {"indices": [0], "shifts": [[0, 0]], "boxes": [[0, 0, 1, 1]]}
    given[name] = np.array(given[name], np.uint64)
    given[name][..., -1] = 2**64 - 1
    with pytest.raises(
        ValueError, match=f"^augment_batch: {name} must fit into int64. Received: .*18446744073709551615"
    ):
        F.augment_batch(np.ones((1, 1, 4, 4), np.uint8), **given)


def test_extreme_boxes_cover_the_image():
    boxes = [[-(2**63), -(2**63), 2**63 - 1, 2**63 - 1]]
    y = F.augment_batch(np.zeros((1, 1, 4, 4), np.uint8), [0], boxes=boxes, fill=0.5)
    assert (y == 0.5).all()


def test_extreme_overlap_of_windows_is_refused_before_memory_is_asked_for():
    x = np.zeros((1, 1, 20_000, 1), np.float32)
    with pytest.raises(ValueError, match=r"^avg_pool2d: the windows have \d{9} pixels along one axis, 67108864 are "):
        F.avg_pool2d(x, (10_000, 1), 1, (5_000, 0))
    assert F.avg_pool2d(x, (10_000, 1), 1000, (5_000, 0)).shape == (1, 1, 21, 1)
