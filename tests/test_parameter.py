"""nn.Parameter: an array and its gradient."""

import copy
import pickle

import numpy as np
import pytest

from fastnn import functional as F
from fastnn import nn


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameter_describes_its_array(dtype):
    p = nn.Parameter(np.zeros((2, 3), dtype))
    assert (p.shape, p.size, p.ndim, p.dtype) == ((2, 3), 6, 2, dtype)
    assert p.grad is None
    assert p.requires_grad is True
    assert repr(p) == f"Parameter(shape=(2, 3), dtype={np.dtype(dtype)})"
    assert "requires_grad=False" in repr(nn.Parameter(np.zeros(1, dtype), requires_grad=False))


@pytest.mark.parametrize("data", [[1, 2], np.zeros(3, np.int64), np.zeros(3, np.float16), np.zeros(3, ">f4"), "text"])
def test_parameter_rejects_other_types(data):
    with pytest.raises(TypeError, match="float32 or float64"):
        nn.Parameter(data)


def test_parameter_gradients_sum_up_and_leave_the_first_one_alone():
    p = nn.Parameter(np.zeros(2, np.float32))
    first = np.array([1, 2], np.float32)
    p.add_grad(first)
    p.add_grad(np.array([10, 20], np.float32))
    np.testing.assert_array_equal(p.grad, [11, 22])
    np.testing.assert_array_equal(first, [1, 2])
    assert p.grad.dtype == np.float32


def test_parameter_frozen_takes_no_gradient():
    p = nn.Parameter(np.zeros(2), requires_grad=False)
    p.add_grad(np.ones(2))
    assert p.grad is None


def test_parameter_gradient_of_another_shape_is_an_error():
    p = nn.Parameter(np.zeros((2, 3)))
    with pytest.raises(
        ValueError, match=r"add_grad: gradient must have shape \(2, 3\). Received: gradient.shape=\(3,\)"
    ):
        p.add_grad(np.ones(3))
    assert p.grad is None


def test_parameter_of_a_read_only_array_is_a_writable_copy():
    data = np.ones(3, np.float32)
    data.flags.writeable = False
    p = nn.Parameter(data)
    p.data += 1
    np.testing.assert_array_equal(data, 1)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_parameter_copies_are_independent(duplicate):
    p = nn.Parameter(np.ones(3, np.float32), requires_grad=False)
    p.grad = np.full(3, 2, np.float32)
    q = duplicate(p)
    q.data += 1
    q.grad += 1
    assert (p.data == 1).all()
    assert (p.grad == 2).all()
    assert q.requires_grad is False


# ---- what NumPy makes of it ------------------------------------------------------------------------------------------
def test_parameter_is_an_array_to_numpy_and_shares_its_memory():
    p = nn.Parameter(np.arange(6, dtype=np.float32).reshape(2, 3))
    array = np.asarray(p)
    assert array is p.data
    assert np.shares_memory(np.asarray(p, np.float32), p.data)
    np.testing.assert_array_equal(np.square(p).data, p.data**2)
    np.testing.assert_array_equal((p.data + p).data, 2 * p.data)
    assert np.array([p, p]).shape == (2, 2, 3)


def test_parameter_is_copied_by_numpy_when_asked_or_needed():
    p = nn.Parameter(np.ones(3, np.float32))
    assert not np.shares_memory(np.array(p), p.data)
    double = np.asarray(p, np.float64)
    assert double.dtype == np.float64
    assert double.tolist() == [1, 1, 1]


def test_parameter_array_protocol_of_both_generations_of_numpy():
    """NumPy 1 calls it with nothing or a dtype, NumPy 2 with copy=True, False or None, too."""
    p = nn.Parameter(np.ones(3, np.float32))
    assert p.__array__() is p.data
    assert p.__array__(np.float32) is p.data
    assert p.__array__(np.dtype(np.float64)).dtype == np.float64
    assert p.__array__(copy=None) is p.data
    assert p.__array__(copy=False) is p.data
    assert p.__array__(np.float32, copy=False) is p.data
    for dtype in (None, np.float32, np.float64):
        copy_ = p.__array__(dtype, copy=True)
        assert copy_.dtype == (dtype or np.float32)
        assert not np.shares_memory(copy_, p.data)
    with pytest.raises(ValueError, match="Parameter: float32 cannot be given as float64 without a copy"):
        p.__array__(np.float64, copy=False)


def test_parameter_has_a_length_and_is_true():
    assert len(nn.Parameter(np.zeros((4, 2)))) == 4
    assert nn.Parameter(np.zeros(0))
    assert nn.Parameter(np.zeros(()))
    with pytest.raises(TypeError, match="one without axes has no length"):
        len(nn.Parameter(np.zeros(())))


def test_parameter_goes_into_functions_as_an_array():
    p = nn.Parameter(np.array([-1.0, 2.0]))
    assert F.relu(p).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("gradient", "words"),
    [
        (None, "Parameter.add_grad: gradient must hold numbers"),
        ("a", "Parameter.add_grad: gradient must hold numbers"),
        (np.ones(3, complex), "Parameter.add_grad: gradient must hold numbers. Received: dtype=complex128"),
        (np.ones(3, object), "Parameter.add_grad: gradient must hold numbers. Received: dtype=object"),
        ([[1.0], [1.0, 2.0]], "Parameter.add_grad: gradient cannot be made an array"),
        (1.0, r"Parameter.add_grad: gradient must have shape \(3,\)"),
    ],
)
def test_parameter_gradient_that_is_none_is_refused(gradient, words):
    p = nn.Parameter(np.zeros(3))
    with pytest.raises((TypeError, ValueError), match=words):
        p.add_grad(gradient)
    assert p.grad is None


def test_parameter_gradient_may_be_a_list():
    p = nn.Parameter(np.zeros(3))
    p.add_grad([1, 2, 3])
    assert p.grad.tolist() == [1, 2, 3]
