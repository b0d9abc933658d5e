"""Forwards written by hand: a batch norm waits for the ReLU or the sum that follows it, and nobody sees it."""

import copy
import pickle
import threading

import numpy as np
import pytest

import fastnn
import fastnn.compat.torch as torch
from fastnn import _native, nn
from fastnn import functional as F
from fastnn.autograd.deferred import Deferred
from fastnn.autograd.observer import Observer, observing
from fastnn.compat.torch.nn import functional as compat_functional

ARRAY, TORCH = "fastnn", "torch"
FUNCTIONALS = {ARRAY: F, TORCH: compat_functional}
MODULES = {ARRAY: nn, TORCH: torch.nn}
BOTH = pytest.mark.parametrize("library", [ARRAY, TORCH])


@pytest.fixture
def calls(monkeypatch):
    """The names of the kernels that run."""
    names = []

    class Spy:
        def __getattr__(self, name):
            names.append(name)
            return getattr(_native, name)

    monkeypatch.setattr(fastnn._runtime, "_native", Spy())
    return names


def _tensor(library, array, requires_grad=False):
    if library == TORCH:
        return torch.tensor(array, requires_grad=requires_grad)
    return fastnn.tensor(array, requires_grad=requires_grad)


def _layers(library, channels=4, seed=0):
    random = np.random.default_rng(seed)
    conv, norm = MODULES[library].Conv2d(channels, channels, 3, padding=1), MODULES[library].BatchNorm2d(channels)
    for parameter in (*conv.parameters(), *norm.parameters()):
        parameter._data[...] = random.standard_normal(parameter._data.shape)
    return conv, norm


def _input(library, seed=0):
    return _tensor(library, np.random.default_rng(seed).standard_normal((2, 4, 5, 5)).astype(np.float32), True)


def _relu(F, z):
    return F.relu(z)


def _gelu(F, z):
    return F.gelu(z)


def _relu6(F, z):
    return F.relu6(3 * (z + 0)) + F.relu6(z)


def _relu6_alone(F, z):
    return F.relu6(z)


def _silu(F, z):
    return F.silu(z)


def _add_relu6(F, z, s):
    return F.relu6(z + s)


def _add_silu(F, z, s):
    return F.silu(z + s)


def _add_relu(F, z, s):
    return F.relu(z + s)


def _radd_relu(F, z, s):
    return F.relu(s + z)


def _iadd_relu(F, z, s):
    z += s
    return F.relu(z)


def _add_gelu(F, z, s):
    return F.gelu(z + s)


def _add_add(F, z, s):
    return F.relu(z + s + s)


def _used_twice(F, z):
    return F.relu(z) + z


def _itself(F, z):
    return F.relu(z + z)


def _negated(F, z):
    return F.relu(-z)


def _sliced(F, z):
    return F.relu(z)[:, 1:] * z[:, :3]


def _looked_at_then_joined(F, z, s):
    w = z + s
    assert w.shape == z.shape
    return F.relu(w) + F.relu(z)


PROGRAMS = [
    _relu, _relu6, _relu6_alone, _silu, _add_relu6, _add_silu, _gelu, _add_relu, _radd_relu, _iadd_relu, _add_gelu,
    _add_add, _used_twice, _itself, _negated, _sliced, _looked_at_then_joined,
]  # fmt: skip
IN_ONE_PASS = [_relu, _relu6_alone, _gelu, _silu, _add_relu6, _add_relu, _radd_relu, _iadd_relu]


def _run(library, program):
    """The result, all gradients and the running statistics of a program on a batch norm's result."""
    conv, norm = _layers(library)
    other, _ = _layers(library, seed=1)
    x = _input(library)
    several = [norm(conv(x)), other(x)]
    inputs = several[: program.__code__.co_argcount - 1]
    y = program(FUNCTIONALS[library], *inputs)
    weights = np.random.default_rng(5).standard_normal(y.shape).astype(np.float32)
    (y * _tensor(library, weights)).sum().backward()
    found = [y._data, x._grad, norm._buffers["running_mean"], norm._buffers["running_var"]]
    return found + [p._grad for p in (*conv.parameters(), *norm.parameters())]


@BOTH
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_results_and_gradients_are_the_same_bits_as_without_waiting(library, program):
    joined = _run(library, program)
    with fastnn.joined_layers(False):
        alone = _run(library, program)
    for a, b in zip(joined, alone, strict=True):
        np.testing.assert_array_equal(a, b)


