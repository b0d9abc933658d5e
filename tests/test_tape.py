"""Recording and going back: order, memory, length, modes of threads."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import fastnn
from fastnn import Op


def leaf(*values):
    return fastnn.tensor(np.array(values), requires_grad=True)


# ---- right by construction -------------------------------------------------------------------------------------------
def test_tape_an_input_used_twice_gets_the_sum():
    x = leaf(2.0, 3.0)
    (x * x + x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_tape_a_result_used_twice_gets_the_sum():
    x = leaf(2.0)
    y = x * 3
    (y * y + y).backward()
    assert x.grad.tolist() == [39.0]


def test_tape_one_object_for_both_inputs_gets_two_gradients():
    x = leaf(1.0, 2.0)
    (x + x).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]


def test_tape_sixty_diamonds_are_not_exponential():
    x = y = leaf(1.0)
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.tolist() == [2.0**60]


def test_tape_ladder_of_sixty_two_paths_each():
    x = y = leaf(1.0)
    for _ in range(60):
        a, b = y * 0.5, y * 0.25
        y = a + b
    y.backward()
    assert x.grad == pytest.approx(0.75**60)


def test_tape_several_losses_add_up():
    x = leaf(1.0, 2.0)
    y = x * 2
    first, second = (y * y).sum(), y.sum()
    first.backward(retain_graph=True)
    second.backward()
    assert x.grad.tolist() == [8.0 + 2, 16.0 + 2]


def test_tape_gradients_accumulate_until_they_are_dropped():
    x = leaf(1.0)
    for _ in range(3):
        (x * 2).backward()
    assert x.grad.tolist() == [6.0]
    x.grad = None
    (x * 2).backward()
    assert x.grad.tolist() == [2.0]


def test_tape_accumulating_does_not_write_into_the_gradient_that_was_there():
    x = leaf(1.0)
    (x * 2).backward()
    before = x.grad
    (x * 2).backward()
    assert before.tolist() == [2.0]
    assert x.grad.tolist() == [4.0]


def test_tape_gradients_that_are_handed_on_are_not_shared():
    a, b, c = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    dy = np.array([1.0, 1.0])
    (a + b + c).backward(dy)
    a.grad += 100
    assert b.grad.tolist() == c.grad.tolist() == dy.tolist() == [1.0, 1.0]


def test_tape_what_does_not_depend_on_a_leaf_leaves_it_alone():
    x, other = leaf(1.0), leaf(1.0)
    y = x * 2
    _unused = y * other
    y.backward()
    assert other.grad is None


# ---- backward, retain_graph, grad ------------------------------------------------------------------------------------
def test_tape_second_backward_raises():
    x = leaf(1.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"released by an earlier backward.*retain_graph=True"):
        y.backward()
    assert x.grad.tolist() == [2.0]


def test_tape_second_backward_through_a_shared_part_raises():
    x = leaf(1.0)
    shared = x * x
    first, second = shared * 2, shared * 3
    first.backward()
    with pytest.raises(RuntimeError, match="released"):
        second.backward()


def test_tape_retain_graph_allows_one_more():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [18.0]


def test_tape_backward_needs_a_gradient_unless_it_is_one_number():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"Tensor.backward: the gradient of something of shape \(2,\)"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"dy must have shape \(2,\)"):
        (x * 2).backward(np.ones(3))


@pytest.mark.parametrize("y", [fastnn.tensor([1.0]), fastnn.tensor([1.0]) * 2])
def test_tape_backward_of_what_was_not_recorded_raises(y):
    with pytest.raises(RuntimeError, match="nothing was recorded"):
        y.backward()


def test_tape_backward_of_a_leaf_is_its_gradient():
    x = leaf(1.0)
    x.backward()
    assert x.grad.tolist() == [1.0]


def test_tape_dy_in_another_precision_is_cast():
    x = fastnn.tensor(np.ones(2, np.float32), requires_grad=True)
    (x * 2).backward([1, 2])
    assert x.grad.dtype == np.float32


def test_grad_of_leaves_and_of_results_changes_no_grad():
    x, w = leaf(2.0), leaf(3.0)
    y = x * w
    z = y * y
    dx, dw, dy, dz = fastnn.grad(z, [x, w, y, z])
    assert (dx.tolist(), dw.tolist(), dy.tolist(), dz.tolist()) == ([36.0], [24.0], [12.0], [1.0])
    assert x.grad is w.grad is None


def test_grad_of_what_it_does_not_depend_on_is_none():
    x, other = leaf(1.0), leaf(1.0)
    assert fastnn.grad(x * 2, [other, x])[0] is None


def test_grad_of_one_of_several_results():
    x = leaf(1.0, 2.0, 3.0)
    first, last = np.split(x, [1])
    y = first.sum() * last.sum()
    d_first, d_last = fastnn.grad(y, (first, last))
    assert (d_first.tolist(), d_last.tolist()) == ([5.0], [1.0, 1.0])


def test_grad_results_share_no_memory():
    x, w = leaf(1.0), leaf(2.0)
    a = x + w
    gradients = fastnn.grad(a + w, [x, w, a])
    for i, first in enumerate(gradients):
        for second in gradients[i + 1 :]:
            assert not np.may_share_memory(first, second)


def test_grad_same_input_twice():
    x = leaf(2.0)
    assert [d.tolist() for d in fastnn.grad(x * x, [x, x])] == [[4.0], [4.0]]


def test_grad_refuses_what_has_none():
    x = leaf(1.0)
    with pytest.raises(TypeError, match="grad: inputs must be tensors"):
        fastnn.grad(x * 2, np.ones(1))
    with pytest.raises(ValueError, match="grad: inputs must require gradients"):
        fastnn.grad(x * 2, fastnn.tensor([1.0]))
    with pytest.raises(RuntimeError, match="grad: nothing was recorded"):
        fastnn.grad(fastnn.tensor([1.0]), x)


# ---- long and many ---------------------------------------------------------------------------------------------------
MANY = 100_000


def _chain(x, n):
    y = x
    for _ in range(n):
        y = -y
    return y


def test_tape_a_hundred_thousand_operations_in_a_row_go_back():
    x = leaf(1.0)
    _chain(x, MANY).backward()
    assert x.grad.tolist() == [1.0]


def test_tape_a_hundred_thousand_operations_in_a_row_can_be_dropped():
    x = leaf(1.0)
    y = _chain(x, MANY)
    result = weakref.ref(y)
    del y
    assert result() is None


def test_tape_a_hundred_thousand_operations_in_a_row_can_be_dropped_by_another_thread():
    kept = [_chain(leaf(1.0), MANY // 4)]
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert not kept


def test_tape_a_long_chain_of_pieces_can_be_dropped():
    y = leaf(1.0, 2.0)
    for _ in range(5_000):
        first, second = np.split(y, 2)
        y = np.concatenate([second, first])
    del y, first, second


def _step(w, x):
    hidden = np.tanh(x @ w)
    pieces = np.split(hidden, 2, axis=1)
    loss = (np.concatenate(pieces[::-1], axis=1) * hidden + hidden[0]).mean()
    loss.backward()
    with fastnn.no_grad():
        w -= 0.01 * w.grad
    w.grad = None
    return w


def test_tape_leaves_no_cycles():
    w, x = fastnn.tensor(np.ones((3, 4)), requires_grad=True), np.ones((2, 3))
    _step(w, x)
    gc.collect()
    gc.disable()
    try:
        _step(w, x)
        dropped = np.exp(x @ w).sum()  # without a backward
        del dropped
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("n", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_tape_steps_leave_no_objects(n):
    w, x = fastnn.tensor(np.ones((3, 4)), requires_grad=True), np.ones((2, 3))
    for _ in range(10):
        _step(w, x)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(n):
            _step(w, x)
        assert len(gc.get_objects()) <= before + 10
    finally:
        gc.enable()


def test_tape_steps_leave_no_arrays():
    w, x = fastnn.tensor(np.ones((200, 40)), requires_grad=True), np.ones((20, 200))
    for _ in range(10):
        _step(w, x)
    gc.disable()
    tracemalloc.start()
    try:
        _step(w, x)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            _step(w, x)
        assert tracemalloc.get_traced_memory()[0] < before + w.nbytes  # Python keeps some freed tuples
    finally:
        tracemalloc.stop()
        gc.enable()


def test_tape_backward_releases_on_the_way():
    alive = []

    class Watch(Op):
        def forward(self, x):
            self.kept = x * 1
            alive.append(weakref.ref(self.kept))
            return x * 1

        def backward(self, dy):
            seen.append(sum(ref() is not None for ref in alive))
            return dy

    seen = []
    y = leaf(1.0)
    for _ in range(4):
        y = Watch()(y)
    y.backward()
    assert seen == [4, 3, 2, 1]


# ---- modes -----------------------------------------------------------------------------------------------------------
def test_no_grad_records_nothing():
    w = leaf(1.0)
    with fastnn.no_grad():
        y = np.exp(w) * w
        with fastnn.enable_grad():
            z = w * 2
    assert not y.requires_grad
    assert y.is_leaf
    assert z.requires_grad


def test_no_grad_as_a_decorator_and_after_an_error():
    w = leaf(1.0)

    @fastnn.no_grad
    def double(x):
        return x * 2

    assert not double(w).requires_grad
    with pytest.raises(ZeroDivisionError), fastnn.no_grad():
        _ = 1 / 0
    assert fastnn.is_grad_enabled()


def test_modes_belong_to_threads():
    w = leaf(1.0)
    inside, done = threading.Event(), threading.Event()
    seen = {}

    def other():
        inside.wait(5)
        seen["other"] = (w * 2).requires_grad
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with fastnn.no_grad():
        inside.set()
        assert done.wait(5)
        assert not (w * 2).requires_grad
    thread.join()
    assert seen == {"other": True}


def test_detach_stops_gradients():
    x = leaf(2.0)
    y = x * 3
    (y.detach() * x).backward()
    assert x.grad.tolist() == [6.0]


def test_threads_through_the_same_leaves_get_what_each_gets_alone(rng):
    w = [fastnn.tensor(rng.standard_normal((8, 8)) / 3, requires_grad=True) for _ in range(2)]
    inputs = rng.standard_normal((4, 5, 8))

    def gradients(x):
        hidden = np.tanh(x @ w[0])
        pieces = np.split(hidden @ w[1], 2, axis=1)
        return fastnn.grad(np.square(np.concatenate(pieces[::-1], 1) * hidden).sum(), w)

    alone = [gradients(x) for x in inputs]
    found = {}

    def work(index):
        found[index] = [gradients(inputs[index]) for _ in range(30)]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, expected in enumerate(alone):
        for again in found[index]:
            assert all(np.array_equal(a, b) for a, b in zip(again, expected, strict=True))
