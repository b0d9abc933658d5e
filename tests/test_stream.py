"""Results of 16 MiB and more are written past the caches: the same as in smaller pieces, or as those of the twin."""

import numpy as np
import pytest
from oracle import from_reference, relative_error

from fastnn import functional as F

LARGE = (64, 16, 64, 64)  # 16 MiB of float32: the least that counts
FOLDED = (1, 3, 1200, 1200)  # several pixels of three channels make a row


def in_pieces(function, *arrays):
    """The results for one part of the images after the other."""
    parts = [function(*(array[i : i + 16] for array in arrays)) for i in range(0, len(arrays[0]), 16)]
    return np.concatenate(parts)


def test_large_max_pooling_backward_is_that_of_its_parts(isa, rng):
    x = rng.standard_normal(LARGE, np.float32)
    dy = rng.standard_normal((*LARGE[:2], 32, 32), np.float32)

    def gradient(x, dy):
        taps = F.max_pool2d_taps(x, 2)[1]
        return F.max_pool2d_backward(dy, taps, x.shape, 2)

    np.testing.assert_array_equal(gradient(x, dy), in_pieces(gradient, x, dy))


@pytest.mark.parametrize("kernel_size", [3, 5])  # 25 pixels take several calls of the kernel
def test_large_average_pooling_is_that_of_its_parts(isa, kernel_size, rng):
    x, dy = (rng.standard_normal(LARGE, np.float32) for _ in range(2))

    def mean(x):
        return F.avg_pool2d(x, kernel_size, 1, kernel_size // 2)

    def gradient(dy):
        return F.avg_pool2d_backward(dy, dy.shape, kernel_size, 1, kernel_size // 2)

    np.testing.assert_array_equal(mean(x), in_pieces(mean, x))
    np.testing.assert_array_equal(gradient(dy), in_pieces(gradient, dy))


@pytest.mark.parametrize("shape", [LARGE, FOLDED])
@pytest.mark.parametrize("training", [True, False])
def test_large_batch_norm_matches_reference(isa, shape, training, rng):
    x, dy = (rng.standard_normal(shape, np.float32) for _ in range(2))
    mean, weight, bias = (rng.standard_normal(shape[1]).astype(np.float32) for _ in range(3))
    variance = rng.uniform(0.5, 2, shape[1]).astype(np.float32)
    forward = (x, mean, variance, weight, bias, training)
    actual, expected = F.batch_norm(*forward), from_reference(F.batch_norm, *forward)
    # Ten roundings of numbers of like size; statistics are sums in float64 of short ones in float32.
    assert relative_error(actual.y, expected.y) < 10 * np.finfo(np.float32).eps
    backward = (dy, x, expected.mean, expected.invstd, weight, training)
    actual, expected = F.batch_norm_backward(*backward), from_reference(F.batch_norm_backward, *backward)
    assert relative_error(actual[0], expected[0]) < 10 * np.finfo(np.float32).eps
