"""Steps of several parameters in one call of C: the bits of one call each, in any layout, with arrays that overlap."""

import numpy as np
import pytest

import fastnn
from fastnn import functional as F
from fastnn import nn, optim
from fastnn.functional.optimizer import together

SHAPES = [(3,), (64, 32, 3, 3), (1,), (5, 7), (40_000,), (), (0, 4), (16, 16, 1, 1)]

MAKERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "sgd_momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.1),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw_amsgrad": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01),
    "rmsprop_all": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True, maximize=True),
}


class Seen(fastnn.autograd.Observer):
    """The functions of C that ran."""

    def __init__(self):
        self.names = []

    def kernel(self, name, *_):
        self.names.append(name)


def parameters(rng):
    """Parameters of both dtypes, in several memory orders; some have no gradient."""
    found = []
    for dtype in (np.float32, np.float64):
        for i, shape in enumerate(SHAPES):
            data = rng.standard_normal(shape).astype(dtype)
            found.append(nn.Parameter(np.asfortranarray(data) if i % 2 else data))
    return found


def set_gradients(found, rng):
    for i, parameter in enumerate(found):
        gradient = rng.standard_normal(parameter.shape).astype(parameter.data.dtype)
        parameter.grad = None if i == 3 else gradient if i % 3 else np.asfortranarray(gradient)


def trained(make, alone):
    found = parameters(np.random.default_rng(0))
    optimizer = make(found)
    if alone:
        update = type(optimizer).update
        optimizer.update = lambda *args: update(optimizer, *args)  # which does not say that it can wait
    for step in range(3):
        set_gradients(found, np.random.default_rng(step))
        optimizer.step()
    return found, optimizer


@pytest.mark.parametrize("name", MAKERS)
def test_steps_together_have_the_bits_of_steps_alone(isa, threads, name):
    fastnn.set_num_threads(threads)
    (actual, optimizer), (expected, other) = trained(MAKERS[name], False), trained(MAKERS[name], True)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a.data, e.data)
        for key, value in optimizer.state.get(a, {}).items():
            np.testing.assert_array_equal(value, other.state[e][key])


def test_steps_together_are_one_call_for_all_parameters(rng):
    found = [nn.Parameter(rng.standard_normal(n).astype(np.float32)) for n in range(1, 20)]
    for parameter in found:
        parameter.grad = np.ones_like(parameter.data)
    optimizer, seen = optim.SGD(found, lr=0.1, momentum=0.9), Seen()
    calls = []
    native = fastnn._runtime._native
    original = native.optimizer_step
    with pytest.MonkeyPatch.context() as patch, fastnn.autograd.observing(seen):
        patch.setattr(native, "optimizer_step", lambda steps, n: calls.append(len(steps)) or original(steps, n))
        optimizer.step()
    assert calls == [19]
    assert seen.names == ["sgd_step"]


def test_steps_together_of_overlapping_arrays_are_taken_in_order(isa):
    memory = np.arange(8, dtype=np.float32)
    expected = memory.copy()
    views = [slice(0, 6), slice(2, 8), slice(0, 8)]
    with together():
        for view in views:
            F.sgd_step(memory[view], np.ones(8, np.float32)[view], lr=0.5, weight_decay=0.5)
    for view in views:
        F.sgd_step(expected[view], np.ones(8, np.float32)[view], lr=0.5, weight_decay=0.5)
    np.testing.assert_array_equal(memory, expected)


def test_steps_together_may_share_a_gradient():
    gradient = np.ones(5)
    first, second = np.zeros(5), np.zeros(5)
    with together():
        F.sgd_step(first, gradient, lr=1)
        F.sgd_step(second, gradient, lr=2)
        assert not first.any()  # it waits
    assert first.tolist() == [-1] * 5
    assert second.tolist() == [-2] * 5


def test_steps_together_whose_gradient_is_what_another_changes_are_taken_in_order():
    first, second = np.ones(4), np.ones(4)
    with together():
        F.sgd_step(first, np.ones(4), lr=1)
        F.sgd_step(second, first, lr=1)
    assert first.tolist() == [0] * 4
    assert second.tolist() == [1] * 4


def test_steps_together_that_cannot_wait_come_after_those_before_them():
    memory = np.arange(8.0)
    with together():
        F.sgd_step(memory, np.ones(8), lr=1, weight_decay=1)  # all become -1
        F.sgd_step(memory[::2], np.ones(4), lr=1, weight_decay=2)  # lies with gaps: is copied
    assert memory.tolist() == [0, -1] * 4


