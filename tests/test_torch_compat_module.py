"""What scripts do with modules, containers, hooks and states: the same in fastnn.compat.torch.nn and in PyTorch.

Each function below runs in both libraries. What it returns is the same, or it raises the same exception with the same
words.
"""

import collections
import copy
import pickle
import sys
import warnings

import numpy as np
import pytest

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


def plain(value):
    """Tensors as lists, so that values of two libraries compare; PyTorch's numbers as approximate ones."""
    if hasattr(value, "detach"):
        numbers = np.asarray(value.detach().numpy(), float)
        values = numbers.ravel().tolist()
        if not isinstance(value, own.Tensor):
            values = [pytest.approx(x, 1e-4, 1e-5) for x in values]
        return [tuple(value.shape), str(value.dtype), values]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def outcome(function, library):
    try:
        return plain(function(library, library.nn))
    except Exception as error:
        return type(error).__name__, str(error)


def fixed(module, scale=0.1):
    """Parameters that do not depend on chance."""
    for number, parameter in enumerate(module.parameters()):
        values = np.cos(np.arange(parameter.numel()) + number).reshape(tuple(parameter.shape)) * scale
        parameter.data.copy_(own.from_numpy(values) if isinstance(parameter, own.Tensor) else _theirs(values))
    return module


def _theirs(values):
    import torch

    return torch.from_numpy(values)


