"""Copies and pickles of modules carry what the module is, and nothing of the batch that went through it last."""

import copy
import pickle

import numpy as np
import pytest
from bad_calls_table import LAYERS, constructor

import fastnn
from fastnn import nn

WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda module: pickle.loads(pickle.dumps(module))}

CLASSES = pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
COPIES = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def made(cls):
    """A layer or loss in float32, and what goes into it."""
    arguments, inputs = LAYERS[cls]
    return constructor(cls)(**copy.deepcopy(arguments)), inputs


def gradient_of(layer, inputs):
    """dloss for a loss, dy for a layer."""
    result = layer(*inputs)
    return 1.0 if isinstance(layer, nn.Loss) else cosines(result)


def cosines(result):
    """A gradient for a result, or for several."""
    return tuple(map(cosines, result)) if isinstance(result, tuple) else np.cos(result)


def assert_same(actual, expected):
    """One gradient, or several, to the last bit."""
    assert type(actual) is type(expected)
    several = isinstance(actual, tuple)
    for a, b in zip(actual if several else [actual], expected if several else [expected], strict=True):
        np.testing.assert_array_equal(a, b)


def network():
    block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
    block.append(nn.BatchNorm2d(4))
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Residual(block), nn.ReLU(),
        nn.AvgPool2d(2), nn.Dropout(0.5), nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 10), nn.LogSoftmax(1),
    )  # fmt: skip


def batch(n=2):
    return np.random.default_rng(0).standard_normal((n, 3, 16, 16)).astype(np.float32)


def arrays_in(value, seen):
    """All arrays that can be reached from an object of fastnn; `seen` holds what was found already."""
    if any(value is other for other in seen):
        return
    parts = []
    if isinstance(value, np.ndarray):
        seen.append(value)
        yield value
    elif isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | tuple):
        parts = value
    elif isinstance(value, nn.Parameter):
        parts = [value.data, value.grad]
    elif type(value).__module__.startswith("fastnn"):
        seen.append(value)
        parts = list(vars(value).values())
    for part in parts:
        yield from arrays_in(part, seen)


# ---- what is left behind ---------------------------------------------------------------------------------------------
@CLASSES
def test_pickle_after_a_forward_is_that_before_it(cls):
    layer, inputs = made(cls)
    layer.eval()  # batch norm does not move
    before = pickle.dumps(layer)
    layer(*inputs)
    assert pickle.dumps(layer) == before


@CLASSES
@COPIES
def test_copy_after_a_forward_holds_parameters_and_buffers_only(cls, way):
    layer, inputs = made(cls)
    layer.zero_grad()  # another test may have left gradients in the modules that it is made of
    layer(*inputs)
    owned = sum(a.size for a in layer.state_dict().values())
    assert sum(a.size for a in arrays_in(way(layer), [])) == owned


@pytest.mark.parametrize("training", [True, False])
@COPIES
def test_network_pickled_after_a_step_is_as_small_as_before(way, training):
    model = network().train(training)
    size = len(pickle.dumps(model))
    model(batch(32))
    assert abs(len(pickle.dumps(model)) - size) < 100  # the counters of batch norm
    assert abs(len(pickle.dumps(way(model))) - size) < 100


# ---- what a copy is worth --------------------------------------------------------------------------------------------
@CLASSES
@COPIES
def test_copy_between_forward_and_backward_needs_a_forward_of_its_own(cls, way):
    layer, inputs = made(cls)
    dy = gradient_of(layer, inputs)
    twin = way(layer)
    if cls is not nn.Identity:
        with pytest.raises(RuntimeError, match=r"^\w+: backward needs a forward before it; .* a copy does not"):
            twin.backward(dy)
    fastnn.manual_seed(3)
    twin(*inputs)
    fastnn.manual_seed(3)
    layer(*inputs)
    assert_same(twin.backward(dy), layer.backward(dy))


@pytest.mark.parametrize("training", [True, False])
@COPIES
def test_copy_leaves_the_original_ready_to_go_back(way, training):
    model, x = network().train(training), batch()
    fastnn.manual_seed(1)
    dy = np.cos(model(x))
    expected = model.backward(dy)
    fastnn.manual_seed(1)
    model(x)
    twin = way(model)
    np.testing.assert_array_equal(model.backward(dy), expected)
    for module in twin.modules():
        assert not type(module)._left_out_of_copies & set(vars(module))


@COPIES
def test_copy_is_independent_and_gives_the_same(way):
    model, x = network().eval(), batch()
    y = model(x)
    twin = way(model)
    np.testing.assert_array_equal(twin(x), y)
    for parameter in twin.parameters():
        parameter.data[...] = 0
    np.testing.assert_array_equal(model(x), y)
    assert not np.array_equal(twin(x), y)


@COPIES
def test_copy_keeps_gradients_modes_and_what_users_set(way):
    model = network()
    model.backward(np.cos(model(batch())))
    model[1].eval()
    model.input_grad = False
    model.remark = "mine"
    twin = way(model)
    assert twin.remark == "mine"
    assert twin.input_grad is False
    assert [m.training for m in twin.modules()] == [m.training for m in model.modules()]
    for a, b in zip(twin.parameters(), model.parameters(), strict=True):
        np.testing.assert_array_equal(a.grad, b.grad)


class Scale(nn.Module):
    """A layer as a user writes it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.ones(1, np.float32))

    def forward(self, x):
        self.x = self._x = x
        return self.weight.data * x

    def backward(self, dy):
        self.weight.add_grad(np.array([(dy * self.x).sum()], np.float32))
        return dy * self.weight.data


@COPIES
def test_copy_of_a_module_of_ones_own_keeps_its_attributes(way):
    layer = Scale()
    x = np.arange(3, dtype=np.float32)
    layer(x)
    twin = way(layer)
    np.testing.assert_array_equal(twin.x, x)
    np.testing.assert_array_equal(twin._x, x)
    np.testing.assert_array_equal(twin.backward(x), x)
    assert twin.weight.grad.tolist() == [5.0]


# ---- backward before any forward -------------------------------------------------------------------------------------
@CLASSES
def test_backward_before_a_forward_says_so(cls):
    layer, inputs = made(cls)
    dy = gradient_of(made(cls)[0], inputs)
    if cls is nn.Identity:
        np.testing.assert_array_equal(layer.backward(dy), dy)
        return
    with pytest.raises(RuntimeError, match=r"^\w+: backward needs a forward before it"):
        layer.backward(dy)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("cls", [cls for cls in LAYERS if issubclass(cls, nn.Loss)], ids=lambda cls: cls.__name__)
def test_loss_backward_before_a_forward_says_so_whatever_its_reduction(cls, reduction):
    with pytest.raises(RuntimeError, match=rf"^{cls.__name__}: backward needs a forward before it"):
        cls(reduction=reduction).backward(1.0)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()),
        nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)),
        nn.Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))),
        nn.Sequential(nn.Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))), nn.ReLU()),
    ],
    ids=["conv-norm", "norm", "pool", "residual", "residual-relu"],
)
def test_joined_layers_that_go_back_before_a_forward_say_so(model):
    with pytest.raises(RuntimeError, match=r"^\w+: backward needs a forward before it"):
        model.backward(np.ones((2, 4, 3, 3), np.float32))


def test_module_that_lacks_an_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'ReLU' object has no attribute 'weight'"):
        _ = nn.ReLU().weight
    assert not hasattr(nn.ReLU(), "weight")
