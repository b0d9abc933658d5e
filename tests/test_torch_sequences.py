"""Layers of sequences against PyTorch, with exchanged weights: results, gradients and keys of the state."""

import numpy as np
import pytest
import torch
from torch.nn import functional as TF

import fastnn
from fastnn import functional as F
from fastnn import nn

pytestmark = pytest.mark.torch


def as_torch(value):
    """Tensors for arrays, which have gradients if they are floats."""
    if isinstance(value, tuple):
        return tuple(map(as_torch, value))
    if not isinstance(value, np.ndarray):
        return value
    return torch.tensor(value, requires_grad=value.dtype.kind == "f")


def flat(value):
    if isinstance(value, tuple):
        return [item for part in value for item in flat(part)]
    return [] if value is None else [value]


def close(actual, expected, what):
    """Equal to 1e-10, or, in float32, to what both round."""
    expected = expected.detach().numpy()
    assert actual.shape == expected.shape, what
    assert actual.dtype == expected.dtype, what
    tolerance = 1e-10 if expected.dtype == np.float64 else 2e-5
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance, err_msg=what)


def twins(name, *args, dtype=np.float64, **kwargs):
    """Our layer and PyTorch's with the weights of ours."""
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
    state = ours.astype(dtype).state_dict()
    expected = theirs.state_dict()
    assert list(state) == list(expected)
    assert [v.shape for v in state.values()] == [tuple(v.shape) for v in expected.values()]
    theirs.to(torch.float64 if dtype == np.float64 else torch.float32)
    theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    return ours, theirs


def agree(ours, theirs, inputs, rng, **keywords):
    """The same results, and the same gradients for random ones with respect to the results."""
    given = as_torch(inputs)
    y, y_torch = ours(*inputs, **keywords), theirs(*given, **keywords)
    results, results_torch = flat(y), flat(y_torch)
    assert len(results) == len(results_torch)
    for index, (a, b) in enumerate(zip(results, results_torch, strict=True)):
        close(a, b, f"result {index}")
    grads = iter([rng.standard_normal(a.shape).astype(a.dtype) for a in results])

    def gradients(value):
        if isinstance(value, tuple):
            return tuple(map(gradients, value))
        return None if value is None else next(grads)

    dy = gradients(y)
    dx = flat(ours.backward(dy))
    torch.autograd.backward(results_torch, [torch.tensor(d) for d in flat(dy)])
    leaves = [leaf for leaf in flat(given) if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
    assert len(dx) == len(leaves)
    for index, (a, leaf) in enumerate(zip(dx, leaves, strict=True)):
        close(a, torch.zeros_like(leaf) if leaf.grad is None else leaf.grad, f"gradient of input {index}")
    for (key, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        close(a.grad, b.grad, f"gradient of {key}")


# ---- recurrent -------------------------------------------------------------------------------------------------------
SETTINGS = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"bidirectional": True},
    {"num_layers": 3},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
]
KINDS = [("LSTM", {}), ("GRU", {}), ("RNN", {}), ("RNN", {"nonlinearity": "relu"})]


def states(name, shape, rng):
    h = rng.standard_normal(shape)
    return (h, rng.standard_normal(shape)) if name.startswith("LSTM") else h


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize(("name", "more"), KINDS, ids=str)
@pytest.mark.parametrize("with_states", [False, True])
def test_torch_recurrent_layer_agrees(name, more, settings, with_states, rng):
    ours, theirs = twins(name, 5, 4, **settings, **more)
    inputs = (rng.standard_normal((6, 3, 5)),)
    if with_states:
        n = inputs[0].shape[0 if settings.get("batch_first") else 1]
        layers = settings.get("num_layers", 1) * (2 if settings.get("bidirectional") else 1)
        inputs += (states(name, (layers, n, 4), rng),)
    agree(ours, theirs, inputs, rng)


@pytest.mark.parametrize(("name", "more"), KINDS, ids=str)
def test_torch_recurrent_layer_of_one_sequence_agrees(name, more, rng):
    ours, theirs = twins(name, 5, 4, bidirectional=True, batch_first=True, **more)
    agree(ours, theirs, (rng.standard_normal((6, 5)), states(name, (2, 4), rng)), rng)


