"""nn.Parameter: an array and its gradient."""

import copy
import pickle

import numpy as np
import pytest

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
