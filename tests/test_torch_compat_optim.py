"""torch.optim of the compat layer beside PyTorch's: numbers, states, signatures, texts."""

import importlib
import importlib.util
import inspect
import warnings

import numpy as np
import pytest
from compat_own_optimizers import OPTIMIZERS

from fastnn.compat.torch import optim as ours
from fastnn.compat.torch._dtype import set_default_dtype, torch_dtype
from fastnn.compat.torch._tensor import new

pytestmark = pytest.mark.torch
# The file is read where PyTorch is not installed, too, and then none of its tests runs.
torch = importlib.import_module("torch") if importlib.util.find_spec("torch") else None

EPS = np.finfo(np.float64).eps


@pytest.fixture
def float64():
    """PyTorch keeps counts and products in the default dtype."""
    torch.set_default_dtype(torch.float64)
    set_default_dtype(torch_dtype(np.dtype(np.float64)))
    yield
    torch.set_default_dtype(torch.float32)
    set_default_dtype(torch_dtype(np.dtype(np.float32)))


# ---- optimisers ------------------------------------------------------------------------------------------------------
CASES = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.5, "maximize": True},
        {"lr": 0.1, "foreach": False},
    ],
    "Adam": [
        {},
        {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "amsgrad": True},
        {"lr": 0.1, "maximize": True},
        {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True},
    ],
    "AdamW": [{}, {"lr": 0.1, "weight_decay": 0.5}, {"lr": 0.1, "amsgrad": True}, {"maximize": True}],
    "NAdam": [
        {},
        {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "momentum_decay": 0.1},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True},
        {"maximize": True},
    ],
    "RMSprop": [
        {},
        {"lr": 0.1, "alpha": 0.5, "eps": 1e-3},
        {"weight_decay": 0.3, "momentum": 0.9},
        {"centered": True},
        {"centered": True, "momentum": 0.5, "maximize": True},
    ],
    "Adagrad": [{}, {"lr_decay": 0.1, "weight_decay": 0.2}, {"initial_accumulator_value": 0.5}, {"maximize": True}],
    "Adamax": [{}, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3}, {"weight_decay": 0.3, "maximize": True}],
    "RAdam": [
        {},
        {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True},
    ],
    "Rprop": [{}, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-2, 0.2)}, {"maximize": True}],
    "ASGD": [{}, {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 3}, {"weight_decay": 0.3, "maximize": True}],
    "Adadelta": [{}, {"lr": 0.3, "rho": 0.5, "eps": 1e-3}, {"weight_decay": 0.3}, {"maximize": True}],
}
BOTH = [(name, options) for name, cases in CASES.items() for options in cases]
SHAPES = [(3, 4), (5,), ()]


def pair(name, options, seed=0):
    """The same parameters and optimisers, ours and PyTorch's."""
    generator = np.random.default_rng(seed)
    arrays = [np.asarray(generator.standard_normal(shape)) for shape in SHAPES]
    mine = [new(array.copy()).requires_grad_() for array in arrays]
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    options = dict(options)
    if name == "Adadelta":
        options.setdefault("lr", 1.0)
    return mine, theirs, getattr(ours, name)(mine, **options), getattr(torch.optim, name)(theirs, **options)


def give_gradients(mine, theirs, step):
    generator = np.random.default_rng(100 + step)
    for a, b in zip(mine, theirs, strict=True):
        gradient = np.asarray(generator.standard_normal(a._data.shape))
        a._grad, b.grad = gradient.copy(), torch.tensor(gradient)


def run(mine, theirs, optimizer, reference, steps, start=0):
    for step in range(start, start + steps):
        give_gradients(mine, theirs, step)
        optimizer.step()
        reference.step()


def assert_same(mine, theirs):
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a._data, b.detach().numpy(), rtol=1e-10, atol=1e-12)