def small(nn):
    class Block(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.conv1 = nn.Conv2d(size, size, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(size)
            self.relu = nn.ReLU(inplace=True)
            self.shortcut = nn.Sequential()

        def forward(self, x):
            return self.relu(self.bn1(self.conv1(x)) + self.shortcut(x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
            self.blocks = nn.ModuleList([Block(3), Block(3)])
            self.heads = nn.ModuleDict({"a": nn.Linear(3, 2), "b": nn.Linear(3, 4)})
            self.scale = nn.Parameter(nn.functional.one_hot(_index(nn), 2).float())
            self.register_buffer("mean", nn.functional.one_hot(_index(nn), 3).float())
            self.register_buffer("scratch", None)
            self.dropout = nn.Dropout(0.5)

        def forward(self, x, head="a"):
            x = self.stem(x)
            for block in self.blocks:
                x = block(x)
            return self.heads[head](self.dropout(x.mean((2, 3)) - self.mean)) * self.scale

    return fixed(Net())


def _index(nn):
    library = own if nn is own.nn else sys.modules["torch"]
    return library.tensor(1)


def images(torch):
    return torch.arange(72, dtype=torch.float32).reshape(2, 1, 6, 6).sin()


# ---- the tree --------------------------------------------------------------------------------------------------------
@tried
def names_of_everything(torch, nn):
    net = small(nn)
    return (
        [name for name, _ in net.named_parameters()],
        [name for name, _ in net.named_buffers()],
        [(name, type(module).__name__) for name, module in net.named_modules()],
        [name for name, _ in net.named_children()],
        [name for name, _ in net.blocks[1].named_parameters("x", recurse=False)],
        [name for name, _ in net.named_parameters(prefix="net")],
        len(list(net.modules())),
        len(list(net.children())),
        sum(p.numel() for p in net.parameters()),
        list(net.state_dict()),
        [type(p).__name__ for p in net.parameters()][:2],
    )


@tried
def text_of_a_network(torch, nn):
    return repr(small(nn))


@tried
def text_of_containers(torch, nn):
    same = nn.ModuleList([nn.Linear(2, 3), nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Tanh()), nn.Linear(1, 1)])
    return [
        repr(module)
        for module in (
            same, nn.ModuleList(), nn.Sequential(), nn.ModuleDict({"x": nn.ReLU(), "y": same}),
            nn.ParameterList([torch.ones(2, 3), 5]), nn.ParameterDict({"b": torch.ones(2), "a": torch.zeros(1)}),
            nn.ModuleList([nn.Sequential(nn.Linear(1, 2), nn.ReLU())] * 3), nn.Sequential(nn.Flatten(), same),
        )
    ]  # fmt: skip


@tried
def text_with_several_lines_of_its_own(torch, nn):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.ReLU()

        def extra_repr(self):
            return "one\ntwo"

        def _get_name(self):
            return "Strange"

    return repr(Odd()), repr(nn.Sequential(Odd()))


@tried
def shared_modules_and_parameters_come_once(torch, nn):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2)
            self.b = self.a
            self.c = nn.Linear(2, 2)
            self.c.weight = self.a.weight

    net = Tied()
    return (
        [name for name, _ in net.named_parameters()],
        [name for name, _ in net.named_parameters(remove_duplicate=False)],
        [name for name, _ in net.named_modules()],
        [name for name, _ in net.named_modules(remove_duplicate=False)],
        list(net.state_dict()),
        len(list(net.children())),
    )


@tried
def paths(torch, nn):
    net = small(nn)
    net.set_submodule("blocks.0.bn1", nn.Identity())
    return (
        repr(net.get_submodule("blocks.0.bn1")),
        net.get_parameter("heads.b.weight").shape,
        net.get_buffer("mean"),
        repr(net.get_submodule("")) == repr(net),
    )


@tried
def a_path_that_is_not_there(torch, nn):
    return small(nn).get_submodule("blocks.7.bn1")


@tried
def a_path_to_no_module(torch, nn):
    return small(nn).get_submodule("scale")


@tried
def a_path_to_no_parameter(torch, nn):
    return small(nn).get_parameter("mean")


@tried
def a_path_to_no_buffer(torch, nn):
    return small(nn).get_buffer("scale")


# ---- attributes ------------------------------------------------------------------------------------------------------
@tried
def attributes_are_registered_and_unregistered(torch, nn):
    net = nn.Module()
    net.w = nn.Parameter(torch.ones(2))
    net.number = 3
    net.plain = torch.ones(3)
    net.register_buffer("b", torch.zeros(1))
    net.register_buffer("c", torch.zeros(2), persistent=False)
    net.register_parameter("none", None)
    net.layer = nn.Linear(1, 1)
    first = [list(net._parameters), list(net._buffers), list(net._modules), list(net.state_dict())]
    net.b = torch.full((2,), 4.0)
    net.w = None
    del net.layer
    net.number = nn.ReLU()
    return first, list(net.state_dict()), net.b, net.w, net.none, hasattr(net, "layer"), repr(net), net.plain


@tried
def a_module_that_was_taken_away_keeps_its_place(torch, nn):
    net = nn.Sequential()
    net.body, net.fc = nn.ReLU(), nn.Linear(1, 1)
    net.fc = None
    net.add_module("head", None)
    net.register_module("tail", None)
    seen = [repr(net), net.fc, net.head, list(net._modules), hasattr(net, "fc"), "fc" in dir(net), len(net)]
    seen += [[name for name, _ in net.named_modules()], [name for name, _ in net.named_children()]]
    seen += [list(net.parameters()), net.state_dict(), net.eval().training, repr(net.load_state_dict({}))]
    net.apply(lambda module: seen.append(type(module).__name__)).double().zero_grad()
    seen.append(repr(copy.deepcopy(net)))
    net.fc = nn.Tanh()
    return seen, repr(net)


@tried
def a_number_in_the_place_of_a_module_that_was_taken_away(torch, nn):
    net = nn.Sequential(nn.ReLU())
    setattr(net, "0", None)
    setattr(net, "0", 3)


@tried
def a_buffer_by_its_class(torch, nn):
    net = nn.Module()
    net.kept = nn.Buffer(torch.ones(2))
    net.dropped = nn.Buffer(torch.ones(3), persistent=False)
    return list(net.state_dict()), [name for name, _ in net.named_buffers()]


@tried
def assigning_a_tensor_to_a_parameter(torch, nn):
    nn.Linear(2, 2).weight = torch.ones(2, 2)


@tried
def assigning_a_number_to_a_parameter(torch, nn):
    nn.Linear(2, 2).weight = 3


@tried
def assigning_a_number_to_a_buffer(torch, nn):
    nn.BatchNorm1d(2).running_mean = 3


@tried
def assigning_a_number_to_a_module(torch, nn):
    nn.Sequential(nn.ReLU()).add_module("0", 3)


@tried
def an_attribute_that_is_not_there(torch, nn):
    return nn.Linear(2, 2).wieght


@tried
def a_module_before_init(torch, nn):
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    Early()


@tried
def a_parameter_before_init(torch, nn):
    class Early(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(torch.ones(1))

    Early()


@tried
def a_buffer_before_init(torch, nn):
    class Early(nn.Module):
        def __init__(self):
            self.register_buffer("b", torch.ones(1))

    Early()


@tried
def a_forward_that_is_missing(torch, nn):
    class Without(nn.Module):
        pass

    Without()(torch.ones(1))


@tried
def arguments_for_module(torch, nn):
    class More(nn.Module):
        def __init__(self):
            super().__init__(3)

    More()


@tried
def a_name_with_a_dot(torch, nn):
    nn.Module().add_module("a.b", nn.ReLU())


@tried
def an_empty_name(torch, nn):
    nn.Module().register_parameter("", nn.Parameter(torch.ones(1)))


@tried
def a_buffer_whose_name_is_taken(torch, nn):
    nn.Linear(1, 1).register_buffer("weight", torch.ones(1))


@tried
def a_parameter_whose_name_is_an_attribute(torch, nn):
    nn.Linear(1, 1).register_parameter("in_features", None)


@tried
def a_module_whose_name_is_an_attribute(torch, nn):
    nn.Linear(1, 1).add_module("in_features", nn.ReLU())


@tried
def a_parameter_that_is_a_result(torch, nn):
    net = nn.Module()
    net.register_parameter("w", torch.ones(2))


@tried
def a_parameter_of_whole_numbers(torch, nn):
    return nn.Parameter(torch.tensor([1, 2]))


@tried
def parameters(torch, nn):
    values = torch.ones(2, 3)
    p = nn.Parameter(values)
    q = nn.Parameter(values, requires_grad=False)
    values[0, 0] = 7
    return (
        repr(p), repr(q), p.requires_grad, q.requires_grad, p.is_leaf, isinstance(p, torch.Tensor), p, (p * 2).sum(),
        type(p * 2).__name__, type(p.data).__name__, type(p.detach()).__name__, repr(copy.deepcopy(p)),
        type(copy.deepcopy(p)).__name__, type(pickle.loads(pickle.dumps(p))).__name__,
    )  # fmt: skip


# ---- modes -----------------------------------------------------------------------------------------------------------
@tried
def train_and_eval(torch, nn):
    net = small(nn)
    first = [module.training for module in net.modules()]
    second = [module.training for module in net.eval().modules()]
    net.blocks[0].train()
    return first, second, [module.training for module in net.modules()]


@tried
def train_with_a_number(torch, nn):
    nn.ReLU().train(1)


@tried
def a_train_of_ones_own_is_called(torch, nn):
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn = nn.BatchNorm1d(2)

        def train(self, mode=True):
            super().train(mode)
            self.bn.eval()
            return self

    net = nn.Sequential(Frozen(), nn.ReLU())
    net.train()
    return [module.training for module in net.modules()]


@tried
def requires_grad_and_zero_grad(torch, nn):
    net = small(nn)
    net.heads.requires_grad_(False)
    net(images(torch), "a").sum().backward()
    with_grad = [name for name, p in net.named_parameters() if p.grad is not None]
    net.zero_grad(set_to_none=False)
    zeros = [name for name, p in net.named_parameters() if p.grad is not None and not p.grad.any()]
    net.zero_grad()
    return with_grad, zeros, [name for name, p in net.named_parameters() if p.grad is not None]


@tried
def conversions(torch, nn):
    net = small(nn)
    before = net.stem[0].weight
    assert net.double() is net
    assert net.stem[0].weight is before
    kinds = {str(value.dtype) for value in net.state_dict().values()}
    net.to(torch.float32)
    net.to("cpu").to(torch.device("cpu")).to("cpu", torch.float32).to(torch.ones(1)).cpu().float()
    return kinds, {str(value.dtype) for value in net.state_dict().values()}, net.type(torch.float64).mean


@tried
def conversion_to_whole_numbers(torch, nn):
    nn.Linear(1, 1).to(torch.int64)


@tried
def apply_goes_up(torch, nn):
    seen = []
    net = small(nn)
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    return seen


@tried
def initialisation_by_apply(torch, nn):
    def init(module):
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.5)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data.fill_(2.0)
            module.bias.data.zero_()
        elif isinstance(module, nn.Linear):
            module.weight.data.normal_(0, 0.01)
            module.bias.data = torch.full_like(module.bias.data, 3.0)

    net = small(nn).apply(init)
    return net.stem[0].weight.sum(), net.stem[1].weight, net.heads["b"].bias, net.eval()(images(torch)).shape


@tried
def _apply_reaches_parameters_and_buffers(torch, nn):
    class Grid(nn.Module):
        def __init__(self):
            super().__init__()
            self.anchors = torch.ones(2)
            self.w = nn.Parameter(torch.ones(1))

        def _apply(self, fn):
            super()._apply(fn)
            self.anchors = fn(self.anchors)
            return self

    net = Grid().double()
    return net.anchors, net.w


# ---- state -----------------------------------------------------------------------------------------------------------
@tried
def a_state_shares_memory(torch, nn):
    net = small(nn)
    state = net.state_dict()
    net.stem[0].weight.data.zero_()
    net(images(torch))
    best = copy.deepcopy(state)
    net.stem[0].weight.data.fill_(2.0)
    state["heads.a.bias"].fill_(7.0)
    return (
        state["stem.0.weight"], best["stem.0.weight"], state["stem.1.num_batches_tracked"],
        state["stem.1.running_mean"], net.heads["a"].bias, type(state).__name__, state["stem.0.weight"].requires_grad,
        type(state["scale"]).__name__,
        state._metadata["stem.1"],
    )  # fmt: skip


@tried
def a_state_with_the_parameters_themselves(torch, nn):
    net = nn.Linear(1, 2)
    state = net.state_dict(keep_vars=True, prefix="x.")
    return list(state), state["x.weight"] is net.weight


@tried
def loading(torch, nn):
    net, other = small(nn), fixed(small(nn), 0.3)
    weight = net.stem[0].weight
    result = net.load_state_dict(other.state_dict())
    return repr(result), net.stem[0].weight is weight, net(images(torch), "b"), net.state_dict(), result.missing_keys


@tried
def loading_with_a_missing_key(torch, nn):
    net = small(nn)
    state = net.state_dict()
    del state["heads.a.weight"], state["stem.1.running_var"]
    net.load_state_dict(state)


@tried
def loading_with_keys_too_many(torch, nn):
    net = small(nn)
    state = net.state_dict()
    state["extra"] = torch.ones(1)
    state["heads.c.weight"] = torch.ones(1)
    net.load_state_dict(state)


@tried
def loading_with_everything_wrong(torch, nn):
    net = small(nn)
    state = {"module." + key: value for key, value in net.state_dict().items()}
    state["scale"] = torch.ones(3)
    state["mean"] = "no tensor"
    net.load_state_dict(state)


@tried
def loading_what_fits(torch, nn):
    net = small(nn)
    state = net.state_dict()
    state["other"] = state.pop("mean")
    result = net.load_state_dict(state, strict=False)
    return repr(result), str(result), result[0], result.unexpected_keys


@tried
def loading_a_list(torch, nn):
    nn.Linear(1, 1).load_state_dict([1])


@tried
def loading_by_assignment(torch, nn):
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    state = {key: value.double() for key, value in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    state["0.weight"].fill_(5.0)
    return net[0].weight.detach(), net[1].running_mean, net[0].weight.requires_grad, type(net[0].weight).__name__


@tried
def loading_into_another_dtype(torch, nn):
    net = nn.Linear(2, 1)
    net.load_state_dict({"weight": torch.tensor([[1, 2]]), "bias": torch.tensor([3.5], dtype=torch.float64)})
    return net.weight.detach(), net.bias.detach()


@tried
def a_weight_of_another_device_and_old_files(torch, nn):
    net = nn.BatchNorm1d(2)
    state = {key: value for key, value in net.state_dict().items() if key != "num_batches_tracked"}
    return repr(net.load_state_dict(state, strict=False))


@tried
def saving_and_loading_of_ones_own(torch, nn):
    class Counting(nn.Module):
        _version = 3

        def __init__(self):
            super().__init__()
            self.count = 4

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

        def _load_from_state_dict(self, state_dict, prefix, metadata, *rest):
            self.seen = prefix, metadata.get("version")
            super()._load_from_state_dict(state_dict, prefix, metadata, *rest)

    net, other = nn.Sequential(Counting()), nn.Sequential(Counting())
    net[0].count = 9
    other.load_state_dict(net.state_dict())
    return list(net.state_dict()), other[0].count, other[0].seen


@tried
def extra_state_that_is_missing(torch, nn):
    class Extra(nn.Module):
        def get_extra_state(self):
            return 1

        def set_extra_state(self, state):
            pass

    Extra().load_state_dict({})


@tried
def hooks_of_states(torch, nn):
    net, seen = nn.Sequential(nn.Linear(1, 1)), []
    net[0].register_state_dict_pre_hook(lambda module, prefix, keep_vars: seen.append(("pre", prefix)))
    handle = net[0].register_state_dict_post_hook(lambda module, state, prefix, meta: state.update(more=1))
    net[0].register_load_state_dict_pre_hook(lambda module, state, prefix, *rest: state.pop(prefix + "more", None))
    net.register_load_state_dict_post_hook(lambda module, keys: seen.append(list(keys.missing_keys)))
    keys = list(net.state_dict())
    handle.remove()
    state = net.state_dict()
    state["0.more"] = torch.ones(1)
    del state["0.bias"]
    net.load_state_dict(state, strict=False)
    return keys, list(net.state_dict()), seen


@tried
def copies_and_pickles(torch, nn):
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten(), nn.LSTM(32, 2),
        nn.ModuleList([nn.Embedding(3, 2)]), nn.MultiheadAttention(4, 2), nn.Conv2d(1, 1, 3, padding_mode="circular"),
        nn.ParameterDict({"a": torch.ones(1)}), nn.CrossEntropyLoss(weight=torch.ones(2)), nn.PReLU(),
    )  # fmt: skip
    net[0](images(torch)).sum().backward()
    clone, read = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    clone[0].weight.data.zero_()
    clone[1].running_mean.fill_(3.0)
    return (
        repr(clone) == repr(net), repr(read) == repr(net), bool(net[0].weight.any()), net[1].running_mean,
        clone[1].running_mean, list(read.state_dict()) == list(net.state_dict()), clone[0].weight.grad is None,
        [bool((a == b).all()) for a, b in zip(read.state_dict().values(), net.state_dict().values(), strict=True)],
        copy.copy(net)[0] is net[0],
    )  # fmt: skip


@tried
def a_network_goes_on_after_a_copy(torch, nn):
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1))
    fixed(net)
    x = torch.arange(12, dtype=torch.float32).reshape(4, 3).cos()
    first = net(x)
    clone = copy.deepcopy(net)
    clone(x).sum().backward()
    first.sum().backward()
    return [p.grad for p in net.parameters()], [p.grad for p in clone.parameters()], clone[1].num_batches_tracked


