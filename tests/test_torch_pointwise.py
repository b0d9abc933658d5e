"""Activations, softmax and residual blocks against PyTorch, on random configurations. Dropout's masks cannot agree."""

import numpy as np
import pytest

from fastnn import nn

pytestmark = pytest.mark.torch

LAYERS = {
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": 0.2}),
    "leaky_relu, negative": ("LeakyReLU", {"negative_slope": -0.3}),
    "prelu": ("PReLU", {}),
    "prelu, channels": ("PReLU", {"num_parameters": 5, "init": 0.1}),
    "elu": ("ELU", {}),
    "elu, alpha": ("ELU", {"alpha": 0.7}),
    "elu, negative": ("ELU", {"alpha": -0.5}),
    "gelu": ("GELU", {}),
    "gelu, tanh": ("GELU", {"approximate": "tanh"}),
    "silu": ("SiLU", {}),
    "hardsigmoid": ("Hardsigmoid", {}),
    "hardswish": ("Hardswish", {}),
    "hardtanh": ("Hardtanh", {}),
    "hardtanh, bounds": ("Hardtanh", {"min_val": -2.0, "max_val": 3.0}),
    "mish": ("Mish", {}),
    "relu6": ("ReLU6", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "softplus": ("Softplus", {}),
    "softplus, beta": ("Softplus", {"beta": 3.0, "threshold": 2.0}),
    "softmax": ("Softmax", {"dim": 1}),
    "softmax, last": ("Softmax", {"dim": -1}),
    "log_softmax": ("LogSoftmax", {"dim": 1}),
    "log_softmax, first": ("LogSoftmax", {"dim": 0}),
}


@pytest.fixture
def torch():
    import torch

    return torch


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("shape", [(8, 5), (3, 5, 7), (2, 5, 4, 3)])
@pytest.mark.parametrize("name", LAYERS)
def test_torch_pointwise_layers_agree(torch, isa, name, shape, dtype, tolerance, rng):
    layer_name, settings = LAYERS[name]
    ours = getattr(nn, layer_name)(**settings).astype(dtype)
    theirs = getattr(torch.nn, layer_name)(**settings).to(torch.float32 if dtype == np.float32 else torch.float64)
    x, dy = (3 * rng.standard_normal((2, *shape))).astype(dtype)
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = theirs(x_torch)
    y_torch.backward(torch.tensor(dy))

    def close(actual, expected, tolerance=tolerance):
        expected = expected.detach().numpy()
        assert actual.shape == expected.shape
        assert np.abs(actual - expected).max() <= tolerance * (1 + np.abs(expected).max())

    close(ours(x), y_torch)
    # PyTorch rounds the 1 / 6 of hardsigmoid to float32.
    close(ours.backward(dy), x_torch.grad, 1e-7 if layer_name == "Hardsigmoid" else tolerance)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, parameter in theirs.named_parameters():
        np.testing.assert_array_equal(ours.state_dict()[key], parameter.detach().numpy())
        close(dict(ours.named_parameters())[key].grad, parameter.grad)


@pytest.mark.parametrize("name", LAYERS)
def test_torch_pointwise_special_values_agree(torch, isa, name):
    """NaN, infinities and numbers beyond the range of exp give the same class of result."""
    layer_name, settings = LAYERS[name]
    if layer_name == "PReLU":
        settings = {}
    x = np.array([[np.nan, np.inf, -np.inf, 100, -100], [1e30, -1e30, 0, 3, -3], [np.inf, 0, 1, 2, 3]], np.float32).T
    ours = getattr(nn, layer_name)(**settings)(x)
    with torch.no_grad():
        theirs = getattr(torch.nn, layer_name)(**settings)(torch.tensor(x)).numpy()
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_array_equal(np.isinf(ours), np.isinf(theirs))
    finite = np.isfinite(theirs)
    np.testing.assert_allclose(ours[finite], theirs[finite], rtol=1e-5, atol=1e-6)


def test_torch_residual_agrees(torch, rng):
    ours = nn.Residual(nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.GELU()), nn.Conv2d(4, 6, 1, bias=False))
    ours.astype(np.float64)
    body = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3, padding=1), torch.nn.GELU())
    theirs = torch.nn.ModuleDict({"body": body, "shortcut": torch.nn.Conv2d(4, 6, 1, bias=False)}).double()
    theirs.load_state_dict({key: torch.tensor(value) for key, value in ours.state_dict().items()})
    x, dy = rng.standard_normal((3, 4, 5, 6)), rng.standard_normal((3, 6, 5, 6))
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = theirs["body"](x_torch) + theirs["shortcut"](x_torch)
    y_torch.backward(torch.tensor(dy))
    np.testing.assert_allclose(ours(x), y_torch.detach().numpy(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ours.backward(dy), x_torch.grad.numpy(), rtol=1e-12, atol=1e-13)
    for key, parameter in ours.named_parameters():
        expected = dict(theirs.named_parameters())[key].grad.numpy()
        np.testing.assert_allclose(parameter.grad, expected, rtol=1e-12, atol=1e-12)
