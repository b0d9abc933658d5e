"""What optimisers, schedules and running means are given: nonsense is refused in words, and nothing has changed."""

import copy
import json
import math
import re

import numpy as np
import pytest

from fastnn import nn, optim

NUMBERS = ("a", None, 1j, math.nan, math.inf, -math.inf, [0.1], np.ones(1), True, object(), 10**400, -1.0)


def matrix():
    return [nn.Parameter(np.ones((2, 2)))]


MAKERS = {
    "sgd": lambda p, **k: optim.SGD(p, **{"lr": 0.1, "momentum": 0.9, **k}),
    "adam": lambda p, **k: optim.Adam(p, **{"amsgrad": True, **k}),
    "adamw": optim.AdamW,
    "rmsprop": lambda p, **k: optim.RMSprop(p, **{"momentum": 0.9, "centered": True, **k}),
    "adagrad": optim.Adagrad,
    "adadelta": optim.Adadelta,
    "nadam": optim.NAdam,
    "lion": optim.Lion,
    "muon": optim.Muon,
}
SETTINGS = {
    "sgd": ("lr", "momentum", "weight_decay"),
    "adam": ("lr", "eps", "weight_decay"),
    "adamw": ("lr", "eps", "weight_decay"),
    "rmsprop": ("lr", "alpha", "eps", "weight_decay", "momentum"),
    "adagrad": ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"),
    "adadelta": ("lr", "rho", "eps", "weight_decay"),
    "nadam": ("lr", "eps", "weight_decay", "momentum_decay"),
    "lion": ("lr", "weight_decay"),
    "muon": ("lr", "weight_decay", "momentum", "eps", "ns_steps"),
}
FLAGS = {
    "sgd": ("nesterov", "maximize"),
    "adam": ("amsgrad", "maximize"),
    "adamw": ("amsgrad", "maximize"),
    "rmsprop": ("centered", "maximize"),
    "adagrad": ("maximize",),
    "adadelta": ("maximize",),
    "nadam": ("decoupled_weight_decay", "maximize"),
    "lion": ("maximize",),
    "muon": ("nesterov", "normalize_weight"),
}


# ---- optimisers ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "setting"), [(name, one) for name, some in SETTINGS.items() for one in some])
def test_optimizer_setting_must_be_a_finite_number(name, setting):
    make = MAKERS[name]
    for wrong in NUMBERS:
        with pytest.raises((TypeError, ValueError), match=rf"^[A-Za-z]+: {setting} must be "):
            make(matrix(), **{setting: wrong})
        with pytest.raises((TypeError, ValueError), match=rf"^[A-Za-z]+: {setting} must be "):
            make([{"params": matrix(), setting: wrong}])
    for right in (np.array(3), np.int64(3)) if setting == "ns_steps" else (np.array(0.25), np.float32(0.25), 0):
        group = make(matrix(), **{setting: right}).param_groups[0]
        assert group[setting] == right
        assert type(group[setting]) in (int, float)


@pytest.mark.parametrize(("name", "flag"), [(name, one) for name, some in FLAGS.items() for one in some])
def test_optimizer_flag_must_be_a_boolean(name, flag):
    for wrong in ("no", None, 2, 0.5, [True], np.ones(1)):
        with pytest.raises(TypeError, match=f"{flag} must be True or False"):
            MAKERS[name](matrix(), **{flag: wrong})
    assert MAKERS[name](matrix(), **{flag: np.bool_(True)}).param_groups[0][flag] is True


@pytest.mark.parametrize("wrong", [1, "ab", None, (0.9,), (0.9, 0.9, 0.9), (0.9, "a"), (0.9, math.nan), (0.9, 1), 0.9j])
def test_optimizer_betas_must_be_two_numbers_below_one(wrong):
    with pytest.raises((TypeError, ValueError), match="Adam: betas must be"):
        optim.Adam(matrix(), betas=wrong)
    assert optim.Adam(matrix(), betas=np.array([0.5, 0.75])).param_groups[0]["betas"] == (0.5, 0.75)