# ---- hooks -----------------------------------------------------------------------------------------------------------
@tried
def forward_hooks(torch, nn):
    net, seen = fixed(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))), []
    handles = [
        net[0].register_forward_pre_hook(lambda module, args: seen.append(("pre", len(args), args[0].shape))),
        net[1].register_forward_hook(lambda module, args, y: seen.append(("hook", type(args).__name__, y.shape))),
        net[2].register_forward_hook(lambda module, args, y: y * 2),
        net[0].register_forward_pre_hook(lambda module, args: (args[0] * 3,)),
        net[2].register_forward_pre_hook(lambda module, args: args[0] + 1),
        net[1].register_forward_hook(lambda module, args, y: seen.append("first"), prepend=True),
    ]
    x = torch.ones(2, 2)
    y = net(x)
    for handle in handles:
        handle.remove()
    return y, seen, net(x), len(seen)


@tried
def hooks_with_keywords(torch, nn):
    class Scaled(nn.Module):
        def forward(self, x, scale=1.0):
            return x * scale

    net, seen = Scaled(), []

    def before(module, args, kwargs):
        seen.append(sorted(kwargs))
        return args, {"scale": 5.0}

    net.register_forward_pre_hook(before, with_kwargs=True)
    net.register_forward_hook(lambda module, args, kwargs, y: y + kwargs["scale"], with_kwargs=True)
    return net(torch.ones(1), scale=2.0), seen


