"""Learning-rate schedules against formulas written down independently, and their state."""

import inspect
import json
import math

import numpy as np
import pytest

from fastnn import nn, optim
from fastnn.optim import lr_scheduler, schedules

STEPS = 50


def sgd(*rates):
    groups = [{"params": [nn.Parameter(np.zeros(1))], "lr": lr} for lr in rates or (0.4,)]
    return optim.SGD(groups, lr=1.0, momentum=0.9)


def run(schedule, steps=STEPS):
    """The learning rates that the first group has at steps 0, 1, ..."""
    rates = []
    for _ in range(steps):
        rates.append(schedule.optimizer.param_groups[0]["lr"])
        assert schedule.get_last_lr()[0] == rates[-1]
        schedule.optimizer.step()
        schedule.step()
    return rates


def repeated(factors):
    """0.4 times a running product: how schedules are usually told, `at step t multiply by ...`."""
    rates, lr = [], 0.4
    for factor in factors:
        lr *= factor
        rates.append(lr)
    return rates


def cosine(start, end, part):
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * part))


def warm_restart_rates():
    rates, period = [], 5
    while len(rates) < STEPS:
        rates += [cosine(0.4, 0.01, t / period) for t in range(period)]
        period *= 2
    return rates[:STEPS]


def test_lambda_lr_multiplies():
    assert run(optim.LambdaLR(sgd(), lambda t: 1 / (1 + t))) == pytest.approx([0.4 / (1 + t) for t in range(STEPS)])
    optimizer = sgd(1.0, 2.0)
    schedule = optim.LambdaLR(optimizer, [lambda t: 0.5**t, lambda t: 1.0])
    schedule.step()
    assert schedule.get_last_lr() == [0.5, 2.0]


def test_step_lr_drops_every_period():
    expected = repeated(0.3 if t and t % 7 == 0 else 1 for t in range(STEPS))
    assert run(optim.StepLR(sgd(), 7, 0.3)) == pytest.approx(expected)


def test_multi_step_lr_drops_at_milestones():
    expected = repeated({3: 0.5, 10: 0.25, 49: 0.5}.get(t, 1) for t in range(STEPS))
    assert run(optim.MultiStepLR(sgd(), [10, 3, 49, 10], 0.5)) == pytest.approx(expected)


def test_exponential_lr_drops_every_step():
    assert run(optim.ExponentialLR(sgd(), 0.9)) == pytest.approx(repeated(0.9 if t else 1 for t in range(STEPS)))


def test_constant_lr_ends():
    assert run(optim.ConstantLR(sgd(), 0.25, 8)) == pytest.approx([0.1] * 8 + [0.4] * (STEPS - 8))


def test_linear_lr_goes_straight():
    expected = [0.1 + 0.02 * t for t in range(10)] + [0.3] * (STEPS - 10)
    assert run(optim.LinearLR(sgd(), 0.25, 0.75, 10)) == pytest.approx(expected)


def test_polynomial_lr_ends_at_zero():
    expected = [0.4 * (1 - t / 20) ** 2 for t in range(20)] + [0.0] * (STEPS - 20)
    assert run(optim.PolynomialLR(sgd(), 20, 2.0)) == pytest.approx(expected)


def test_cosine_annealing_lr_goes_down_and_up():
    down = [cosine(0.4, 0.01, t / 20) for t in range(21)]
    expected = (down + down[-2:0:-1] + down)[:STEPS]
    assert run(optim.CosineAnnealingLR(sgd(), 20, 0.01)) == pytest.approx(expected)


def test_cosine_annealing_warm_restarts_double():
    assert run(optim.CosineAnnealingWarmRestarts(sgd(), 5, 2, 0.01)) == pytest.approx(warm_restart_rates())


def test_cosine_annealing_warm_restarts_takes_fractions():
    schedule = optim.CosineAnnealingWarmRestarts(sgd(), 4)
    schedule.step(6.5)
    assert schedule.get_last_lr()[0] == pytest.approx(cosine(0.4, 0, 2.5 / 4))


@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle_lr_goes_up_and_down_and_momentum_the_other_way(strategy):
    between = cosine if strategy == "cos" else lambda start, end, part: start + (end - start) * part
    schedule = optim.OneCycleLR(sgd(), 2.0, total_steps=50, pct_start=0.4, anneal_strategy=strategy, div_factor=10)
    group = schedule.optimizer.param_groups[0]
    for t in range(50):
        if t <= 19:  # step 19 is the twentieth, 40 % of 50
            lr, momentum = between(0.2, 2.0, t / 19), between(0.95, 0.85, t / 19)
        else:
            lr, momentum = between(2.0, 0.2e-4, (t - 19) / 30), between(0.85, 0.95, (t - 19) / 30)
        assert group["lr"] == pytest.approx(lr)
        assert group["momentum"] == pytest.approx(momentum)
        schedule.step()
    with pytest.raises(ValueError, match="step 51 of a cycle of 50"):
        schedule.step()
    assert schedule.last_epoch == 50


