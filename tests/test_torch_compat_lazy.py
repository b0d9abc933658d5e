"""Layers that wait for their first input do what PyTorch's do: before it, with it, after it."""

import copy
import pickle

import numpy as np
import pytest
from compat_lazy_layers import LAZY

import fastnn.compat.torch as own

pytestmark = pytest.mark.torch

TRIED = {}


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


def tried(function):
    TRIED[function.__name__] = function
    return function


def numbers(library, shape, seed=0):
    return library.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def fixed(module):
    """Parameters that do not depend on chance."""
    for number, parameter in enumerate(module.parameters()):
        values = np.cos(np.arange(parameter.numel()) + number).reshape(tuple(parameter.shape))
        parameter.data.copy_(parameter.new_tensor(values))
    return module


def plain(value):
    if hasattr(value, "detach"):
        if "Uninitialized" in repr(value):
            return repr(value)
        array = value.detach().numpy()
        approximate = array.ravel().tolist()
        if not isinstance(value, own.Tensor):
            approximate = [pytest.approx(x, 2e-4, 2e-5) for x in approximate]
        return [tuple(value.shape), str(value.dtype), approximate]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


def outcome(function, library):
    """What it returns, or its exception, without the name of the function that PyTorch adds to one text."""
    try:
        return plain(function(library, library.nn))
    except Exception as error:
        text = str(error)
        if text.startswith("Attempted to use an uninitialized parameter"):
            text = text.partition("This error happens")[2]
        return type(error).__name__, text


@pytest.mark.parametrize(("name", "arguments", "keywords", "shape"), LAZY)
def test_lazy_layer_becomes_the_one_of_pytorch_with_its_first_input(torch, name, arguments, keywords, shape):
    found = {}
    for library in (torch, own):
        layer = getattr(library.nn, name)(*arguments, **keywords)
        eager = getattr(library.nn, name.removeprefix("Lazy"))
        before = [repr(layer), type(layer).__name__, isinstance(layer, eager), plain(dict(layer.state_dict()))]
        x = numbers(library, shape).requires_grad_()
        layer.eval()
        first = layer(x)
        after = [repr(layer), type(layer) is eager, list(layer.state_dict())]
        fixed(layer).train()
        y = layer(x)
        (y * y).sum().backward()
        state = {key: value for key, value in layer.state_dict().items() if key != "num_batches_tracked"}
        gradients = [parameter.grad for parameter in layer.parameters()]
        found[library] = before, after, tuple(first.shape), plain([y, x.grad, state, gradients])
    assert found[own] == found[torch]


def test_every_lazy_layer_of_images_and_sequences_is_in_the_table(torch):
    there = {name for name in dir(torch.nn) if name.startswith("Lazy") and not name.endswith("3d")}
    assert there == {name for name, *_ in LAZY}


# ---- before the first input ------------------------------------------------------------------------------------------
def uses(use, layer="LazyLinear"):
    return tried_as(lambda torch, nn: use(getattr(nn, layer)(3), torch, nn))


def tried_as(function):
    function.__name__ = f"use_{len(TRIED)}"
    return tried(function)


for use in (
    lambda layer, torch, nn: layer.weight.numel(),
    lambda layer, torch, nn: layer.weight.dim(),
    lambda layer, torch, nn: sum(p.numel() for p in layer.parameters()),
    lambda layer, torch, nn: layer.weight.shape,
    lambda layer, torch, nn: layer.weight.detach(),
    lambda layer, torch, nn: layer.weight + 1,
    lambda layer, torch, nn: 2 * layer.weight,
    lambda layer, torch, nn: layer.weight[0],
    lambda layer, torch, nn: len(layer.weight),
    lambda layer, torch, nn: torch.sum(layer.weight),
    lambda layer, torch, nn: layer.weight.zero_(),
    lambda layer, torch, nn: nn.init.normal_(layer.weight, 0, 0.01),
    lambda layer, torch, nn: nn.init.xavier_uniform_(layer.weight),
    lambda layer, torch, nn: nn.init.constant_(layer.bias, 0),
    lambda layer, torch, nn: nn.init.zeros_(layer.bias),
    lambda layer, torch, nn: layer.apply(lambda m: nn.init.ones_(m.weight)),
    lambda layer, torch, nn: layer.weight.share_memory_(),
    lambda layer, torch, nn: layer.weight.data.fill_(0),
    lambda layer, torch, nn: [layer.weight.grad, layer.weight.requires_grad, layer.weight.is_leaf],
    lambda layer, torch, nn: [str(layer.weight.dtype), str(layer.double().weight.dtype)],
    lambda layer, torch, nn: isinstance(layer.weight, nn.Parameter),
    lambda layer, torch, nn: [isinstance(p, nn.UninitializedParameter) for p in layer.parameters()],
    lambda layer, torch, nn: [nn.parameter.is_lazy(p) for p in (*layer.parameters(), torch.ones(1), None)],
    lambda layer, torch, nn: layer.has_uninitialized_params(),
    lambda layer, torch, nn: repr(nn.Sequential(layer, nn.ReLU())),
    lambda layer, torch, nn: nn.Linear(4, 3).load_state_dict(layer.state_dict()),
    lambda layer, torch, nn: repr(layer.load_state_dict(nn.LazyLinear(3).state_dict())),
    lambda layer, torch, nn: float(nn.utils.clip_grad_norm_(layer.parameters(), 1.0)),
    lambda layer, torch, nn: layer.zero_grad(),
    lambda layer, torch, nn: repr(pickle.loads(pickle.dumps(layer))),
):
    uses(use)