@tried
def a_hook_that_is_always_called(torch, nn):
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("broken")

    net, seen = Broken(), []
    net.register_forward_hook(lambda module, args, y: seen.append(y), always_call=True)
    try:
        net(torch.ones(1))
    except ValueError:
        seen.append("raised")
    return seen


@tried
def backward_hooks(torch, nn):
    net, seen = fixed(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))), []
    net[1].register_full_backward_hook(lambda module, dx, dy: seen.append((dx, dy)))
    net[2].register_full_backward_pre_hook(lambda module, dy: (dy[0] * 10,))
    net[0].register_full_backward_hook(lambda module, dx, dy: (dx[0] * 2,))
    x = torch.ones(2, 2, requires_grad=True)
    net(x).sum().backward()
    return seen, x.grad, net[0].weight.grad


@tried
def a_backward_hook_without_gradients_of_the_input(torch, nn):
    net, seen = fixed(nn.Sequential(nn.Linear(2, 1))), []
    net[0].register_full_backward_hook(lambda module, dx, dy: seen.append((dx, dy)))
    net(torch.ones(2, 2)).sum().backward()
    return seen


@tried
def grad_cam(torch, nn):
    net, kept = small(nn).eval(), {}
    target = net.blocks[1].conv1
    target.register_forward_hook(lambda module, args, y: kept.update(y=y.detach()))
    target.register_full_backward_hook(lambda module, dx, dy: kept.update(dy=dy[0].detach()))
    scores = net(images(torch))
    scores[0, scores[0].argmax()].backward()
    weights = kept["dy"].mean((2, 3), keepdim=True)
    return (weights * kept["y"]).sum(1).relu(), kept["dy"].shape