def test_one_cycle_lr_with_three_phases_is_symmetric():
    schedule = optim.OneCycleLR(sgd(), 1.0, epochs=5, steps_per_epoch=10, pct_start=0.4, three_phase=True)
    rates = run(schedule)
    assert rates[:39] == pytest.approx(rates[38::-1])
    assert max(rates) == rates[19] == 1.0
    assert rates[-1] == pytest.approx(1 / 25 / 1e4)


def test_one_cycle_lr_moves_beta1_of_adam():
    optimizer = optim.Adam([nn.Parameter(np.zeros(1))])
    optim.OneCycleLR(optimizer, 1.0, total_steps=10)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)
    optimizer.step()


def test_sequential_lr_restarts_each_schedule_at_its_milestone():
    optimizer = sgd()
    parts = [
        optim.LinearLR(optimizer, 0.1, total_iters=5),
        optim.CosineAnnealingLR(optimizer, 20),
        optim.ExponentialLR(optimizer, 0.5),
    ]
    expected = [0.4 * (0.1 + 0.9 * t / 5) for t in range(5)]
    expected += [cosine(0.4, 0, t / 20) for t in range(20)]
    expected += [0.4 * 0.5**t for t in range(STEPS - 25)]
    assert run(optim.SequentialLR(optimizer, parts, [5, 25])) == pytest.approx(expected)


def test_reduce_lr_on_plateau_waits_reduces_and_cools_down():
    schedule = optim.ReduceLROnPlateau(sgd(), factor=0.5, patience=2, cooldown=2, min_lr=0.06)
    rates = []
    for metric in [5, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]:
        schedule.step(metric)
        rates.append(schedule.get_last_lr()[0])
    # Best at the second step; three bad ones; then two of cooldown before the next three.
    assert rates == pytest.approx([0.4] * 4 + [0.2] * 5 + [0.1] * 5 + [0.06] * 5)


@pytest.mark.parametrize(
    ("mode", "threshold_mode", "better", "same"),
    [("min", "rel", 8.9, 9.1), ("min", "abs", 9.85, 9.95), ("max", "rel", 11.1, 10.9), ("max", "abs", 10.15, 10.05)],
)
def test_reduce_lr_on_plateau_threshold_decides_what_is_better(mode, threshold_mode, better, same):
    for metric, reduced in ((better, False), (same, True)):
        schedule = optim.ReduceLROnPlateau(sgd(), mode, patience=0, threshold=0.1, threshold_mode=threshold_mode)
        schedule.step(10.0)
        schedule.step(metric)
        assert (schedule.get_last_lr()[0] < 0.4) is reduced


def test_reduce_lr_on_plateau_makes_no_change_of_at_most_eps():
    for eps, reduced in ((0.19, True), (0.2, False), (0.21, False)):
        schedule = optim.ReduceLROnPlateau(sgd(0.4, 4.0), factor=0.5, patience=0, eps=eps)
        schedule.step(1.0)
        schedule.step(1.0)
        assert schedule.get_last_lr() == [0.2 if reduced else 0.4, 2.0]


def test_reduce_lr_on_plateau_has_a_least_rate_for_each_group():
    schedule = optim.ReduceLROnPlateau(sgd(0.4, 4.0), factor=0.1, patience=0, min_lr=[0.05, 1.0])
    for _ in range(5):
        schedule.step(1.0)
    assert schedule.get_last_lr() == [0.05, 1.0]


def test_reduce_lr_on_plateau_reduces_after_more_than_patience_steps():
    for patience in (0, 1, 3):
        schedule = optim.ReduceLROnPlateau(sgd(), factor=0.5, patience=patience)
        schedule.step(1.0)
        rates = []
        for _ in range(patience + 1):
            rates.append(schedule.get_last_lr()[0])
            schedule.step(1.0)
        assert rates == [0.4] * (patience + 1)
        assert schedule.get_last_lr() == [0.2]


