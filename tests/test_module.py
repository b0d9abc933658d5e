"""nn.Module: how parameters, buffers and submodules are found, saved, loaded and shown."""

import copy
import pickle

import numpy as np
import pytest

from fastnn import nn


class Scale(nn.Module):
    """A layer in plain NumPy, as users write them."""

    def __init__(self, n=2):
        super().__init__()
        self.weight = nn.Parameter(np.arange(1, n + 1, dtype=np.float32))
        self.register_buffer("count", np.array(0, np.int64))
        self.register_buffer("mean", np.zeros(n, np.float32))

    def forward(self, x):
        self.x = x
        self.count += 1
        return self.weight.data * x

    def backward(self, dy):
        self.weight.add_grad((dy * self.x).sum(axis=0))
        return dy * self.weight.data

    def extra_repr(self):
        return f"n={self.weight.size}"


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Scale()
        self.rest = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), Scale(3))

    def forward(self, x):
        return self.rest(self.first(x))

    def backward(self, dy):
        return self.first.backward(self.rest.backward(dy))


KEYS = [
    "first.weight", "first.count", "first.mean",
    "rest.0.weight", "rest.0.bias",
    "rest.2.weight", "rest.2.count", "rest.2.mean",
]  # fmt: skip


@pytest.fixture
def network():
    return Network()


def snapshot(module):
    return {key: value.copy() for key, value in module.state_dict().items()}


def assert_unchanged(module, before):
    after = module.state_dict()
    assert list(after) == list(before)
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value, err_msg=key)


# ---- registration ----------------------------------------------------------------------------------------------------
def test_module_finds_what_is_assigned(network):
    assert [name for name, _ in network.named_parameters()] == [k for k in KEYS if not k.endswith(("count", "mean"))]
    assert [name for name, _ in network.named_buffers()] == [k for k in KEYS if k.endswith(("count", "mean"))]
    assert [name for name, _ in network.named_children()] == ["first", "rest"]
    assert [name for name, _ in network.named_modules()] == ["", "first", "rest", "rest.0", "rest.1", "rest.2"]
    assert list(network.children()) == [network.first, network.rest]
    assert len(list(network.modules())) == 6
    assert next(network.parameters()) is network.first.weight


def test_module_user_layer_mixes_with_ours(network):
    x = np.array([[1, -2], [3, 4]], np.float32)
    y = network(x)
    dx = network.backward(np.ones_like(y))
    assert dx.shape == x.shape
    assert all(p.grad is not None and p.grad.shape == p.shape for p in network.parameters())
    assert network.first.count == 1
    network.zero_grad()
    assert all(p.grad is None for p in network.parameters())


def test_module_assigning_before_init_is_an_error():
    class Forgetful(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.ones(1))

    with pytest.raises(TypeError, match=r"Forgetful: call super\(\).__init__\(\) before"):
        Forgetful()


def test_module_missing_attribute_is_an_attribute_error(network):
    with pytest.raises(AttributeError, match="'Network' object has no attribute 'second'"):
        _ = network.second


def test_module_without_forward_or_backward_says_so():
    with pytest.raises(TypeError, match=r"Module does not define forward\(\)"):
        nn.Module()(np.ones(1))
    with pytest.raises(RuntimeError, match=r"^Module: backward needs a forward before it"):
        nn.Module().backward(np.ones(1))


def test_module_array_assigned_to_a_parameter_is_an_error_and_changes_nothing(network):
    weight = network.first.weight
    with pytest.raises(TypeError, match=r"Scale.weight is a parameter: assign a Parameter, or an array to weight.data"):
        network.first.weight = np.zeros(2, np.float32)
    assert network.first.weight is weight


def test_module_parameter_can_be_replaced_or_removed(network):
    new = nn.Parameter(np.zeros(2, np.float32))
    network.first.weight = new
    assert next(network.parameters()) is new
    network.first.weight = None
    assert network.first.weight is None
    assert "first.weight" not in network.state_dict()


def test_module_buffer_stays_a_buffer(network):
    network.first.count = network.first.count + 1  # a NumPy scalar, not an array
    assert isinstance(network.first.count, np.ndarray)
    assert network.state_dict()["first.count"] == 1
    with pytest.raises(TypeError, match=r"Scale.count is a buffer: assign an array"):
        network.first.count = "many"
    network.first.count = None
    assert "first.count" not in network.state_dict()


def test_module_name_has_one_meaning_at_a_time():
    m = nn.Module()
    m.thing = 3
    m.thing = nn.Parameter(np.ones(1))
    assert isinstance(m.thing, nn.Parameter)
    m.thing = nn.ReLU()
    assert list(m.parameters()) == []
    assert [name for name, _ in m.named_children()] == ["thing"]
    m.thing = 4
    assert m.thing == 4
    assert list(m.children()) == []


def test_module_deletion_removes_from_all_lists(network):
    del network.first.weight, network.first.count, network.rest
    assert [name for name, _ in network.named_parameters()] == []
    assert list(network.state_dict()) == ["first.mean"]
    with pytest.raises(AttributeError):
        del network.nothing


