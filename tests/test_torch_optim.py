"""Ten steps of every optimiser, and sixty of every schedule, against PyTorch."""

import copy
import math

import numpy as np
import pytest

from fastnn import nn, optim

pytestmark = pytest.mark.torch

SHAPES = ((4, 3, 3, 3), (5, 7), (6,))

OPTIMIZERS = {
    "sgd": ("SGD", {}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    "sgd_maximize": ("SGD", {"lr": 0.1, "momentum": 0.5, "maximize": True}),
    "adam": ("Adam", {}),
    "adam_all": ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "amsgrad": True}),
    "adam_maximize": ("Adam", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    "adamw": ("AdamW", {}),
    "adamw_all": ("AdamW", {"lr": 0.1, "weight_decay": 0.5, "amsgrad": True, "maximize": True}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_momentum": ("RMSprop", {"alpha": 0.9, "weight_decay": 0.1, "momentum": 0.9}),
    "rmsprop_centered": ("RMSprop", {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "centered": True}),
    "rmsprop_maximize": ("RMSprop", {"maximize": True}),
    "adagrad": ("Adagrad", {}),
    "adagrad_all": ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    "adagrad_maximize": ("Adagrad", {"maximize": True}),
    "adadelta": ("Adadelta", {}),
    "adadelta_all": ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    "adadelta_maximize": ("Adadelta", {"maximize": True}),
    "nadam": ("NAdam", {}),
    "nadam_all": (
        "NAdam",
        {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.1},
    ),
    "nadam_decoupled": ("NAdam", {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True}),
}


def trajectories(name, settings, dtype, shapes, rng):
    """The parameters of both sides after each of ten steps."""
    import torch

    start = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    ours = [nn.Parameter(array.copy()) for array in start]
    theirs = [torch.nn.Parameter(torch.from_numpy(array.copy())) for array in start]
    optimizers = getattr(optim, name)(ours, **settings), getattr(torch.optim, name)(theirs, **settings)
    for _ in range(10):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = rng.standard_normal(a.shape).astype(dtype)
            b.grad = torch.from_numpy(a.grad.copy())
        for optimizer in optimizers:
            optimizer.step()
        yield [(a.data, b.detach().numpy()) for a, b in zip(ours, theirs, strict=True)]


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", OPTIMIZERS)
def test_torch_optimizer_ten_steps_agree(isa, case, dtype, rng):
    for pairs in trajectories(*OPTIMIZERS[case], dtype, SHAPES, rng):
        for ours, theirs in pairs:
            # Ten steps of some ten roundings of values of about 1; a centered variance cancels two more digits.
            bound = 100 * np.finfo(dtype).eps * (100 if "centered" in case else 1)
            np.testing.assert_allclose(ours, theirs, rtol=bound, atol=bound)


@pytest.mark.parametrize(
    "settings",
    [{}, {"lr": 0.1, "weight_decay": 0.2, "momentum": 0.5, "nesterov": False}, {"adjust_lr_fn": "match_rms_adamw"}],
)
@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (5, 5)])
def test_torch_muon_ten_steps_agree(monkeypatch, settings, shape, rng):
    import torch

    # PyTorch multiplies in bfloat16, which has two digits; without that the definitions can be compared.
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    for pairs in trajectories("Muon", settings, np.float64, [shape], rng):
        for ours, theirs in pairs:
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam", "Muon"])
def test_torch_optimizer_has_the_same_defaults(name):
    import torch

    ours = getattr(optim, name)([nn.Parameter(np.zeros((2, 2)))])
    theirs = getattr(torch.optim, name)([torch.nn.Parameter(torch.zeros(2, 2))])
    implementation = {"foreach", "differentiable", "fused", "capturable"}
    if name != "NAdam":  # elsewhere it tells Adam and AdamW apart
        implementation |= {"decoupled_weight_decay"}
    own = {"normalize_weight": False} if name == "Muon" else {}
    assert {k: v for k, v in theirs.defaults.items() if k not in implementation} | own == ours.defaults