@pytest.mark.parametrize("wrong", [1, "abc", (1, 2), (1, 2, "a"), (1, 2, math.inf), None])
def test_muon_coefficients_must_be_three_numbers(wrong):
    with pytest.raises((TypeError, ValueError), match="Muon: ns_coefficients must be"):
        optim.Muon(matrix(), ns_coefficients=wrong)


@pytest.mark.parametrize("wrong", ["sqrt", 3, [], np.array(["original", "x"])])
def test_muon_rule_must_be_known(wrong):
    with pytest.raises(
        ValueError, match="Muon: adjust_lr_fn must be None, 'original', 'match_rms_adamw' or 'constant'"
    ):
        optim.Muon(matrix(), adjust_lr_fn=wrong)


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.Muon])
def test_optimizer_of_a_model_asks_for_its_parameters(make):
    with pytest.raises(TypeError, match=rf"{make.__name__}: params must be .*model\.parameters\(\)\. Received: Linear"):
        make(nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r"model\.parameters\(\)\. Received: Linear"):
        make([{"params": nn.Linear(2, 2)}])


@pytest.mark.parametrize("wrong", [5, None, "abc", 1.5, b"ab", np.array(1.0), {"a": []}, len])
def test_optimizer_needs_a_list_of_parameters(wrong):
    with pytest.raises(TypeError, match="SGD: params must be an ordered iterable"):
        optim.SGD(wrong)
    with pytest.raises(TypeError, match=r"SGD: nn\.Parameter objects are needed"):
        optim.SGD([{"params": wrong}])
    optimizer = optim.SGD(matrix())
    with pytest.raises(TypeError, match=r"SGD\.add_param_group: a group must be a dict|SGD: nn.Parameter objects"):
        optimizer.add_param_group(wrong)
    assert len(optimizer.param_groups) == 1


def test_optimizer_add_param_group_that_is_refused_changes_nothing():
    first, second = matrix(), matrix()
    optimizer = optim.SGD(first)
    for wrong in ({"params": second, "lr": "a"}, {"params": first}, {"params": second, "initial_lr": math.nan}):
        with pytest.raises((TypeError, ValueError)):
            optimizer.add_param_group(wrong)
        assert optimizer.parameters() == first
    optimizer.add_param_group({"params": second})
    assert optimizer.parameters() == first + second


def test_optimizer_keeps_its_own_copy_of_defaults_and_groups():
    defaults, group = {"lr": 0.5}, {"params": matrix(), "lr": 0.25}
    optimizer = optim.Optimizer([group], defaults)
    defaults["lr"] = group["lr"] = 9.0
    assert (optimizer.defaults["lr"], optimizer.param_groups[0]["lr"]) == (0.5, 0.25)


@pytest.mark.parametrize("wrong", [1, "a", [], 0.5])
def test_optimizer_step_closure_must_be_a_function(wrong):
    with pytest.raises(TypeError, match=r"SGD\.step: closure must be a function"):
        optim.SGD(matrix()).step(wrong)


@pytest.mark.parametrize("wrong", [5, None, "ab", np.array(1), {}])
def test_multi_optimizer_needs_a_list_of_optimizers(wrong):
    with pytest.raises(TypeError, match="MultiOptimizer: a list of optimisers is needed"):
        optim.MultiOptimizer(wrong)


# ---- saved states ----------------------------------------------------------------------------------------------------
def trained(name):
    found = matrix()
    if name == "multi":
        optimizer = optim.MultiOptimizer([optim.Adam(found), optim.SGD(matrix(), momentum=0.9)])
    else:
        optimizer = MAKERS[name](found)
    for parameter in optimizer.parameters():
        parameter.grad = np.array([[1.0, 2.0], [3.0, 5.0]])
    optimizer.step()
    return optimizer


def refused(thing, state):
    """Fail unless the state is refused in words that begin with a name."""
    with pytest.raises((KeyError, TypeError, ValueError)) as caught:
        thing.load_state_dict(state)
    assert re.match(r"[A-Za-z]+(\.load_state_dict)?: ", caught.value.args[0]), (state, caught.value)


def as_text(optimizer):
    state = optimizer.state_dict()
    arrays = {i: {k: v.tolist() if hasattr(v, "shape") else v for k, v in s.items()} for i, s in state["state"].items()}
    return json.dumps([arrays, state["param_groups"]])