def test_module_shared_parts_are_given_once_but_saved_for_each_place():
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    assert len(list(model.parameters())) == 2
    assert len(list(model.modules())) == 3
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    model.load_state_dict(model.state_dict())


# ---- modes -----------------------------------------------------------------------------------------------------------
def test_module_train_and_eval_reach_everything(network):
    assert all(m.training for m in network.modules())
    assert network.eval() is network
    assert not any(m.training for m in network.modules())
    assert network.train() is network
    assert all(m.training for m in network.modules())


def test_module_apply_visits_children_first(network):
    seen = []
    assert network.apply(seen.append) is network
    assert seen[-1] is network
    assert len(seen) == 6
    assert seen.index(network.rest[0]) < seen.index(network.rest)


def test_module_requires_grad_reaches_every_parameter(network):
    assert network.requires_grad_(False) is network
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("dtype", [np.float64, "float64", np.float32])
def test_module_astype_converts_floats_only(network, dtype):
    assert network.astype(dtype) is network
    state = network.state_dict()
    assert state["first.count"].dtype == np.int64
    assert all(value.dtype == dtype for key, value in state.items() if not key.endswith("count"))


def test_module_astype_keeps_memory_order():
    conv = nn.Conv2d(3, 4, 3).astype(np.float64)
    assert conv.weight.data.transpose(2, 3, 1, 0).flags.c_contiguous


def test_module_astype_rejects_other_types(network):
    with pytest.raises(TypeError, match="float32 or float64"):
        network.astype(np.float16)


# ---- state -----------------------------------------------------------------------------------------------------------
def test_module_state_dict_has_pytorch_keys_and_copies(network):
    state = network.state_dict()
    assert list(state) == KEYS
    state["first.weight"][...] = 99
    assert not (network.first.weight.data == 99).any()
    assert all(value.flags.c_contiguous for value in state.values())


def test_module_state_round_trip(network):
    other = Network()
    other.first.weight.data *= 5
    other.first.count += 7
    result = network.load_state_dict(other.state_dict())
    assert result == ([], [])
    assert_unchanged(network, snapshot(other))
    x = np.ones((1, 2), np.float32)
    np.testing.assert_array_equal(network(x), other(x))


def test_module_load_copies_and_keeps_dtype_and_memory_order():
    conv = nn.Conv2d(3, 4, 3)
    values = {"weight": np.ones((4, 3, 3, 3)), "bias": np.zeros(4)}  # float64, C order
    conv.load_state_dict(values)
    assert conv.weight.dtype == np.float32
    assert conv.weight.data.transpose(2, 3, 1, 0).flags.c_contiguous
    values["weight"][...] = 5
    assert (conv.weight.data == 1).all()


def test_module_load_names_every_problem_and_changes_nothing(network):
    before = snapshot(network)
    state = {key: value + 1 for key, value in network.state_dict().items()}
    del state["first.weight"], state["rest.0.bias"]
    state["extra"] = np.zeros(1)
    state["rest.0.weight"] = np.zeros((9, 9))
    state["rest.2.mean"] = np.zeros(4)
    state["first.mean"] = np.array(["a", "b"])
    with pytest.raises(ValueError, match=r"Network\.load_state_dict") as error:
        network.load_state_dict(state)
    for words in (
        "missing keys: first.weight, rest.0.bias",
        "unexpected keys: extra",
        "shapes differ: rest.0.weight: (9, 9) given, (3, 2) is needed",
        "rest.2.mean: (4,) given, (3,) is needed",
        "dtypes differ: first.mean: <U1 given, float32 is needed",
    ):
        assert words in str(error.value)
    assert_unchanged(network, before)


def test_module_load_not_strict_takes_what_matches_and_reports_the_rest(network):
    result = network.load_state_dict({"first.weight": np.array([8, 9]), "extra": np.zeros(1)}, strict=False)
    assert result.unexpected_keys == ["extra"]
    assert result.missing_keys == [key for key in KEYS if key != "first.weight"]
    np.testing.assert_array_equal(network.first.weight.data, [8, 9])


def test_module_load_not_strict_still_refuses_wrong_shapes(network):
    before = snapshot(network)
    with pytest.raises(ValueError, match=r"shapes differ: first\.weight"):
        network.load_state_dict({"rest.0.bias": np.ones(3), "first.weight": np.zeros(3)}, strict=False)
    assert_unchanged(network, before)


def test_module_load_takes_the_prefix_of_data_parallel(network):
    state = {"module." + key: value + 1 for key, value in network.state_dict().items()}
    assert network.load_state_dict(state) == ([], [])
    np.testing.assert_array_equal(network.first.weight.data, [2, 3])


def test_module_load_with_a_child_named_module():
    outer = nn.Module()
    outer.module = nn.Linear(2, 2)
    state = {key: value + 1 for key, value in outer.state_dict().items()}
    assert list(state) == ["module.weight", "module.bias"]
    assert outer.load_state_dict(state) == ([], [])
    np.testing.assert_array_equal(outer.module.weight.data, state["module.weight"])