# ---- with it ---------------------------------------------------------------------------------------------------------
@tried
def state_is_loaded_before_the_first_input(torch, nn):
    x, outcomes = numbers(torch, (2, 4, 6, 6)), []
    for make in (
        lambda: nn.Sequential(nn.LazyConv2d(3, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2)),
        lambda: nn.Sequential(nn.LazyConvTranspose2d(3, 3), nn.ReLU()),
    ):
        trained, loaded = make(), make()
        trained(x)
        fixed(trained)
        outcomes += [repr(loaded.load_state_dict(trained.state_dict())), [type(part).__name__ for part in loaded]]
        outcomes += [[tuple(p.shape) for p in loaded.parameters()], loaded(x), [type(p).__name__ for p in loaded]]
    return outcomes


@tried
def eager_state_is_loaded_into_a_lazy_layer(torch, nn):
    layer = nn.LazyLinear(3)
    result = layer.load_state_dict(fixed(nn.Linear(4, 3)).state_dict())
    return repr(result), repr(layer), layer(torch.ones(1, 4)), repr(layer)


@tried
def loaded_weights_of_other_features_are_refused(torch, nn):
    layer = nn.LazyLinear(3)
    layer.load_state_dict(nn.Linear(4, 3).state_dict())
    return layer(torch.ones(1, 5))


@tried
def optimizer_made_before_the_first_input_trains(torch, nn):
    found = []
    for kind in ("SGD", "Adam", "RMSprop"):
        net = nn.Sequential(nn.LazyLinear(3), nn.Tanh(), nn.LazyLinear(1))
        optimizer = getattr(torch.optim, kind)(net.parameters(), lr=0.1)
        optimizer.zero_grad()
        optimizer.step()
        x = numbers(torch, (4, 5))
        net(x)
        fixed(net)
        net(x).square().mean().backward()
        optimizer.step()
        found += [net(x), list(net.parameters())]
    return found


@tried
def optimizer_that_keeps_sums_from_the_start_is_refused(torch, nn):
    return torch.optim.Adagrad(nn.LazyLinear(3).parameters())


@tried
def copy_before_the_first_input_is_a_lazy_layer_of_its_own(torch, nn):
    layers = [nn.LazyLinear(3), nn.LazyBatchNorm1d(track_running_stats=False), nn.LazyConv1d(2, 1)]
    copies = [copy.deepcopy(layer) for layer in layers]
    for layer, shape in zip(copies, [(2, 4), (2, 4), (2, 4, 5)], strict=True):
        layer(torch.ones(*shape))
    return list(map(repr, layers)), list(map(repr, copies)), [repr(layer.weight) for layer in layers]


@tried
def dtype_stays(torch, nn):
    x = torch.ones(2, 4, dtype=torch.float64)
    norm = nn.LazyBatchNorm1d(dtype=torch.float64)
    norm(x)
    return nn.LazyLinear(3, dtype=torch.float64)(x).dtype is torch.float64, str(norm.running_mean.dtype), \
        nn.LazyLinear(3).double()(x).dtype is torch.float64  # fmt: skip


@tried
def input_by_its_name(torch, nn):
    return tuple(nn.LazyLinear(3)(input=torch.ones(2, 4)).shape)


@tried
def hooks_of_a_script_run_after_the_own_one(torch, nn):
    seen, layer = [], nn.LazyLinear(3)
    layer.register_forward_pre_hook(lambda module, args: seen.append(type(module).__name__))
    layer.register_forward_hook(lambda module, args, y: seen.append(tuple(module.weight.shape)))
    layer(torch.ones(2, 4))
    layer(torch.ones(2, 4))
    return seen


@tried
def input_of_too_few_axes_is_refused(torch, nn):
    return nn.LazyConv2d(3, 3)(torch.ones(2, 2))


@tried
def input_whose_channels_the_groups_do_not_divide_is_refused(torch, nn):
    return nn.LazyConv2d(4, 3, groups=2)(torch.ones(1, 3, 5, 5))


@tried
def gradient_can_be_turned_off_after_the_first_input(torch, nn):
    layer = nn.LazyLinear(3)
    layer(torch.ones(2, 4))
    return [p.requires_grad for p in layer.requires_grad_(False).parameters()]


# ---- lazy modules of scripts -----------------------------------------------------------------------------------------
def scale_of(torch, nn):
    class Scale(nn.modules.lazy.LazyModuleMixin, nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.UninitializedParameter()
            self.mean = nn.UninitializedBuffer()

        def initialize_parameters(self, x):
            if self.has_uninitialized_params():
                self.weight.materialize((x.shape[-1],))
                self.mean.materialize((2,))
                nn.init.ones_(self.weight)
                nn.init.zeros_(self.mean)

        def forward(self, x):
            return x * self.weight

    return Scale()


@tried
def lazy_module_of_a_script(torch, nn):
    module = scale_of(torch, nn)
    before = plain(dict(module.state_dict()))
    y = module(torch.ones(2, 3))
    return before, y, dict(module.state_dict()), type(module.mean) is torch.Tensor, type(module.weight) is nn.Parameter


@tried
def lazy_module_that_forgets_a_parameter_is_refused(torch, nn):
    class Forgets(nn.LazyLinear):
        def initialize_parameters(self, x):
            pass

    return Forgets(3)(torch.ones(2, 2))


@tried
def lazy_module_without_initialize_parameters_is_refused(torch, nn):
    class Empty(nn.modules.lazy.LazyModuleMixin, nn.Module):
        def forward(self, x):
            return x

    return Empty()(torch.ones(1))


@pytest.mark.parametrize("name", TRIED)
def test_use_is_that_of_pytorch(torch, name):
    assert outcome(TRIED[name], own) == outcome(TRIED[name], torch)
