"""What every layer and loss owes its users, whatever they do between its forward and its backward.

The right gradients are those of separate calls, one at a time, which other tests compare with differences.
"""

import copy
import inspect
import pickle
import threading

import numpy as np
import pytest
from bad_calls_table import LAYERS, constructor

import fastnn
from fastnn import nn

CONTAINERS = {nn.Module, nn.Loss, nn.ModuleList, nn.ModuleDict, nn.ParameterList}
CLASSES = pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)


def made(cls):
    """A layer in float64, and several sets of what goes into it."""
    arguments, inputs = LAYERS[cls]
    layer = constructor(cls)(**copy.deepcopy(arguments)).astype(np.float64)
    layer.zero_grad()
    several = []
    for factor in (1.0, 0.75, 0.5):  # probabilities stay probabilities
        given = [scaled(x, factor) for x in inputs]
        several.append(given)
    return layer, several


def scaled(value, factor):
    """A copy in float64 times `factor`; of indices, and of tuples, such a copy."""
    if isinstance(value, tuple):
        return tuple(scaled(item, factor) for item in value)
    return np.array(value, np.float64) * factor if np.asarray(value).dtype.kind == "f" else np.array(value)


def copied(value):
    return tuple(map(copied, value)) if isinstance(value, tuple) else value.copy()


def first(value):
    """The first of several results or gradients: the output of an LSTM, dx of an attention's query."""
    return value[0] if isinstance(value, tuple) else value


def weights_of(y):
    """A gradient for the array y: something that is not the same everywhere."""
    return np.cos(np.arange(np.size(y), dtype=np.float64)).reshape(np.shape(y))


def upstream(y):
    """What `backward` takes after the result y of arrays."""
    if isinstance(y, tuple):
        return weights_of(y[0]), *(None,) * (len(y) - 1)
    return weights_of(y) if np.ndim(y) else float(weights_of(y))


def gradients(layer):
    return [None if p.grad is None else p.grad.copy() for p in layer.parameters()]


def separately(layer, several):
    """dx of each call and the sum of the parameters' gradients, by arrays, one call after the other."""
    layer.zero_grad()
    fastnn.manual_seed(0)
    calls = []
    for given in several:
        y = layer(*map(copied, given))
        dx = first(layer.backward(upstream(y)))
        calls.append((np.copy(first(y)), None if dx is None else dx.copy()))
    found = calls, gradients(layer)
    layer.zero_grad()
    return found


def tensors(given):
    """The first input as a tensor, which wants its gradient if it has one; others as they are."""
    return [fastnn.tensor(given[0], requires_grad=given[0].dtype.kind == "f"), *given[1:]]


def loss_of(y):
    y = first(y)
    return (y * weights_of(y.data)).sum()


def check(x, dx):
    if x.requires_grad:
        np.testing.assert_allclose(x.grad, dx, rtol=1e-12, atol=1e-14)


def check_parameters(layer, expected):
    for actual, wanted in zip(gradients(layer), expected, strict=True):
        assert (actual is None) == (wanted is None)
        if actual is not None:
            np.testing.assert_allclose(actual, wanted, rtol=1e-12, atol=1e-14)


def fresh(layer):
    """A copy with the state that `layer` has now, so that running statistics start alike."""
    return copy.deepcopy(layer)


def test_every_public_layer_and_loss_is_in_the_table():
    public = {cls for cls in vars(nn).values() if inspect.isclass(cls) and issubclass(cls, nn.Module)}
    assert public - CONTAINERS == set(LAYERS)


# ---- used several times ----------------------------------------------------------------------------------------------
@CLASSES
@pytest.mark.parametrize("times", [2, 3])
def test_layer_used_several_times_in_one_forward_has_the_gradients_of_separate_calls(cls, times):
    layer, several = made(cls)
    several = several[:times]
    calls, parameters = separately(fresh(layer), several)
    given = [tensors(inputs) for inputs in several]
    fastnn.manual_seed(0)
    total = sum(loss_of(layer(*inputs)) for inputs in given)
    total.backward()
    for inputs, (_, dx) in zip(given, calls, strict=True):
        check(inputs[0], dx)
    check_parameters(layer, parameters)


@CLASSES
def test_layer_used_twice_on_one_input_adds_up(cls):
    layer, several = made(cls)
    twice = [several[0], several[0]]
    calls, parameters = separately(fresh(layer), twice)
    inputs = tensors(several[0])
    fastnn.manual_seed(0)
    (loss_of(layer(*inputs)) + loss_of(layer(*inputs))).backward()
    check(inputs[0], None if calls[0][1] is None else calls[0][1] + calls[1][1])
    check_parameters(layer, parameters)


def takes_its_result(cls):
    """Whether layer(layer(x)) makes sense."""
    layer, (inputs, *_) = made(cls)
    if issubclass(cls, nn.Loss) or len(inputs) > 1 or inputs[0].dtype.kind != "f":
        return False
    y = layer(*inputs)
    return not isinstance(y, tuple) and y.shape == inputs[0].shape


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("cls", list(filter(takes_its_result, LAYERS)), ids=lambda cls: cls.__name__)
def test_layer_of_one_shape_goes_back_through_itself(cls, times):
    """layer(layer(x)), as a module that is used several times in a Sequential."""
    layer, several = made(cls)
    x = several[0][0]
    chain = [fresh(layer) for _ in range(times)]
    model = nn.Sequential(*[layer] * times)
    fastnn.manual_seed(0)
    y = model(x.copy())
    dx = model.backward(weights_of(y))
    fastnn.manual_seed(0)
    expected = x.copy()
    for other in chain:
        expected = other(expected)
    np.testing.assert_array_equal(y, expected)
    dy = weights_of(y)
    for other in reversed(chain):
        dy = other.backward(dy)
    np.testing.assert_allclose(dx, dy, rtol=1e-12, atol=1e-14)
    sums = [sum(p.grad for p in parts) for parts in zip(*(other.parameters() for other in chain), strict=True)]
    check_parameters(layer, sums)