def broken_states(state):
    """Copies of a state, each with one thing missing or wrong."""
    yield from (None, 3, "a", [], {}, {"state": state["state"]}, {"param_groups": state["param_groups"]})
    for wrong in (None, 3, "ab", [], {}, [None] * len(state["param_groups"]), [{}] * len(state["param_groups"])):
        yield {**state, "param_groups": wrong}
    for wrong in (None, 3, "ab", [], {0: 3}, {0: "ab"}, {"x": {}}, {99: {}}, {None: {}}, {1.5: {}}):
        yield {**state, "state": wrong}
    for key in state["param_groups"][0]:
        for wrong in ("a", None, 1j, math.nan, -math.inf, object()):
            if key == "adjust_lr_fn" and wrong is None:
                continue
            groups = copy.deepcopy(state["param_groups"])
            groups[0][key] = wrong
            yield {**state, "param_groups": groups}
    for wrong in (["a"], [None], [0.5], [0, 0], []):
        groups = copy.deepcopy(state["param_groups"])
        groups[0]["params"] = wrong
        yield {**state, "param_groups": groups}
    for name, value in state["state"][0].items():
        rest = {key: kept for key, kept in state["state"][0].items() if key != name}
        wrong_values = ["a", 1j, -1, 1.5, math.nan, np.ones(3), object()]
        if hasattr(value, "shape"):
            wrong_values += [value.astype(complex), value.astype(str), value.astype(object), value[0]]
        for wrong in wrong_values:
            yield {**state, "state": {**state["state"], 0: {**rest, name: wrong}}}
        if name != "max_exp_avg_sq" and len(state["state"][0]) > 1 and name not in ("grad_avg", "momentum_buffer"):
            yield {**state, "state": {**state["state"], 0: rest}}


@pytest.mark.parametrize("name", [*MAKERS, "multi"])
def test_optimizer_load_state_dict_of_nonsense_changes_nothing(name):
    optimizer = trained(name)
    before, groups = as_text(optimizer), list(optimizer.param_groups)
    good = trained(name).state_dict()
    for group in good["param_groups"]:
        group["lr"] = 0.77
    for broken in broken_states(good):
        refused(optimizer, broken)
        assert as_text(optimizer) == before
    assert all(a is b for a, b in zip(optimizer.param_groups, groups, strict=True))
    optimizer.load_state_dict(good)
    assert optimizer.param_groups[0]["lr"] == 0.77


def test_optimizer_state_dict_shares_nothing_with_the_optimizer():
    optimizer = trained("adam")
    state = optimizer.state_dict()
    text = as_text(optimizer)
    state["state"][0]["exp_avg"][...] = 7
    state["param_groups"][0]["lr"] = 7
    state["param_groups"][0]["params"].append(7)
    assert as_text(optimizer) == text
    state = optimizer.state_dict()
    other = trained("adam")
    other.load_state_dict(state)
    state["state"][0]["exp_avg"][...] = 7
    state["param_groups"][0]["lr"] = 7
    assert as_text(other) == text


