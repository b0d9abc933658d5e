"""Writing into tensors: what makes a new one, what is allowed, what an operation has kept."""

import numpy as np
import pytest

import fastnn


def leaf(*values):
    return fastnn.tensor(np.array(values), requires_grad=True)


IN_PLACE = {
    "+=": (lambda a, b: a.__iadd__(b), 5.0, 1.0),
    "-=": (lambda a, b: a.__isub__(b), -1.0, -1.0),
    "*=": (lambda a, b: a.__imul__(b), 6.0, 2.0),
    "/=": (lambda a, b: a.__itruediv__(b), 2 / 3, -2 / 9),
    "**=": (lambda a, b: a.__ipow__(b), 8.0, 8 * np.log(2)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_on_a_recorded_tensor_makes_a_new_one(name):
    operation, value, slope = IN_PLACE[name]
    x, b = leaf(2.0), leaf(3.0)
    a = before = x * 1
    a = operation(a, b)
    assert a is not before
    assert before.data.tolist() == [2.0]
    assert a.data == pytest.approx(value)
    a.backward()
    assert b.grad == pytest.approx(slope)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_on_a_leaf_writes(name):
    operation, value, _ = IN_PLACE[name]
    a, b = fastnn.tensor([2.0], requires_grad=True), leaf(3.0)
    data = a.data
    with fastnn.no_grad():
        assert operation(a, b) is a
    assert data == pytest.approx(value)
    with pytest.raises(RuntimeError, match=r"within no_grad\(\)"):
        operation(a, 1.0)


def test_in_place_on_a_plain_tensor_with_a_recorded_one_records():
    total = fastnn.tensor([0.0])
    x = leaf(2.0)
    total += x * 3
    total.backward()
    assert x.grad.tolist() == [3.0]


def test_in_place_keeps_the_dtype_of_a_leaf():
    a = fastnn.tensor(np.ones(2, np.float32))
    a += np.ones(2)
    assert a.dtype == np.float32
    counts = fastnn.tensor([1, 2])
    with pytest.raises(TypeError, match="Cannot cast"):
        counts += 0.5


def test_assignment_into_a_recorded_tensor_raises():
    y = leaf(1.0, 2.0) * 2
    with pytest.raises(RuntimeError, match=r"np\.where"):
        y[0] = 5.0
    with pytest.raises(RuntimeError, match="detach"):
        y.data = np.ones(2)
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 5.0


def test_assignment_of_what_has_a_gradient_raises():
    x = fastnn.tensor(np.zeros(2))
    with pytest.raises(RuntimeError, match="would lose it"):
        x[0] = leaf(1.0)[0]


WRITERS = {
    "data of another": lambda w: w.data.__imul__(2) is not None and setattr(w, "data", w.data),
    "in place": lambda w: w.__isub__(1.0),
    "item": lambda w: w.__setitem__(0, 5.0),
    "view": lambda w: w[:1].__setitem__(0, 5.0),
    "detached": lambda w: w.detach().__setitem__(0, 5.0),
    "reshaped view": lambda w: w.reshape(2, 1).__iadd__(1.0),
    "piece": lambda w: np.split(w, 2)[0].__iadd__(1.0),
}
KEEPERS = {
    "product": lambda w: w * w,
    "view of it": lambda w: w[:] * w[:],
    "part of it": lambda w: np.square(w[:1]),
    "its transpose": lambda w: np.square(w.T),
    "a piece": lambda w: np.square(np.split(w, 2)[0]),
    "power": lambda w: w**3,
    "with an array": lambda w: np.exp(w) * np.square(w),
    "norm": lambda w: np.linalg.norm(w),
    "max": lambda w: w.max(),
    "matmul": lambda w: w @ w,
}


@pytest.mark.parametrize("keeper", KEEPERS)
@pytest.mark.parametrize("writer", WRITERS)
def test_writing_into_what_was_kept_raises(writer, keeper):
    w = leaf(2.0, 3.0)
    y = KEEPERS[keeper](w)
    with fastnn.no_grad():
        WRITERS[writer](w)
    with pytest.raises(RuntimeError, match="was written into after its forward"):
        y.sum().backward()


def test_writing_through_data_raises():
    w = leaf(2.0, 3.0)
    y = (w * w).sum()
    w.data *= 2
    with pytest.raises(RuntimeError, match="written into"):
        y.backward()


def test_writing_into_what_was_not_kept_is_fine():
    w = leaf(2.0, 3.0)
    y = (w * 3 + np.exp(w)).sum()
    with fastnn.no_grad():
        w -= 1.0
    y.backward()
    assert w.grad == pytest.approx(3 + np.exp([2.0, 3.0]))


def test_new_data_leaves_what_was_kept_alone():
    w = leaf(2.0, 3.0)
    y = (w * w).sum()
    w.data = np.zeros(2)
    y.backward()
    assert w.grad.tolist() == [4.0, 6.0]


def test_an_array_of_the_caller_may_change():
    w, x = leaf(2.0, 3.0), np.array([1.0, 1.0])
    y = (w * x).sum()
    x[:] = 100
    y.backward()
    assert w.grad.tolist() == [1.0, 1.0]


def test_an_index_of_the_caller_may_change():
    w, index, mask = leaf(2.0, 3.0), np.array([0, 0]), np.array([True, False])
    y = w[index].sum() + w[mask].sum() + np.take(w, index).sum()
    index[:], mask[:] = 1, True
    y.backward()
    assert w.grad.tolist() == [5.0, 0.0]


def test_a_view_of_a_recorded_result_cannot_be_written_into():
    w = leaf(2.0, 3.0)
    y = w * 1
    z = (y * y).sum()
    with fastnn.no_grad():
        view = y[:1]
        view[0] = 100.0
        view += 1.0
    detached = y.detach()
    detached[0] = 50.0
    assert y.data.tolist() == [2.0, 3.0]
    assert (view.data.tolist(), detached.data.tolist()) == ([101.0], [50.0, 3.0])
    z.backward()
    assert w.grad.tolist() == [4.0, 6.0]


def test_a_view_of_a_leaf_shares_its_memory():
    x = fastnn.tensor([1.0, 2.0])
    x[:1][0] = 5.0
    assert x.data.tolist() == [5.0, 2.0]


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_the_gradients_of_slices_are_added_up_in_one_array_that_lies_like_what_they_are_of(axes, rng):
    seen = []

    class Look(fastnn.Op):
        def forward(self, x):
            return x.copy("K")

        def backward(self, dy):
            seen.append(dy.transpose(np.argsort(axes)).flags.c_contiguous)
            return dy

    x = fastnn.tensor(rng.standard_normal((3, 4, 5)), requires_grad=True)
    turned = Look()((x * 1).transpose(axes))
    weights = rng.standard_normal((3, 4, 5)).transpose(axes)
    loss = sum((turned[i] * weights[i]).sum() for i in range(turned.shape[0]))
    (loss + (turned[0, 1:] * 2).sum() + (turned[-1, :, 0] * 3).sum()).backward()
    expected = np.array(weights)
    expected[0, 1:] += 2
    expected[-1, :, 0] += 3
    np.testing.assert_array_equal(x.grad.transpose(axes), expected)
    assert seen == [True]


def test_a_slice_does_not_write_into_a_gradient_that_another_operation_has(rng):
    """An addition hands one and the same array to both of its inputs."""
    a, b = (fastnn.tensor(rng.standard_normal((2, 3)), requires_grad=True) for _ in range(2))
    p, q = a * 1, b * 1
    first, second = p[0], p[1]
    ((p + q) * 4 + (first * 10).sum() + (second * 20).sum()).sum().backward()
    assert b.grad.tolist() == [[4.0] * 3] * 2
    assert a.grad.tolist() == [[64.0] * 3, [124.0] * 3]


def test_going_through_a_recorded_tensor_is_one_operation_and_its_gradient_one_array(rng):
    x = fastnn.tensor(rng.standard_normal((3, 2, 4)), requires_grad=True)
    y = (x * 1).swapaxes(0, 1)
    first, second = y
    assert np.shares_memory(first.data, y.data)
    weights = rng.standard_normal((2, 3, 4))
    (second * weights[1]).sum().backward()  # nothing arrives at the first
    np.testing.assert_array_equal(x.grad.swapaxes(0, 1), [np.zeros((3, 4)), weights[1]])
    x.grad = None
    numbers = fastnn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    one, *_, three = numbers
    assert one.shape == ()
    (one * three).backward()
    assert numbers.grad.tolist() == [3.0, 0.0, 1.0]
    assert [part.requires_grad for part in x.detach()] == [False] * 3
    assert list(fastnn.tensor(np.zeros((0, 2)), requires_grad=True)) == []


def test_a_part_of_a_recorded_tensor_cannot_be_written_into(rng):
    leaf_of_two = fastnn.tensor(rng.standard_normal((2, 3)), requires_grad=True)
    y = leaf_of_two * 1
    before = y.data.copy()
    z = (y * y).sum()
    with fastnn.no_grad():
        for part in y:
            part += 1.0
    np.testing.assert_array_equal(y.data, before)
    z.backward()
    np.testing.assert_array_equal(leaf_of_two.grad, 2 * before)
