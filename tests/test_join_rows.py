"""Joining large arrays on all threads, and the gradients of it: NumPy's own results."""

import numpy as np
import pytest

import fastnn
from fastnn import _layout, _native
from fastnn.autograd import joining


@pytest.fixture
def ran(monkeypatch):
    calls = []
    monkeypatch.setattr(joining, "kernel_ran", calls.append)
    return calls


def gradients_of(parts, axis, dy):
    tensors = [fastnn.tensor(part, requires_grad=True) for part in parts]
    y = np.concatenate(tensors, axis)
    y.backward(dy)
    return y.data, [t.grad for t in tensors]


@pytest.mark.parametrize("pixel_major", [False, True])
@pytest.mark.parametrize(
    ("axis", "sizes"), [(1, (16, 33, 64)), (0, (1, 2, 4)), (2, (3, 20)), (-1, (16, 30)), (1, (70,))]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_joined_arrays_and_their_gradients_are_numpys(threads, pixel_major, axis, sizes, dtype, rng, ran):
    def array(*shape):
        x = rng.standard_normal(shape).astype(dtype)
        return _layout.images(_layout.pixels(x)) if pixel_major else x

    shape = [6, 48, 24, 28]
    parts = [array(*shape[: axis % 4], size, *shape[axis % 4 + 1 :]) for size in sizes]
    expected = np.concatenate(parts, axis)
    dy = array(*expected.shape)
    y, gradients = gradients_of(parts, axis, dy)
    np.testing.assert_array_equal(y, expected)
    for actual, wanted in zip(gradients, np.split(dy, np.cumsum(sizes)[:-1], axis), strict=True):
        np.testing.assert_array_equal(actual, wanted)
    assert ran == ["join_rows"] * 2
    assert (y.strides == expected.strides) or not pixel_major


def test_arrays_that_lie_otherwise_are_left_to_numpy(rng, ran):
    x = rng.standard_normal((40, 60, 80)).astype(np.float32)
    for other in (x[:, ::-1], np.asfortranarray(x), x.astype(np.float64), x[:, :, ::-1]):
        dy = rng.standard_normal((40, 60, 160)).astype(np.result_type(x, other))
        y, (dx, d_other) = gradients_of([x, other], 2, dy[:, ::-1])
        np.testing.assert_array_equal(y, np.concatenate([x, other], 2))
        np.testing.assert_array_equal(dx, dy[:, ::-1, :80].astype(x.dtype))
        np.testing.assert_array_equal(d_other, dy[:, ::-1, 80:].astype(other.dtype))
        ran.clear()
        assert not joining._join_rows(False, (x, other), np.empty((40, 60, 160), y.dtype), 2)
    assert not ran
    with pytest.raises(ValueError, match="must match exactly"):
        np.concatenate([fastnn.tensor(x, requires_grad=True), fastnn.tensor(x[:, 1:])], 2)


def test_only_gradients_that_are_wanted_are_made(rng, ran):
    a, b = (fastnn.tensor(rng.standard_normal((200, 400)), requires_grad=wanted) for wanted in (True, False))
    np.concatenate([a, b], 1).sum().backward()
    assert a.grad.shape == (200, 400)
    assert b.grad is None


@pytest.mark.parametrize("shapes", [((3, 4), (2, 4), (3, 8)), ((3, 4), (3, 5), (3, 8)), ((3, 0), (3, 8), (3, 8))])
def test_join_rows_binding_refuses_shapes_that_do_not_fit(shapes):
    *parts, whole = (np.zeros(shape, np.float32) for shape in shapes)
    for cuts in (False, True):
        with pytest.raises(ValueError, match="shapes do not fit"):
            _native.join_rows(cuts, parts, whole, 1)
    with pytest.raises(ValueError, match="shapes do not fit"):
        _native.join_rows(False, [], whole, 1)
    with pytest.raises(ValueError, match="an array of float32 is needed"):
        _native.join_rows(False, [np.zeros((3, 8))], whole, 1)
    fixed = np.zeros((3, 8), np.float32)
    fixed.flags.writeable = False
    _native.join_rows(False, [fixed], np.zeros((3, 8), np.float32), 1)
    with pytest.raises(ValueError, match="read-only"):
        _native.join_rows(True, [fixed], np.zeros((3, 8), np.float32), 1)