def test_steps_together_before_an_error_are_taken():
    first = np.zeros(3)

    def steps():
        with together():
            F.sgd_step(first, np.ones(3), lr=1)
            F.sgd_step(np.zeros(3), np.ones(4), lr=1)

    with pytest.raises(ValueError, match="same shape"):
        steps()
    assert first.tolist() == [-1] * 3


def test_steps_together_of_an_update_that_reads_what_it_changes_are_not(rng):
    class Halved(optim.SGD):
        def update(self, parameter, gradient, state, group):
            super().update(parameter, gradient, state, group)
            parameter *= 0.5

    w = nn.Parameter(np.full(3, 4.0))
    w.grad = np.full(3, 2.0)
    Halved([w], lr=1).step()
    assert w.data.tolist() == [1] * 3


def test_steps_together_of_several_optimizers_are_as_those_of_each(rng):
    matrix, vector = nn.Parameter(rng.standard_normal((4, 4))), nn.Parameter(np.ones(4))
    twins = nn.Parameter(matrix.data.copy()), nn.Parameter(vector.data.copy())
    several = optim.MultiOptimizer([optim.SGD([vector], lr=1), optim.Muon([matrix])])
    each = optim.SGD([twins[1]], lr=1), optim.Muon([twins[0]])
    for a, b in ((matrix, twins[0]), (vector, twins[1])):
        a.grad = b.grad = np.ones(a.shape)
    several.step()
    for optimizer in each:
        optimizer.step()
    np.testing.assert_array_equal(matrix.data, twins[0].data)
    np.testing.assert_array_equal(vector.data, twins[1].data)


def test_parameter_step_holds_on_to_its_arrays():
    w = np.zeros(3)
    step = fastnn._runtime._native.ParameterStep("average_step", 0.5, w, np.ones(3), None, None, None)
    with pytest.raises(ValueError, match="resize"):
        w.resize(100)
    fastnn._runtime._native.optimizer_step([step], 1)
    assert w.tolist() == [0.5] * 3


SETTINGS = {"lr": 1.0, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False}
GAPS, FROZEN = np.zeros(6)[::2], np.zeros(3)
FROZEN.flags.writeable = False


@pytest.mark.parametrize(
    "arrays",
    [
        (None, np.zeros(3)),
        (np.zeros(3), None),
        (np.zeros(3), np.zeros(4)),
        (np.zeros(3), np.zeros(3, np.float32)),
        (np.zeros(3), np.zeros((3, 1))),
        (np.zeros(3), [0.0] * 3),
        (GAPS, GAPS),
        (np.zeros(3), GAPS),
        (FROZEN, np.zeros(3)),
        (np.zeros(3), np.zeros(3), FROZEN),
        (np.zeros(3, int), np.zeros(3, int)),
        (np.zeros(3, ">f8"), np.zeros(3, ">f8")),
        (np.zeros(25, np.uint8)[1:].view(np.float64), np.zeros(3)),
        (np.zeros((2, 2)).T, np.zeros((2, 2))),
        (np.broadcast_to(np.zeros(1), (3,)), np.zeros(3)),
    ],
)
def test_parameter_step_refuses_what_does_not_lie_alike(arrays):
    with pytest.raises((BufferError, ValueError)):
        fastnn._runtime._native.ParameterStep("sgd_step", SETTINGS, *(*arrays, None, None, None)[:5])


@pytest.mark.parametrize("kind", ["adam_step", "rmsprop_step", "adagrad_step"])
def test_parameter_step_refuses_a_missing_state(kind):
    names = ("lr", "beta1", "beta2", "eps", "weight_decay", "decoupled_decay", "bias_correction1", "bias_correction2")
    settings = dict.fromkeys((*names, "alpha", "momentum", "maximize"), 0)
    with pytest.raises(BufferError, match="state is missing"):
        fastnn._runtime._native.ParameterStep(kind, settings, np.zeros(3), np.zeros(3), None, None, None)


def test_parameter_step_and_its_call_refuse_other_things():
    native = fastnn._runtime._native
    with pytest.raises(ValueError, match="no step"):
        native.ParameterStep("lion_step", {}, np.zeros(3), np.zeros(3), None, None, None)
    with pytest.raises(TypeError, match="ParameterStep"):
        native.optimizer_step([None], 1)
    with pytest.raises(ValueError, match="n_threads"):
        native.optimizer_step([], 0)
    native.optimizer_step([], 1)
