"""Layers of fastnn.compat.torch.nn without PyTorch: values by hand, joining, errors, what is missing."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
import fastnn.compat.torch as torch
from fastnn import nn as array
from fastnn.compat import notes
from fastnn.compat.torch import nn
from fastnn.compat.torch.nn.modules._absent import ABSENT
from fastnn.nn import _joining


def numbers(*shape):
    return torch.from_numpy(np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32))


# ---- what is there, and what is not ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ABSENT)
def test_a_layer_that_is_missing_says_what_to_use(name):
    with pytest.raises(AttributeError, match=rf"^torch\.nn\.{name} is not in fastnn: \w"):
        getattr(nn, name)


def test_an_import_of_a_missing_layer_says_what_to_use():
    with pytest.raises(ImportError, match=r"torch\.nn\.Conv3d is not in fastnn: .*images"):
        exec("from fastnn.compat.torch.nn import Conv3d")
    with pytest.raises(ImportError, match=r"torch\.nn\.modules\.conv\.Conv3d is not in fastnn: .*images"):
        exec("from fastnn.compat.torch.nn.modules.conv import Conv3d")


def test_paths_of_pytorch_lead_to_the_layers():
    from fastnn.compat.torch.nn.modules.batchnorm import _BatchNorm
    from fastnn.compat.torch.nn.modules.conv import _ConvNd
    from fastnn.compat.torch.nn.modules.module import Module
    from fastnn.compat.torch.nn.modules.utils import _pair, _triple
    from fastnn.compat.torch.nn.parameter import Parameter

    assert (Module, Parameter) == (nn.Module, nn.Parameter)
    assert isinstance(nn.BatchNorm1d(2), _BatchNorm)
    assert isinstance(nn.Conv2d(1, 1, 1), _ConvNd)
    assert (_pair(3), _triple((1, 2, 3)), _pair([1, 2])) == ((3, 3), (1, 2, 3), (1, 2))


def test_layers_are_those_of_fastnn():
    """So that what fastnn knows of its layers holds for them."""
    kinds = [name for name in dir(array) if isinstance(getattr(array, name), type) and hasattr(nn, name)]
    kinds = [name for name in kinds if "Loss" not in name]
    assert len(kinds) > 40
    # Paddings take other numbers of axes, and an Upsample finds its sizes anew for each input.
    apart = {"ReflectionPad2d", "ReplicationPad2d", "Upsample", "ZeroPad2d"}
    assert {name for name in kinds if not issubclass(getattr(nn, name), getattr(array, name))} == apart


def test_a_layer_of_fastnn_in_a_module_becomes_one_of_torch():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = array.Sequential(array.Linear(2, 3), array.BatchNorm1d(3), array.ReLU())

        def forward(self, x):
            return self.body(x)

    net = Net()
    assert type(net.body[0]) is nn.Linear
    assert isinstance(net.body[0].weight, torch.Tensor)
    assert net(torch.ones(4, 2)).shape == (4, 3)
    assert [tuple(value.shape) for value in net.state_dict().values()][:2] == [(3, 2), (3,)]


# ---- joining ---------------------------------------------------------------------------------------------------------
def pieces(net, x):
    """How many steps a Sequential takes, after a call."""
    net(x)
    return len(vars(net)["_plan"].steps)


def test_neighbours_are_joined_as_in_fastnn():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.GELU(),
    )  # fmt: skip
    x = numbers(2, 1, 8, 8)
    assert pieces(net, x) == 6
    joined = net(x)
    with fastnn.joined_layers(False):
        assert pieces(net, x) == 10
    assert torch.allclose(net(x), joined, atol=1e-6)


def test_a_convolution_of_eval_mode_takes_its_batch_norm_along(monkeypatch):
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    ran = []
    operation = _joining.Conv2dNorm
    monkeypatch.setattr(_joining, "Conv2dNorm", lambda *args: ran.append(args) or operation(*args))
    with torch.no_grad():
        net(numbers(2, 1, 8, 8))
    assert len(ran) == 1


@pytest.mark.parametrize("change", ["hook", "forward", "padding"])
def test_what_is_watched_or_changed_is_not_joined(change):
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    if change == "hook":
        net[1].register_forward_hook(lambda module, args, y: None)
    elif change == "forward":
        net[0].forward = lambda x: torch.cat([x] * 4, 1)
    else:
        net[0] = nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular")
    assert pieces(net, numbers(2, 1, 8, 8)) == (3 if change == "hook" else 2)


def test_joined_layers_have_the_gradients_of_layers_alone():
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(48, 1))
    x, gradients = numbers(2, 2, 6, 6), []
    for joins in (True, False):
        net.zero_grad()
        with fastnn.joined_layers(joins):
            net(x).square().sum().backward()
        gradients.append([p.grad.numpy() for p in net.parameters()])
    for joined, alone in zip(*gradients, strict=True):
        np.testing.assert_array_equal(joined, alone)


def test_relu_by_hand_after_a_batch_norm_is_joined_with_it():
    conv, norm, relu = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
    x = numbers(2, 1, 6, 6)
    shortcut = nn.Conv2d(1, 4, 1)(x)
    out = norm(conv(x))
    out += shortcut
    for y in (
        torch.nn.functional.relu(norm(conv(x))),
        relu(norm(conv(x))),
        torch.nn.functional.relu(norm(conv(x)) + shortcut),
        relu(out),
    ):
        assert y._op.activation == "relu"


# ---- memory ----------------------------------------------------------------------------------------------------------
def test_buffers_keep_their_memory_in_training():
    layer = nn.BatchNorm2d(2)
    mean, state = layer.running_mean, layer.state_dict()
    layer(numbers(3, 2, 4, 4))
    assert layer.running_mean is mean
    assert mean.any()
    assert state["running_mean"].equal(mean)
    assert state["num_batches_tracked"].item() == 1


def test_running_statistics_are_means_of_what_came():
    layer = nn.BatchNorm1d(1, momentum=0.5)
    layer(torch.tensor([[1.0], [3.0]]))
    assert layer.running_mean.tolist() == [1.0]  # (0 + 2) / 2
    assert layer.running_var.tolist() == [1.5]  # (1 + 2) / 2
    assert layer.eval()(torch.tensor([[1.0]])).item() == 0.0


def test_a_weight_that_is_written_by_its_data_is_used():
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[2.0, 3.0]])
    assert layer(torch.ones(1, 2)).item() == 5.0
    layer.weight.data[0, 0] = 7.0
    assert layer(torch.ones(1, 2)).item() == 10.0
    with torch.no_grad():
        layer.weight.copy_(torch.ones(1, 2))
    assert layer(torch.ones(1, 2)).item() == 2.0


def test_a_state_of_arrays_is_loaded():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])})
    assert layer(torch.ones(1, 2)).item() == 6.0


def test_a_copy_has_parameters_of_its_own():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    for clone in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        clone[0].weight.data.zero_()
        clone[1].running_mean.fill_(5.0)
        assert net[0].weight.any()
        assert not net[1].running_mean.any()
        assert type(clone[0]) is nn.Conv2d
        assert clone.eval()(numbers(1, 1, 4, 4)).shape == (1, 2, 2, 2)


# ---- how layers begin ------------------------------------------------------------------------------------------------
BOUNDS = {
    "Linear": (lambda: nn.Linear(16, 50), 1 / 4), "Conv2d": (lambda: nn.Conv2d(4, 50, 2), 1 / 4),
    "Conv1d": (lambda: nn.Conv1d(4, 50, 4), 1 / 4), "ConvTranspose2d": (lambda: nn.ConvTranspose2d(50, 4, 2), 1 / 4),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(50, 4, 4), 1 / 4), "LSTM": (lambda: nn.LSTM(50, 16), 1 / 4),
    "GRUCell": (lambda: nn.GRUCell(50, 16), 1 / 4), "Bilinear": (lambda: nn.Bilinear(16, 5, 20), 1 / 4),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDS)
def test_parameters_begin_and_begin_again_within_the_bounds_of_pytorch(name):
    make, bound = BOUNDS[name]
    layer = make()
    for _ in range(2):
        largest = layer.state_dict()[next(iter(layer.state_dict()))].abs().max().item()
        assert 0.9 * bound < largest <= bound
        for parameter in layer.parameters():
            parameter.data.fill_(9.0)
        layer.reset_parameters()


def test_normalisations_begin_again():
    layer = nn.BatchNorm2d(2)
    layer(numbers(3, 2, 4, 4))
    layer.weight.data.fill_(3.0)
    layer.reset_parameters()
    assert layer.weight.tolist() == [1.0, 1.0]
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.num_batches_tracked.item() == 0


def test_seeds_repeat_the_parameters():
    torch.manual_seed(4)
    first = nn.Linear(3, 3).weight
    torch.manual_seed(4)
    assert nn.Linear(3, 3).weight.equal(first)


def test_dtype_and_device_of_the_constructor():
    layer = nn.Conv2d(1, 1, 1, device="cpu", dtype=torch.float64)
    assert {str(value.dtype) for value in layer.state_dict().values()} == {"torch.float64"}
    torch.set_default_dtype(torch.float64)
    try:
        assert nn.BatchNorm1d(1).running_mean.dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


# ---- what is drawn ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout, (50, 40)), (nn.Dropout2d, (40, 50, 3, 3)), (nn.Dropout1d, (40, 50, 3))]
)
def test_dropout_keeps_its_share_and_scales_it(layer, shape):
    y = layer(0.25)(torch.ones(*shape)).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(4 / 3)}
    assert 0.7 < (y > 0).mean() < 0.8
    if len(shape) > 2:  # whole channels
        channels = y.reshape(*shape[:2], -1)
        assert (channels == channels[:, :, :1]).all()


def test_alpha_dropout_keeps_mean_and_variance():
    y = nn.AlphaDropout(0.2)(numbers(300, 300)).numpy()
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - 1) < 0.02


def test_rrelu_draws_its_slopes():
    y = nn.RReLU(0.1, 0.3)(torch.full((1000,), -1.0))
    assert -0.3 <= y.min().item() < -0.29
    assert -0.11 < y.max().item() <= -0.1
    assert nn.RReLU(0.1, 0.3).eval()(torch.tensor([-1.0])).item() == pytest.approx(-0.2)


def test_dropout_in_place_changes_its_input():
    x = torch.ones(100)
    assert nn.Dropout(0.5, inplace=True)(x) is x
    assert set(x.tolist()) == {0.0, 2.0}


def test_activations_in_place_change_all_who_share_the_memory():
    relu, seen = nn.ReLU(inplace=True), np.array([-1.0, 2.0], np.float32)
    x = torch.from_numpy(seen)
    relu(x)
    assert seen.tolist() == [0.0, 2.0]
    whole = torch.tensor([[-1.0, 1.0], [-2.0, 2.0]])
    row, shared = whole[1], whole.detach()
    relu(row)
    assert whole.tolist() == [[-1.0, 1.0], [0.0, 2.0]]
    relu(whole)
    assert shared.tolist() == [[0.0, 1.0], [0.0, 2.0]]
    alone = torch.tensor([-3.0, 3.0])
    assert relu(alone) is alone
    assert alone.tolist() == [0.0, 3.0]
    recorded = torch.tensor([-1.0], requires_grad=True) * 2
    with torch.no_grad():
        relu(recorded)
    assert recorded.item() == 0.0


# ---- errors ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: nn.Linear(2, 1).to("nowhere"), RuntimeError, "nowhere"),
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), ValueError, "padding_mode must be one of"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"), ValueError, 'Only "zeros"'),
        (lambda: nn.Conv1d(3, 4, 1, groups=2), ValueError, "in_channels must be divisible by groups"),
        (lambda: nn.Conv1d(4, 3, 1, groups=2), ValueError, "out_channels must be divisible by groups"),
        (lambda: nn.Conv2d(3, 4, 1, groups=2), ValueError, "groups must divide the channels"),
        (lambda: nn.GroupNorm(3, 4), ValueError, r"num_channels \(4\) must be divisible by num_groups \(3\)"),
        (lambda: nn.Dropout(1.5), ValueError, "between 0 and 1, but got 1.5"),
        (lambda: nn.Unflatten("c", (1, 2)), TypeError, "axes have no names here"),
        (lambda: nn.Embedding(3, 2, scale_grad_by_freq=True)(torch.tensor([1])), ValueError, "scale_grad_by_freq"),
        (lambda: nn.LSTM(2, 3, proj_size=1), ValueError, "proj_size must be 0"),
        (lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True), ValueError, "add_bias_kv must be False"),
        (lambda: nn.MaxUnpool2d(2)(torch.ones(1, 1, 1, 1), torch.tensor([[[[9]]]])), RuntimeError, "places within"),
        (lambda: nn.MaxUnpool2d(2)(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1).long(), (9, 9)), ValueError,
         "invalid output_size"),
        (lambda: nn.Conv2d(3, 1, 1)(torch.ones(1, 2, 4, 4)), ValueError, r"x.shape=\(1, 2, 4, 4\)"),
        (lambda: nn.Linear(3, 1)(torch.ones(1, 2)), ValueError, r"x.shape=\(1, 2\)"),
        (lambda: nn.Linear(2, 1)(torch.ones(1, 2, dtype=torch.float64)), TypeError, "float64"),
        (lambda: nn.ParameterList()(1), RuntimeError, "should not be called"),
    ],
)  # fmt: skip
def test_what_cannot_be_says_why(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_parallel_modules_pass_through_and_say_so(monkeypatch):
    said = []
    monkeypatch.setattr(nn.parallel, "note", said.append)
    for kind in (nn.DataParallel, nn.parallel.DistributedDataParallel):
        net = kind(nn.Linear(2, 1), device_ids=[0, 1])
        assert list(net.state_dict()) == ["module.weight", "module.bias"]
        assert net(torch.ones(3, 2)).equal(net.module(torch.ones(3, 2)))
    with net.no_sync():
        net(torch.ones(3, 2)).sum().backward()
    with pytest.raises(TypeError, match="unexpected keyword argument 'devices'"):
        nn.parallel.DistributedDataParallel(nn.Linear(2, 1), devices=[0])
    assert said == [
        f"{name} passes batches through: fastnn computes on one machine, with all its cores"
        for name in ("DataParallel", "DistributedDataParallel")
    ]


def test_cuda_is_the_cpu(monkeypatch):
    monkeypatch.setattr(notes, "is_quiet", True)
    layer = nn.Linear(2, 1)
    assert layer.cuda() is layer.to("cuda:0") is layer.to(torch.device("cuda")) is layer.cpu() is layer
    assert layer.weight.device == torch.device("cpu")


# ---- single layers ---------------------------------------------------------------------------------------------------
def test_an_embedding_shortens_the_rows_that_it_reads():
    layer = nn.Embedding.from_pretrained(torch.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]]), max_norm=1.0)
    rows = layer(torch.tensor([0, 1]))
    np.testing.assert_allclose(rows.numpy(), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    assert layer.weight[2].tolist() == [6.0, 8.0]
    assert not layer.weight.requires_grad


def test_a_module_with_a_table_of_layers_of_its_own():
    """What a script keeps in a plain list is not part of it, as in PyTorch."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = [nn.Linear(1, 1)]
            self.found = nn.ModuleList([nn.Linear(1, 1)])

    assert [name for name, _ in Net().named_parameters()] == ["found.0.weight", "found.0.bias"]