@pytest.fixture
def _double():
    """PyTorch keeps the numbers of a state, NAdam's mu_product, in its default dtype."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "NAdam"])
def test_torch_optimizer_state_continues_here(name, rng):
    import torch

    settings = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9}}.get(name, {})
    theirs = torch.nn.Parameter(torch.zeros(4, 3, dtype=torch.float64))
    their_optimizer = getattr(torch.optim, name)([theirs], lr=0.1, **settings)
    ours = nn.Parameter(np.zeros((4, 3)))
    our_optimizer = getattr(optim, name)([ours], lr=0.5, **settings)
    for i in range(6):
        gradient = rng.standard_normal((4, 3))
        theirs.grad = torch.from_numpy(gradient)
        if i == 3:
            state = copy.deepcopy(their_optimizer.state_dict())
            for values in state["state"].values():
                values.update({k: v.numpy() for k, v in values.items() if torch.is_tensor(v)})
            our_optimizer.load_state_dict(state)
            ours.data[...] = theirs.detach().numpy()
        their_optimizer.step()
        if i >= 3:
            ours.grad = gradient
            our_optimizer.step()
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=0, atol=1e-14)


SCHEDULES = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda t: 1 / (1 + t)),
    "step": lambda s, o: s.StepLR(o, 7, 0.5),
    "multi_step": lambda s, o: s.MultiStepLR(o, [3, 20, 20, 41], 0.3),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.95),
    "constant": lambda s, o: s.ConstantLR(o),
    "linear": lambda s, o: s.LinearLR(o),
    "linear_down": lambda s, o: s.LinearLR(o, 1.0, 0.1, 30),
    "polynomial": lambda s, o: s.PolynomialLR(o, 40, 1.7),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 60, 1e-3),
    "cosine_periodic": lambda s, o: s.CosineAnnealingLR(o, 13, 1e-3),
    "warm_restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 7, eta_min=1e-3),
    "warm_restarts_longer": lambda s, o: s.CosineAnnealingWarmRestarts(o, 4, 2),
    "one_cycle": lambda s, o: s.OneCycleLR(o, [1.0, 2.0], 60),
    "one_cycle_longer": lambda s, o: s.OneCycleLR(o, 1.0, 75, pct_start=0.17, div_factor=5, final_div_factor=7.0),
    "one_cycle_linear": lambda s, o: s.OneCycleLR(o, 1.0, epochs=6, steps_per_epoch=10, anneal_strategy="linear"),
    "one_cycle_three": lambda s, o: s.OneCycleLR(o, 1.0, 60, three_phase=True, base_momentum=0.5),
    "sequential": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1), s.CosineAnnealingLR(o, 20), s.StepLR(o, 5)], [6, 27]
    ),
}


def pair_of_optimizers(name="SGD"):
    import torch

    settings = {"momentum": 0.9} if name == "SGD" else {}
    ours = [{"params": [nn.Parameter(np.zeros(1))], "lr": lr} for lr in (0.4, 0.1)]
    theirs = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.4, 0.1)]
    return getattr(optim, name)(ours, **settings), getattr(torch.optim, name)(theirs, **settings)


CHAINS = {
    "linear, exponential": lambda s, o: [s.LinearLR(o, 0.1, total_iters=9), s.ExponentialLR(o, 0.95)],
    "exponential, linear": lambda s, o: [s.ExponentialLR(o, 0.95), s.LinearLR(o, 0.1, total_iters=9)],
    "constant, step, cosine": lambda s, o: [s.ConstantLR(o), s.StepLR(o, 7, 0.5), s.CosineAnnealingLR(o, 80)],
    "polynomial, multi_step": lambda s, o: [s.PolynomialLR(o, 80, 2.0), s.MultiStepLR(o, [3, 20, 20], 0.3)],
}


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
@pytest.mark.parametrize("as_one", [False, True])
@pytest.mark.parametrize("case", CHAINS)
def test_torch_schedules_of_one_optimizer_multiply_alike(case, as_one):
    import torch

    optimizers = pair_of_optimizers()
    chains = [
        CHAINS[case](module, optimizer)
        for module, optimizer in zip((optim.lr_scheduler, torch.optim.lr_scheduler), optimizers, strict=True)
    ]
    if as_one:
        chains = [[optim.ChainedScheduler(chains[0])], [torch.optim.lr_scheduler.ChainedScheduler(chains[1])]]
    for _ in range(60):
        ours, theirs = ([group["lr"] for group in optimizer.param_groups] for optimizer in optimizers)
        assert ours == pytest.approx(theirs, rel=1e-12)
        for optimizer, chain in zip(optimizers, chains, strict=True):
            optimizer.step()
            for schedule in chain:
                schedule.step()


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")  # PyTorch's SequentialLR
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("case", SCHEDULES)
def test_torch_schedule_sixty_steps_agree(case, optimizer):
    import torch

    ours, theirs = pair_of_optimizers(optimizer)
    schedules = SCHEDULES[case](optim.lr_scheduler, ours), SCHEDULES[case](torch.optim.lr_scheduler, theirs)
    for step in range(60):
        for a, b in zip(ours.param_groups, theirs.param_groups, strict=True):
            # PyTorch multiplies step by step, and a cosine near its end is the difference of nearly equal numbers.
            assert a["lr"] == pytest.approx(b["lr"], rel=1e-12, abs=1e-15), step
            for name in {"momentum", "betas"} & b.keys():
                assert a[name] == pytest.approx(b[name], rel=1e-14)
        assert schedules[0].get_last_lr() == pytest.approx(schedules[1].get_last_lr(), rel=1e-12, abs=1e-15)
        for optimizer_, schedule in zip((ours, theirs), schedules, strict=True):
            optimizer_.step()
            schedule.step()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_torch_reduce_lr_on_plateau_agrees(mode, threshold_mode, rng):
    import torch

    metrics = rng.standard_normal(60) * 0.3 + np.linspace(3, 2, 60)
    metrics[[5, 30]] = math.nan, math.inf
    ours, theirs = pair_of_optimizers()
    settings = {"factor": 0.5, "patience": 2, "threshold": 0.05, "cooldown": 3, "min_lr": [0.01, 0.02]}
    settings |= {"mode": mode, "threshold_mode": threshold_mode}
    schedules = (
        optim.ReduceLROnPlateau(ours, **settings),
        torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **settings),
    )
    for metric in metrics:
        for schedule in schedules:
            schedule.step(metric)
        assert schedules[0].get_last_lr() == schedules[1].get_last_lr()
        assert [g["lr"] for g in ours.param_groups] == [g["lr"] for g in theirs.param_groups]


@pytest.mark.parametrize("norm_type", [1, 2, 3.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_torch_clip_grad_norm_agrees(norm_type, max_norm, rng):
    import torch

    gradients = [rng.standard_normal(shape) for shape in SHAPES]
    ours, theirs = [nn.Parameter(g) for g in gradients], [torch.nn.Parameter(torch.from_numpy(g)) for g in gradients]
    for a, b, gradient in zip(ours, theirs, gradients, strict=True):
        a.grad, b.grad = gradient.copy(), torch.from_numpy(gradient.copy())
    norm = optim.clip_grad_norm_(ours, max_norm, norm_type)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)), rel=1e-13)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-13)