@CLASSES
def test_layer_shared_by_two_networks_adds_up(cls):
    layer, several = made(cls)
    if len(several[0]) > 1:
        network = other = layer
    else:
        network, other = nn.Sequential(layer), nn.Sequential(nn.Identity(), layer)
    calls, parameters = separately(fresh(layer), several[:2])
    a, b = tensors(several[0]), tensors(several[1])
    fastnn.manual_seed(0)
    loss_a, loss_b = loss_of(network(*a)), loss_of(other(*b))
    loss_a.backward()
    loss_b.backward()
    check(a[0], calls[0][1])
    check(b[0], calls[1][1])
    check_parameters(layer, parameters)


# ---- what happens in between -----------------------------------------------------------------------------------------
@CLASSES
def test_layer_called_under_no_grad_in_between_keeps_its_gradient(cls):
    layer, several = made(cls)
    layer.eval()  # so that running statistics stay
    (call,), parameters = separately(layer, several[:1])
    y = layer(*several[0])
    with fastnn.no_grad():
        layer(*several[1])
    np.testing.assert_array_equal(first(layer.backward(upstream(y))), call[1])
    check_parameters(layer, parameters)
    layer.zero_grad()
    inputs = tensors(several[0])
    loss = loss_of(layer(*inputs))
    with fastnn.no_grad():
        others = tensors(several[1])
        other = first(layer(*others))
    assert other is others[0] or not other.requires_grad
    loss.backward()
    check(inputs[0], call[1])
    check_parameters(layer, parameters)


@CLASSES
@pytest.mark.parametrize("changed", ["result", "input", "both"])
def test_layer_whose_arrays_are_changed_before_backward_is_right(cls, changed):
    layer, several = made(cls)
    (call,), parameters = separately(fresh(layer), several[:1])
    given = [copied(x) for x in several[0]]
    fastnn.manual_seed(0)
    y = layer(*given)
    dy = upstream(y)
    if changed != "input" and np.ndim(first(y)):
        first(y)[...] = 0.125
    if changed != "result":
        for x in given:
            for array in x if isinstance(x, tuple) else (x,):
                array[...] = 0
    np.testing.assert_array_equal(first(layer.backward(dy)), call[1])
    check_parameters(layer, parameters)


@CLASSES
def test_layer_whose_tensors_are_changed_before_backward_is_right_or_an_error(cls):
    layer, several = made(cls)
    (call,), parameters = separately(fresh(layer), several[:1])
    inputs = tensors(several[0])
    fastnn.manual_seed(0)
    y = first(layer(*inputs))
    loss = loss_of(y)
    if not y.is_leaf:
        with pytest.raises(ValueError, match="read-only"):
            y.data[...] = 0.125
        with pytest.raises(RuntimeError, match="recorded result"):
            y[...] = 0.125
        y += 1  # another tensor under this name
    loss.backward()
    check(inputs[0], call[1])
    check_parameters(layer, parameters)


@CLASSES
def test_layer_whose_weights_are_changed_before_backward_is_right_or_an_error(cls):
    layer, several = made(cls)
    (call,), _ = separately(fresh(layer), several[:1])
    inputs = tensors(several[0])
    fastnn.manual_seed(0)
    loss = loss_of(layer(*inputs))
    for parameter in layer.parameters():
        parameter.data *= 3
    problem = None
    try:
        loss.backward()
    except RuntimeError as error:
        problem = str(error)
    if problem is None:
        check(inputs[0], call[1])
    else:
        assert "was written into after its forward" in problem


@CLASSES
@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_layer_copied_in_the_middle_goes_back_and_so_does_its_copy(cls, way):
    layer, several = made(cls)
    (call,), parameters = separately(fresh(layer), several[:1])
    inputs = tensors(several[0])
    untouched = fresh(layer)
    fastnn.manual_seed(0)
    loss = loss_of(layer(*inputs))
    twin = way(layer)
    for p, q in zip(twin.parameters(), untouched.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        assert not np.shares_memory(p.data, q.data)
    loss.backward()
    check(inputs[0], call[1])
    check_parameters(layer, parameters)
    assert all(p.grad is None for p in twin.parameters())
    again = tensors(several[0])
    loss_of(twin(*again)).backward()
    assert all(p.grad is not None or q.grad is None
               for p, q in zip(twin.parameters(), layer.parameters(), strict=True))  # fmt: skip


# ---- threads ---------------------------------------------------------------------------------------------------------
@CLASSES
def test_layer_in_two_threads_gives_each_what_it_would_get_alone(cls):
    layer, several = made(cls)
    layer.eval()

    def alone(given):
        inputs = tensors(given)
        wanted = inputs[0] if inputs[0].requires_grad else next(layer.parameters())
        y = first(layer(*inputs))
        return np.copy(y.data), fastnn.grad(loss_of(y), wanted)

    expected = [alone(given) for given in several[:2]]
    found = [[], []]
    start = threading.Barrier(2)

    def work(i):
        start.wait()
        for _ in range(20):
            found[i].append(alone(several[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for results, (y, dx) in zip(found, expected, strict=True):
        assert len(results) == 20
        for other_y, other_dx in results:
            np.testing.assert_array_equal(other_y, y)
            np.testing.assert_array_equal(other_dx, dx)
