"""Schedules that share an optimiser, and all orders in which optimisers and schedules may be made and loaded."""

import itertools
import json
import math

import numpy as np
import pytest

from fastnn import nn, optim, training


def sgd(*rates):
    groups = [{"params": [nn.Parameter(np.zeros(1))], "lr": lr} for lr in rates or (0.4, 0.8)]
    return optim.SGD(groups, lr=1.0, momentum=0.9)


def adam(*rates):
    return optim.Adam([{"params": [nn.Parameter(np.zeros(1))], "lr": lr} for lr in rates or (0.4, 0.8)])


def multi(*rates):
    first, second = rates or (0.4, 0.8)
    return optim.MultiOptimizer(
        [optim.Muon([nn.Parameter(np.eye(2))], lr=first), optim.SGD([nn.Parameter(np.zeros(1))], lr=second)]
    )


def metric(t):
    """Falls for three steps, then stays: the plateau is in its cooldown after step 6."""
    return float(max(5 - t, 2))


# Of each schedule: as it is made, with other settings where these are in the state.
MAKERS = {
    "lambda": lambda o: optim.LambdaLR(o, lambda t: 1 / (1 + t)),
    "step": lambda o: optim.StepLR(o, 3),
    "multi_step": lambda o: optim.MultiStepLR(o, [0, 3, 20]),
    "exponential": lambda o: optim.ExponentialLR(o, 0.9),
    "constant": lambda o: optim.ConstantLR(o, total_iters=9),
    "linear": lambda o: optim.LinearLR(o, total_iters=20),
    "polynomial": lambda o: optim.PolynomialLR(o, 30),
    "cosine": lambda o: optim.CosineAnnealingLR(o, 30, 0.01),
    "warm_restarts": lambda o: optim.CosineAnnealingWarmRestarts(o, 4, 2),
    "one_cycle": lambda o: optim.OneCycleLR(o, [1.0, 2.0], 30),
    "one_cycle_linear": lambda o: optim.OneCycleLR(o, 1.0, 30, anneal_strategy="linear", cycle_momentum=False),
    "sequential": lambda o: optim.SequentialLR(o, [optim.LinearLR(o), optim.CosineAnnealingLR(o, 30)], [5]),
    "sequential_one_cycle": lambda o: optim.SequentialLR(
        o, [optim.ConstantLR(o), optim.OneCycleLR(o, [1.0, 2.0], 30)], [5]
    ),
    "chained": lambda o: optim.ChainedScheduler([optim.LinearLR(o), optim.ExponentialLR(o, 0.9)]),
    "sequential_chained": lambda o: optim.SequentialLR(
        o, [optim.ChainedScheduler([optim.LinearLR(o), optim.ExponentialLR(o, 0.9)]), optim.StepLR(o, 2)], [8]
    ),
    "plateau": lambda o: optim.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=3, min_lr=[0.0, 0.3], eps=0.06),
    "loose": lambda o: Loose(optim.LinearLR(o, total_iters=20), optim.ExponentialLR(o, 0.9)),
    "loose_plateau": lambda o: Loose(
        optim.LinearLR(o, total_iters=8), optim.ReduceLROnPlateau(o, factor=0.5, patience=1)
    ),
}


class Loose:
    """Several schedules, each stepped and saved by itself."""

    def __init__(self, *parts):
        self.parts, self.optimizer = parts, parts[0].optimizer

    def step(self, t):
        for part in self.parts:
            step(part, t)

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states):
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def step(schedule, t):
    if isinstance(schedule, Loose):
        schedule.step(t)
    elif isinstance(schedule, optim.ReduceLROnPlateau):
        schedule.step(metric(t))
    else:
        schedule.step()