@tried
def hooks_see_what_is_joined(torch, nn):
    net, seen = fixed(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())), []
    for layer in net:
        layer.register_forward_hook(lambda module, args, y: seen.append((type(module).__name__, y.sum())))
    return net(images(torch)), seen


# ---- containers ------------------------------------------------------------------------------------------------------
@tried
def sequential_as_a_list(torch, nn):
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3))
    head = net[:2]
    net[1] = nn.Tanh()
    net.append(nn.ReLU())
    net.insert(0, nn.Flatten())
    net.extend([nn.Identity()])
    del net[-1]
    popped = net.pop(-1)
    return (
        repr(net), repr(head), repr(popped), len(net), repr(net[-1]), repr(net + head), repr(head * 2), repr(2 * head),
        [type(layer).__name__ for layer in net], list(net.state_dict()), type(net[1:]).__name__,
        list(net[1:].state_dict()),
    )  # fmt: skip


@tried
def sequential_with_names(torch, nn):
    net = nn.Sequential(collections.OrderedDict([("fc", nn.Linear(1, 1)), ("act", nn.ReLU())]))
    net.add_module("last", nn.Tanh())
    return repr(net), list(net.state_dict()), repr(net[0]), repr(net.act), repr(net[:-1])


@tried
def sequential_of_no_module(torch, nn):
    nn.Sequential(nn.ReLU(), dict)