@BOTH
@pytest.mark.parametrize("program", IN_ONE_PASS, ids=lambda p: p.__name__)
def test_normalisation_and_activation_share_one_pass(library, program, calls):
    _run(library, program)
    for name in ("batchnorm_training", "batchnorm_forward", "batchnorm_backward"):
        assert calls.count(name) == 1
    assert not [name for name in calls if name.startswith(("relu", "gelu", "activation_forward"))]


@pytest.mark.parametrize(
    "activate",
    [torch.nn.ReLU(inplace=True), torch.relu_, torch.Tensor.relu_, compat_functional.relu_],
    ids=["module", "function", "method", "functional"],
)
def test_activation_in_place_joins_too(activate, calls):
    conv, norm = _layers(TORCH)
    z = norm(conv(_input(TORCH)))
    y = activate(z)
    assert y is z
    assert calls.count("batchnorm_forward") == 1
    assert not [name for name in calls if name.startswith("activation")]
    np.testing.assert_array_equal(z.detach().numpy() >= 0, True)


@BOTH
def test_nothing_is_computed_that_nobody_looks_at(library, calls):
    conv, norm = _layers(library)
    z = norm(conv(_input(library)))
    assert isinstance(z, Deferred)
    assert "batchnorm_forward" not in calls
    assert norm._buffers["num_batches_tracked"] == 1
    assert np.any(norm._buffers["running_mean"] != 0)


LOOKS = {
    "shape": lambda z: z.shape,
    "repr": repr,
    "numpy": lambda z: z.detach().numpy(),
    "item": lambda z: z[0, 0, 0, 0].item(),
    "grad_fn": lambda z: z.is_leaf,
    "iteration": list,
    "bool": lambda z: bool((z[0, 0, 0, 0] > 0)._data if hasattr(z[0, 0, 0, 0] > 0, "_data") else True),
    "comparison": lambda z: z > 0,
    "tolist": lambda z: z.tolist(),
    "array": lambda z: np.mean(z),
}


@BOTH
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("records", [True, False])
def test_whoever_looks_finds_a_plain_recorded_tensor(library, look, records):
    conv, norm = _layers(library)
    x = _input(library)
    z = norm(conv(x))
    kind = z._kind
    with fastnn.enable_grad() if records else fastnn.no_grad():
        LOOKS[look](z)
    assert type(z) is kind
    assert z.requires_grad
    z.sum().backward()
    assert x._grad is not None


@BOTH
def test_waiting_results_are_refused_by_copies_like_any_recorded_one(library):
    conv, norm = _layers(library)
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises((TypeError, RuntimeError)):
            copied(norm(conv(_input(library))))


def _asked_in_between(library, adds, looks_first):
    conv, norm = _layers(library)
    x, s = _input(library), _input(library, 3)
    s2 = s * 2
    z = norm(conv(x))
    argument = z + s2 if adds else z
    if looks_first:
        assert z.shape == x.shape
    y = FUNCTIONALS[library].relu(argument)
    wanted = [x, z, argument, s]
    if library == TORCH:
        found = torch.autograd.grad((y * y).sum(), wanted, allow_unused=True)
    else:
        found = fastnn.grad((y * y).sum(), wanted)
    return [None if g is None else np.asarray(getattr(g, "_data", g)) for g in found]


