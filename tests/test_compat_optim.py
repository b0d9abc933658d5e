"""torch.optim of the compat layer: what scripts do with optimisers and schedules."""

import copy
import pickle
import warnings

import numpy as np
import pytest

from fastnn.compat.torch import optim
from fastnn.compat.torch._tensor import new
from fastnn.compat.torch.autograd.grad_mode import no_grad
from fastnn.compat.torch.optim.optimizer import required


def leaf(values, dtype=np.float64):
    return new(np.array(values, dtype)).requires_grad_()


@pytest.fixture
def w():
    w = leaf([1.0, 2.0])
    w._grad = np.array([1.0, -1.0])
    return w


def test_a_learning_rate_of_a_group_holds_from_the_next_step(w):
    optimizer = optim.SGD([w], lr=0.5)
    optimizer.step()
    np.testing.assert_array_equal(w._data, [0.5, 2.5])
    for group in optimizer.param_groups:
        group["lr"] *= 2
    optimizer.step()
    np.testing.assert_array_equal(w._data, [-0.5, 3.5])
    assert optimizer.param_groups[0]["params"][0] is w


def test_settings_stay_as_the_script_wrote_them(w):
    optimizer = optim.Adam([w], betas=[0.5, 0.9], weight_decay=0)
    assert optimizer.param_groups[0]["betas"] == [0.5, 0.9]
    assert repr(optimizer.param_groups[0]["weight_decay"]) == "0"


def test_a_learning_rate_may_be_a_tensor(w):
    optimizer = optim.SGD([w], lr=new(np.array(0.5)))
    optimizer.step()
    np.testing.assert_array_equal(w._data, [0.5, 2.5])


def test_an_own_optimizer_has_groups_state_and_checkpoints(w):
    class Momentum(optim.Optimizer):
        def __init__(self, params, lr=required, beta=0.5):
            super().__init__(params, {"lr": lr, "beta": beta})

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["u"] = new(np.zeros_like(p._data))
                    state["step"] += 1
                    state["u"]._data[...] = group["beta"] * state["u"]._data + p.grad._data
                    p._data -= group["lr"] * state["u"]._data

    with pytest.raises(ValueError, match="required optimization parameter lr"):
        Momentum([w])
    optimizer = Momentum([w], lr=0.5)
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(w._data, [-0.25, 3.25])
    saved = optimizer.state_dict()
    assert saved["state"][0]["step"] == 2
    v = leaf(w._data.copy())
    other = Momentum([v], lr=0.1)
    other.load_state_dict(saved)
    v._grad = w._grad
    optimizer.step()
    other.step()
    np.testing.assert_array_equal(v._data, w._data)
    assert other.state[v]["u"] is not optimizer.state[w]["u"]


def test_an_optimizer_without_a_step_says_so(w):
    class Nothing(optim.Optimizer):
        pass

    with pytest.raises(NotImplementedError, match="Nothing does not define step"):
        Nothing([w], {"lr": 0.1}).step()


def test_a_closure_is_called_with_gradients_and_its_loss_comes_back(w):
    from fastnn.autograd.modes import is_grad_enabled, no_grad

    optimizer = optim.SGD([w], lr=0.5)
    with no_grad():
        assert optimizer.step(lambda: is_grad_enabled()) is True
        assert not is_grad_enabled()


def test_zero_grad_forgets_or_fills(w):
    optimizer = optim.SGD([w], lr=0.5)
    optimizer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(w._grad, [0, 0])
    optimizer.zero_grad()
    assert w.grad is None


def test_plain_leaves_and_frozen_ones_are_taken_and_results_are_not(w):
    frozen = new(np.zeros(2))
    optimizer = optim.SGD([w, frozen], lr=0.5)
    optimizer.step()
    np.testing.assert_array_equal(frozen._data, [0, 0])
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([w + w], lr=0.5)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda w: optim.SGD([], lr=0.1), ValueError, "empty parameter list"),
        (lambda w: optim.SGD(w, lr=0.1), TypeError, "iterable of Tensors"),
        (lambda w: optim.SGD([w._data], lr=0.1), TypeError, "only optimize Tensors"),
        (lambda w: optim.SGD([{"params": {w}}], lr=0.1), TypeError, "order"),
        (lambda w: optim.SGD([{"params": [w]}, {"params": w}], lr=0.1), ValueError, "more than one"),
        (lambda w: optim.SGD([w], lr=-0.1), ValueError, "lr must be >= 0"),
        (lambda w: optim.SGD([w], lr=0.1, nesterov=True), ValueError, "nesterov needs a momentum"),
        (lambda w: optim.Adam([w], betas=(1.0, 0.9)), ValueError, "betas"),
        (lambda w: optim.RAdam([w], betas=(0.9, 1.0)), ValueError, r"betas\[1\] must be in \[0, 1\)"),
        (lambda w: optim.Adamax([w], lr=-1), ValueError, "lr must be >= 0"),
        (lambda w: optim.Rprop([w], etas=(1.5, 1.2)), ValueError, "Invalid eta values"),
    ],
)
def test_what_makes_no_sense_is_refused(w, make, error, text):
    with pytest.raises(error, match=text):
        make(w)