def test_reduce_lr_on_plateau_counts_nothing_in_its_cooldown():
    schedule = optim.ReduceLROnPlateau(sgd(1.0), factor=0.5, patience=0, cooldown=2)
    rates = []
    for _ in range(8):
        schedule.step(1.0)
        rates.append(schedule.get_last_lr()[0])
    assert rates == [1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_reduce_lr_on_plateau_counts_anew_after_each_reduction():
    schedule = optim.ReduceLROnPlateau(sgd(1.0), factor=0.5, patience=1)
    rates = []
    for _ in range(8):
        schedule.step(1.0)
        rates.append(schedule.get_last_lr()[0])
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


def test_multi_step_lr_of_milestone_zero_drops_at_once():
    assert run(optim.MultiStepLR(sgd(), [0, 2, 2], 0.5), 4) == [0.2, 0.2, 0.05, 0.05]


DEFAULTS = {  # as in PyTorch 2.13
    "SGD": {
        "lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False, "maximize": False,
    },
    "Adam": {
        "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False, "maximize": False,
    },
    "AdamW": {
        "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2, "amsgrad": False, "maximize": False,
    },
    "RMSprop": {
        "lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0, "centered": False, "maximize": False,
    },
    "Adagrad": {
        "lr": 1e-2, "lr_decay": 0, "weight_decay": 0, "initial_accumulator_value": 0, "eps": 1e-10, "maximize": False,
    },
    "Adadelta": {
        "lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0, "maximize": False,
    },
    "NAdam": {
        "lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "momentum_decay": 4e-3,
        "decoupled_weight_decay": False, "maximize": False,
    },
    "Lion": {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0, "maximize": False},  # the authors'
    "Muon": {
        "lr": 1e-3, "weight_decay": 0.1, "momentum": 0.95, "nesterov": True,
        "ns_coefficients": (3.4445, -4.775, 2.0315), "eps": 1e-7, "ns_steps": 5, "adjust_lr_fn": None,
        "normalize_weight": False,
    },
    "EMA": {"decay": 0.999},
    "clip_grad_norm_": {"norm_type": 2.0, "error_if_nonfinite": False},
    "l1_l2_penalty_": {"l1": 0.0, "l2": 0.0},
    "LambdaLR": {"last_epoch": -1},
    "StepLR": {"gamma": 0.1, "last_epoch": -1},
    "MultiStepLR": {"gamma": 0.1, "last_epoch": -1},
    "ExponentialLR": {"last_epoch": -1},
    "ConstantLR": {"factor": 1 / 3, "total_iters": 5, "last_epoch": -1},
    "LinearLR": {"start_factor": 1 / 3, "end_factor": 1.0, "total_iters": 5, "last_epoch": -1},
    "PolynomialLR": {"total_iters": 5, "power": 1.0, "last_epoch": -1},
    "CosineAnnealingLR": {"eta_min": 0.0, "last_epoch": -1},
    "CosineAnnealingWarmRestarts": {"T_mult": 1, "eta_min": 0.0, "last_epoch": -1},
    "OneCycleLR": {
        "total_steps": None, "epochs": None, "steps_per_epoch": None, "pct_start": 0.3, "anneal_strategy": "cos",
        "cycle_momentum": True, "base_momentum": 0.85, "max_momentum": 0.95, "div_factor": 25.0,
        "final_div_factor": 1e4, "three_phase": False, "last_epoch": -1,
    },
    "SequentialLR": {"last_epoch": -1},
    "ChainedScheduler": {"optimizer": None},
    "ReduceLROnPlateau": {
        "mode": "min", "factor": 0.1, "patience": 10, "threshold": 1e-4, "threshold_mode": "rel", "cooldown": 0,
        "min_lr": 0.0, "eps": 1e-8,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_optim_defaults_are_those_of_pytorch(name):
    parameters = inspect.signature(getattr(optim, name)).parameters.values()
    given = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    assert given == DEFAULTS[name]


MAKERS = {
    "lambda": lambda o: optim.LambdaLR(o, lambda t: 1 / (1 + t)),
    "step": lambda o: optim.StepLR(o, 3),
    "multi_step": lambda o: optim.MultiStepLR(o, [3, 20]),
    "exponential": lambda o: optim.ExponentialLR(o, 0.9),
    "constant": lambda o: optim.ConstantLR(o, total_iters=15),
    "linear": lambda o: optim.LinearLR(o, total_iters=20),
    "polynomial": lambda o: optim.PolynomialLR(o, 30),
    "cosine": lambda o: optim.CosineAnnealingLR(o, 30),
    "warm_restarts": lambda o: optim.CosineAnnealingWarmRestarts(o, 4, 2),
    "one_cycle": lambda o: optim.OneCycleLR(o, [1.0, 2.0], 60),
    "sequential": lambda o: optim.SequentialLR(o, [optim.LinearLR(o), optim.CosineAnnealingLR(o, 30)], [5]),
}


@pytest.mark.parametrize("name", MAKERS)
def test_schedule_state_dict_continues_where_it_was(name):
    schedule = MAKERS[name](sgd(0.4, 0.8))
    run(schedule, 11)
    optimizer = sgd(0.4, 0.8)
    resumed = MAKERS[name](optimizer)
    optimizer.load_state_dict(schedule.optimizer.state_dict())
    resumed.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    assert resumed.get_last_lr() == schedule.get_last_lr()
    assert run(resumed, 20) == run(schedule, 20)
    assert resumed.get_last_lr() == schedule.get_last_lr()


def test_reduce_lr_on_plateau_state_dict_continues():
    schedule, resumed = (optim.ReduceLROnPlateau(sgd(), "max", patience=3) for _ in range(2))
    resumed.load_state_dict(json.loads(json.dumps(schedule.state_dict())))  # before any metric
    for metric in (1, 2, 2, 2):
        schedule.step(metric)
    resumed.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    for _ in range(2):
        schedule.step(2)
        resumed.step(2)
    assert resumed.get_last_lr() == schedule.get_last_lr() == pytest.approx([0.04])


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in ("one_cycle", "sequential")])
def test_schedule_continues_from_last_epoch(name):
    whole = MAKERS[name](sgd(0.4, 0.8))
    run(whole, 13)
    optimizer = sgd(9.0, 9.0)
    for group, lr in zip(optimizer.param_groups, (0.4, 0.8), strict=True):
        group["initial_lr"] = lr
    factory = type(whole)
    arguments = {
        "lambda": (lambda t: 1 / (1 + t),), "step": (3,), "multi_step": ([3, 20],), "exponential": (0.9,),
        "constant": (1 / 3, 15), "linear": (1 / 3, 1.0, 20), "polynomial": (30,), "cosine": (30,),
        "warm_restarts": (4, 2),
    }[name]  # fmt: skip
    continued = factory(optimizer, *arguments, last_epoch=12)
    assert continued.get_last_lr() == whole.get_last_lr()
    with pytest.raises(KeyError, match="initial_lr"):
        factory(sgd(), *arguments, last_epoch=12)


def test_schedule_subclass_needs_lr_at_only():
    class InverseRootLR(optim.LRScheduler):
        def lr_at(self, t, base_lr):
            return base_lr / math.sqrt(1 + t)

    assert run(InverseRootLR(sgd()), 4) == pytest.approx([0.4, 0.4 / 2**0.5, 0.4 / 3**0.5, 0.2])


def test_schedules_are_found_under_three_names():
    assert optim.StepLR is schedules.StepLR is lr_scheduler.StepLR is optim.lr_scheduler.StepLR


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: optim.StepLR(o, 0), "StepLR: step_size must be >= 1"),
        (lambda o: optim.CosineAnnealingLR(o, 0), "CosineAnnealingLR: T_max must be >= 1"),
        (lambda o: optim.CosineAnnealingWarmRestarts(o, 5, 0), "T_mult must be >= 1"),
        (lambda o: optim.LinearLR(o, 0), "LinearLR: start_factor must be > 0"),
        (lambda o: optim.LinearLR(o, 0.5, 1.5), r"LinearLR: end_factor must be in \[0, 1\]"),
        (lambda o: optim.ConstantLR(o, 2), r"ConstantLR: factor must be in \[0, 1\]"),
        (lambda o: optim.LambdaLR(o, [abs, abs]), "one value for each of 1 groups"),
        (lambda o: optim.OneCycleLR(o, 1.0), "give total_steps"),
        (lambda o: optim.OneCycleLR(o, 1.0, 10, anneal_strategy="exp"), "'cos' or 'linear'"),
        (lambda o: optim.OneCycleLR(o, 1.0, 10, pct_start=1.5), "pct_start must be in"),
        (lambda o: optim.OneCycleLR(optim.Adagrad(o.param_groups), 1.0, 10), "neither momentum nor betas"),
        (lambda o: optim.ReduceLROnPlateau(o, "low"), "mode must be 'min' or 'max'"),
        (lambda o: optim.ReduceLROnPlateau(o, factor=1.0), r"factor must be in \[0, 1\)"),
        (lambda o: optim.ReduceLROnPlateau(o, threshold_mode="x"), "'rel' or 'abs'"),
        (lambda o: optim.SequentialLR(o, [optim.ExponentialLR(o, 1)], [3]), "one milestone less"),
        (lambda o: optim.SequentialLR(o, [optim.ExponentialLR(o, 1)] * 3, [3, 3]), "must increase"),
        (lambda o: optim.SequentialLR(o, [optim.ExponentialLR(sgd(), 1)], []), "another optimiser"),
        (lambda o: optim.SequentialLR(o, [optim.ExponentialLR(o, 1)] * 2, [0]), "milestones must be >= 1"),
    ],
)
def test_schedule_bad_value_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(sgd())


def test_schedule_needs_an_optimizer():
    with pytest.raises(TypeError, match="StepLR: an Optimizer is needed"):
        optim.StepLR(0.1, 3)


def test_reduce_lr_on_plateau_counts_its_steps():
    schedule = optim.ReduceLROnPlateau(optim.SGD([nn.Parameter(np.zeros(1))], lr=1.0))
    for metric in (3.0, 2.0, 2.0):
        schedule.step(metric)
    assert schedule.last_epoch == schedule.state_dict()["last_epoch"] == 3