@tried
def sequential_of_a_list(torch, nn):
    nn.Sequential([nn.ReLU()])


@tried
def sequential_too_far(torch, nn):
    return nn.Sequential(nn.ReLU())[3]


@tried
def an_empty_sequential_gives_its_input(torch, nn):
    x = torch.ones(2)
    return nn.Sequential()(x) is x


@tried
def a_sequential_of_ones_own(torch, nn):
    class ConvBNReLU(nn.Sequential):
        def __init__(self, size):
            super().__init__(nn.Conv2d(1, size, 3, bias=False), nn.BatchNorm2d(size), nn.ReLU6(inplace=True))

    class Doubled(nn.Sequential):
        def forward(self, x):
            return super().forward(x) * 2

    net = fixed(nn.Sequential(ConvBNReLU(2), Doubled(nn.Conv2d(2, 2, 1), nn.ReLU())))
    return net(images(torch)), repr(net), repr(net[0])


@tried
def lists(torch, nn):
    layers = nn.ModuleList([nn.Linear(1, 1), nn.ReLU()])
    layers.append(nn.Tanh())
    layers += [nn.Sigmoid()]
    layers.insert(1, nn.Identity())
    layers[0] = nn.Flatten()
    del layers[2]
    popped = layers.pop(0)
    return (
        repr(layers), len(layers), repr(layers[-1]), repr(layers[1:]), repr(popped), repr(layers + nn.ModuleList([])),
        [name for name, _ in layers.named_children()],
    )  # fmt: skip


@tried
def a_list_too_far(torch, nn):
    return nn.ModuleList([nn.ReLU()])[1]


@tried
def a_list_of_no_module(torch, nn):
    nn.ModuleList([1])


@tried
def a_list_extended_by_a_number(torch, nn):
    nn.ModuleList().extend(3)


@tried
def a_list_that_is_called(torch, nn):
    nn.ModuleList([nn.ReLU()])(torch.ones(1))


@tried
def dicts(torch, nn):
    layers = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 1)})
    layers["c"] = nn.Tanh()
    layers.update({"d": nn.Flatten()})
    layers.update([("e", nn.Sigmoid())])
    popped = layers.pop("a")
    del layers["d"]
    return (
        repr(layers), list(layers), list(layers.keys()), [repr(v) for v in layers.values()], len(layers), "b" in layers,
        [name for name, _ in layers.items()], repr(popped), list(layers.state_dict()),
    )  # fmt: skip


@tried
def a_dict_of_no_module(torch, nn):
    nn.ModuleDict({"a": 1})


@tried
def a_dict_by_numbers(torch, nn):
    nn.ModuleDict({1: nn.ReLU()})


@tried
def a_key_that_is_not_there(torch, nn):
    return nn.ModuleDict({"a": nn.ReLU()})["b"]


@tried
def lists_of_parameters(torch, nn):
    values = nn.ParameterList([nn.Parameter(torch.ones(2)), torch.zeros(1)])
    values.append(torch.full((1,), 2.0))
    values.extend([nn.Parameter(torch.ones(1))])
    values[0] = nn.Parameter(torch.zeros(3))
    values += [torch.ones(1)]
    return (
        len(values), [name for name, _ in values.named_parameters()], list(values.state_dict()), values[-1],
        repr(values),
        [type(value).__name__ for value in values], repr(values[1:3]), sum(value.sum() for value in values),
    )  # fmt: skip


@tried
def dicts_of_parameters(torch, nn):
    values = nn.ParameterDict({"b": torch.ones(2), "a": nn.Parameter(torch.zeros(1))})
    values["c"] = torch.ones(1)
    popped = values.pop("a")
    both = values | nn.ParameterDict({"z": torch.ones(1)})
    return (
        list(values), list(values.keys()), list(values.values()), len(values), "c" in values, popped, repr(values),
        values.get("q"), values.setdefault("q", torch.ones(1)), list(both.state_dict()), list(reversed(values)),
        values.popitem(), list(values.copy()), [name for name, _ in values.items()],
    )  # fmt: skip