def test_a_state_for_other_groups_is_refused(w):
    optimizer = optim.SGD([w], lr=0.1)
    with pytest.raises(ValueError, match="number of parameter groups"):
        optim.SGD([{"params": w}, {"params": leaf([1.0])}], lr=0.1).load_state_dict(optimizer.state_dict())
    with pytest.raises(ValueError, match="size of optimizer's group"):
        optim.SGD([w, leaf([1.0])], lr=0.1).load_state_dict(optimizer.state_dict())


def test_hooks_run_around_steps_and_states(w):
    optimizer = optim.SGD([w], lr=0.5)
    seen = []
    handles = [
        optimizer.register_step_pre_hook(lambda *_: seen.append("before")),
        optimizer.register_step_post_hook(lambda *_: seen.append("after")),
        optimizer.register_state_dict_post_hook(lambda _, state: {**state, "more": 1}),
    ]
    optimizer.step()
    assert seen == ["before", "after"]
    assert optimizer.state_dict()["more"] == 1
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(seen) == 2


def test_copies_and_pickles_go_on_alone(w):
    optimizer = optim.SGD([w], lr=0.5, momentum=0.5)
    optimizer.step()
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        v = other.param_groups[0]["params"][0]
        before = w._data.copy()
        v._grad = np.ones(2)
        other.step()
        np.testing.assert_array_equal(w._data, before)
        assert np.any(v._data != before)


def test_a_schedule_before_the_first_step_warns(w):
    optimizer = optim.SGD([w], lr=0.5)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="before optimizer.step"):
        schedule.step()
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule.step()
    assert schedule.get_last_lr() == [pytest.approx(0.005)]


def test_a_schedule_needs_an_optimizer_and_a_beginning(w):
    with pytest.raises(TypeError, match="is not an Optimizer"):
        optim.lr_scheduler.StepLR([w], 1)
    with pytest.raises(KeyError, match="initial_lr"):
        optim.lr_scheduler.StepLR(optim.SGD([w], lr=0.1), 1, last_epoch=3)
    with pytest.raises(ValueError, match="total_steps OR"):
        optim.lr_scheduler.OneCycleLR(optim.SGD([w], lr=0.1), 0.1)
    with pytest.raises(ValueError, match="momentum or beta1"):
        optim.lr_scheduler.OneCycleLR(optim.Adagrad([w]), 0.1, total_steps=10)


def test_verbose_of_older_versions_is_taken(w, capsys):
    optim.lr_scheduler.ReduceLROnPlateau(optim.SGD([w], lr=0.1), verbose=True)
    optim.lr_scheduler.StepLR(optim.SGD([w], lr=0.1), 3, verbose=False)
    assert "StepLR" not in capsys.readouterr().err


def test_missing_optimizers_say_what_to_use():
    with pytest.raises(AttributeError, match=r"torch\.optim\.Adafactor is not in fastnn: use torch\.optim\.Adam"):
        optim.Adafactor  # noqa: B018


def rosenbrock(x, y):
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_finds_a_minimum_in_a_curved_valley(search):
    p = leaf([-1.2, 1.0])
    optimizer = optim.LBFGS([p], lr=1 if search else 0.5, max_iter=100, line_search_fn=search)
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(p[0], p[1])
        loss.backward()
        calls.append(loss.item())
        return loss

    with no_grad():  # the closure is recorded all the same
        first = optimizer.step(closure)
        optimizer.step(closure)
    assert first.item() == calls[0] == pytest.approx(24.2)
    assert optimizer.state[p]["func_evals"] == len(calls)
    if search:
        np.testing.assert_allclose(p._data, [1, 1], atol=1e-4)


def test_lbfgs_takes_one_group_and_needs_a_closure(w):
    with pytest.raises(ValueError, match="parameter groups"):
        optim.LBFGS([{"params": [w]}, {"params": [leaf([1.0])]}])
    with pytest.raises(ValueError, match="learning rate"):
        optim.LBFGS([w], lr=-1)
    with pytest.raises(TypeError, match="closure"):
        optim.LBFGS([w]).step()
    with pytest.raises(RuntimeError, match="strong_wolfe"):
        optim.LBFGS([w], line_search_fn="armijo").step(lambda: 1.0)


def test_lbfgs_stays_where_the_gradient_is_zero(w):
    w._grad = np.zeros(2)
    optimizer = optim.LBFGS([w])
    assert optimizer.step(lambda: 3.0) == 3.0
    np.testing.assert_array_equal(w._data, [1, 2])
