"""fastnn.Tensor and fastnn.tensor: what they hold, and Python's and NumPy's protocols."""

import copy
import operator
import pickle

import numpy as np
import pytest

import fastnn


def test_tensor_copies_and_describes_its_array():
    data = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = fastnn.tensor(data)
    data[:] = 0
    assert (x.shape, x.ndim, x.size, x.dtype, x.nbytes, x.itemsize) == ((2, 3), 2, 6, np.float32, 24, 4)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x.grad is None
    assert not x.requires_grad
    assert x.is_leaf
    assert x.T.shape == (3, 2)


def test_tensor_class_does_not_copy():
    data = np.ones(2)
    x = fastnn.Tensor(data)
    assert x.data is data
    assert x.numpy() is data


@pytest.mark.parametrize("data", [1, 1.5, [1, 2], [[1.0], [2.0]], np.float32(2), True, (1, 2), np.zeros((0, 2))])
def test_tensor_takes_what_numpy_takes(data):
    x = fastnn.tensor(data)
    np.testing.assert_array_equal(x.data, np.asarray(data), strict=True)


def test_tensor_of_tensors():
    x = fastnn.tensor([1.0, 2.0], requires_grad=True)
    assert fastnn.tensor(x).tolist() == [1.0, 2.0]
    assert fastnn.tensor([x, x * 2]).tolist() == [[1.0, 2.0], [2.0, 4.0]]
    assert not fastnn.tensor(x).requires_grad


def test_tensor_dtype():
    assert fastnn.tensor([1, 2], np.float32).dtype == np.float32
    assert fastnn.tensor([1, 2], dtype="float64", requires_grad=True).requires_grad
    with pytest.raises(TypeError, match="dtype must be one of numbers"):
        fastnn.tensor([1, 2], "no such")


@pytest.mark.parametrize("data", ["text", None, [None], np.array(["a"]), np.array([1j]), object()])
def test_tensor_of_no_numbers_raises(data):
    with pytest.raises((TypeError, ValueError), match=r"[Tt]ensor: data"):
        fastnn.tensor(data)


def test_tensor_requires_grad_can_be_set():
    x = fastnn.tensor([1.0])
    assert x.requires_grad_() is x
    assert x.requires_grad
    x.requires_grad = False
    assert not x.requires_grad
    with pytest.raises(TypeError, match="requires_grad must be"):
        x.requires_grad = "yes"
    y = x.requires_grad_() * 2
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad = False


def test_tensor_data_can_be_replaced():
    x = fastnn.tensor([1.0], requires_grad=True)
    x.data = np.zeros(3)
    assert x.tolist() == [0, 0, 0]


def test_tensor_data_of_a_result_is_read_only():
    y = fastnn.tensor([1.0], requires_grad=True) * 2
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        y.numpy()[0] = 1
    assert not y.is_leaf


# ---- Python's protocols ----------------------------------------------------------------------------------------------
def test_tensor_of_one_element_is_a_number():
    x = fastnn.tensor([[2.5]], requires_grad=True) * 2
    assert (x.item(), float(x), int(x)) == (5.0, 5.0, 5)
    assert f"{x:.2f}" == "5.00"
    assert bool(x)
    assert not fastnn.tensor(0.0)
    assert operator.index(fastnn.tensor(3)) == 3
    assert [10, 20, 30][fastnn.tensor(1)] == 20
    assert round(float(x)) == 5


def test_tensor_of_several_elements_is_none():
    x = fastnn.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match=r"Tensor.item: one element is needed. Received: shape=\(2,\)"):
        x.item()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)
    with pytest.raises(TypeError):
        operator.index(fastnn.tensor(1.5))


def test_tensor_as_a_sequence():
    x = fastnn.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    assert 3.0 in x
    assert 5.0 not in x
    for call in (len, iter):
        with pytest.raises(TypeError, match="Tensor: one without axes"):
            call(fastnn.tensor(1.0))


def test_tensor_is_a_key_by_identity():
    x, y = fastnn.tensor([1.0]), fastnn.tensor([1.0])
    assert len({x, y, x}) == 2
    assert (x == y).tolist() == [True]


def test_tensor_compared_with_what_is_no_number():
    x = fastnn.tensor([1.0])
    assert (x == None) is False  # noqa: E711
    assert (x != "a") is True
    with pytest.raises(TypeError, match="not supported between"):
        _ = x < None