@BOTH
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("looks_first", [False, True])
def test_gradients_of_what_lies_in_between_are_there(library, adds, looks_first):
    joined = _asked_in_between(library, adds, looks_first)
    with fastnn.joined_layers(False):
        alone = _asked_in_between(library, adds, looks_first)
    assert np.any(joined[1])
    for a, b in zip(joined, alone, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("adds", [False, True])
def test_hooks_and_kept_gradients_may_be_asked_for_after_the_activation(adds):
    found = []
    for joins in (True, False):
        with fastnn.joined_layers(joins):
            conv, norm = _layers(TORCH)
            x = _input(TORCH)
            z = norm(conv(x))
            y = torch.relu(z + x if adds else z)
            seen = []
            z.retain_grad()
            z.register_hook(lambda gradient, seen=seen: seen.append(gradient._data.copy()))
            (y * y).sum().backward()
            found.append([z.grad._data, x.grad._data, *seen])
    assert len(found[0]) == 3
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_hook_on_a_result_that_has_been_used_sees_its_gradient_and_changes_it():
    w = torch.ones(2, requires_grad=True)
    y = w * 2
    total = (y * torch.tensor([1.0, 3.0])).sum()
    handle = y.register_hook(lambda gradient: gradient * 10)
    y.register_hook(lambda gradient: gradient + 1)
    total.backward(retain_graph=True)
    assert w.grad.tolist() == [22.0, 62.0]
    handle.remove()
    total.backward()
    assert w.grad.tolist() == [22.0 + 4.0, 62.0 + 8.0]


@BOTH
def test_a_second_backward_goes_only_after_one_that_retains(library):
    conv, norm = _layers(library)
    x = _input(library)
    y = FUNCTIONALS[library].relu(norm(conv(x))).sum()
    y.backward(retain_graph=True)
    first = np.array(x._grad)
    y.backward()
    np.testing.assert_allclose(x._grad, 2 * first, rtol=1e-6, atol=1e-6 * np.abs(first).max())
    with pytest.raises(RuntimeError, match="released"):
        y.backward()


def test_writing_into_a_weight_before_going_back_is_told():
    conv, norm = _layers(ARRAY)
    y = F.relu(norm(conv(_input(ARRAY)))).sum()
    with fastnn.no_grad():
        norm.weight *= 2
    with pytest.raises(RuntimeError, match="written into"):
        y.backward()


@pytest.mark.parametrize("replaces", [False, True])
@pytest.mark.parametrize("look", ["value", "relu", "sum"])
@BOTH
def test_who_looks_after_a_step_sees_the_result_of_the_weights_before(library, look, replaces):
    found = []
    for joins in (True, False):
        with fastnn.joined_layers(joins):
            conv, norm = _layers(library)
            x = _input(library)
            z, s = norm(conv(x)), x * 2
            if look == "sum":
                z = z + s
            with fastnn.no_grad():
                for parameter in norm.parameters():
                    if replaces:
                        parameter.data = parameter.data * 3
                    else:
                        parameter *= 3
            y = FUNCTIONALS[library].relu(z) if look == "relu" else z * 1
            found.append(np.array(y._data))
    np.testing.assert_array_equal(*found)


def test_input_that_becomes_another_result_in_the_meantime_changes_nothing():
    found = []
    for joins in (True, False):
        with fastnn.joined_layers(joins):
            conv, norm = _layers(TORCH)
            x = _input(TORCH)
            h = conv(x)
            s = h * 2
            z = norm(h)
            h += 1
            z += s
            s *= 3
            y = torch.relu(z)
            (y.sum() + h.sum() + s.sum()).backward()
            found.append([y._data, x._grad, h._data, s._data])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_views_of_what_waited_follow_it():
    conv, norm = _layers(TORCH)
    z = norm(conv(_input(TORCH)))
    first = z[:, 0]
    z += 1
    torch.relu_(z)
    np.testing.assert_array_equal(first._data, z._data[:, 0])
    assert np.all(first._data >= 0)


@pytest.mark.parametrize("case", ["no_grad", "leaf", "evaluation", "observed", "reference", "switched_off"])
def test_where_it_could_be_seen_nothing_waits(case):
    conv, norm = _layers(ARRAY)
    x = _input(ARRAY)
    if case == "no_grad":
        with fastnn.no_grad():
            z = norm(conv(x))
    elif case == "leaf":
        z = norm(x)
    elif case == "evaluation":
        norm.eval()
        z = norm(conv(x))
    elif case == "observed":
        found = []
        with observing(Observer()):
            found.append(norm(conv(x)))
        z = found[0]
    elif case == "reference":
        with fastnn.backend("reference"):
            z = norm(conv(x))
    else:
        with fastnn.joined_layers(False):
            z = norm(conv(x))
    assert not isinstance(z, Deferred)


def test_two_threads_that_look_at_once_find_the_same():
    conv, norm = _layers(ARRAY)
    for _ in range(20):
        z = norm(conv(_input(ARRAY)))
        start, found = threading.Barrier(2), []

        def look(z=z, start=start, found=found):
            start.wait()
            found.append(np.array(z.detach().data))

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        np.testing.assert_array_equal(*found)


def test_modules_that_are_called_with_arrays_give_arrays(rng):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x):
            return self.norm(self.conv(x))

    model = Own()
    x = rng.standard_normal((2, 3, 5, 5)).astype(np.float32)
    y = model(x)
    assert type(y) is np.ndarray
    assert model.backward(np.ones_like(y)).shape == x.shape


def test_size_of_a_batch_that_cannot_be_normalised_is_an_error_at_once():
    conv, norm = _layers(ARRAY)
    x = _tensor(ARRAY, np.ones((1, 4, 1, 1), np.float32), True)
    with pytest.raises(ValueError, match="more than one value"):
        norm(conv(x))
    norm.num_features = 5
    with pytest.raises(ValueError, match="num_features"):
        norm(conv(_input(ARRAY)))