def test_unpooling_puts_back_what_pooling_took():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    y, places = nn.MaxPool2d(2, return_indices=True)(x)
    back = nn.MaxUnpool2d(2)(y, places)
    assert back.shape == x.shape
    assert sorted(back.flatten().tolist())[-4:] == [5.0, 7.0, 13.0, 15.0]
    assert back.sum().item() == 40.0


# ---- activations in place --------------------------------------------------------------------------------------------
IN_PLACE = {
    "relu module": (torch.nn.ReLU(inplace=True), torch.relu),
    "relu function": (lambda x: torch.nn.functional.relu(x, inplace=True), torch.relu),
    "relu_": (torch.nn.functional.relu_, torch.relu),
    "relu6 module": (torch.nn.ReLU6(inplace=True), torch.nn.functional.relu6),
    "relu6 function": (lambda x: torch.nn.functional.relu6(x, inplace=True), torch.nn.functional.relu6),
    "silu module": (torch.nn.SiLU(inplace=True), torch.nn.functional.silu),
    "silu function": (lambda x: torch.nn.functional.silu(x, inplace=True), torch.nn.functional.silu),
}


def _images(kind, rng):
    values = (4 * rng.standard_normal((3, 5, 4, 6))).astype(np.float64 if kind == "float64" else np.float32)
    if kind == "pixel-major":
        values = np.ascontiguousarray(values.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1)
    return values[:, ::2] if kind == "with gaps" else values[:0] if kind == "empty" else values