def test_tensor_repr():
    assert repr(fastnn.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    x = fastnn.tensor(np.ones(2, np.float32), requires_grad=True)
    assert repr(x) == "tensor([1., 1.], dtype=float32, requires_grad=True)"
    assert repr(fastnn.tensor([1, 2])) == "tensor([1, 2])"
    assert len(repr(fastnn.tensor(np.zeros(10_000)))) < 200


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_tensor_leaf_can_be_copied(duplicate):
    x = fastnn.tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    other = duplicate(x)
    assert other is not x
    assert other.requires_grad
    assert (other.tolist(), other.grad.tolist()) == ([1.0, 2.0], [3.0, 3.0])
    with pytest.raises(TypeError, match="a recorded result cannot be copied or pickled: detach"):
        duplicate(x * 2)


# ---- NumPy's protocols -----------------------------------------------------------------------------------------------
def test_tensor_as_an_array():
    x = fastnn.tensor([1.0, 2.0], requires_grad=True)
    assert np.shares_memory(np.asarray(x), x.data)
    assert not np.shares_memory(np.array(x), x.data)
    assert np.asarray(x, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="cannot be given as float32 without a copy"):
        np.array(x, np.float32, copy=False)
    with pytest.raises(TypeError, match="an array would not carry the gradient on"):
        np.asarray(x * 2)
    assert np.asarray((x * 2).detach()).tolist() == [2.0, 4.0]


def test_tensor_indices_may_be_tensors():
    x = fastnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    places, mask, one = fastnn.tensor([0, 2, 2]), fastnn.tensor([True, False, True]), fastnn.tensor(1)
    y = x[places].sum() + x[mask].sum() + x[one] + x[x > 2].sum()
    places[0] = 1
    y.backward()
    assert x.grad.tolist() == [2.0, 1.0, 4.0]


def test_tensor_assignment():
    x = fastnn.tensor(np.zeros((2, 3)))
    x[0] = 1
    x[:, 1] = fastnn.tensor([5.0, 6.0])
    x[fastnn.tensor([[False] * 3, [True] * 3])] = 9
    assert x.tolist() == [[1, 5, 1], [9, 9, 9]]


@pytest.mark.parametrize("value", [[1.0, 2.0], np.ones(2), 2.0, np.float32(2)])
def test_tensor_with_other_values_from_both_sides(value):
    x = fastnn.tensor([3.0, 4.0], requires_grad=True)
    for operation in (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow):
        for y, wanted in (
            (operation(x, value), operation(x.data, np.asarray(value))),
            (operation(value, x), operation(np.asarray(value), x.data)),
        ):
            assert isinstance(y, fastnn.Tensor)
            np.testing.assert_allclose(y.data, wanted)
            assert y.requires_grad


def test_tensor_views_of_what_numpy_gives_cannot_reach_the_tensor():
    x = fastnn.tensor(np.zeros((2, 2)))
    view = np.asfortranarray(np.lib.stride_tricks.sliding_window_view(x, 1, 0))
    view[...] = 5
    assert not x.data.any()


def test_tensor_chain_of_everything_at_once(rng):
    """A small network with attention, by NumPy's names alone."""
    x = rng.standard_normal((2, 5, 8)).astype(np.float32)
    w = fastnn.tensor(0.3 * rng.standard_normal((3, 8, 8)), np.float32, requires_grad=True)
    q, k, v = (x @ w[i] for i in range(3))
    scores = np.einsum("bqd,bkd->bqk", q, k) / 8**0.5
    scores = np.where(np.tril(np.ones((5, 5), bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True).detach())
    weights = weights / weights.sum(-1, keepdims=True)
    loss = np.square(weights @ v).mean()
    loss.backward()
    assert (w.grad.shape, w.grad.dtype) == (w.shape, np.float32)
    assert np.isfinite(w.grad).all()
    direction = rng.standard_normal(w.shape)

    def value(step):
        q, k, v = (x @ (w.data[i] + step * direction[i]) for i in range(3))
        s = np.where(np.tril(np.ones((5, 5), bool)), q @ k.swapaxes(-1, -2) / 8**0.5, -np.inf)
        e = np.exp(s - s.max(-1, keepdims=True))
        return np.square(e / e.sum(-1, keepdims=True) @ v).mean()

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    assert (w.grad * direction).sum() == pytest.approx(slope, rel=1e-4)