@tried
def a_list_of_parameters_too_far(torch, nn):
    return nn.ParameterList([torch.ones(1)])[2]


@tried
def parallel_passes_through(torch, nn):
    net = nn.DataParallel(fixed(nn.Sequential(nn.Linear(2, 1))))
    return list(net.state_dict()), net(torch.ones(3, 2)), repr(net), repr(net.module)


# ---- calls -----------------------------------------------------------------------------------------------------------
@tried
def arguments_of_all_kinds(torch, nn):
    class Many(nn.Module):
        def forward(self, x, *others, scale=1.0, extra=None):
            return {"y": (x + sum(others)) * scale, "extra": [extra, None]}

    return Many()(torch.ones(1), torch.ones(1), 2, scale=torch.tensor(3.0), extra="text")


@tried
def input_by_its_name(torch, nn):
    x = torch.ones(1, 1, 4, 4)
    layers = nn.Conv2d(1, 2, 1), nn.ReLU(), nn.BatchNorm2d(1), nn.MaxPool2d(2), nn.Flatten(), nn.Sigmoid()
    return [layer(input=x).shape for layer in layers]


@tried
def settings_of_layers(torch, nn):
    def of(layer, *names):
        return [getattr(layer, name) for name in names]

    conv, lstm = nn.Conv2d(3, 4, 3, groups=1), nn.LSTM(3, 4, 2)
    return (
        of(conv, "kernel_size", "stride", "padding", "dilation", "groups", "in_channels", "out_channels",
           "padding_mode", "output_padding", "transposed"),
        of(nn.MaxPool2d(2, 1), "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
        of(nn.AvgPool2d(3), "kernel_size", "stride", "count_include_pad", "divisor_override"),
        of(nn.BatchNorm2d(2), "num_features", "eps", "momentum", "affine", "track_running_stats"),
        of(lstm, "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional",
           "proj_size", "mode"), len(lstm.all_weights), len(lstm._flat_weights),
        of(nn.Embedding(3, 4), "num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type", "sparse"),
        of(nn.MultiheadAttention(4, 2), "embed_dim", "num_heads", "head_dim", "dropout", "batch_first", "kdim", "vdim",
           "bias_k", "bias_v", "add_zero_attn", "_qkv_same_embed_dim"),
        of(nn.LayerNorm([2, 3]), "normalized_shape", "eps", "elementwise_affine"),
        of(nn.GroupNorm(1, 2), "num_groups", "num_channels"), of(nn.Linear(3, 4), "in_features", "out_features"),
        of(nn.Upsample(scale_factor=2), "scale_factor", "size", "mode", "align_corners", "name"),
        of(nn.ReLU6(), "min_val", "max_val", "inplace"), of(nn.Hardtanh(), "min_val", "max_val"),
        of(nn.Dropout(0.3), "p", "inplace"), of(nn.Flatten(), "start_dim", "end_dim"), of(nn.Softmax(1), "dim"),
        of(nn.ELU(), "alpha"), of(nn.Softplus(), "beta", "threshold"), of(nn.PReLU(), "num_parameters", "init"),
        of(nn.ConstantPad2d(1, 2.0), "padding", "value"), of(nn.AdaptiveAvgPool2d((1, 2)), "output_size"),
        of(nn.CrossEntropyLoss(ignore_index=3), "ignore_index", "label_smoothing", "reduction", "weight"),
        of(nn.PairwiseDistance(), "norm", "eps", "keepdim"), of(nn.PixelShuffle(2), "upscale_factor"),
    )  # fmt: skip


@tried
def parts_of_a_network_in_a_new_one(torch, nn):
    net = fixed(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)),
                              nn.Flatten(), nn.Linear(4, 2)))  # fmt: skip
    body = nn.Sequential(*list(net.children())[:-1])
    for p in body.parameters():
        p.requires_grad = False
    setattr(net, "5", nn.Linear(4, 7))
    return body(images(torch)), net(images(torch)).shape, [p.requires_grad for p in net.parameters()]


@tried
def forward_called_directly(torch, nn):
    net = small(nn)
    return net.forward(images(torch)[:1]).shape, net.stem[0].forward(images(torch)).shape


@tried
def a_forward_that_is_replaced(torch, nn):
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net[0].forward = lambda x: x * 3
    first = net(torch.ones(2))
    nn_class = type("Own", (nn.Module,), {})
    nn_class.forward = lambda self, x: x + 1
    return first, nn_class()(torch.ones(2))