@pytest.mark.parametrize("kind", ["float32", "float64", "pixel-major", "with gaps", "empty"])
@pytest.mark.parametrize("name", IN_PLACE)
def test_activation_in_place_writes_into_the_memory_of_its_input(name, kind, rng):
    in_place, apart = IN_PLACE[name]
    values = _images(kind, rng)
    expected = apart(torch.from_numpy(values.copy())).numpy()
    x = torch.from_numpy(values)
    assert in_place(x) is x
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("name", IN_PLACE)
def test_activation_in_place_needs_no_array_in_between(name, rng, monkeypatch):
    made = []
    monkeypatch.setattr(fastnn._memory, "empty", lambda *args: made.append(args))
    IN_PLACE[name][0](torch.from_numpy(_images("float32", rng)))
    assert not made


@pytest.mark.parametrize("name", IN_PLACE)
def test_activation_in_place_of_what_is_recorded_keeps_the_gradient(name, rng):
    in_place, apart = IN_PLACE[name]
    results = []
    for activate in (in_place, apart):
        x = torch.tensor(_images("float32", np.random.default_rng(3)), requires_grad=True)
        activate(x * 2).sum().backward()
        results.append(x.grad.numpy())
    np.testing.assert_array_equal(*results)


def test_activation_in_place_still_calls_hooks_and_forwards_of_a_script():
    class Shifted(torch.nn.ReLU):
        def forward(self, x):
            return super().forward(x) + 1

    x = torch.tensor([-1.0, 2.0])
    assert Shifted(inplace=True)(x).tolist() == x.tolist() == [1, 3]
    layer, seen = torch.nn.ReLU(inplace=True), []
    layer.register_forward_hook(lambda module, args, y: seen.append(y.tolist()))
    assert layer(torch.tensor([-1.0, 2.0])).tolist() == [0, 2]
    assert seen == [[0, 2]]


def test_activation_in_place_of_a_leaf_that_wants_a_gradient_is_an_error():
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        torch.nn.ReLU(inplace=True)(x)
    with torch.no_grad():
        torch.nn.ReLU(inplace=True)(x)
