"""The peaks that profile and benchmarks compare with: they count what they run."""

import itertools

import numpy as np
import pytest

from fastnn import _machine, _runtime

VECTOR_BYTES = {"baseline": 16, "neon": 16, "avx2": 32, "avx512": 64}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_machine_fma_peak_counts_and_converges(isa, threads, dtype):
    sums, flops = np.zeros(threads, dtype), np.zeros(threads)
    _runtime._native.fma_peak(100_000, sums, flops, threads)
    lanes = VECTOR_BYTES[isa] // np.dtype(dtype).itemsize
    np.testing.assert_array_equal(flops, 2.0 * lanes * 12 * 100_000)
    # x = x / 2 + 1 ends at 2, in every lane of every chain
    np.testing.assert_array_equal(sums, 2 * lanes * 12)


def test_machine_fma_peak_rejects_what_does_not_fit():
    with pytest.raises(ValueError, match="fma_peak"):
        _runtime._native.fma_peak(1, np.zeros(2, np.float32), np.zeros(1), 1)


@pytest.fixture
def clock(monkeypatch):
    """Every look at the clock comes a second after the last one."""
    seconds = itertools.count()
    monkeypatch.setattr(_machine.time, "perf_counter", lambda: float(next(seconds)))


def test_machine_fma_peak_is_in_gflops_of_all_threads(isa, clock):
    lanes = VECTOR_BYTES[isa] // 4
    peak = _machine.fma_peak(np.float32, 2, iterations=1000, repeats=2)
    assert peak == pytest.approx(2 * 2.0 * lanes * 12 * 1000 / 1e9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_machine_bandwidth_counts_three_arrays(dtype, clock):
    stream = _machine.Stream(dtype, n_bytes=80_000)
    assert stream.bandwidth(1, repeats=2) == pytest.approx(3 * 80_000 / 1e9)
    assert {array.dtype for array in stream._arrays} == {np.dtype(dtype)}
    np.testing.assert_array_equal(stream._arrays[2], 2)  # it did add


def test_machine_bandwidth_and_peak_are_positive_by_the_real_clock():
    assert _machine.Stream(np.float32, n_bytes=100_000).bandwidth(1) > 0
    assert _machine.fma_peak(np.float32, 1, iterations=1000, repeats=1) > 0


def test_machine_description_says_what_runs():
    description = _machine.description()
    assert description["cpu"] == _machine.cpu_name() != ""
    assert description["fastnn"]["compiled"]