@pytest.mark.parametrize("count", [np.array(5), np.array([5]), np.int64(5), 5])
def test_module_load_takes_a_counter_of_no_or_one_dimension(count):
    layer = Scale()
    layer.load_state_dict({**layer.state_dict(), "count": count})
    assert layer.count.shape == ()
    assert layer.count == 5
    assert layer.count.dtype == np.int64


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_module_copies_are_independent(network, duplicate):
    before = snapshot(network)
    other = duplicate(network)
    assert_unchanged(other, before)
    for p in other.parameters():
        p.data += 1
    assert_unchanged(network, before)


# ---- text ------------------------------------------------------------------------------------------------------------
def test_module_repr_shows_the_tree(network):
    assert repr(network) == "\n".join(
        [
            "Network(",
            "  (first): Scale(n=2)",
            "  (rest): Sequential(",
            "    (0): Linear(in_features=2, out_features=3, bias=True)",
            "    (1): ReLU()",
            "    (2): Scale(n=3)",
            "  )",
            ")",
        ]
    )


# ---- arguments that make no sense ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.train("yes"), r"train: mode must be True or False. Received: 'yes'"),
        (lambda m: m.requires_grad_(None), r"requires_grad_: requires_grad must be True or False. Received: None"),
        (lambda m: m.astype("nonsense"), r"astype: dtype must be float32 or float64. Received: 'nonsense'"),
        (lambda m: m.astype(None), r"astype: dtype must be float32 or float64. Received: None"),
        (lambda m: m.apply(3), r"apply: function must be callable. Received: 3"),
        (lambda m: m.register_buffer(3, None), r"register_buffer: name must be a word without a dot. Received: 3"),
        (
            lambda m: m.register_buffer("a.b", None),
            r"register_buffer: name must be a word without a dot",
        ),
        (lambda m: m.register_buffer("", None), r"register_buffer: name must be a word without a dot"),
        (
            lambda m: m.register_buffer("a", [1.0]),
            r"register_buffer: value must be an array or None. Received",
        ),
        (lambda m: m.register_parameter("a", np.ones(3)), r"register_parameter: value must be a Parameter or None"),
        (lambda m: m.register_parameter("a.b", None), r"register_parameter: name must be a word without a dot"),
        (
            lambda m: m.load_state_dict("same"),
            r"Linear.load_state_dict: state_dict must be a mapping .*'same'",
        ),
        (
            lambda m: m.load_state_dict({3: np.ones(3)}),
            r"Linear.load_state_dict: state_dict must be a mapping of",
        ),
        (
            lambda m: m.load_state_dict({}, "no"),
            r"Linear.load_state_dict: strict must be True or False",
        ),
        (
            lambda m: m.load_state_dict({"weight": [[1.0], [1.0, 2.0]], "bias": np.ones(2)}),
            r"Linear.load_state_dict: 'weight' of state_dict cannot be made an array",
        ),
    ],
)
def test_module_method_names_what_it_refuses(call, words):
    layer = nn.Linear(3, 2)
    before = layer.state_dict()
    with pytest.raises((TypeError, ValueError), match=f"^{words}"):
        call(layer)
    assert layer.training
    assert layer.state_dict().keys() == before.keys()
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_flatten_backward_of_another_shape_says_so():
    layer = nn.Flatten()
    layer(np.zeros((2, 3, 4, 5)))
    for dy in (np.zeros((2, 3, 20)), np.zeros((3, 40)), np.zeros(120), np.zeros((2, 61))):
        with pytest.raises(ValueError, match=r"^Flatten.backward: dy must have shape \(2, 60\). Received: dy.shape="):
            layer.backward(dy)
    with pytest.raises(TypeError, match=r"^Flatten.backward: dy has dtype int64"):
        layer.backward(np.zeros((2, 60), int))


@pytest.mark.parametrize("layer", [nn.Linear(2, 2), nn.ReLU(), nn.Sigmoid(), nn.LayerNorm(2)])
@pytest.mark.parametrize("value", [None, "text", [[1.0], [1.0, 2.0]], 1j, np.array([["a", "b"]], object)])
def test_layer_of_what_is_no_array_names_the_argument(layer, value):
    with pytest.raises((TypeError, ValueError), match=r"^\w+: x (has dtype|cannot be made an array|must be an array)"):
        layer(value)


def test_module_parameter_in_two_places_is_given_once():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    names = [name for name, _ in model.named_parameters()]
    assert names == ["0.weight", "0.bias", "1.bias"]
    assert len(list(model.parameters())) == 3


def test_module_astype_forgets_gradients_of_the_other_dtype():
    layer = nn.Linear(3, 2)
    layer(np.ones((1, 3), np.float32))
    layer.backward(np.ones((1, 2), np.float32))
    layer.astype(np.float64)
    assert layer.weight.grad is None
    assert layer.bias.grad is None
    assert layer.weight.dtype == np.float64