def after_three_steps(make, sign=1.0):
    w = nn.Parameter(np.array([[1.0, -2.0], [0.5, 3.0]]))
    optimizer = make([w])
    for scale in (1.0, -0.25, 3.0):
        w.grad = sign * scale * np.array([[1.0, 2.0], [-3.0, 0.5]]) + sign * 0.1
        optimizer.step()
    return w.data


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam", "Lion"])
def test_optimizer_maximize_is_a_step_along_the_gradient(name):
    make = getattr(optim, name)
    for more in ({}, {"weight_decay": 0.1}):
        up = after_three_steps(lambda p, more=more: make(p, lr=0.1, maximize=True, **more))
        np.testing.assert_array_equal(up, after_three_steps(lambda p, more=more: make(p, lr=0.1, **more), sign=-1.0))
    assert (up != after_three_steps(lambda p: make(p, lr=0.1, weight_decay=0.1))).all()


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        *[("SGD", *one) for one in {"momentum": 0.5, "weight_decay": 0.1, "lr": 0.2}.items()],
        *[("Adam", *one) for one in {"betas": (0.5, 0.999), "eps": 0.1, "weight_decay": 0.1, "amsgrad": True}.items()],
        *[("AdamW", *one) for one in {"betas": (0.9, 0.5), "eps": 0.1, "weight_decay": 0.1}.items()],
        *[("RMSprop", *one) for one in {"alpha": 0.5, "eps": 0.1, "weight_decay": 0.1, "momentum": 0.5}.items()],
        ("RMSprop", "centered", True),
        *[("Adagrad", *one) for one in {"lr_decay": 0.5, "eps": 0.1, "weight_decay": 0.1}.items()],
        ("Adagrad", "initial_accumulator_value", 0.5),
        *[("Adadelta", *one) for one in {"rho": 0.5, "eps": 0.1, "weight_decay": 0.1}.items()],
        *[("NAdam", *one) for one in {"betas": (0.9, 0.5), "eps": 0.1, "weight_decay": 0.1}.items()],
        ("NAdam", "momentum_decay", 0.5),
        *[("Lion", *one) for one in {"betas": (0.1, 0.99), "weight_decay": 0.1}.items()],
    ],
)
def test_optimizer_option_changes_the_steps(name, option, value):
    make = getattr(optim, name)
    more = {"betas": (0.9, 0.5)} if option == "amsgrad" else {}
    plain = after_three_steps(lambda p: make(p, **{"lr": 0.1, **more}))
    changed = after_three_steps(lambda p: make(p, **{"lr": 0.1, **more, option: value}))
    assert np.abs(changed - plain).max() > 1e-6


@pytest.mark.parametrize(("option", "value"), [("nesterov", True), ("dampening", 0.5)])
def test_sgd_option_of_the_momentum_changes_the_steps(option, value):
    plain = after_three_steps(lambda p: optim.SGD(p, 0.1, 0.9))
    assert (after_three_steps(lambda p: optim.SGD(p, 0.1, 0.9, **{option: value})) != plain).all()


def test_optimizer_state_with_a_parameter_twice_or_bad_initial_rates_is_refused():
    optimizer = optim.SGD([*matrix(), *matrix()], lr=0.5)
    state = optimizer.state_dict()
    group = state["param_groups"][0]
    for wrong, message in (
        ({**group, "params": [0, 0]}, "a parameter is in the groups twice"),
        ({**group, "initial_lr": "a"}, "initial_lr must be a number"),
        ({**group, "max_lr": math.nan}, "max_lr must be finite"),
    ):
        with pytest.raises((TypeError, ValueError), match=rf"SGD\.load_state_dict: {message}"):
            optimizer.load_state_dict({**state, "param_groups": [{**wrong, "lr": 0.25}]})
        assert optimizer.param_groups[0]["lr"] == 0.5


def test_optimizer_gives_parameters_that_cannot_be_changed_in_place_new_arrays():
    for array in (np.ones(3), np.ones(3, ">f8")):
        array.flags.writeable = array.dtype.byteorder == ">"
        w = nn.Parameter(np.zeros(3))
        w.data = array
        w.grad = np.ones(3)
        optim.SGD([w], lr=0.25).step()
        np.testing.assert_array_equal(w.data, 0.75)
        np.testing.assert_array_equal(array, 1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"adjust_lr_fn": "match_rms_adamw"}, 0.2 * 3**0.5),
        ({"adjust_lr_fn": "original"}, 3**0.5),
        ({"adjust_lr_fn": None}, 3**0.5),
        ({"adjust_lr_fn": "constant"}, 1.0),
        ({"adjust_lr_fn": "constant", "ns_steps": 2}, 4.0),
        ({"adjust_lr_fn": "constant", "ns_steps": 1, "ns_coefficients": (5.0, 1.0, 2.0)}, 8.0),
        # The momentum is half the gradient, 1; with nesterov the direction is half of each, 1.5.
        ({"adjust_lr_fn": "constant", "eps": 8.0}, 1.5 / 8),
        ({"adjust_lr_fn": "constant", "eps": 8.0, "nesterov": False}, 1.0 / 8),
        ({"adjust_lr_fn": "constant", "weight_decay": 0.5}, 1.0 + 0.5),
        ({"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.5}, 0.2 * 3**0.5 + 0.5),
    ],
)
def test_muon_options_change_the_first_step(options, expected):
    """Of a matrix (3, 1) whose one singular value the polynomial 2 s + 0 + 0 doubles with every step."""
    w = nn.Parameter(np.array([[1.0], [0.0], [0.0]]))
    w.grad = np.array([[2.0], [0.0], [0.0]])
    given = {"ns_steps": 0, "ns_coefficients": (2.0, 0.0, 0.0), "weight_decay": 0.0, "momentum": 0.5, **options}
    optim.Muon([w], lr=0.1, **given).step()
    assert w.data[0, 0] == pytest.approx(1 - 0.1 * expected, rel=1e-14)