def settings(optimizer):
    """All that the groups hold but parameters."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def run(schedule, first, n):
    found = []
    for t in range(first, first + n):
        step(schedule, t)
        found.append(settings(schedule.optimizer))
    return found


# ---- resuming --------------------------------------------------------------------------------------------------------
LOADS = {
    "schedule, load optimiser, load schedule": ("make", "optimizer", "schedule"),
    "schedule, load schedule, load optimiser": ("make", "schedule", "optimizer"),
    "load optimiser, schedule, load schedule": ("optimizer", "make", "schedule"),
}


@pytest.mark.parametrize("steps", [0, 1, 4, 6, 7, 12])
@pytest.mark.parametrize("order", LOADS.values(), ids=LOADS)
@pytest.mark.parametrize("name", MAKERS)
def test_schedule_resumed_in_any_order_has_the_saved_rates_and_goes_on_as_before(name, order, steps):
    optimizer_of = {"sequential": adam, "one_cycle": adam, "linear": multi, "one_cycle_linear": multi}.get(name, sgd)
    whole = MAKERS[name](optimizer_of())
    run(whole, 0, steps)
    optimizer_state, schedule_state = (json.loads(json.dumps(one.state_dict())) for one in (whole.optimizer, whole))
    saved = settings(whole.optimizer)
    other = optimizer_of(3.0, 5.0)  # a script that was edited since: what was saved counts
    resumed = None
    for action in order:
        if action == "make":
            resumed = MAKERS[name](other)
        elif action == "optimizer":
            other.load_state_dict(optimizer_state)
        else:
            resumed.load_state_dict(schedule_state)
    assert settings(other) == saved
    if not name.startswith("loose"):
        assert resumed.get_last_lr() == whole.get_last_lr()
        assert resumed.state_dict() == whole.state_dict()
    assert run(resumed, steps, 15) == run(whole, steps, 15)


def test_schedule_loaded_without_its_optimiser_sets_rates_and_initial_rates():
    whole = optim.ExponentialLR(sgd(), 0.5)
    whole.step()
    resumed = optim.ExponentialLR(sgd(3.0, 5.0), 0.5)
    resumed.load_state_dict(whole.state_dict())
    assert settings(resumed.optimizer) == settings(whole.optimizer)


def test_schedule_resumed_keeps_a_rate_that_was_set_by_hand():
    whole = optim.StepLR(sgd(), 3)
    whole.step()
    whole.optimizer.param_groups[0]["lr"] = 0.05
    states = whole.optimizer.state_dict(), whole.state_dict()
    other = sgd()
    other.load_state_dict(states[0])
    resumed = optim.StepLR(other, 3)
    resumed.load_state_dict(states[1])
    assert [group["lr"] for group in other.param_groups] == [0.05, 0.8]
    assert resumed.get_last_lr() == [0.4, 0.8]
    resumed.step()  # a function of the number of steps: what was set by hand held until now
    assert [group["lr"] for group in other.param_groups] == [0.4, 0.8]


def test_schedule_over_a_loaded_optimiser_begins_with_its_initial_rate():
    first = optim.ExponentialLR(sgd(0.4), 0.5)
    first.step()
    other = sgd(7.0)
    other.load_state_dict(first.optimizer.state_dict())
    assert other.param_groups[0]["lr"] == 0.2
    second = optim.ExponentialLR(other, 0.5)
    assert second.base_lrs == [0.4]
    assert other.param_groups[0]["lr"] == 0.4
    second.step()
    assert other.param_groups[0]["lr"] == 0.2


def test_one_cycle_continues_from_last_epoch_with_what_the_groups_tell():
    whole = optim.OneCycleLR(sgd(), [1.0, 2.0], 30)
    run(whole, 0, 6)
    other = sgd()
    with pytest.raises(KeyError, match="groups need initial_lr, max_lr, min_lr, base_momentum, max_momentum"):
        optim.OneCycleLR(other, 9.0, 30, last_epoch=5)
    other.load_state_dict(whole.optimizer.state_dict())
    resumed = optim.OneCycleLR(other, 9.0, 30, last_epoch=5)
    assert settings(other) == settings(whole.optimizer)
    assert run(resumed, 6, 9) == run(whole, 6, 9)


@pytest.mark.parametrize("order", LOADS.values(), ids=LOADS)
def test_one_cycle_resumed_with_other_arguments_goes_on_with_the_saved_cycle(order):
    whole = optim.OneCycleLR(sgd(), [1.0, 2.0], 30, max_momentum=0.9)
    run(whole, 0, 6)
    states, other = {"optimizer": whole.optimizer.state_dict(), "schedule": whole.state_dict()}, sgd()
    for action in order:
        if action == "make":
            resumed = optim.OneCycleLR(other, 9.0, 30, base_momentum=0.1, div_factor=2.0)
        else:
            (other if action == "optimizer" else resumed).load_state_dict(states[action])
    assert settings(other) == settings(whole.optimizer)
    assert run(resumed, 6, 20) == run(whole, 6, 20)


def test_sequential_continues_from_last_epoch():
    whole = MAKERS["sequential"](sgd())
    run(whole, 0, 7)
    other = sgd(3.0, 5.0)
    for group, lr in zip(other.param_groups, (0.4, 0.8), strict=True):
        group["initial_lr"] = lr
    parts = [optim.LinearLR(other), optim.CosineAnnealingLR(other, 30)]
    resumed = optim.SequentialLR(other, parts, [5], last_epoch=6)
    assert resumed.get_last_lr() == whole.get_last_lr()
    assert run(resumed, 7, 9) == run(whole, 7, 9)


def test_one_cycle_state_after_its_last_step_is_loaded():
    """Linear: beyond the end the line would go on below 0."""
    schedule = optim.OneCycleLR(sgd(), 1.0, 10, anneal_strategy="linear")
    run(schedule, 0, 10)
    ends = [group["lr"] for group in schedule.optimizer.param_groups]
    assert ends == pytest.approx([4e-6, 4e-6])
    assert schedule.optimizer.param_groups[0]["momentum"] == 0.95
    sgd().load_state_dict(schedule.optimizer.state_dict())


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("after", range(1, 13))
def test_reduce_lr_on_plateau_resumed_in_the_middle_of_its_counts_goes_on_as_before(mode, after):
    """Patience begun, cooldown begun, both over: every state is passed and left again."""

    def make(*rates):
        return optim.ReduceLROnPlateau(sgd(*rates), mode, factor=0.5, patience=2, cooldown=2, threshold=0.1)

    values = [3, 2, 2, 1.9, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    values = values if mode == "min" else [5 - value for value in values]
    whole, resumed = make(0.4), make(9.0)
    for value in values[:after]:
        whole.step(value)
    resumed.load_state_dict(json.loads(json.dumps(whole.state_dict())))
    for value in values[after:]:
        assert resumed.state_dict() == whole.state_dict()
        whole.step(value)
        resumed.step(value)
    assert resumed.get_last_lr() == whole.get_last_lr()
    assert whole.get_last_lr()[0] < 0.4


def test_schedules_of_one_optimiser_resume_through_the_file_of_a_checkpoint(tmp_path):
    whole = MAKERS["chained"](sgd())
    run(whole, 0, 3)
    training.save_state(tmp_path / "state", {"o": whole.optimizer.state_dict(), "s": whole.state_dict()})
    loaded = training.load_state(tmp_path / "state")
    resumed = MAKERS["chained"](sgd(1.0, 1.0))
    resumed.load_state_dict(loaded["s"])
    resumed.optimizer.load_state_dict(loaded["o"])
    assert run(resumed, 3, 5) == run(whole, 3, 5)


# ---- several schedules of one optimiser ------------------------------------------------------------------------------
# The factor of each after t steps; PyTorch's chainable forms multiply the learning rate by factor(t) / factor(t - 1).
FACTORS = {
    "step": (lambda o: optim.StepLR(o, 3, 0.5), lambda t: 0.5 ** (t // 3)),
    "multi_step": (lambda o: optim.MultiStepLR(o, [2, 5], 0.5), lambda t: 0.5 ** ((t >= 2) + (t >= 5))),
    "exponential": (lambda o: optim.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    "constant": (lambda o: optim.ConstantLR(o, 0.5, 4), lambda t: 0.5 if t < 4 else 1.0),
    "linear": (lambda o: optim.LinearLR(o, 0.25, 1.0, 6), lambda t: 0.25 + 0.75 * min(t, 6) / 6),
    "polynomial": (lambda o: optim.PolynomialLR(o, 20, 2.0), lambda t: (1 - t / 20) ** 2),
    "cosine": (lambda o: optim.CosineAnnealingLR(o, 20), lambda t: (1 + math.cos(math.pi * t / 20)) / 2),
}


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FACTORS, 2)))
def test_schedules_of_one_optimiser_multiply(first, second):
    optimizer = sgd()
    schedules = [FACTORS[name][0](optimizer) for name in (first, second)]
    expected = {name: FACTORS[name][1] for name in (first, second)}
    for t in range(12):
        rate = 0.4 * expected[first](t) * expected[second](t)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate, 2 * rate])
        for schedule in schedules:
            schedule.step()


def test_linear_and_exponential_multiply_as_in_pytorch():
    """PyTorch 2.13: LinearLR(o, 0.1, total_iters=4), ExponentialLR(o, 0.9), both stepped after each optimiser step."""
    optimizer = sgd(1.0)
    linear, exponential = optim.LinearLR(optimizer, 0.1, total_iters=4), optim.ExponentialLR(optimizer, 0.9)
    rates = []
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        linear.step()
        exponential.step()
    assert rates == pytest.approx([0.1, 0.2925, 0.4455, 0.564975, 0.6561, 0.59049, 0.531441], rel=1e-12)
    assert exponential.get_last_lr()[0] == optimizer.param_groups[0]["lr"]


def test_three_schedules_and_a_plateau_multiply():
    optimizer = sgd(1.0)
    parts = [optim.LinearLR(optimizer, 0.5, total_iters=2), optim.StepLR(optimizer, 2, 0.5)]
    plateau = optim.ReduceLROnPlateau(optimizer, factor=0.1, patience=0)
    parts.append(optim.ExponentialLR(optimizer, 0.8))
    plateau.step(1.0)
    rates = []
    for _ in range(4):
        for part in parts:
            part.step()
        rates.append(optimizer.param_groups[0]["lr"])
        plateau.step(1.0)
    assert rates == pytest.approx([0.75 * 0.8, 0.5 * 0.64 * 0.1, 0.5 * 0.512 * 0.01, 0.25 * 0.4096 * 0.001])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(rates[-1] / 10)


def test_plateau_beside_a_schedule_counts_what_it_did_at_its_least_rate():
    optimizer = sgd(1.0)
    plateau = optim.ReduceLROnPlateau(optimizer, factor=0.1, patience=0, min_lr=0.5)
    exponential = optim.ExponentialLR(optimizer, 0.5)
    plateau.step(1.0)
    plateau.step(1.0)
    assert optimizer.param_groups[0]["lr"] == 0.5
    exponential.step()
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_a_finished_schedule_keeps_its_last_factor():
    optimizer = sgd(1.0)
    warm_up = optim.ExponentialLR(optimizer, 0.5)
    warm_up.step()
    later = optim.StepLR(optimizer, 1, 0.1)
    assert later.get_last_lr() == [0.5]
    later.step()
    assert later.get_last_lr() == pytest.approx([0.05])


def test_rate_of_zero_stays_zero_beside_other_schedules():
    optimizer = sgd(0.0, 1.0)
    schedules = [optim.ExponentialLR(optimizer, 0.5), optim.LinearLR(optimizer, 0.5)]
    for schedule in schedules:
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.0, 0.5 * 0.6])
    optimizer = sgd(0.0)  # no factor can be told of a rate that began at 0
    cosine = optim.CosineAnnealingLR(optimizer, 10, eta_min=0.25)
    optim.ExponentialLR(optimizer, 0.5)
    cosine.step(10)
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_one_cycle_ends_the_schedules_before_it():
    optimizer = sgd(1.0)
    before = optim.ExponentialLR(optimizer, 0.5)
    before.step()
    optim.OneCycleLR(optimizer, 3.0, 10)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3.0 / 25)
    with pytest.raises(RuntimeError, match=r"ExponentialLR.step: the learning rates are those of another schedule"):
        before.step()
    after = optim.LinearLR(optimizer, 0.5)
    assert after.get_last_lr() == pytest.approx([3.0 / 25 * 0.5])


def test_one_cycle_leaves_the_reductions_of_a_plateau():
    optimizer = sgd(1.0)
    plateau = optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    plateau.step(1.0)
    cycle, alone = optim.OneCycleLR(optimizer, 1.0, 10), optim.OneCycleLR(sgd(1.0), 1.0, 10)
    plateau.step(1.0)
    for _ in range(2):
        assert cycle.optimizer.param_groups[0]["lr"] == 0.5 * alone.get_last_lr()[0]
        cycle.step()
        alone.step()


@pytest.mark.parametrize(
    "make", [lambda o, parts: optim.SequentialLR(o, parts, [5]), lambda o, parts: optim.ChainedScheduler(parts)]
)
def test_schedules_given_to_another_are_stepped_by_it_only(make):
    optimizer = sgd(1.0)
    parts = [optim.LinearLR(optimizer, 0.5), optim.ExponentialLR(optimizer, 0.5)]
    schedule = make(optimizer, parts)
    before = schedule.get_last_lr()
    with pytest.raises(RuntimeError, match=r"LinearLR.step: .*step that one"):
        parts[0].step()
    assert [group["lr"] for group in optimizer.param_groups] == before
    assert parts[0].last_epoch == 0


def test_sequential_multiplies_with_a_schedule_beside_it():
    optimizer = sgd(1.0)
    parts = [optim.ConstantLR(optimizer, 0.5), optim.ExponentialLR(optimizer, 0.5)]
    whole, beside = optim.SequentialLR(optimizer, parts, [2]), optim.StepLR(optimizer, 3, 0.1)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        whole.step()
        beside.step()
    assert rates == pytest.approx([0.5, 0.5, 1.0, 0.05, 0.025])


def test_one_cycle_within_another_schedule_moves_the_momentum():
    optimizer = sgd(1.0)
    parts = [optim.ConstantLR(optimizer, 0.5), optim.OneCycleLR(optimizer, 1.0, 10)]
    sequential = optim.SequentialLR(optimizer, parts, [2])
    momenta = []
    for _ in range(5):
        momenta.append(optimizer.param_groups[0]["momentum"])
        sequential.step()
    alone = optim.OneCycleLR(sgd(1.0), 1.0, 10)
    expected = [group[0]["momentum"] for group in ([*settings(alone.optimizer)], *run(alone, 0, 2))]
    assert momenta[2:] == expected
    assert expected[0] == 0.95 > expected[1]

    optimizer = sgd(1.0)
    chained = optim.ChainedScheduler([optim.OneCycleLR(optimizer, 1.0, 10), optim.ExponentialLR(optimizer, 0.5)])
    chained.step()
    assert optimizer.param_groups[0]["momentum"] == expected[1]


def test_chained_scheduler_takes_schedules_that_were_stepped_before():
    optimizer = sgd(1.0)
    early, late = optim.ExponentialLR(optimizer, 0.5), optim.LinearLR(optimizer, 0.5, total_iters=2)
    early.step()
    early.step()
    chain = optim.ChainedScheduler([early, late], optimizer)
    assert chain.get_last_lr() == [0.125]
    chain.step()
    assert chain.get_last_lr() == pytest.approx([0.125 * 0.75])
    other = sgd(1.0)
    resumed = optim.ChainedScheduler([optim.ExponentialLR(other, 0.5), optim.LinearLR(other, 0.5, total_iters=2)])
    resumed.load_state_dict(chain.state_dict())
    chain.step()
    resumed.step()
    assert resumed.get_last_lr() == chain.get_last_lr() == pytest.approx([0.0625])


def test_chained_scheduler_trains_in_fit(rng):
    model = nn.Sequential(nn.Linear(3, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    chain = optim.ChainedScheduler([optim.LinearLR(optimizer, 0.5, total_iters=2), optim.ExponentialLR(optimizer, 0.5)])
    batches = [(rng.standard_normal((4, 3)).astype(np.float32), rng.integers(0, 2, 4)) for _ in range(2)]
    training.fit(model, batches, 2, optimizer=optimizer, scheduler=chain, progress=False)
    assert chain.get_last_lr() == pytest.approx([0.1 * 1.0 * 0.25])


def test_chained_scheduler_that_fails_leaves_all_parts_as_they_were():
    optimizer = sgd(1.0)

    def broken(t):
        if t == 2:
            raise ZeroDivisionError
        return 1.0

    parts = [optim.ExponentialLR(optimizer, 0.5), optim.LambdaLR(optimizer, broken)]
    chain = optim.ChainedScheduler(parts)
    chain.step()
    before = chain.state_dict()
    with pytest.raises(ZeroDivisionError):
        chain.step()
    assert chain.state_dict() == before
    assert parts[0].last_epoch == 1


# ---- nothing half done -----------------------------------------------------------------------------------------------
def test_schedule_that_cannot_be_made_changes_nothing():
    optimizer = sgd(1.0)
    kept = optim.ExponentialLR(optimizer, 0.5)
    kept.step()
    before = settings(optimizer)
    parts = [optim.StepLR(optimizer, 9), optim.StepLR(optimizer, 9)]
    attempts = [
        lambda: optim.LambdaLR(optimizer, lambda t: 1 / 0),
        lambda: optim.LambdaLR(optimizer, lambda t: "a"),
        lambda: optim.OneCycleLR(optimizer, 1.0, 10, last_epoch=3),
        lambda: optim.OneCycleLR(optimizer, 1.0, 10, max_momentum=[0.1, 0.2]),
        lambda: optim.SequentialLR(optimizer, parts, [3], last_epoch="a"),
        lambda: optim.ChainedScheduler([*parts, optim.ReduceLROnPlateau(sgd())]),
    ]
    for attempt in attempts:
        with pytest.raises((ZeroDivisionError, TypeError, KeyError, ValueError)):
            attempt()
        assert settings(optimizer) == before
    for one in (kept, *parts):
        one.step()
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_schedule_step_that_fails_counts_nothing():
    values = iter([1.0, 0.5, "a", 0.25])
    schedule = optim.LambdaLR(sgd(1.0), lambda t: next(values))
    schedule.step()
    with pytest.raises(TypeError, match=r"LambdaLR: lr_lambda\(2\) must be a number. Received: 'a'"):
        schedule.step()
    assert schedule.last_epoch == 1
    assert schedule.optimizer.param_groups[0]["lr"] == 0.5
    schedule.step()
    assert (schedule.last_epoch, schedule.get_last_lr()) == (2, [0.25])


@pytest.mark.parametrize("make", [lambda o: optim.StepLR(o, 3), lambda o: optim.ReduceLROnPlateau(o)])
def test_schedule_of_an_optimiser_that_got_a_group_says_so(make):
    schedule = make(sgd(1.0))
    schedule.optimizer.add_param_group({"params": [nn.Parameter(np.zeros(1))]})
    with pytest.raises(ValueError, match="has 2 groups and had 1 when this schedule was made"):
        schedule.step(1)
    assert schedule.last_epoch == 0


def _broken(state):
    """Copies of a state, each with one entry missing or wrong."""
    for key, value in state.items():
        yield {name: kept for name, kept in state.items() if name != key}
        for wrong in ("a", None, math.nan, -1.0, [], [0.1], [0.1, "a"], [0.1, math.inf], [0.1, 0.2, 0.3], {}, 1j):
            if key == "best" and wrong in (None, -1.0):
                continue
            yield {**state, key: wrong}
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for part in _broken(value[0]):
                yield {**state, key: [part, *value[1:]]}


@pytest.mark.parametrize("name", [name for name in MAKERS if not name.startswith("loose")])
def test_schedule_load_state_dict_of_nonsense_changes_nothing(name):
    schedule = MAKERS[name](sgd())
    run(schedule, 0, 3)
    state = schedule.state_dict()
    before = json.dumps([state, settings(schedule.optimizer)])
    other = MAKERS[name](sgd())
    run(other, 0, 9)
    for broken in [*_broken(other.state_dict()), None, [], "a", {}, 3]:
        with pytest.raises((KeyError, TypeError, ValueError), match="load_state_dict: "):
            schedule.load_state_dict(broken)
        assert json.dumps([schedule.state_dict(), settings(schedule.optimizer)]) == before


# ---- what they print -------------------------------------------------------------------------------------------------
def test_schedule_repr_tells_settings_steps_and_rates():
    def halved(t):
        return 0.5**t

    step = optim.StepLR(sgd(), 3, 0.25)
    step.step()
    assert repr(step) == "StepLR(SGD, step_size=3, gamma=0.25, last_epoch=1, lr=[0.4, 0.8])"
    assert repr(optim.LambdaLR(sgd(1.0), halved)) == "LambdaLR(SGD, lr_lambda=[halved], last_epoch=0, lr=[1])"
    optimizer = sgd(1.0)
    parts = [optim.LinearLR(optimizer, 0.5), optim.ExponentialLR(optimizer, 0.5)]
    assert repr(optim.SequentialLR(optimizer, parts, [5])).splitlines() == [
        "SequentialLR(SGD, milestones=[5], last_epoch=0, lr=[0.5]",
        "  (0): LinearLR(SGD, start_factor=0.5, end_factor=1, total_iters=5, last_epoch=0, lr=[0.5])",
        "  (1): ExponentialLR(SGD, gamma=0.5, last_epoch=0, lr=[0.5])",
        ")",
    ]
    assert repr(optim.ReduceLROnPlateau(sgd(1.0), patience=3)) == (
        "ReduceLROnPlateau(SGD, mode='min', factor=0.1, patience=3, threshold=0.0001, cooldown=0, best=inf, "
        "num_bad_epochs=0, cooldown_counter=0, last_epoch=0, lr=[1])"
    )