@pytest.mark.parametrize(("name", "more"), KINDS, ids=str)
def test_torch_recurrent_layer_in_float32_agrees(name, more, rng):
    ours, theirs = twins(name, 20, 33, dtype=np.float32, **more)
    agree(ours, theirs, (rng.standard_normal((17, 4, 20)).astype(np.float32),), rng)


@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize("shape", [(3,), ()])
@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "RNNCell"])
def test_torch_recurrent_cell_agrees(name, shape, with_states, rng):
    ours, theirs = twins(name, 5, 4)
    inputs = (rng.standard_normal((*shape, 5)),)
    if with_states:
        inputs += (states(name, (*shape, 4), rng),)
    agree(ours, theirs, inputs, rng)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN", "LSTMCell"])
def test_torch_recurrent_layer_begins_with_the_same_distribution(name):
    fastnn.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = getattr(nn, name)(30, 64).state_dict(), getattr(torch.nn, name)(30, 64).state_dict()
    for key, value in ours.items():
        expected = theirs[key].numpy()
        assert abs(np.abs(value).max() * 8 - 1) < 20 / value.size + 1e-3, key
        assert abs(value.std() / expected.std() - 1) < 5 / np.sqrt(value.size), key


# ---- embedding -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("padding_idx", [None, 0, 3, -1])
def test_torch_embedding_agrees(padding_idx, dtype, rng):
    ours, theirs = twins("Embedding", 7, 3, padding_idx)
    assert ours.padding_idx == theirs.padding_idx
    agree(ours, theirs, (rng.integers(0, 7, (4, 9)).astype(dtype),), rng)


def test_torch_embedding_begins_with_the_same_distribution():
    fastnn.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = nn.Embedding(200, 50, padding_idx=2).weight.data, torch.nn.Embedding(200, 50, padding_idx=2).weight
    assert not ours[2].any()
    assert not theirs[2].detach().numpy().any()
    assert abs(ours.std() / theirs.detach().numpy().std() - 1) < 0.03


# ---- attention -------------------------------------------------------------------------------------------------------
def three(rng, batch_first=False, sizes=(6, 6, 6)):
    lengths = (4, 5, 5)
    return tuple(
        rng.standard_normal((3, length, size) if batch_first else (length, 3, size))
        for length, size in zip(lengths, sizes, strict=True)
    )


@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"batch_first": True}, {"kdim": 5}, {"kdim": 4, "vdim": 7}])
@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
def test_torch_attention_layer_agrees(settings, average, need_weights, rng):
    ours, theirs = twins("MultiheadAttention", 6, 2, **settings)
    if ours.in_proj_bias is not None:  # zeros at first, which would hide it
        ours.in_proj_bias.data[...] = rng.standard_normal(18)
        theirs.load_state_dict({key: torch.tensor(value) for key, value in ours.state_dict().items()})
    inputs = three(rng, settings.get("batch_first", False), (6, settings.get("kdim", 6), settings.get("vdim", 6)))
    agree(ours, theirs, inputs, rng, need_weights=need_weights, average_attn_weights=average)


@pytest.mark.parametrize("kind", ["bool", "float"])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(
    ("padding", "pairs"), [(True, None), (False, "all"), (False, "each"), (True, "all"), (True, "each")], ids=str
)
def test_torch_attention_layer_agrees_with_masks(kind, need_weights, padding, pairs, rng):
    ours, theirs = twins("MultiheadAttention", 6, 2)

    def mask(*shape):
        hidden = rng.random(shape) < 0.3
        hidden[..., 0] = False  # nobody sees nothing
        return hidden if kind == "bool" else np.where(hidden, -np.inf, rng.standard_normal(shape))

    masks = {}
    if padding:
        masks["key_padding_mask"] = mask(3, 5)
    if pairs:
        masks["attn_mask"] = mask(4, 5) if pairs == "all" else mask(6, 4, 5)
    inputs = three(rng)
    given = as_torch(inputs)
    y, weights = ours(*inputs, need_weights=need_weights, **masks)
    y_torch, weights_torch = theirs(*given, need_weights=need_weights, **{k: torch.tensor(m) for k, m in masks.items()})
    close(y, y_torch, "y")
    dy = rng.standard_normal(y.shape)
    if need_weights:
        close(weights, weights_torch, "weights")
    gradients = ours.backward((dy, None))
    y_torch.backward(torch.tensor(dy))
    for a, leaf in zip(gradients, given, strict=False):  # float masks come after them
        close(a, leaf.grad, "gradient")


