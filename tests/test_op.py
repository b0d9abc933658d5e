"""fastnn.Op: operations of a user, and what observers see of all of them."""

import gc
import threading

import numpy as np
import pytest

import fastnn
from fastnn import Op, autograd


def leaf(*values):
    return fastnn.tensor(np.array(values), requires_grad=True)


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


HOLDERS = {
    "attribute": lambda x: x,
    "tuple": lambda x: (x, 1),
    "list": lambda x: [None, x],
    "dict": lambda x: {"x": x},
    "nested": lambda x: {"all": [(x[::-1],)]},
}


def _first_array(value):
    if isinstance(value, np.ndarray):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next((found for found in map(_first_array, items) if found is not None), None)


class Hold(Op):
    def __init__(self, holder):
        self.holder = holder

    def forward(self, x, scale):
        self.held = self.holder(scale)
        return x * scale

    def backward(self, dy):
        return dy * _first_array(self.held), None


@pytest.mark.parametrize("holder", HOLDERS)
def test_op_may_keep_arrays_in_tuples_lists_and_dicts(holder):
    x, scale = leaf(1.0, 2.0), np.array([3.0, 3.0])
    y = Hold(HOLDERS[holder])(x, scale).sum()
    scale[:] = 0  # an array of the caller: a copy was kept
    y.backward()
    assert x.grad.tolist() == [3.0, 3.0]
    scale = fastnn.tensor([3.0, 3.0])
    y = Hold(HOLDERS[holder])(x, scale).sum()
    scale[:] = 0
    with pytest.raises(RuntimeError, match="Hold: an array that its backward needs was written into"):
        y.backward()


@pytest.mark.parametrize("result", [[1.0, 2.0], None, "text"])
def test_op_forward_of_something_else_raises(result):
    odd = _op(lambda self, dy: dy, lambda self, a: result)
    with pytest.raises(TypeError, match=r"Odd.forward: an array, a number or a tuple of them is needed. Received: "):
        odd()(leaf(1.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_op_may_give_a_number(dtype):
    x = fastnn.tensor(np.ones(2, dtype), requires_grad=True)
    for forward in (lambda self, a: float(a.sum()), lambda self, a: a.sum(), lambda self, a: np.asarray(a.sum())):
        y = _op(lambda self, dy: np.broadcast_to(dy, 2), forward)()(x)
        assert (y.dtype, y.shape) == (dtype, ())
        (dx,) = fastnn.grad(y, [x])
        assert (dx.dtype, dx.tolist()) == (dtype, [1.0, 1.0])


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


# ---- observers -------------------------------------------------------------------------------------------------------
class Sees(autograd.Observer):
    """Hands every operation to a function."""

    def __init__(self, function):
        self.operation = function


def test_observers_see_every_operation_and_nest():
    outer, inner = [], []

    def into(seen):
        return Sees(lambda op, phase, inputs, *_: seen.append((type(op).__name__, phase, len(inputs))))

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
    with autograd.observing(Sees(lambda *what: seen.append(what))), fastnn.no_grad():
        y = np.exp(fastnn.tensor([1.0]))
    ((op, phase, inputs, result, seconds),) = seen
    assert (type(op).__name__, phase) == ("Exp", "forward")
    assert inputs[0].tolist() == [1.0]
    assert np.array_equal(result, y.data)
    assert 0 <= seconds < 1


def test_observers_belong_to_threads():
    seen = []
    x = leaf(1.0)
    with autograd.observing(Sees(lambda *what: seen.append(what))):
        thread = threading.Thread(target=lambda: x * 2)
        thread.start()
        thread.join()
    assert seen == []


def test_op_leaves_no_cycles():
    def use():
        x = leaf(1.0, 2.0)
        Cube()(x).sum().backward()
        Hold(HOLDERS["nested"])(x, np.ones(2)).sum().backward()
        first, _ = SumAndProduct()(x, x)
        first.sum().backward()
        Cube()(x)

    use()
    gc.collect()
    gc.disable()
    try:
        use()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_op_that_writes_into_its_gradient_changes_nothing_else():
    class Halves(fastnn.Op):
        def forward(self, x):
            return 0.5 * x

        def backward(self, dy):
            dy *= 0.5
            return dy

    x = leaf(1.0, 2.0)
    dy = np.array([1.0, 3.0])
    (Halves()(x) + x * 1).backward(dy)
    assert x.grad.tolist() == [1.5, 4.5]
    assert dy.tolist() == [1.0, 3.0]