def test_optimizer_state_of_another_dtype_is_cast_to_that_of_the_parameter():
    optimizer = trained("sgd")
    state = optimizer.state_dict()
    state["state"][0]["momentum_buffer"] = state["state"][0]["momentum_buffer"].astype(np.float32)
    optimizer.load_state_dict(state)
    assert next(iter(optimizer.state.values()))["momentum_buffer"].dtype == np.float64


# ---- schedules -------------------------------------------------------------------------------------------------------
SCHEDULES = {
    "lambda": (lambda o, **k: optim.LambdaLR(o, **{"lr_lambda": lambda t: 1.0, **k}), ()),
    "step": (lambda o, **k: optim.StepLR(o, **{"step_size": 3, **k}), ("step_size", "gamma")),
    "multi_step": (lambda o, **k: optim.MultiStepLR(o, **{"milestones": [3], **k}), ("gamma",)),
    "exponential": (lambda o, **k: optim.ExponentialLR(o, **{"gamma": 0.5, **k}), ("gamma",)),
    "constant": (optim.ConstantLR, ("factor", "total_iters")),
    "linear": (optim.LinearLR, ("start_factor", "end_factor", "total_iters")),
    "polynomial": (optim.PolynomialLR, ("total_iters", "power")),
    "cosine": (lambda o, **k: optim.CosineAnnealingLR(o, **{"T_max": 3, **k}), ("T_max", "eta_min")),
    "restarts": (
        lambda o, **k: optim.CosineAnnealingWarmRestarts(o, **{"T_0": 3, **k}),
        ("T_0", "T_mult", "eta_min"),
    ),
    "one_cycle": (
        lambda o, **k: optim.OneCycleLR(o, **{"max_lr": 1.0, "total_steps": 10, **k}),
        ("max_lr", "pct_start", "base_momentum", "max_momentum", "div_factor", "final_div_factor"),
    ),
    "plateau": (optim.ReduceLROnPlateau, ("factor", "patience", "threshold", "cooldown", "min_lr", "eps")),
}


