"""Layers that wait for their first input, as courses use them."""

import copy

import numpy as np
import pytest
from compat_lazy_layers import LAZY

import fastnn.compat.torch as torch
from fastnn.compat.torch import nn


def lenet():
    return nn.Sequential(
        nn.LazyConv2d(6, kernel_size=5, padding=2), nn.LazyBatchNorm2d(), nn.ReLU(), nn.AvgPool2d(2, 2),
        nn.LazyConv2d(16, kernel_size=5), nn.Sigmoid(), nn.Flatten(), nn.LazyLinear(10),
    )  # fmt: skip


def test_layers_are_called_one_by_one_and_print_their_shapes(capsys):
    x = torch.rand(1, 1, 28, 28)
    for layer in lenet():
        x = layer(x)
        print(layer.__class__.__name__, "output shape:\t", x.shape)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Conv2d output shape:\t torch.Size([1, 6, 28, 28])"
    assert lines[-1] == "Linear output shape:\t torch.Size([1, 10])"


def test_initialisation_is_applied_after_a_first_forward():
    def init_cnn(module):
        if type(module) is nn.Linear or type(module) is nn.Conv2d:
            nn.init.xavier_uniform_(module.weight)
            module.bias.data.fill_(0.5)

    net = lenet()
    net.apply(init_cnn)  # nothing is of these types yet
    net(torch.rand(2, 1, 28, 28))
    net.apply(init_cnn)
    assert [float(layer.bias.mean()) for layer in (net[0], net[4], net[7])] == [0.5] * 3


@pytest.mark.parametrize(("name", "arguments", "keywords", "shape"), LAZY)
def test_first_input_gives_the_weights_that_the_eager_layer_draws(name, arguments, keywords, shape):
    channels = shape[-1] if name == "LazyLinear" else shape[0] if shape == (4, 7, 9) or shape == (4, 9) else shape[1]
    torch.manual_seed(3)
    lazy = getattr(nn, name)(*arguments, **keywords)
    lazy(torch.zeros(shape))
    torch.manual_seed(3)
    if "InstanceNorm" in name:
        keywords = {"affine": True, "track_running_stats": True, **keywords}
    eager = getattr(nn, name.removeprefix("Lazy"))(channels, *arguments, **keywords)
    assert repr(lazy) == repr(eager)
    for found, expected in zip(lazy.parameters(), eager.parameters(), strict=True):
        np.testing.assert_array_equal(found.numpy(force=True), expected.numpy(force=True))
        assert found._data.strides == expected._data.strides


@pytest.mark.parametrize("name", ["LazyLinear", "LazyConv2d", "LazyConvTranspose2d", "LazyConv1d"])
def test_making_a_lazy_layer_draws_nothing(name):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    getattr(nn, name)(3, *([] if name == "LazyLinear" else [2]))
    np.testing.assert_array_equal(torch.rand(4).numpy(), expected.numpy())


def test_lazy_layers_are_joined_as_others_once_they_are_known():
    net = lenet()
    x = torch.rand(2, 1, 28, 28)
    net(x)
    assert not any("_hooks" in layer.__dict__ for layer in net)
    eager = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2, 2), nn.Conv2d(6, 16, 5),
        nn.Sigmoid(), nn.Flatten(), nn.Linear(1600, 10),
    )  # fmt: skip
    eager.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(net(x).numpy(force=True), eager(x).numpy(force=True))


def test_buffer_is_seen_by_the_module_once_it_is_materialised():
    norm = nn.LazyBatchNorm2d()
    mean = norm.running_mean
    assert repr(mean) == "<UninitializedBuffer>" and norm.running_mean is mean  # noqa: PT018
    mean.materialize((3,))
    assert norm.running_mean is mean
    assert mean.tolist() == [0.0, 0.0, 0.0]


def test_parameter_without_a_shape_says_to_call_forward():
    with pytest.raises(ValueError, match=r"uninitialized parameter.*Call `forward` with a dummy batch"):
        lenet().apply(lambda module: nn.init.normal_(module.weight) if hasattr(module, "weight") else None)


@pytest.mark.parametrize("kind", ["LazyInstanceNorm2d", "LazyBatchNorm2d"])
def test_copy_and_loaded_state_of_a_normalisation_know_its_channels(kind):  # where PyTorch raises
    layer = getattr(nn, kind)()
    copied = copy.deepcopy(layer)
    copied(torch.rand(2, 3, 4, 4))
    assert layer.has_uninitialized_params()
    layer.load_state_dict(copied.state_dict())
    layer(torch.rand(2, 3, 4, 4))
    assert repr(layer) == repr(copied)
    assert layer.num_features == 3
