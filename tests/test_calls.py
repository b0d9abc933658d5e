"""Calls of modules: arrays in, arrays out, and backward; tensors in, tensors out; hooks; a backward of one's own."""

import gc
import weakref
from typing import NamedTuple

import numpy as np
import pytest

import fastnn
from fastnn import functional as F
from fastnn import nn


def numeric(function, x, step=1e-6):
    """The gradient of a function of one float64 array by differences."""
    x = x.copy()
    result = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        before = x[index]
        x[index] = before + step
        above = function(x)
        x[index] = before - step
        result[index] = (above - function(x)) / (2 * step)
        x[index] = before
    return result


class Branchy(nn.Module):
    """A forward only, with a branch, a layer used twice and NumPy's functions."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.act = nn.Tanh()
        self.head = nn.Linear(8, 3)
        self.astype(np.float64)

    def forward(self, x):
        a = self.act(self.first(x))
        b = self.act(self.first(a)) * 2 + a
        return self.head(np.concatenate([a, b], axis=1))


class Several(nn.Module):
    """Two inputs, two results."""

    def forward(self, a, b, *, scale=1.0):
        return a * b * scale, a - b


class Double(nn.Module):
    """A hand-written backward that needs what forward kept."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.array([3.0]))
        self.seen = []

    def forward(self, x):
        self.x = x
        self.seen.append(float(x.sum()))
        return self.weight.data * x * x

    def backward(self, dy):
        assert isinstance(dy, np.ndarray)
        self.weight.add_grad(np.array([(dy * self.x * self.x).sum()]))
        return 2 * self.weight.data * self.x * dy


X = np.random.default_rng(0).standard_normal((5, 4))


# ---- arrays in, arrays out -------------------------------------------------------------------------------------------
def test_call_with_arrays_has_the_gradient_of_any_forward():
    model = Branchy()
    y = model(X)
    assert type(y) is np.ndarray
    dy = np.cos(np.arange(15.0)).reshape(5, 3)
    dx = model.backward(dy)
    np.testing.assert_allclose(dx, numeric(lambda x: (model(x) * dy).sum(), X), atol=1e-8)
    assert all(p.grad is not None for p in model.parameters())


def test_call_with_arrays_and_with_tensors_have_the_same_bits():
    model = Branchy()
    y = model(X)
    dx = model.backward(np.ones_like(y))
    by_arrays = [p.grad for p in model.parameters()]
    model.zero_grad()
    x = fastnn.tensor(X, requires_grad=True)
    z = model(x)
    z.backward(np.ones_like(y))
    np.testing.assert_array_equal(z.data, y)
    np.testing.assert_array_equal(x.grad, dx)
    for parameter, grad in zip(model.parameters(), by_arrays, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)


@pytest.mark.parametrize("by_name", [False, True])
def test_call_with_several_arrays_gives_several_gradients(by_name):
    a, b = X, X + 1
    model = Several()
    y, z = model(a, b=b, scale=0.5) if by_name else model(a, b, scale=0.5)
    np.testing.assert_array_equal(y, a * b * 0.5)
    da, db = model.backward((np.ones_like(y), 2 * np.ones_like(z)))
    np.testing.assert_array_equal(da, b * 0.5 + 2)
    np.testing.assert_array_equal(db, a * 0.5 - 2)


def test_call_needs_a_gradient_for_each_of_several_results():
    model = Several()
    y, _ = model(X, X)
    with pytest.raises(ValueError, match=r"^Several.backward: dy must be 2 gradients, one for each result"):
        model.backward(np.ones_like(y))
    y, _ = model(X, X)
    da, _ = model.backward((np.ones_like(y), None))
    np.testing.assert_array_equal(da, X)


def test_call_that_gives_a_dict_goes_back_from_a_dict():
    class Named(nn.Module):
        def forward(self, x):
            return {"double": 2 * x, "square": x * x, "label": "any"}

    model = Named()
    y = model(X)
    assert type(y["double"]) is np.ndarray
    assert y["label"] == "any"
    np.testing.assert_array_equal(model.backward({"double": np.ones_like(X)}), np.full_like(X, 2))
    model(X)
    with pytest.raises(ValueError, match="dy must be a dict like the result"):
        model.backward({"other": X})


def test_call_of_a_scalar_result_needs_no_gradient():
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean()

    model = Mean()
    assert float(model(X)) == pytest.approx(X.mean())
    np.testing.assert_allclose(model.backward(), np.full_like(X, 1 / X.size))


def test_call_without_input_grad_gives_none_and_the_gradients_of_parameters():
    model = Branchy()
    y = model(X)
    model.backward(np.ones_like(y))
    expected = [p.grad for p in model.parameters()]
    model.zero_grad()
    model.input_grad = False
    model(X)
    assert model.backward(np.ones_like(y)) is None
    for parameter, grad in zip(model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)


def test_call_of_a_network_goes_back_once_and_says_so():
    model = Branchy()
    y = model(X)
    model.backward(np.ones_like(y))
    with pytest.raises(RuntimeError, match=r"^Branchy: backward needs a forward before it"):
        model.backward(np.ones_like(y))


