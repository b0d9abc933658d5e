"""Losses and initialisers against PyTorch, on random configurations."""

import inspect

import numpy as np
import pytest

from fastnn import nn

pytestmark = pytest.mark.torch

N, CLASSES = 12, 7
WEIGHT = np.linspace(0.2, 2, CLASSES)


def labels(rng, *shape):
    values = rng.integers(0, CLASSES, (N, *shape))
    values[rng.random(values.shape) < 0.2] = -100
    return values


def scores(rng, *shape):
    return 3 * rng.standard_normal((N, CLASSES, *shape))


CASES = {
    "labels": ("CrossEntropyLoss", {}, scores, labels),
    "weighted": ("CrossEntropyLoss", {"weight": WEIGHT, "label_smoothing": 0.2}, scores, labels),
    "ignore 3": ("CrossEntropyLoss", {"ignore_index": 3}, scores, lambda rng: rng.integers(0, CLASSES, N)),
    "probabilities": (
        "CrossEntropyLoss",
        {"weight": WEIGHT, "label_smoothing": 0.1},
        scores,
        lambda rng: rng.dirichlet(np.ones(CLASSES), N),
    ),
    "images": (
        "CrossEntropyLoss",
        {"weight": WEIGHT, "label_smoothing": 0.1},
        lambda rng: scores(rng, 3, 4),
        lambda rng: labels(rng, 3, 4),
    ),
    "nll": ("NLLLoss", {"weight": WEIGHT}, scores, labels),
    "nll images": ("NLLLoss", {}, lambda rng: scores(rng, 3, 4), lambda rng: labels(rng, 3, 4)),
    "hinge": ("MultiMarginLoss", {"margin": 0.5}, scores, lambda rng: rng.integers(0, CLASSES, N)),
    "hinge 2": ("MultiMarginLoss", {"p": 2, "weight": WEIGHT}, scores, lambda rng: rng.integers(0, CLASSES, N)),
    "mse": ("MSELoss", {}, scores, scores),
    "l1": ("L1Loss", {}, scores, scores),
    "smooth l1": ("SmoothL1Loss", {"beta": 0.5}, scores, scores),
    "smooth l1, beta 0": ("SmoothL1Loss", {"beta": 0.0}, scores, scores),
    "huber": ("HuberLoss", {"delta": 2.0}, scores, scores),
    "bce": (
        "BCELoss",
        {"weight": WEIGHT},
        lambda rng: np.round(rng.random((N, CLASSES)), 1),  # 0 and 1 among them
        lambda rng: np.round(rng.random((N, CLASSES))),
    ),
    "bce logits": (
        "BCEWithLogitsLoss",
        {"weight": WEIGHT, "pos_weight": WEIGHT[::-1].copy()},
        lambda rng: 20 * scores(rng),
        lambda rng: rng.random((N, CLASSES)),
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", list(CASES))
def test_losses_agree_with_torch(name, reduction, rng):
    import torch

    kind, settings, make_input, make_target = CASES[name]
    x, target = make_input(rng), make_target(rng)
    torch_settings = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in settings.items()}
    x_torch = torch.tensor(x, requires_grad=True)
    expected = getattr(torch.nn, kind)(reduction=reduction, **torch_settings)(x_torch, torch.tensor(target))
    dloss = rng.standard_normal(tuple(expected.shape))
    expected.backward(torch.tensor(dloss))

    criterion = getattr(nn, kind)(reduction=reduction, **settings)
    loss = criterion(x, target)
    np.testing.assert_allclose(loss, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    rtol = 1e-8 if name == "bce" else 1e-12  # PyTorch's smallest divisor there, 1e-12, is a float32
    np.testing.assert_allclose(criterion.backward(dloss), x_torch.grad.numpy(), rtol=rtol, atol=1e-13)


@pytest.mark.parametrize("kind", sorted({case[0] for case in CASES.values()}))
def test_losses_have_the_arguments_and_state_of_torch(kind):
    import torch

    theirs = inspect.signature(getattr(torch.nn, kind)).parameters
    ours = inspect.signature(getattr(nn, kind)).parameters
    retired = ("size_average", "reduce")
    assert {k: p.default for k, p in ours.items()} == {k: p.default for k, p in theirs.items() if k not in retired}


def test_losses_mean_of_nothing_agrees_with_torch():
    import torch

    x, target = np.ones((2, 3)), np.full(2, -100)
    x_torch = torch.tensor(x, requires_grad=True)
    expected = torch.nn.CrossEntropyLoss()(x_torch, torch.tensor(target))
    expected.backward()
    criterion = nn.CrossEntropyLoss()
    np.testing.assert_equal(criterion(x, target), expected.item())
    np.testing.assert_array_equal(criterion.backward(), x_torch.grad.numpy())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("kaiming_uniform_", {"a": 5**0.5}),
        ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "relu"}),
        ("kaiming_normal_", {"nonlinearity": "tanh"}),
        ("xavier_uniform_", {"gain": 2.0}),
        ("xavier_normal_", {}),
        ("orthogonal_", {"gain": 3.0}),
        ("trunc_normal_", {"std": 0.7, "a": -0.5, "b": 2.0}),
        ("normal_", {"mean": 1.0, "std": 2.0}),
        ("uniform_", {"a": -2.0, "b": 1.0}),
    ],
)
def test_init_has_the_distribution_of_torch(name, settings, rng):
    import torch

    shape = (64, 32, 5, 5)
    torch.manual_seed(0)
    ours = np.sort(getattr(nn.init, name)(np.empty(shape), generator=rng, **settings), axis=None)
    theirs = np.sort(getattr(torch.nn.init, name)(torch.empty(shape), **settings).numpy(), axis=None)
    # Kolmogorov and Smirnov: the distribution functions of two samples of n values of one distribution are further
    # apart than 2.5 sqrt(2 / n) once in 130 000 times.
    apart = np.searchsorted(theirs, ours) - np.arange(ours.size)
    assert np.abs(apart).max() / ours.size < 2.5 * np.sqrt(2 / ours.size)


def test_init_dirac_and_eye_agree_with_torch():
    import torch

    for shape, groups in (((6, 2, 3, 4), 3), ((2, 5, 3), 1), ((4, 4, 2, 3, 3), 2)):
        expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
        np.testing.assert_array_equal(nn.init.dirac_(np.empty(shape, np.float32), groups), expected)
    np.testing.assert_array_equal(nn.init.eye_(np.empty((3, 5))), torch.nn.init.eye_(torch.empty(3, 5)).numpy())


def test_init_gains_agree_with_torch():
    import torch

    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert nn.init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)