def plain(value):
    """Tensors as arrays, so that states can be compared."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    return value._data if hasattr(value, "_data") else value


def assert_same_state(a, b):
    a, b = plain(a), plain(b)
    assert a.keys() == b.keys()
    for key, value in b.items():
        if isinstance(value, dict):
            assert_same_state(a[key], value)
        elif isinstance(value, np.ndarray):
            assert a[key].dtype == value.dtype, key
            assert a[key].shape == value.shape, key
            np.testing.assert_allclose(a[key], value, rtol=1e-10, atol=1e-12)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for one, other in zip(a[key], value, strict=True):
                assert_same_state(one, other)
        else:
            assert a[key] == value, key


@pytest.mark.parametrize(("name", "options"), BOTH)
def test_twenty_steps_give_the_same_numbers(float64, name, options):
    case = pair(name, options)
    run(*case, 20)
    assert_same(*case[:2])


@pytest.mark.parametrize(("name", "options"), BOTH)
def test_states_have_the_same_structure_and_numbers(float64, name, options):
    case = pair(name, options)
    assert_same_state(case[2].state_dict(), case[3].state_dict())
    run(*case, 3)
    assert_same_state(case[2].state_dict(), case[3].state_dict())


@pytest.mark.parametrize(("name", "options"), BOTH)
def test_a_state_of_ours_continues_in_pytorch_and_the_other_way(float64, name, options):
    from collections import defaultdict

    def converted(state, make):
        if isinstance(state, dict):
            return {key: converted(value, make) for key, value in state.items()}
        return make(np.array(state)) if isinstance(state, np.ndarray) else state

    case = pair(name, options)
    run(*case, 5)
    other = pair(name, options)
    for parameters, source in zip(other[:2], case[:2], strict=True):
        for parameter, value in zip(parameters, source, strict=True):
            if hasattr(parameter, "_data"):
                parameter._data[...] = value._data
            else:
                parameter.data.copy_(value.data)
    other[2].load_state_dict(converted(plain(case[3].state_dict()), new))
    other[3].load_state_dict(converted(plain(case[2].state_dict()), torch.tensor))
    assert isinstance(other[2].state, defaultdict)
    run(*other, 5, start=5)
    run(*case, 5, start=5)
    assert_same(other[0], case[1])
    assert_same(other[0], other[1])


@pytest.mark.parametrize("name", CASES)
def test_an_optimizer_prints_like_pytorchs(name):
    case = pair(name, CASES[name][0])
    assert repr(case[2]) == repr(case[3])


def test_muon_descends_like_pytorchs_as_far_as_bfloat16_tells():
    generator = np.random.default_rng(0)
    for shape in ((6, 6), (4, 9), (9, 4)):
        for options in ({}, {"adjust_lr_fn": "match_rms_adamw", "nesterov": False}, {"weight_decay": 0.0}):
            start = generator.standard_normal(shape).astype(np.float32)
            mine = new(start.copy()).requires_grad_()
            theirs = torch.tensor(start, requires_grad=True)
            optimizer, reference = ours.Muon([mine], lr=0.1, **options), torch.optim.Muon([theirs], lr=0.1, **options)
            for _ in range(3):
                mine._grad = generator.standard_normal(shape).astype(np.float32)
                theirs.grad = torch.tensor(mine._grad)
                optimizer.step()
                reference.step()
            assert_same_state(optimizer.state_dict()["param_groups"][0], reference.state_dict()["param_groups"][0])
            moved = theirs.detach().numpy() - start
            # bfloat16 has 8 digits; five iterations of a polynomial of degree 5 lose some of them.
            assert np.linalg.norm(mine._data - start - moved) < 0.05 * np.linalg.norm(moved)
            np.testing.assert_allclose(
                optimizer.state_dict()["state"][0]["momentum_buffer"]._data,
                reference.state_dict()["state"][0]["momentum_buffer"].numpy(),
                rtol=1e-5,
                atol=1e-6,
            )


def test_muon_refuses_what_is_no_matrix_as_pytorch_does():
    with pytest.raises(ValueError, match="2D"):
        ours.Muon([new(np.zeros(3)).requires_grad_()])
    with pytest.raises(ValueError, match="2D"):
        torch.optim.Muon([torch.zeros(3, requires_grad=True)])


# ---- LBFGS -----------------------------------------------------------------------------------------------------------
def fitted(tensors, target):
    """A loss that is no parabola, and has no kinks."""
    a, b, c = tensors
    return (((a * b[:4] + c).sin() - target) ** 2).mean() + 0.01 * ((b**4).sum() + ((a - 1) ** 4).sum() + c**2)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"lr": 0.05, "max_iter": 7, "history_size": 3},
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "max_iter": 5, "history_size": 2},
        {"line_search_fn": "strong_wolfe", "lr": 30.0, "max_iter": 8, "max_eval": 60},
        {"line_search_fn": "strong_wolfe", "lr": 1e-4, "max_iter": 6, "max_eval": 100},
        {"tolerance_grad": 0.05},
        {"lr": 0.1, "tolerance_change": 1e-3},
    ],
)
def test_lbfgs_takes_the_same_steps(float64, options):
    mine, theirs, *_ = pair("SGD", {"lr": 0.1})
    target = np.random.default_rng(3).standard_normal((3, 4))
    made = []
    for library, tensors in ((ours, mine), (torch.optim, theirs)):
        made.append(
            (library.LBFGS(tensors, **options), tensors, new(target) if library is ours else torch.tensor(target))
        )
    for _ in range(2):  # more would show what rounding becomes in searches
        losses = []
        for optimizer, tensors, goal in made:

            def closure(optimizer=optimizer, tensors=tensors, goal=goal):
                optimizer.zero_grad()
                loss = fitted(tensors, goal)
                loss.backward()
                return loss

            losses.append(optimizer.step(closure).item())
        np.testing.assert_allclose(*losses, rtol=1e-8)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a._data, b.detach().numpy(), rtol=1e-6, atol=1e-8)
    states = [optimizer.state_dict() for optimizer, *_ in made]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    assert states[0]["state"][0].keys() == states[1]["state"][0].keys()
    for name in ("func_evals", "n_iter"):
        assert states[0]["state"][0][name] == states[1]["state"][0][name]
    for name in ("old_dirs", "old_stps", "ro"):
        for a, b in zip(states[0]["state"][0][name], states[1]["state"][0][name], strict=True):
            np.testing.assert_allclose(a._data, b.numpy(), rtol=1e-4, atol=1e-7)
    again = ours.LBFGS(mine, **options)
    again.load_state_dict(
        {"state": {0: converted_lists(states[1]["state"][0])}, "param_groups": states[1]["param_groups"]}
    )
    for optimizer, tensors, goal in ((again, *made[0][1:]), made[1]):

        def closure(optimizer=optimizer, tensors=tensors, goal=goal):
            optimizer.zero_grad()
            loss = fitted(tensors, goal)
            loss.backward()
            return loss

        optimizer.step(closure)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a._data, b.detach().numpy(), rtol=1e-5, atol=1e-7)


def converted_lists(value):
    if isinstance(value, dict):
        return {key: converted_lists(item) for key, item in value.items()}
    if isinstance(value, list):
        return [converted_lists(item) for item in value]
    return new(value.numpy().copy()) if isinstance(value, torch.Tensor) else value


def test_groups_with_their_own_settings_and_changes_in_between(float64):
    mine, theirs, _, _ = pair("SGD", {"lr": 0.1})
    made = []
    for module, parameters in ((ours, mine), (torch.optim, theirs)):
        optimizer = module.SGD([{"params": parameters[:1]}, {"params": parameters[1], "lr": 0.5}], lr=0.1, momentum=0.9)
        optimizer.add_param_group({"params": [parameters[2]], "momentum": 0.0})
        made.append(optimizer)
    for step in range(6):
        give_gradients(mine, theirs, step)
        if step == 2:
            mine[0]._grad = theirs[0].grad = None
        for optimizer in made:
            optimizer.step()
            for group in optimizer.param_groups:
                group["lr"] *= 0.7
    assert_same(mine, theirs)
    assert_same_state(made[0].state_dict(), made[1].state_dict())
    assert repr(made[0]) == repr(made[1])


def test_named_parameters_are_named_in_the_state():
    mine, theirs, _, _ = pair("SGD", {"lr": 0.1})
    names = ["a", "b", "c"]
    a = ours.SGD(zip(names, mine, strict=True), lr=0.1)
    b = torch.optim.SGD(zip(names, theirs, strict=True), lr=0.1)
    assert a.state_dict() == b.state_dict()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_of_a_script_takes_the_same_steps(float64, name):
    import fastnn.compat.torch as own

    found = []
    for library in (own, torch):
        generator = np.random.default_rng(0)
        w, b, x = (library.tensor(generator.standard_normal(shape)) for shape in ((4, 3), (3,), (16, 4)))
        parameters = [w.requires_grad_(), b.requires_grad_()]
        optimizer = OPTIMIZERS[name](library)(parameters)
        schedule = library.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)

        def closure(optimizer=optimizer, w=w, b=b, x=x):
            optimizer.zero_grad()
            loss = ((x @ w + b).tanh() - x[:, :3]).pow(2).sum()
            loss.backward()
            return loss

        losses = []
        for _ in range(12):
            losses.append(closure().item())
            if name == "sharpness_aware":
                optimizer.step(closure)
            else:
                optimizer.step()
            schedule.step()
        # One that does not call __init__ of its class has no state_dict, there and here.
        state = {} if name == "looking_ahead" else optimizer.state_dict()
        found.append((losses, w.detach().numpy(), b.detach().numpy(), plain(state)))
    for ours_, theirs_ in zip(*(result[:3] for result in found), strict=True):
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-9, atol=1e-11)
    assert_same_state(found[0][3], found[1][3])


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_the_words_of_old_optimizers_are_taken():
    import fastnn.compat.torch as own

    found = []
    for library in (own, torch):
        x, g = library.ones(2), library.tensor([1.0, 2.0])
        x.add_(-0.5, g).sub_(0.25, g)
        x.mul_(0.9).addcmul_(0.1, g, g).addcdiv_(-0.3, g, g + 1)
        found.append([x.tolist(), library.add(x, 2, g).tolist(), library.addcdiv(x, 2, g, g + 3).tolist()])
    np.testing.assert_allclose(*found, rtol=1e-6)


# ---- schedules -------------------------------------------------------------------------------------------------------
SCHEDULES = {
    "LambdaLR": [((lambda t: 0.95**t,), {})],
    "MultiplicativeLR": [((lambda t: 0.95,), {})],
    "StepLR": [((3,), {}), ((7, 0.5), {})],
    "MultiStepLR": [(([3, 7, 7, 20],), {"gamma": 0.5})],
    "ConstantLR": [((), {}), ((0.5, 10), {})],
    "LinearLR": [((), {}), ((0.1, 0.7, 30), {}), ((1.0, 0.0, 20), {})],
    "ExponentialLR": [((0.9,), {})],
    "PolynomialLR": [((), {}), ((50, 2.0), {})],
    "CosineAnnealingLR": [((50,), {}), ((7, 0.01), {}), ((1,), {})],
    "CosineAnnealingWarmRestarts": [((10,), {}), ((5, 2, 0.01), {})],
    "OneCycleLR": [
        ((0.5,), {"total_steps": 100}),
        ((0.5,), {"epochs": 10, "steps_per_epoch": 12, "anneal_strategy": "linear", "pct_start": 0.25}),
        ((0.5,), {"total_steps": 100, "three_phase": True, "div_factor": 10.0}),
        ((0.5,), {"total_steps": 101, "cycle_momentum": False}),
    ],
    "CyclicLR": [
        ((0.01, 0.1), {"step_size_up": 10}),
        ((0.01, 0.1), {"step_size_up": 10, "step_size_down": 5, "mode": "triangular2"}),
        ((0.01, 0.1), {"step_size_up": 7, "mode": "exp_range", "gamma": 0.99, "cycle_momentum": False}),
        ((0.01, 0.1), {"step_size_up": 7, "scale_fn": lambda x: 1 / x, "scale_mode": "cycle"}),
    ],
}
BOTH_SCHEDULES = [(name, *case) for name, cases in SCHEDULES.items() for case in cases]


def optimizers(name="SGD", **options):
    options = options or {"lr": 0.1, "momentum": 0.9}
    made = []
    for module, tensors in (
        (ours, [new(np.zeros(2)).requires_grad_() for _ in range(2)]),
        (torch.optim, [torch.zeros(2, requires_grad=True) for _ in range(2)]),
    ):
        groups = [{"params": [tensors[0]]}, {"params": [tensors[1]], "lr": 0.03}]
        made.append(getattr(module, name)(groups, **options))
    return made


def settings(optimizer):
    names = ("lr", "momentum", "betas")
    return [[group[name] for name in names if name in group] for group in optimizer.param_groups]


def assert_same_rates(a, b, count=1):
    for mine, theirs in zip(settings(a), settings(b), strict=True):
        flat = [np.hstack(values) for values in (mine, theirs)]
        # Each step rounds some ten times.
        np.testing.assert_allclose(*flat, rtol=20 * EPS * (count + 1), atol=1e-15)


def step_all(pairs, made, steps):
    for count in range(steps):
        for optimizer in made:
            optimizer.step()
        for schedule in pairs:
            schedule.step()
        assert_same_rates(*made, count)
        np.testing.assert_allclose(
            pairs[0].get_last_lr(), pairs[1].get_last_lr(), rtol=20 * EPS * (count + 2), atol=1e-15
        )


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "args", "keywords"), BOTH_SCHEDULES)
def test_a_hundred_steps_give_the_same_learning_rates(name, args, keywords, optimizer):
    made = optimizers() if optimizer == "SGD" else optimizers("Adam", lr=0.1)
    pairs = [
        getattr(module.lr_scheduler, name)(one, *args, **keywords)
        for module, one in zip((ours, torch.optim), made, strict=True)
    ]
    assert_same_rates(*made)
    step_all(pairs, made, 100)


@pytest.mark.parametrize(("name", "args", "keywords"), BOTH_SCHEDULES)
def test_a_hand_on_the_learning_rate_has_the_same_effect(name, args, keywords):
    made = optimizers()
    pairs = [
        getattr(module.lr_scheduler, name)(one, *args, **keywords)
        for module, one in zip((ours, torch.optim), made, strict=True)
    ]
    for _ in range(4):
        step_all(pairs, made, 5)
        for one in made:
            one.param_groups[0]["lr"] *= 0.5
            one.param_groups[1]["lr"] = 0.2


@pytest.mark.parametrize(("name", "args", "keywords"), BOTH_SCHEDULES)
def test_schedule_states_have_the_same_keys_and_continue(name, args, keywords):
    made = optimizers()
    pairs = [
        getattr(module.lr_scheduler, name)(one, *args, **keywords)
        for module, one in zip((ours, torch.optim), made, strict=True)
    ]
    step_all(pairs, made, 12)
    mine, theirs = pairs[0].state_dict(), pairs[1].state_dict()
    own = {"_scale_fn_ref"}  # PyTorch's own note of a function
    assert mine.keys() == theirs.keys() - own
    again = optimizers()
    others = [
        getattr(module.lr_scheduler, name)(one, *args, **keywords)
        for module, one in zip((ours, torch.optim), again, strict=True)
    ]
    for schedule, optimizer, source, state in zip(others, again, made[::-1], (theirs, dict(mine)), strict=True):
        schedule.load_state_dict(state)
        for group, saved in zip(optimizer.param_groups, source.param_groups, strict=True):
            group.update({key: value for key, value in saved.items() if key != "params"})
    step_all(others, again, 30)
    step_all(pairs, made, 30)
    assert_same_rates(made[0], again[0], 50)


@pytest.mark.parametrize(("name", "args", "keywords"), BOTH_SCHEDULES)
def test_last_epoch_continues_as_in_pytorch(name, args, keywords):
    made = optimizers()
    first = [
        getattr(module.lr_scheduler, name)(one, *args, **keywords)
        for module, one in zip((ours, torch.optim), made, strict=True)
    ]
    step_all(first, made, 6)
    pairs = [
        getattr(module.lr_scheduler, name)(one, *args, **keywords, last_epoch=5)
        for module, one in zip((ours, torch.optim), made, strict=True)
    ]
    assert_same_rates(*made)
    step_all(pairs, made, 20)


@pytest.mark.parametrize(
    ("name", "args", "keywords"), [case for case in BOTH_SCHEDULES if case[0] not in ("OneCycleLR", "CyclicLR")]
)
def test_a_given_epoch_is_gone_to(name, args, keywords):
    made = optimizers()
    pairs = [
        getattr(module.lr_scheduler, name)(one, *args, **keywords)
        for module, one in zip((ours, torch.optim), made, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch in (3, 4, 9, 2, 30):
            for schedule in pairs:
                schedule.step(epoch)
            assert_same_rates(*made, 5)


def test_warm_restarts_take_parts_of_epochs():
    made = optimizers()
    for mult in (1, 3):
        pairs = [
            module.lr_scheduler.CosineAnnealingWarmRestarts(one, 4, mult)
            for module, one in zip((ours, torch.optim), made, strict=True)
        ]
        for epoch in np.arange(0, 30, 0.25):
            for schedule in pairs:
                schedule.step(float(epoch))
            assert_same_rates(*made, 10)


def test_a_warm_up_beside_a_schedule_and_one_after_another():
    for make in (
        lambda s, o: s.ChainedScheduler([s.LinearLR(o, 0.1, total_iters=5), s.ExponentialLR(o, 0.9)]),
        lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1), s.StepLR(o, 4)], optimizer=o),
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, total_iters=5), s.CosineAnnealingLR(o, 30)], [5]),
        lambda s, o: s.SequentialLR(o, [s.ConstantLR(o), s.ExponentialLR(o, 0.9), s.StepLR(o, 5)], [4, 20]),
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o), s.CosineAnnealingWarmRestarts(o, 7)], [5]),
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o), s.PolynomialLR(o, 20)], [5]),
    ):
        made = optimizers()
        pairs = [make(module.lr_scheduler, one) for module, one in zip((ours, torch.optim), made, strict=True)]
        assert_same_rates(*made)
        step_all(pairs, made, 15)
        assert pairs[0].state_dict().keys() == pairs[1].state_dict().keys()
        again = optimizers()
        others = [make(module.lr_scheduler, one) for module, one in zip((ours, torch.optim), again, strict=True)]
        for schedule, optimizer, state in zip(
            others, again, (pairs[1].state_dict(), pairs[0].state_dict()), strict=True
        ):
            schedule.load_state_dict(state)
            for group, saved in zip(optimizer.param_groups, made[0].param_groups, strict=True):
                group["lr"] = saved["lr"]
        step_all(others, again, 30)


def test_a_plateau_is_met_at_the_same_steps():
    losses = np.random.default_rng(0).uniform(0.5, 1.0, 100) * np.linspace(2, 1, 100)
    losses[40] = np.nan
    losses[60] = np.inf
    for options in (
        {},
        {"patience": 2, "factor": 0.5, "cooldown": 3},
        {"mode": "max", "patience": 1, "min_lr": 0.01},
        {"threshold_mode": "abs", "threshold": 0.05, "patience": 0, "min_lr": [0.02, 0.001]},
    ):
        made = optimizers()
        pairs = [
            module.lr_scheduler.ReduceLROnPlateau(one, **options)
            for module, one in zip((ours, torch.optim), made, strict=True)
        ]
        for loss in losses:
            for schedule in pairs:
                schedule.step(loss)
            assert_same_rates(*made, 10)
        states = [dict(schedule.state_dict()) for schedule in pairs]
        np.testing.assert_allclose(*(state.pop("_last_lr") for state in states), rtol=1e-12)
        assert states[0] == states[1]
        pairs[0].load_state_dict(pairs[1].state_dict())
        assert pairs[0].get_last_lr() == pytest.approx(pairs[1].get_last_lr())


def test_a_schedule_of_a_script_gives_the_same_rates():
    def make(module, optimizer):
        class Mine(module.lr_scheduler._LRScheduler if module is ours else module.lr_scheduler.LRScheduler):
            def __init__(self, optimizer, power, last_epoch=-1):
                self.power = power
                super().__init__(optimizer, last_epoch)

            def get_lr(self):
                if self.last_epoch == 0:
                    return [group["lr"] * 0.5 for group in self.optimizer.param_groups]
                return [base * (self.last_epoch + self._step_count) ** -self.power for base in self.base_lrs]

        return Mine(optimizer, 0.5)

    made = optimizers()
    step_all([make(module, one) for module, one in zip((ours, torch.optim), made, strict=True)], made, 20)


# ---- averages of weights ---------------------------------------------------------------------------------------------
def networks():
    """The same network in both libraries: a normalisation with statistics, tied to nothing."""
    import fastnn.compat.torch as own

    made = []
    for library in (own, torch):
        generator = np.random.default_rng(0)
        model = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.BatchNorm1d(4), library.nn.Linear(4, 2))
        for parameter in model.parameters():
            parameter.data = library.tensor(generator.standard_normal(tuple(parameter.shape)).astype(np.float32))
        made.append(model)
    return own, made


def batches(library, n=4):
    generator = np.random.default_rng(1)
    return [(library.tensor(generator.standard_normal((8, 3)).astype(np.float32)), library.zeros(8)) for _ in range(n)]


AVERAGES = {
    "mean": lambda utils: {},
    "mean of buffers, too": lambda utils: {"use_buffers": True},
    "fading": lambda utils: {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.9), "use_buffers": True},
    "fading, one by one": lambda utils: {"avg_fn": utils.get_ema_avg_fn(0.9)},
    "mean, one by one": lambda utils: {"avg_fn": utils.get_swa_avg_fn()},
    "mean of lists": lambda utils: {"multi_avg_fn": utils.get_swa_multi_avg_fn()},
    "by a script": lambda utils: {"avg_fn": lambda averaged, current, n: 0.3 * averaged + 0.7 * current},
}


@pytest.mark.parametrize("name", AVERAGES)
def test_averaged_models_have_the_same_weights_and_statistics(name):
    own, models = networks()
    averaged = []
    for library, model in zip((own, torch), models, strict=True):
        utils = library.optim.swa_utils
        average = utils.AveragedModel(model, **AVERAGES[name](utils))
        optimizer = library.optim.SGD(model.parameters(), lr=0.1)
        for x, _ in batches(library):
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()
            average.update_parameters(model)
        averaged.append(average)
    assert list(averaged[0].state_dict()) == list(averaged[1].state_dict())
    close = {"rtol": 2e-4, "atol": 2e-5}
    for mine, theirs in zip(averaged[0].state_dict().values(), averaged[1].state_dict().values(), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), **close)
    for library, average in zip((own, torch), averaged, strict=True):
        library.optim.swa_utils.update_bn(batches(library), average, device="cpu")
        average.eval()
    np.testing.assert_allclose(
        averaged[0].module[1].running_var.numpy(), averaged[1].module[1].running_var.numpy(), **close
    )
    assert averaged[0].module[1].momentum == averaged[1].module[1].momentum == 0.1
    results = [average(batches(library)[0][0]) for library, average in zip((own, torch), averaged, strict=True)]
    np.testing.assert_allclose(results[0].detach().numpy(), results[1].detach().numpy(), **close)


@pytest.mark.parametrize("options", [{}, {"anneal_strategy": "linear", "anneal_epochs": 3}, {"anneal_epochs": 0}])
def test_the_rates_of_averaged_steps_are_the_same(options):
    from fastnn.compat.torch.optim import swa_utils

    made = optimizers()
    modules = (swa_utils, torch.optim.swa_utils)
    pairs = [module.SWALR(one, [0.05, 0.3], **options) for module, one in zip(modules, made, strict=True)]
    step_all(pairs, made, 15)
    assert pairs[0].state_dict().keys() == pairs[1].state_dict().keys()


# ---- what there is ---------------------------------------------------------------------------------------------------
def signature_of(function):
    names = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name != "verbose":  # of older versions, and accepted
            names.append((name, parameter.default, parameter.kind))
    return names


MISSING = {"Adafactor", "SparseAdam"}


def test_all_optimizers_are_there_with_pytorchs_signatures():
    for name, theirs in vars(torch.optim).items():
        if name.startswith("_") or not inspect.isclass(theirs):
            continue
        if name in MISSING:
            with pytest.raises(AttributeError, match=r"use torch\.optim"):
                getattr(ours, name)
        else:
            assert signature_of(getattr(ours, name)) == signature_of(theirs), name
            assert getattr(ours, name).__module__.startswith(f"fastnn.compat.{theirs.__module__}")
            assert name in ("Optimizer", "Muon", "LBFGS") or name in CASES, name


def test_all_schedules_are_there_with_pytorchs_signatures():
    for name in torch.optim.lr_scheduler.__all__:
        theirs = getattr(torch.optim.lr_scheduler, name)
        assert signature_of(getattr(ours.lr_scheduler, name)) == signature_of(theirs), name
        others = {"LRScheduler", "ReduceLROnPlateau", "SequentialLR", "ChainedScheduler"}
        assert name in SCHEDULES or name in others, name


@pytest.mark.parametrize("name", ["Optimizer", "SGD"])
def test_an_optimizer_has_pytorchs_methods(name):
    theirs = {
        key for key in dir(getattr(torch.optim, name)) if not key.startswith("_") and not key.startswith("Optimizer")
    }
    assert not theirs - set(dir(getattr(ours, name))) - {"profile_hook_step"}


def test_everything_about_averages_is_there_with_pytorchs_signatures():
    from fastnn.compat.torch.optim import swa_utils

    for name in torch.optim.swa_utils.__all__:
        assert signature_of(getattr(swa_utils, name)) == signature_of(getattr(torch.optim.swa_utils, name)), name
