"""Optimisers around their steps: groups, what they tell parameters, saved states, several as one, bad arguments."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn import nn, optim, training


# ---- parameters and groups -------------------------------------------------------------------------------------------
def test_optimizer_groups_have_their_own_settings():
    a, b, c = (nn.Parameter(np.ones(2, np.float32)) for _ in range(3))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.25}], lr=0.5)
    optimizer.add_param_group({"params": [c], "lr": 0.0})
    for parameter in (a, b, c):
        parameter.grad = np.ones(2, np.float32)
    optimizer.step()
    assert [p.data[0] for p in (a, b, c)] == [0.5, 0.75, 1.0]
    for group in optimizer.param_groups:
        group["lr"] = 1.0
    optimizer.step()
    assert [p.data[0] for p in (a, b, c)] == [-0.5, -0.25, 0.0]
    optimizer.zero_grad()
    assert a.grad is None


def test_optimizer_skips_frozen_and_gradientless_parameters():
    a, b, c = (nn.Parameter(np.ones(2)) for _ in range(3))
    a.grad = b.grad = np.ones(2)
    b.requires_grad = False
    optimizer = optim.Adam([a, b, c])
    optimizer.step()
    assert a.data[0] < 1
    assert (b.data == 1).all()
    assert (c.data == 1).all()
    assert list(optimizer.state) == [a]


def test_optimizer_step_calls_closure_and_returns_its_result():
    w = nn.Parameter(np.ones(1))

    def closure():
        w.grad = np.ones(1)
        return 7.0

    assert optim.SGD([w], lr=1.0).step(closure) == 7.0
    assert w.data[0] == 0


def test_optimizer_wrong_gradient_changes_nothing():
    a, b = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(3))
    a.grad, b.grad = np.ones(2), np.ones(4)
    with pytest.raises(ValueError, match=r"SGD.step: .*grad.shape=\(4,\)"):
        optim.SGD([a, b]).step()
    np.testing.assert_array_equal(a.data, 1)


def test_optimizer_replaces_read_only_data_and_writes_through_views():
    read_only = np.ones(3, np.float32)
    read_only.flags.writeable = False
    base = np.ones(6, np.float32)
    a, b = nn.Parameter(read_only), nn.Parameter(base[::2])
    a.grad = b.grad = np.ones(3)  # of another dtype
    optim.SGD([a, b], lr=0.5).step()
    np.testing.assert_array_equal(a.data, np.full(3, 0.5, np.float32))
    np.testing.assert_array_equal(read_only, 1)
    np.testing.assert_array_equal(base, [0.5, 1, 0.5, 1, 0.5, 1])
    assert a.data.dtype == np.float32


def test_optimizer_trains_a_network_of_tap_major_weights(rng):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3))
    x = rng.standard_normal((2, 2, 6, 6)).astype(np.float32)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    losses = []
    for _ in range(20):
        y = model(x)
        losses.append(float(np.square(y - 1).sum()))
        optimizer.zero_grad()
        model.backward(2 * (y - 1) / len(x))
        assert model[0].weight.grad.strides == model[0].weight.data.strides
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    assert optimizer.state[model[0].weight]["momentum_buffer"].strides == model[0].weight.data.strides


MAKERS = {
    "sgd": lambda p: optim.SGD(p, 0.1, 0.9, 0.1, 0.01),
    "adam": lambda p: optim.Adam(p, 0.1, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, 0.1),
    "rmsprop": lambda p: optim.RMSprop(p, 0.1, momentum=0.9, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, 0.1, 0.1),
    "adadelta": lambda p: optim.Adadelta(p, weight_decay=0.1),
    "nadam": lambda p: optim.NAdam(p, 0.1, weight_decay=0.1),
    "lion": lambda p: optim.Lion(p, 0.1, weight_decay=0.1),
    "muon": lambda p: optim.Muon(p, 0.1),
    "muon_normalized": lambda p: optim.Muon(p, 0.1, normalize_weight=True),
}


class Watched(nn.Parameter):
    """A parameter that counts how often it is told of a change."""

    def __init__(self, data):
        super().__init__(data)
        self.changes = 0

    def written(self):
        self.changes += 1


@pytest.mark.parametrize("name", MAKERS)
def test_optimizer_step_tells_parameters_that_they_change(name, rng):
    trained, gradientless, frozen = (Watched(rng.standard_normal((4, 5))) for _ in range(3))
    trained.grad = frozen.grad = np.ones((4, 5))
    frozen.requires_grad = False
    optimizer = MAKERS[name]([trained, gradientless, frozen])
    for step in range(1, 3):
        optimizer.step()
        assert [p.changes for p in (trained, gradientless, frozen)] == [step, 0, 0]
    trained.grad = np.ones(3)
    with pytest.raises(ValueError, match="grad"):
        optimizer.step()
    assert trained.changes == 2


def test_optimizer_multi_and_averages_tell_parameters_that_they_change(rng):
    model = nn.Linear(2, 3)
    model.weight, model.bias = Watched(rng.standard_normal((3, 2))), Watched(rng.standard_normal(3))
    members = optim.Muon([model.weight]), optim.SGD([model.bias])
    model.weight.grad, model.bias.grad = np.ones((3, 2)), np.ones(3)
    optim.MultiOptimizer(members).step()
    assert (model.weight.changes, model.bias.changes) == (1, 1)
    ema = optim.EMA(model, 0.5)
    ema.update()
    with ema.average():
        pass
    assert (model.weight.changes, model.bias.changes) == (1, 1)
    ema.copy_to_model()
    assert (model.weight.changes, model.bias.changes) == (2, 2)
    lookahead = training.Lookahead(every=1)
    lookahead.on_fit_begin(SimpleNamespace(model=model))
    lookahead.on_step_end(SimpleNamespace(model=model, step=1, total_steps=5))
    assert (model.weight.changes, model.bias.changes) == (3, 3)


def test_optimizer_subclass_needs_update_only():
    class SignSGD(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def update(self, parameter, gradient, state, group):
            parameter -= group["lr"] * np.sign(gradient)

    w = nn.Parameter(np.zeros(2))
    w.grad = np.array([3.0, -4.0])
    SignSGD([w], 0.5).step()
    np.testing.assert_array_equal(w.data, [-0.5, 0.5])


# ---- state -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", MAKERS)
def test_optimizer_state_dict_continues_bit_identically(name, rng):
    gradients = rng.standard_normal((6, 4, 5)).astype(np.float32)
    w = nn.Parameter(np.asfortranarray(rng.standard_normal((4, 5)).astype(np.float32)))
    optimizer = MAKERS[name]([w])

    def run(parameter, optimizer, some):
        for gradient in some:
            parameter.grad = gradient
            optimizer.step()

    run(w, optimizer, gradients[:3])
    saved = optimizer.state_dict()
    resumed = nn.Parameter(w.data.copy())  # in another memory order
    run(w, optimizer, gradients[3:])
    # What is no array goes through JSON, as in a checkpoint.
    arrays = {i: {k: v for k, v in s.items() if isinstance(v, np.ndarray)} for i, s in saved["state"].items()}
    rest = {i: {k: v for k, v in s.items() if k not in arrays[i]} for i, s in saved["state"].items()}
    loaded = json.loads(json.dumps({"state": rest, "param_groups": saved["param_groups"]}))
    for i in arrays:
        loaded["state"][str(i)].update(arrays[i])
        assert all(array.flags.c_contiguous for array in arrays[i].values())
    other = MAKERS[name]([resumed])
    other.param_groups[0]["lr"] = 99.0
    other.load_state_dict(loaded)
    run(resumed, other, gradients[3:])
    np.testing.assert_array_equal(resumed.data, w.data)
    assert other.param_groups[0].keys() == optimizer.param_groups[0].keys()


def test_optimizer_load_state_dict_refuses_what_does_not_fit_and_changes_nothing():
    w = nn.Parameter(np.ones((2, 2)))
    w.grad = np.ones((2, 2))
    optimizer = optim.SGD([w], lr=0.5, momentum=0.9)
    optimizer.step()
    good = optimizer.state_dict()
    bad_shape = {**good, "state": {0: {"momentum_buffer": np.ones(3)}}}
    with pytest.raises(ValueError, match=r"momentum_buffer of parameter 0: \(3,\) given, \(2, 2\) needed"):
        optimizer.load_state_dict(bad_shape)
    with pytest.raises(ValueError, match="state of parameter 5"):
        optimizer.load_state_dict({**good, "state": {5: {}}})
    with pytest.raises(ValueError, match=r"groups of \[2\] parameters given, \[1\] needed"):
        optimizer.load_state_dict({**good, "param_groups": [{**good["param_groups"][0], "params": [0, 1]}]})
    with pytest.raises(KeyError, match="lacks momentum"):
        optimizer.load_state_dict(optim.Adam([nn.Parameter(np.ones((2, 2)))]).state_dict())
    with pytest.raises(ValueError, match="SGD: lr must be >= 0"):
        optimizer.load_state_dict({**good, "param_groups": [{**good["param_groups"][0], "lr": -1}]})
    assert optimizer.param_groups[0]["lr"] == 0.5
    np.testing.assert_array_equal(optimizer.state[w]["momentum_buffer"], 1)


# ---- several as one --------------------------------------------------------------------------------------------------
def matrix_and_vector(rng):
    return nn.Parameter(rng.standard_normal((4, 5))), nn.Parameter(rng.standard_normal(3))


def muon_and_sgd(matrix, vector):
    return optim.Muon([matrix], lr=0.02), optim.SGD([{"params": [vector], "lr": 0.3}], momentum=0.9, nesterov=True)


def run_both(parameters, optimizers, gradients):
    for pair in gradients:
        for parameter, gradient in zip(parameters, pair, strict=True):
            parameter.grad = gradient
        for optimizer in optimizers:
            optimizer.step()


def gradients_of_both(rng, n):
    return [(rng.standard_normal((4, 5)), rng.standard_normal(3)) for _ in range(n)]


def test_multi_optimizer_does_what_its_optimizers_do(rng):
    apart = matrix_and_vector(rng)
    joined = tuple(nn.Parameter(p.data.copy()) for p in apart)
    gradients = gradients_of_both(rng, 4)
    run_both(apart, muon_and_sgd(*apart), gradients)
    members = muon_and_sgd(*joined)
    run_both(joined, members, gradients[:2])
    optimizer = optim.MultiOptimizer(members)  # takes over what they remember
    run_both(joined, [optimizer], gradients[2:])
    for a, b in zip(apart, joined, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    optimizer.zero_grad()
    assert all(p.grad is None for p in joined)


def test_multi_optimizer_state_dict_continues_bit_identically_with_its_schedule(tmp_path, rng):
    """Through the file of a checkpoint, with a schedule of its own for each group."""
    parameters = matrix_and_vector(rng)
    gradients = gradients_of_both(rng, 6)

    def make(parameters):
        optimizer = optim.MultiOptimizer(muon_and_sgd(*parameters))
        return optimizer, optim.LambdaLR(optimizer, [lambda t: 1 - t / 8, lambda t: 0.5**t])

    def run(parameters, optimizer, schedule, some):
        for pair in some:
            run_both(parameters, [optimizer], [pair])
            schedule.step()

    optimizer, schedule = make(parameters)
    run(parameters, optimizer, schedule, gradients[:3])
    states = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    training.save_state(tmp_path / "state.safetensors", states)
    loaded = training.load_state(tmp_path / "state.safetensors")
    resumed = tuple(nn.Parameter(p.data.copy()) for p in parameters)
    run(parameters, optimizer, schedule, gradients[3:])
    assert [group["lr"] for group in optimizer.param_groups] == [0.02 * 2 / 8, 0.3 * 0.5**6]
    other, other_schedule = make(resumed)
    other.load_state_dict(loaded["optimizer"])
    other_schedule.load_state_dict(loaded["schedule"])
    run(resumed, other, other_schedule, gradients[3:])
    for a, b in zip(parameters, resumed, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert [{**g, "params": 0} for g in other.param_groups] == [{**g, "params": 0} for g in optimizer.param_groups]


def test_multi_optimizer_groups_are_checked_by_their_optimizer(rng):
    matrix, vector = matrix_and_vector(rng)
    optimizer = optim.MultiOptimizer(muon_and_sgd(matrix, vector))
    more = [nn.Parameter(np.ones(2)), nn.Parameter(np.ones((2, 2)))]
    with pytest.raises(ValueError, match="MultiOptimizer: a group needs 'optimizer', an index below 2"):
        optimizer.add_param_group({"params": more})
    with pytest.raises(ValueError, match=r"Muon: a parameter of shape \(2,\)"):
        optimizer.add_param_group({"params": more, "optimizer": 0})
    optimizer.add_param_group({"params": more, "optimizer": 1, "lr": 0.5})
    assert optimizer.param_groups[2]["momentum"] == 0.9

    optimizer = optim.MultiOptimizer(muon_and_sgd(matrix, vector))
    good = optimizer.state_dict()
    swapped = {**good, "param_groups": good["param_groups"][::-1]}
    with pytest.raises(KeyError, match=r"MultiOptimizer\.load_state_dict: a group lacks ns_coefficients"):
        optimizer.load_state_dict(swapped)
    muon, sgd = good["param_groups"]
    with pytest.raises(ValueError, match="Muon: lr must be >= 0"):
        optimizer.load_state_dict({**good, "param_groups": [{**muon, "lr": -1}, sgd]})
    with pytest.raises(ValueError, match=r"an index below 2\. Received: 2"):
        optimizer.load_state_dict({**good, "param_groups": [muon, {**sgd, "optimizer": 2}]})
    assert [group["lr"] for group in optimizer.param_groups] == [0.02, 0.3]


def test_multi_optimizer_wrong_gradient_changes_nothing(rng):
    matrix, vector = matrix_and_vector(rng)
    before = matrix.data.copy()
    optimizer = optim.MultiOptimizer(muon_and_sgd(matrix, vector))
    matrix.grad, vector.grad = np.ones((4, 5)), np.ones(4)
    with pytest.raises(ValueError, match=r"MultiOptimizer\.step"):
        optimizer.step()
    np.testing.assert_array_equal(matrix.data, before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.SGD(p, lr=-1), "SGD: lr must be >= 0. Received: -1"),
        (lambda p: optim.SGD(p, momentum=-0.1), "SGD: momentum must be >= 0"),
        (lambda p: optim.SGD(p, lr=math.nan), "SGD: lr must be finite. Received: nan"),
        (lambda p: optim.SGD(p, nesterov=True), "nesterov needs a momentum"),
        (lambda p: optim.SGD(p, momentum=0.9, dampening=0.1, nesterov=True), "nesterov needs a momentum"),
        (lambda p: optim.Adam(p, betas=(0.9, 1.0)), r"Adam: betas must be in \[0, 1\)"),
        (lambda p: optim.AdamW(p, betas=(0.9,)), "AdamW: betas must be two numbers"),
        (lambda p: optim.Adam(p, eps=-1), "Adam: eps must be >= 0"),
        (lambda p: optim.RMSprop(p, alpha=-1), "RMSprop: alpha must be >= 0"),
        (lambda p: optim.Adagrad(p, lr_decay=-1), "Adagrad: lr_decay must be >= 0"),
        (lambda p: optim.Adadelta(p, rho=1.5), "Adadelta: rho must be >= 0 and <= 1. Received: 1.5"),
        (lambda p: optim.NAdam(p, betas=(0.9, 1.0)), r"NAdam: betas must be in \[0, 1\)"),
        (lambda p: optim.NAdam(p, momentum_decay=-1), "NAdam: momentum_decay must be >= 0"),
        (lambda p: optim.Lion(p, betas=(1, 0.9)), r"Lion: betas must be in \[0, 1\)"),
        (lambda p: optim.Muon(p, momentum=1), r"Muon: momentum must be in \[0, 1\)"),
        (lambda p: optim.SGD([{"params": p, "lr": -1}], lr=1), "SGD: lr must be >= 0"),
        (lambda p: optim.MultiOptimizer([]), "MultiOptimizer: there are no parameters"),
        (lambda p: optim.MultiOptimizer([optim.SGD(p), optim.Muon(p)]), "given twice"),
        (lambda p: optim.SGD([]), "SGD: there are no parameters"),
        (lambda p: optim.SGD(p * 2), "given twice"),
    ],
)
def test_optimizer_bad_value_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make([nn.Parameter(np.zeros((2, 2)))])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.SGD(p, lr="0.1"), "SGD: lr must be a number"),
        (lambda p: optim.SGD(p[0]), "ordered iterable"),
        (lambda p: optim.SGD(set(p)), "ordered iterable"),
        (lambda p: optim.SGD([p[0].data]), "nn.Parameter objects are needed. Received: ndarray"),
        (lambda p: optim.SGD([{"lr": 1.0}]), "the key 'params'"),
        (lambda p: optim.MultiOptimizer(p), "MultiOptimizer: optimisers are needed. Received: Parameter"),
    ],
)
def test_optimizer_bad_type_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make([nn.Parameter(np.zeros((2, 2)))])