def test_call_with_arrays_under_no_grad_leaves_the_last_call_as_it_is():
    model = Branchy()
    y = model(X)
    expected = model.backward(np.ones_like(y))
    model(X)
    with fastnn.no_grad():
        model(2 * X)
    np.testing.assert_array_equal(model.backward(np.ones_like(y)), expected)


def test_call_under_no_grad_keeps_nothing():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).astype(np.float64)
    with fastnn.no_grad():
        kept = weakref.ref(model(X))
    gc.collect()
    assert kept() is None
    assert all("_call" not in vars(module) for module in model.modules())


def test_call_leaves_the_callers_arrays_alone():
    class InPlace(nn.Module):
        def forward(self, x):
            x += 1
            x[0] = 0
            return x * 2

    x = X.copy()
    with fastnn.no_grad():
        y = InPlace()(x)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y[1:], 2 * (X[1:] + 1))


def test_call_whose_forward_leaves_the_tape_is_right_and_its_backward_says_so():
    class Leaves(nn.Module):
        def forward(self, x):
            return np.ascontiguousarray(x.T).T * x

    model = Leaves()
    np.testing.assert_array_equal(model(X), X * X)
    with pytest.raises(TypeError, match=r"^Leaves.backward: .* has no gradient"):
        model.backward(np.ones_like(X))
    with pytest.raises(TypeError, match="would not carry the gradient on"):
        model(fastnn.tensor(X, requires_grad=True) * 1)


@pytest.mark.parametrize("bad", [np.ones((5, 4)), np.ones((5, 3), np.float32), None, "a"])
def test_call_refuses_gradients_that_do_not_fit(bad):
    model = Branchy()
    model(X)
    with pytest.raises((TypeError, ValueError), match=r"^Branchy.backward: "):
        model.backward(bad)


# ---- a backward of one's own -----------------------------------------------------------------------------------------
def test_hand_written_module_gets_arrays_and_mixes_with_tensors():
    model = nn.Sequential(nn.Linear(4, 4), Double(), nn.Tanh()).astype(np.float64)
    y = model(X)
    dx = model.backward(np.ones_like(y))
    np.testing.assert_allclose(dx, numeric(lambda x: model(x).sum(), X), atol=1e-7)
    assert model[1].weight.grad.shape == (1,)


def test_hand_written_module_used_twice_has_the_gradients_of_both_calls():
    twice = Double()
    x = fastnn.tensor(X, requires_grad=True)
    (twice(x).sum() + twice(2 * x).sum()).backward()
    w = 3.0
    np.testing.assert_allclose(x.grad, 2 * w * X + 2 * w * 2 * X * 2)
    np.testing.assert_allclose(twice.weight.grad, [(X * X).sum() + (4 * X * X).sum()])
    assert twice.seen == [X.sum(), (2 * X).sum()]


def test_hand_written_module_in_itself_goes_back_through_both():
    model = nn.Sequential(*[Double()] * 2)
    y = model(X)
    dx = model.backward(np.ones_like(y))
    np.testing.assert_allclose(dx, numeric(lambda x: model(x).sum(), X), rtol=1e-5)


def test_hand_written_module_over_layers_keeps_what_they_keep():
    class Composite(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.act = nn.Linear(4, 4).astype(np.float64), nn.Sigmoid()

        def forward(self, x):
            return self.act(self.linear(x))

        def backward(self, dy):
            return self.linear.backward(self.act.backward(dy))

    block = Composite()
    x = fastnn.tensor(X, requires_grad=True)
    (block(x) * block(x * 0.5)).sum().backward()
    expected = numeric(lambda x: (block(x) * block(x * 0.5)).sum(), X)
    np.testing.assert_allclose(x.grad, expected, atol=1e-8)


def test_subclass_with_super_calls_of_both_is_right_by_arrays_and_tensors():
    class Guided(nn.ReLU):
        def forward(self, x):
            return 2 * super().forward(x)

        def backward(self, dy):
            return super().backward(2 * np.maximum(dy, 0))

    layer = Guided()
    y = layer(X)
    np.testing.assert_array_equal(y, 2 * np.maximum(X, 0))
    dy = np.sin(np.arange(20.0)).reshape(5, 4)
    expected = 2 * np.maximum(dy, 0) * (X > 0)
    np.testing.assert_array_equal(layer.backward(dy), expected)
    x = fastnn.tensor(X, requires_grad=True)
    layer(x).backward(dy)
    np.testing.assert_array_equal(x.grad, expected)


def test_subclass_with_another_backward_only_uses_it():
    class Guided(nn.ReLU):
        def backward(self, dy):
            return super().backward(np.maximum(dy, 0))

    dy = np.sin(np.arange(20.0)).reshape(5, 4)
    expected = np.maximum(dy, 0) * (X > 0)
    layer = Guided()
    layer(X)
    np.testing.assert_array_equal(layer.backward(dy), expected)
    model = nn.Sequential(Guided())
    model(X)
    np.testing.assert_array_equal(model.backward(dy), expected)


def test_subclass_with_another_forward_only_has_its_gradient():
    class Standardized(nn.Linear):
        def forward(self, x):
            weight = (self.weight - self.weight.mean(axis=1, keepdims=True)) / self.weight.std(axis=1, keepdims=True)
            return F.linear(x, weight, self.bias)

    layer = Standardized(4, 3).astype(np.float64)
    y = layer(X)
    layer.backward(np.ones_like(y))
    grad = layer.weight.grad

    def loss(weight):
        layer.weight.data = weight.copy()
        return float(layer(X).sum())

    np.testing.assert_allclose(grad, numeric(loss, layer.weight.data.copy()), atol=1e-7)


# ---- hooks -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("by_tensors", [False, True])
def test_hooks_see_and_change_what_goes_through_a_layer(by_tensors):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).astype(np.float64)
    seen = []
    handles = [
        model[1].register_forward_pre_hook(lambda module, arguments: seen.append(("pre", arguments[0].shape))),
        model[1].register_forward_hook(lambda module, arguments, y: seen.append(("forward", y.shape))),
        model[1].register_full_backward_hook(lambda _, dx, dy: seen.append(("backward", dx[0].shape, dy[0].shape))),
    ]
    if by_tensors:
        model(fastnn.tensor(X, requires_grad=True)).sum().backward()
    else:
        y = model(X)
        model.backward(np.ones_like(y))
    assert seen == [("pre", (5, 4)), ("forward", (5, 4)), ("backward", (5, 4), (5, 4))]
    for handle in handles:
        handle.remove()
    model(X)
    assert len(seen) == 3


