"""Recording and going back: order, memory, threads, observers, and operations of a user's own."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import fastnn
from fastnn import Op, autograd


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


# ---- in place --------------------------------------------------------------------------------------------------------
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


# ---- observers -------------------------------------------------------------------------------------------------------
def test_observers_see_every_operation_and_nest():
    outer, inner = [], []

    def into(seen):
        return lambda op, phase, inputs, results, seconds: seen.append((type(op).__name__, phase, len(inputs)))

    x = leaf(1.0, 2.0)
    with autograd.observing(into(outer)):
        y = np.exp(x)
        with autograd.observing(into(inner)):
            z = (y * y).sum()
        z.backward()
    _ = x * 2
    assert inner == [("Multiply", "forward", 2), ("Sum", "forward", 1)]
    assert outer == [("Exp", "forward", 1), *inner,
                     ("Sum", "backward", 1), ("Multiply", "backward", 1), ("Exp", "backward", 1)]  # fmt: skip


def test_observers_see_arrays_seconds_and_operations_without_gradient():
    seen = []
    with autograd.observing(lambda *what: seen.append(what)), fastnn.no_grad():
        y = np.exp(fastnn.tensor([1.0]))
    ((op, phase, inputs, result, seconds),) = seen
    assert (type(op).__name__, phase) == ("Exp", "forward")
    assert inputs[0].tolist() == [1.0]
    assert np.array_equal(result, y.data)
    assert 0 <= seconds < 1


def test_observers_belong_to_threads():
    seen = []
    x = leaf(1.0)
    with autograd.observing(lambda *what: seen.append(what)):
        thread = threading.Thread(target=lambda: x * 2)
        thread.start()
        thread.join()
    assert seen == []


# ---- operations of a user --------------------------------------------------------------------------------------------
class Cube(Op):
    def forward(self, x):
        self.x = x
        return x**3

    def backward(self, dy):
        return 3 * self.x**2 * dy


def test_op_on_arrays_gives_arrays():
    y = Cube()(np.array([2.0]))
    assert type(y) is np.ndarray
    assert y.tolist() == [8.0]


def test_op_gradient():
    x = leaf(1.0, 2.0)
    Cube()(x).sum().backward()
    assert x.grad.tolist() == [3.0, 12.0]


def test_op_called_twice_raises():
    op = Cube()
    op(leaf(1.0))
    with pytest.raises(RuntimeError, match="Cube: an operation is one call"):
        op(leaf(1.0))


def test_op_called_again_after_its_backward_raises():
    op = Cube()
    op(leaf(1.0)).backward()
    with pytest.raises(RuntimeError, match="Cube: an operation is one call"):
        op(leaf(1.0))


def test_op_without_methods_says_so():
    with pytest.raises(TypeError, match=r"Op does not define forward\(\)"):
        Op()(leaf(1.0))

    class Half(Op):
        def forward(self, x):
            return x / 2

    with pytest.raises(TypeError, match=r"Half does not define backward\(\)"):
        Half()(leaf(1.0)).backward()


def _op(backward, forward=lambda self, a, b: a * b):
    return type("Odd", (Op,), {"forward": forward, "backward": backward})


@pytest.mark.parametrize(
    ("backward", "words"),
    [
        (lambda self, dy: dy, "one gradient for each of 2 inputs is needed.*Received: 1"),
        (lambda self, dy: (dy, dy, dy), "one gradient for each of 2 inputs is needed.*Received: 3"),
        (lambda self, dy: (dy, dy[:1]), r"gradient 1 must have the shape of the input, \(2,\). Received: \(1,\)"),
    ],
)
def test_op_wrong_gradients_are_named(backward, words):
    with pytest.raises(ValueError, match=rf"Odd.backward: {words}"):
        _op(backward)()(leaf(1.0, 2.0), leaf(3.0, 4.0)).sum().backward()


def test_op_wrong_kind_of_gradient_is_named():
    with pytest.raises(TypeError, match=r"Odd.backward: gradient 0"):
        _op(lambda self, dy: ("a", dy))()(leaf(1.0), leaf(1.0)).backward()


def test_op_none_is_no_gradient():
    a, b = leaf(2.0), leaf(3.0)
    _op(lambda self, dy: (None, dy))()(a, b).backward()
    assert a.grad is None
    assert b.grad.tolist() == [1.0]


def test_op_gradients_get_the_dtype_of_the_input():
    x = fastnn.tensor(np.ones(2, np.float32), requires_grad=True)
    _op(lambda self, dy: dy.astype(np.float64), lambda self, a: a * 2)()(x).sum().backward()
    assert x.grad.dtype == np.float32


def test_op_gradient_that_it_keeps_is_not_shared():
    kept = np.ones(2)
    x, other = leaf(1.0, 2.0), leaf(1.0, 2.0)
    _op(lambda self, dy: (kept, kept))()(x, other).sum().backward()
    x.grad += 5
    assert kept.tolist() == other.grad.tolist() == [1.0, 1.0]


def test_op_needs_grad_is_known():
    seen = []

    class Look(Op):
        def forward(self, a, b):
            seen.append(self.needs_grad)
            return a + b

        def backward(self, dy):
            seen.append(self.needs_grad)
            return dy, None

    Look()(leaf(1.0), fastnn.tensor([1.0])).backward()
    Look()(np.ones(1), np.ones(1))
    assert seen == [(True, False), (True, False), ()]


@pytest.mark.parametrize("part", [slice(None), slice(1, None), slice(None, None, -1)])
def test_op_that_keeps_a_view_of_its_input_notices_changes(part):
    class Part(Op):
        def forward(self, x):
            self.part = x[part]
            return x * 2

        def backward(self, dy):
            return 2 * dy + 0 * self.part.sum()

    x = leaf(1.0, 2.0)
    y = Part()(x).sum()
    with fastnn.no_grad():
        x += 1
    with pytest.raises(RuntimeError, match="Part: an array that its backward needs was written into"):
        y.backward()


def test_op_that_keeps_a_view_of_an_array_of_the_caller_has_a_copy():
    class Scale(Op):
        def forward(self, x, scale):
            self.scale = scale[:2]
            return x * self.scale

        def backward(self, dy):
            return dy * self.scale, None

    x, scale = leaf(1.0, 2.0), np.array([3.0, 4.0, 5.0])
    y = Scale()(x, scale).sum()
    scale[:] = 0
    y.backward()
    assert x.grad.tolist() == [3.0, 4.0]


def test_op_that_keeps_its_result_cannot_have_it_changed():
    class Exponential(Op):
        def forward(self, x):
            self.y = np.exp(x)
            return self.y

        def backward(self, dy):
            return dy * self.y

    x = leaf(0.0, 0.0)
    y = Exponential()(x)
    detached = y.detach()
    detached += 5
    with fastnn.no_grad():
        view = y[:1]
        view += 5
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("part", [lambda a: a, lambda a: a[:], lambda a: a[::-1]])
def test_op_that_returns_its_input_is_a_view(part):
    x = leaf(1.0, 2.0)
    same = _op(lambda self, dy: part(dy), lambda self, a: part(a))
    y = same()(x)
    z = (y * y).sum()
    with fastnn.no_grad():
        x *= 5
    with pytest.raises(RuntimeError, match="written into"):
        z.backward()


def test_op_that_returns_an_array_of_the_caller_is_not_changed_with_it():
    x, given = leaf(1.0, 2.0), np.array([3.0, 4.0])
    y = _op(lambda self, dy: (dy, None), lambda self, a, b: b)()(x, given)
    z = (y * y).sum()
    given[:] = 0
    z.backward()
    assert x.grad.tolist() == [6.0, 8.0]


class SumAndProduct(Op):
    """Several results."""

    def forward(self, a, b):
        self.a, self.b = a, b
        return a + b, a * b

    def backward(self, d_sum, d_product):
        return d_sum + d_product * self.b, d_sum + d_product * self.a


def test_op_several_results():
    a, b = leaf(2.0), leaf(3.0)
    total, product = SumAndProduct()(a, b)
    (total * product).backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([6.0 + 5 * 3], [6.0 + 5 * 2])


@pytest.mark.parametrize("which", [0, 1])
def test_op_several_results_of_which_one_is_used(which):
    a, b = leaf(2.0), leaf(3.0)
    result = SumAndProduct()(a, b)[which]
    (result + result).backward()
    assert (a.grad.tolist(), b.grad.tolist()) == [([2.0], [2.0]), ([6.0], [4.0])][which]


def test_op_several_results_backward_of_one_directly():
    a, b = leaf(2.0), leaf(3.0)
    _, product = SumAndProduct()(a, b)
    product.backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([3.0], [2.0])


def test_op_integer_result_has_no_gradient():
    class Largest(Op):
        def forward(self, x):
            self.place = int(x.argmax())
            self.shape = x.shape
            return x.max(), np.asarray(self.place)

        def backward(self, dy, _):
            dx = np.zeros(self.shape)
            dx[self.place] = dy
            return dx

    x = leaf(1.0, 3.0, 2.0)
    value, place = Largest()(x)
    assert not place.requires_grad
    value.backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


def test_op_with_an_error_leaves_everything_as_it_was():
    x = leaf(1.0)

    def fail(self, dy):
        raise ArithmeticError("no")

    y = _op(fail, lambda self, a: a * 2)()(x * x)
    with pytest.raises(ArithmeticError):
        y.backward()
    assert x.grad is None
    (x * 2).backward()
    assert x.grad.tolist() == [2.0]