@pytest.mark.parametrize(("name", "setting"), [(name, one) for name, (_, some) in SCHEDULES.items() for one in some])
def test_schedule_setting_must_be_a_number(name, setting):
    make = SCHEDULES[name][0]
    optimizer = trained("sgd")
    before = as_text(optimizer)
    for wrong in NUMBERS:
        if isinstance(wrong, list | np.ndarray) and setting in ("max_lr", "min_lr", "base_momentum", "max_momentum"):
            continue  # one for each group
        with pytest.raises((TypeError, ValueError), match=rf"^[A-Za-z]+: {setting} "):
            make(optimizer, **{setting: wrong})
        assert as_text(optimizer) == before


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_needs_an_optimizer_and_a_last_epoch(name):
    make = SCHEDULES[name][0]
    for wrong in (None, "a", 3, matrix()):
        with pytest.raises(TypeError, match="an Optimizer is needed"):
            make(wrong)
    if name != "plateau":
        for wrong in ("a", None, 1.5, -2, math.nan):
            with pytest.raises((TypeError, ValueError), match="last_epoch must be"):
                make(trained("sgd"), last_epoch=wrong)
        for wrong in ("a", -1, 1j, math.nan, math.inf, [1]):
            with pytest.raises((TypeError, ValueError), match=r"step: epoch must be"):
                make(trained("sgd")).step(wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: optim.LambdaLR(o, None), "LambdaLR: lr_lambda must be a function of the number of steps"),
        (lambda o: optim.LambdaLR(o, ["a"]), "LambdaLR: lr_lambda must be a function"),
        (lambda o: optim.LambdaLR(o, lambda t: "0.1"), r"LambdaLR: lr_lambda\(0\) must be a number. Received: '0.1'"),
        (lambda o: optim.LambdaLR(o, lambda t: None), r"LambdaLR: lr_lambda\(0\) must be a number. Received: None"),
        (lambda o: optim.LambdaLR(o, lambda t: math.nan), r"LambdaLR: lr_lambda\(0\) must be finite"),
        (lambda o: optim.LambdaLR(o, lambda t: -0.5), "LambdaLR: the learning rate must be >= 0"),
        (lambda o: optim.MultiStepLR(o, 3), "MultiStepLR: milestones must be a list of integers"),
        (lambda o: optim.MultiStepLR(o, "123"), "MultiStepLR: milestones must be a list of integers"),
        (lambda o: optim.MultiStepLR(o, [1.5]), "MultiStepLR: milestones must be an integer"),
        (lambda o: optim.MultiStepLR(o, [-1]), "MultiStepLR: milestones must be >= 0"),
        (lambda o: optim.OneCycleLR(o, [1.0, 2.0], 10), "OneCycleLR: max_lr needs one value for each of 1 groups"),
        (lambda o: optim.OneCycleLR(o, 1.0, 10, div_factor=0), "OneCycleLR: div_factor must be > 0"),
        (lambda o: optim.OneCycleLR(o, 1.0, 10, cycle_momentum="a"), "cycle_momentum must be True or False"),
        (lambda o: optim.OneCycleLR(o, 1.0, 10, three_phase=2), "three_phase must be True or False"),
        (lambda o: optim.ReduceLROnPlateau(o, mode=["min"]), "mode must be 'min' or 'max'"),
        (lambda o: optim.ReduceLROnPlateau(o, min_lr=[0.1, "a"]), "min_lr needs one value for each of 1 groups"),
        (lambda o: optim.ReduceLROnPlateau(o).step("a"), "ReduceLROnPlateau.step: metrics must be a number"),
        (lambda o: optim.ReduceLROnPlateau(o).step(None), "ReduceLROnPlateau.step: metrics must be a number"),
        (lambda o: optim.SequentialLR(o, None, []), "SequentialLR: schedulers must be a list of schedules"),
        (lambda o: optim.SequentialLR(o, [], []), "SequentialLR: at least one schedule"),
        (lambda o: optim.SequentialLR(o, [3], []), "SequentialLR: an LRScheduler is needed. Received: int"),
        (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 3)], None), "SequentialLR: milestones must be a list"),
        (lambda o: optim.ChainedScheduler(None), "ChainedScheduler: schedulers must be a list"),
        (lambda o: optim.ChainedScheduler([]), "ChainedScheduler: at least one schedule"),
        (lambda o: optim.ChainedScheduler([optim.StepLR(trained("sgd"), 3)], o), "has another optimiser"),
        (lambda o: optim.ChainedScheduler([optim.ReduceLROnPlateau(o)]), "LRScheduler is needed. Received: ReduceLR"),
    ],
)
def test_schedule_nonsense_is_refused_in_words(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(trained("sgd"))


def test_reduce_lr_on_plateau_takes_nan_as_no_improvement():
    schedule = optim.ReduceLROnPlateau(trained("sgd"), patience=1, factor=0.5)
    for metric in (1.0, math.nan, np.float32(math.nan)):
        schedule.step(metric)
    assert schedule.best == 1.0
    assert schedule.get_last_lr() == [0.05]


def test_schedule_of_an_optimiser_without_learning_rates_says_so():
    with pytest.raises(KeyError, match="StepLR: a group of the optimiser has no learning rate 'lr'"):
        optim.StepLR(optim.Optimizer(matrix(), {}), 3)


def test_one_cycle_moves_the_momenta_of_a_multi_optimizer():
    optimizer = optim.MultiOptimizer([optim.Muon(matrix()), optim.Adam(matrix())])
    optim.OneCycleLR(optimizer, 1.0, 10)
    assert optimizer.param_groups[0]["momentum"] == 0.95
    assert optimizer.param_groups[1]["betas"] == (0.95, 0.999)
    with pytest.raises(ValueError, match="neither momentum nor betas"):
        optim.OneCycleLR(optim.MultiOptimizer([optim.Muon(matrix()), optim.Adagrad(matrix())]), 1.0, 10)


# ---- running means ---------------------------------------------------------------------------------------------------
def ema_and_state():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ema = optim.EMA(model, 0.5)
    model[0].weight.data[...] = 3
    ema.update()
    return ema, ema.state_dict()


def test_ema_load_state_dict_of_nonsense_changes_nothing():
    ema, state = ema_and_state()
    other = optim.EMA(ema.module, 0.25)
    before = {path: array.copy() for path, array in other.averages.items()}
    averages = state["averages"]
    first, count = "0.weight", "1.num_batches_tracked"
    assert first in averages
    assert count in averages
    broken = [None, 3, [], {}, *({k: v for k, v in state.items() if k != key} for key in state)]
    broken += [{**state, "decay": wrong} for wrong in ("a", None, 1.5, -1, math.nan, 1j)]
    broken += [{**state, "updates": wrong} for wrong in ("a", None, 1.5, -1, math.nan, 1j)]
    broken += [{**state, "averages": wrong} for wrong in (None, 3, [], {}, {1: 2})]
    array = averages[first]
    for wrong in (None, 3, "a", array[0], array.astype(complex), array.astype(str), array.astype(object), [[1, 2]]):
        broken.append({**state, "averages": {**averages, first: wrong}})
    for wrong in (None, 3, np.array(1.5), np.array("a"), np.array([1])):
        broken.append({**state, "averages": {**averages, count: wrong}})
    for one in broken:
        refused(other, one)
        assert (other.decay, other.updates) == (0.25, 0)
        for path, kept in before.items():
            np.testing.assert_array_equal(other.averages[path], kept)
    other.load_state_dict(state)
    assert (other.decay, other.updates) == (0.5, 1)


def test_ema_state_dict_and_averages_are_copies_of_their_own():
    ema, state = ema_and_state()
    kept = {path: array.copy() for path, array in state["averages"].items()}
    state["averages"]["0.weight"][...] = 99
    np.testing.assert_array_equal(ema.averages["0.weight"], kept["0.weight"])
    other = optim.EMA(ema.module)
    other.load_state_dict({**state, "averages": kept})
    kept["0.weight"][...] = 99
    assert not (other.averages["0.weight"] == 99).any()
    ema.module[0].weight.data[...] = 77
    assert not (ema.averages["0.weight"] == 77).any()
    assert optim.EMA(ema.module).averages["0.weight"] is not ema.module[0].weight.data


def test_ema_update_that_does_not_fit_changes_nothing():
    ema, _ = ema_and_state()
    before = {path: array.copy() for path, array in ema.averages.items()}
    ema.module[1].running_mean = np.zeros(3, np.float32)
    for action in (ema.update, ema.copy_to_model, lambda: ema.average().__enter__()):
        with pytest.raises(ValueError, match=r"EMA: 1\.running_mean was added"):
            action()
    for path, array in before.items():
        np.testing.assert_array_equal(ema.averages[path], array)
    assert ema.updates == 1


@pytest.mark.parametrize("wrong", [None, 3, "a", [nn.Linear(1, 1)]])
def test_ema_needs_a_module(wrong):
    with pytest.raises(TypeError, match="EMA: a Module is needed"):
        optim.EMA(wrong)


@pytest.mark.parametrize("wrong", ["a", 1.5, -0.5, math.nan, 1j, [0.5]])
def test_ema_decay_must_be_in_the_unit_interval(wrong):
    with pytest.raises((TypeError, ValueError), match="EMA: decay must be"):
        optim.EMA(nn.Linear(1, 1), wrong)
    with pytest.raises((TypeError, ValueError), match="EMA: decay must be"):
        optim.EMA(nn.Linear(1, 1)).update(wrong)


def test_ema_repr_tells_network_decay_and_updates():
    ema, _ = ema_and_state()
    assert repr(ema) == "EMA(Sequential, decay=0.5, updates=1, 7 arrays)"