def test_hooks_replace_arguments_results_and_gradients():
    layer = nn.Identity()
    with layer.register_forward_pre_hook(lambda module, arguments: (arguments[0] * 2,)):
        np.testing.assert_array_equal(layer(X), 2 * X)
    with layer.register_forward_hook(lambda module, arguments, y: y * 3):
        np.testing.assert_array_equal(layer(X), 3 * X)
        np.testing.assert_array_equal(layer.backward(np.ones_like(X)), np.full_like(X, 3))
    act = nn.Tanh()
    with act.register_full_backward_hook(lambda module, dx, dy: (dx[0] * 10,)):
        y = act(X)
        np.testing.assert_allclose(act.backward(np.ones_like(y)), 10 * (1 - y * y))
    np.testing.assert_array_equal(layer(X), X)


def test_hooks_of_a_layer_whose_input_needs_no_gradient_see_its_result():
    seen = []
    layer = nn.Linear(4, 2).astype(np.float64)
    layer.register_full_backward_hook(lambda module, dx, dy: seen.append((dx, dy[0].shape)))
    layer.input_grad = False
    y = layer(X)
    layer.backward(np.ones_like(y))
    assert seen == [((), (5, 2))]


@pytest.mark.parametrize("kind", ["forward_pre", "forward", "full_backward"])
def test_hooks_must_be_callable(kind):
    with pytest.raises(TypeError, match=rf"^register_{kind}_hook: hook must be callable. Received: 1"):
        getattr(nn.ReLU(), f"register_{kind}_hook")(1)


# ---- memory ----------------------------------------------------------------------------------------------------------
def test_calls_leave_no_cycles_and_flat_memory():
    model = Branchy()
    gc.collect()
    gc.disable()
    try:
        counts = []
        for _ in range(30):
            y = model(X)
            model.backward(np.ones_like(y))
            model.zero_grad()
            loss = model(fastnn.tensor(X)).sum()
            loss.backward()
            del loss
            counts.append(len(gc.get_objects()))
        assert counts[-1] <= counts[5] + 5
        assert gc.collect() == 0
    finally:
        gc.enable()


# ---- constants within a forward --------------------------------------------------------------------------------------
class Offset(nn.Module):
    """A layer that is called with an array of its own, in the forward of another."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 2), nn.Linear(3, 2)
        self.astype(np.float64)

    def forward(self, x):
        return self.a(x) + self.b(np.ones((1, 3)))


@pytest.mark.parametrize("by_tensors", [False, True])
def test_layer_called_with_a_constant_within_a_forward_has_its_gradient(by_tensors):
    model = Offset()
    if by_tensors:
        model(fastnn.tensor(X)).sum().backward()
    else:
        y = model(X)
        model.backward(np.ones_like(y))
    np.testing.assert_allclose(model.b.bias.grad, [5, 5])
    np.testing.assert_allclose(model.b.weight.grad, np.full((2, 3), 5))
    with fastnn.no_grad():
        assert type(model(X)) is np.ndarray
        assert type(model.b(np.ones((1, 3)))) is np.ndarray


def test_call_that_gives_a_named_tuple_gives_one_of_arrays():
    class Both(NamedTuple):
        double: object
        square: object

    class Named(nn.Module):
        def forward(self, x):
            return Both(2 * x, x * x)

    model = Named()
    y = model(X)
    assert type(y) is Both
    assert type(y.square) is np.ndarray
    np.testing.assert_array_equal(model.backward(Both(np.ones_like(X), None)), np.full_like(X, 2))
