"""The peak measurement of the benchmarks: it counts what it runs."""

import numpy as np
import pytest

from fastnn import _runtime


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_machine_fma_peak_counts_and_converges(isa, threads, dtype):
    sums, flops = np.zeros(threads, dtype), np.zeros(threads)
    _runtime._native.fma_peak(100_000, sums, flops, threads)
    lanes = {"baseline": 16, "avx2": 32, "avx512": 64}[isa] // np.dtype(dtype).itemsize
    np.testing.assert_array_equal(flops, 2.0 * lanes * 12 * 100_000)
    # x = x / 2 + 1 ends at 2, in every lane of every chain
    np.testing.assert_array_equal(sums, 2 * lanes * 12)


def test_machine_fma_peak_rejects_what_does_not_fit():
    with pytest.raises(ValueError, match="fma_peak"):
        _runtime._native.fma_peak(1, np.zeros(2, np.float32), np.zeros(1), 1)
