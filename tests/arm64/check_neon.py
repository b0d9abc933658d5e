"""What no other test asks of the kernels for 64-bit Arm.

Sanitizers do not run under the emulator, so arrays end at pages without rights here.
"""

import platform

import numpy as np
import pytest
from guarded_workspaces import guarded

import fastnn
from fastnn import _native
from fastnn import functional as F


def test_this_is_an_arm_cpu_and_its_kernels_are_there():
    assert platform.machine() == "aarch64"
    assert fastnn.available_isas() == ["baseline", "neon"]
    assert fastnn.build_info()["openmp"] > 0


def at_a_guard(values, behind):
    """A copy whose last element, or first, lies beside a page without rights."""
    if behind:
        room = guarded(values.nbytes)
        array = room[room.size - values.nbytes :].view(values.dtype)
    else:
        page = guarded(4096)
        array = page[: values.nbytes].view(values.dtype)
    array = array.reshape(values.shape)
    array[...] = values
    return array


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_of_every_length_stay_inside_their_arrays(isa, dtype, behind, rng):
    for n in range(1, 20):
        a, b = rng.standard_normal((2, n)).astype(dtype)
        out = at_a_guard(np.zeros(n, dtype), behind)
        _native.add(at_a_guard(a, behind), at_a_guard(b, behind), out, 1)
        np.testing.assert_array_equal(out, a + b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiles_of_every_shape_stay_inside_their_matrices(isa, dtype, rng):
    for rows, depth, columns in [*((r, 5, 9) for r in range(1, 32)), *((19, 6, c) for c in range(1, 36)), (25, 9, 3)]:
        x = rng.integers(-4, 5, (rows, depth)).astype(dtype)
        weight = rng.integers(-4, 5, (columns, depth)).astype(dtype)
        y = F.linear(at_a_guard(x, True), at_a_guard(weight, True))
        np.testing.assert_array_equal(y, (x[:, None] * weight).sum(-1))
