"""What tests compare with, and how closely."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
from hypothesis import strategies as st

import fastnn


def tolerance(dtype, terms, growth=1.0):
    """The error that a sum of `terms` products may have, relative to the sum of their magnitudes.

    Each product and each addition rounds by at most u = eps / 2, so n of them in a chain are off by at most about n u
    (Higham, "Accuracy and stability of numerical algorithms", section 3.1). Both sides of a comparison round, and a
    random walk stays far below the bound; `growth` is for functions that amplify an error of their argument.
    """
    return growth * (terms + 2) * np.finfo(dtype).eps


def assert_close(actual, expected, terms=1, magnitude=None, growth=1.0):
    """Every element within `tolerance` of the expected one, relative to `magnitude` (default: the expected values).

    `magnitude` is the sum of absolute values of the terms of each element where cancellation is possible.
    """
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    assert actual.dtype == expected.dtype, (actual.dtype, expected.dtype)
    scale = np.abs(expected) if magnitude is None else magnitude
    bound = tolerance(expected.dtype, terms, growth) * scale + np.finfo(expected.dtype).tiny * 16
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    with np.errstate(invalid="ignore"):
        same = (actual == expected) | nan  # covers infinities
        error = np.where(same, 0, np.abs(actual - expected))
    assert (same | (error <= bound)).all(), f"largest error over its bound: {np.nanmax(error / bound)}"


def from_reference(function, *args, **kwargs):
    """The result of the NumPy twin of a function of fastnn.functional."""
    with fastnn.backend("reference"):
        return function(*args, **kwargs)


def layouts(x):
    """The same array in memory layouts that callers have: name -> array."""
    padded = np.zeros(tuple(2 * size for size in x.shape), x.dtype)
    strided = padded[tuple(slice(None, None, 2) for _ in x.shape)]
    strided[...] = x
    raw = np.zeros(x.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(x.dtype).reshape(x.shape)
    misaligned[...] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    return {
        "c_contiguous": np.ascontiguousarray(x),
        "fortran": np.asfortranarray(x),
        "strided": strided,
        "reversed": np.ascontiguousarray(x[::-1])[::-1],
        "misaligned": misaligned,
        "read_only": read_only,
        "byte_swapped": x.astype(x.dtype.newbyteorder()),
    }


dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)


def numeric_gradient(function, x, dy, step=1e-6):
    """d(sum(function(x) * dy)) / dx by central differences, in float64; `x` is changed and restored."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        value = x[index]
        x[index] = value + step
        above = np.sum(function() * dy)
        x[index] = value - step
        below = np.sum(function() * dy)
        x[index] = value
        gradient[index] = (above - below) / (2 * step)
    return gradient


def relative_error(actual, expected):
    """The error of gradient checks: |a - b| / max(|a| + |b|), over the whole array."""
    scale = max(np.abs(actual).max(initial=0) + np.abs(expected).max(initial=0), 1e-30)
    return np.abs(actual - expected).max(initial=0) / scale


def wait_for_child(child, seconds=20):
    """Assert that a forked process ends in time, with status 0."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0, f"the child ended with status {status}"
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"the child did not end within {seconds} s")


def run_python(code, python=sys.executable, seconds=60, **environment):
    """Run `code` in a fresh interpreter with these environment variables (None removes one); the finished process."""
    variables = {**os.environ, **environment}
    variables = {name: value for name, value in variables.items() if value is not None}
    command = [str(python), "-P", "-c", code]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=seconds)


def output_of(code, **kwargs):
    """What `run_python` prints; the process must succeed and say nothing on stderr."""
    done = run_python(code, **kwargs)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout.strip()