def test_torch_attention_layer_with_one_sequence_and_causal_agrees(rng):
    ours, theirs = twins("MultiheadAttention", 6, 3)
    x = rng.standard_normal((5, 6))
    hidden = np.triu(np.ones((5, 5), bool), 1)
    y, weights = ours(x, x, x, is_causal=True)
    given = torch.tensor(x)
    y_torch, weights_torch = theirs(given, given, given, attn_mask=torch.tensor(hidden), is_causal=True)
    close(y, y_torch, "y")
    close(weights, weights_torch, "weights")


def test_torch_attention_layer_begins_with_the_same_distribution():
    fastnn.manual_seed(0)
    torch.manual_seed(0)
    for sizes in ({}, {"kdim": 40, "vdim": 30}):
        ours = nn.MultiheadAttention(48, 4, **sizes).state_dict()
        theirs = torch.nn.MultiheadAttention(48, 4, **sizes).state_dict()
        for key, value in ours.items():
            expected = theirs[key].numpy()
            if not expected.any():
                assert not value.any(), key
                continue
            assert abs(np.abs(value).max() / np.abs(expected).max() - 1) < 0.02, key
            assert abs(value.std() / expected.std() - 1) < 5 / np.sqrt(value.size), key


@pytest.mark.parametrize("mask", [None, "bool", "float", "broadcast", "causal"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("scale", [None, 0.3])
def test_torch_scaled_dot_product_attention_agrees(mask, shape, scale, rng):
    arrays = [rng.standard_normal((*shape, *size)) for size in ((4, 6), (5, 6), (5, 2))]
    keywords, keywords_torch = {"scale": scale}, {"scale": scale}
    if mask == "causal":
        keywords["is_causal"] = keywords_torch["is_causal"] = True
    elif mask is not None:
        array = rng.random((4, 5) if mask == "broadcast" else (*shape, 4, 5)) < 0.7
        if mask == "float":
            array = np.where(array, rng.standard_normal(array.shape), -np.inf)
        if mask == "broadcast":
            array[1] = False  # sees nothing, which is 0
        keywords["attn_mask"], keywords_torch["attn_mask"] = array, torch.tensor(array)
    ours = [fastnn.tensor(array, requires_grad=True) for array in arrays]
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    y = F.scaled_dot_product_attention(*ours, **keywords)
    y_torch = TF.scaled_dot_product_attention(*theirs, **keywords_torch)
    close(y.data, y_torch, "result")
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    y_torch.backward(torch.tensor(dy))
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad, "gradient")


# ---- pointwise, at the bends -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["hardswish", "hardsigmoid", "hardtanh", "relu6", "mish"])
def test_torch_activation_has_the_same_slope_at_its_bends(name):
    x = np.array([-4, -3, -1, -0.0, 0, 0.5, 1, 3, 6, 7, 100, -100, np.nan, np.inf])
    ours, theirs = fastnn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, y_torch = getattr(F, name)(ours), getattr(TF, name)(theirs)
    np.testing.assert_allclose(y.data, y_torch.detach().numpy(), rtol=1e-14, atol=1e-300)
    y.backward(np.ones_like(x))
    y_torch.backward(torch.ones(len(x), dtype=torch.float64))
    # PyTorch rounds the 1 / 6 of hardsigmoid to float32.
    tolerance = 1e-7 if name == "hardsigmoid" else 1e-14
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=tolerance, atol=1e-300)