@tried
def a_module_called_twice(torch, nn):
    net = fixed(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU()))
    x = torch.arange(6, dtype=torch.float32).reshape(3, 2)
    (net(x) * net(x * 2)).sum().backward()
    return [p.grad for p in net.parameters()], net[1].running_mean, net[1].num_batches_tracked


@tried
def a_module_that_is_frozen_in_eval(torch, nn):
    net = fixed(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)))
    x = images(torch).requires_grad_()
    net.eval()
    y = net(x)
    y.sum().backward()
    before = y.detach().clone()
    net.train()
    net(images(torch))
    return before, x.grad, [p.grad for p in net.parameters()], net[1].running_var


@tried
def one_image_alone(torch, nn):
    net = fixed(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(0)))
    return net(images(torch)[0])


@tried
def in_place_activations(torch, nn):
    x = torch.arange(-3.0, 3.0)
    y = nn.ReLU(inplace=True)(x)
    z = torch.arange(-3.0, 3.0, requires_grad=True)
    hidden = z * 2
    out = nn.LeakyReLU(0.1, inplace=True)(hidden)
    (out * hidden).sum().backward()
    return x, y is x, out is hidden, z.grad


@tried
def an_in_place_activation_of_a_leaf(torch, nn):
    try:
        nn.ReLU(inplace=True)(torch.ones(1, requires_grad=True))
    except RuntimeError as error:
        return str(error)[:60]


@tried
def results_without_a_gradient(torch, nn):
    net = small(nn)
    with torch.no_grad():
        y = net(images(torch))
    frozen = small(nn).requires_grad_(False)
    return y.requires_grad, y.grad_fn is None, frozen(images(torch)).requires_grad


@tried
def batch_norm_of_one_value(torch, nn):
    nn.BatchNorm1d(2)(torch.ones(1, 2))


@tried
def names_that_fastnn_uses_itself(torch, nn):
    class Names(nn.Module):
        def __init__(self):
            super().__init__()
            self.preprocessing = nn.Linear(2, 2)
            self.input_grad = nn.Parameter(torch.ones(2))
            self.forget = nn.Linear(2, 2)
            self.given_back = 3
            self.backward = nn.ReLU()
            self.body = nn.Identity()

        def forward(self, x):
            return self.backward(self.forget(self.preprocessing(x)) * self.input_grad) * self.given_back

    net = fixed(Names())
    y = net(torch.ones(1, 2))
    y.sum().backward()
    return y, list(net.state_dict()), net.input_grad.grad, repr(net), net.eval()(torch.ones(1, 2))


@tried
def a_method_named_backward(torch, nn):
    class Trainer(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 1)

        def forward(self, x):
            self.y = self.fc(x)
            return self.y

        def backward(self, loss):
            loss.backward()

    net = fixed(Trainer())
    net.backward(net(torch.ones(3, 2)).sum())
    return net.fc.weight.grad


@tried
def a_module_within_forward(torch, nn):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            return nn.Softmax(dim=1)(nn.Dropout(0.0)(self.fc(x)))

    return fixed(Odd())(torch.ones(2, 2))


@tried
def weights_seen_as_tensors(torch, nn):
    conv = fixed(nn.Conv2d(2, 3, 3))
    w = conv.weight
    w2 = (w - w.mean((1, 2, 3), keepdim=True)) / (w.view(w.size(0), -1).std(dim=1).view(-1, 1, 1, 1) + 1e-5)
    x = torch.arange(50.0).reshape(1, 2, 5, 5).sin()
    y = nn.functional.conv2d(x, w2, conv.bias, conv.stride, conv.padding)
    (y.pow(2).sum() + sum(torch.norm(p) ** 2 for p in conv.parameters())).backward()
    return y, w.grad, w.view(-1)[:4], w.reshape(3, -1).shape, w.numel(), w.flatten()[5]


@tried
def weights_written_by_hand(torch, nn):
    net = fixed(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 1)))
    for _ in range(3):
        net.zero_grad()
        net(images(torch)).pow(2).mean().backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad
    net(images(torch)).sum().backward()
    for p in net.parameters():
        p.data = p.data - 0.1 * p.grad.data
        p.data.add_(p.grad, alpha=-0.1)
    return list(net.parameters())


# Whose words are fastnn's own.
OWN_WORDS = {"batch_norm_of_one_value"}


@pytest.mark.parametrize("name", TRIED)
def test_modules_do_what_they_do_in_pytorch(torch, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = outcome(TRIED[name], torch)
        found = outcome(TRIED[name], own)
    assert (found[0] if name in OWN_WORDS else found) == (expected[0] if name in OWN_WORDS else expected)
