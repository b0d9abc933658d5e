"""Attention: closed forms, masks, the twin, and what it refuses."""

import math

import numpy as np
import pytest
from oracle import relative_error

import fastnn
from fastnn import _memory, _native, nn, reference
from fastnn import functional as F
from fastnn.autograd.observer import Observer, observing
from fastnn.functional.attention import attend


def three(rng, *leading, queries=4, keys=5, features=6, values=3):
    shapes = (queries, features), (keys, features), (keys, values)
    return [rng.standard_normal((*leading, *shape)) for shape in shapes]


# ---- scaled_dot_product_attention ------------------------------------------------------------------------------------
def test_attention_of_equal_keys_is_the_mean_of_the_values(rng):
    query, _, value = three(rng)
    y = F.scaled_dot_product_attention(query, np.ones((5, 6)), value)
    np.testing.assert_allclose(y, np.tile(value.mean(0), (4, 1)), rtol=1e-13)


def test_attention_by_hand():
    """Scores of 0 and log 3 give weights of 1/4 and 3/4."""
    key = np.array([[0.0], [math.log(3)]])
    y = F.scaled_dot_product_attention(np.ones((1, 1)), key, np.array([[0.0, 4.0], [8.0, 4.0]]))
    np.testing.assert_allclose(y, [[6.0, 4.0]], rtol=1e-14)


def test_attention_to_one_far_key_picks_its_value(rng):
    _, _, value = three(rng, keys=4)
    y = F.scaled_dot_product_attention(1e4 * np.eye(4), np.eye(4), value)
    np.testing.assert_array_equal(y, value)


def test_attention_scale_replaces_the_root(rng):
    query, key, value = three(rng)
    expected = F.scaled_dot_product_attention(query, key, value)
    np.testing.assert_array_equal(
        F.scaled_dot_product_attention(query, key, value, scale=1 / math.sqrt(6)), expected
    )  # fmt: skip
    y = F.scaled_dot_product_attention(query, key, value, scale=0.0)
    np.testing.assert_allclose(y, np.tile(value.mean(0), (4, 1)), rtol=1e-13)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_attention_with_is_causal_does_not_see_what_comes(leading, rng):
    query, key, value = three(rng, *leading, queries=5)
    y = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    np.testing.assert_allclose(y[..., 0, :], value[..., 0, :], rtol=1e-15)
    key[..., 3:, :], value[..., 3:, :] = 9, 9
    changed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    np.testing.assert_array_equal(changed[..., :3, :], y[..., :3, :])
    assert not np.array_equal(changed[..., 3:, :], y[..., 3:, :])


def test_attention_that_sees_nothing_is_zero_and_so_is_its_gradient(rng):
    query, key, value = (fastnn.tensor(x, requires_grad=True) for x in three(rng))
    mask = rng.random((4, 5)) < 0.5
    mask[1], mask[0, 0] = False, True
    for given in (mask, np.where(mask, 0.0, -np.inf)):
        y = F.scaled_dot_product_attention(query, key, value, given)
        assert not y.data[1].any()
        y.sum().backward()
        assert not query.grad[1].any()
        assert np.isfinite(key.grad).all()
        query.grad = None


def test_attention_mask_of_numbers_has_a_gradient(rng):
    """A learned bias of positions."""
    query, key, value = three(rng, 2)
    bias = fastnn.tensor(np.zeros((4, 5)), requires_grad=True)
    y = F.scaled_dot_product_attention(query, key, value, bias)
    np.testing.assert_array_equal(y.data, F.scaled_dot_product_attention(query, key, value))
    y.sum().backward()
    assert bias.grad.shape == (4, 5)
    np.testing.assert_allclose(bias.grad.sum(axis=1), 0, atol=1e-13)  # softmax does not see what is added to all


@pytest.mark.parametrize("mask", [None, "bool", "float"])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_attention_agrees_with_its_twin(isa, threads, leading, mask, dtype, rng):
    arrays = [x.astype(dtype) for x in three(rng, *leading, queries=20, keys=30, features=40)]
    given = None
    if mask is not None:
        given = rng.random((20, 30)) < 0.5
        given[3] = False
        given = given if mask == "bool" else np.where(given, rng.standard_normal((20, 30)), -np.inf).astype(dtype)
    actual = F.scaled_dot_product_attention(*arrays, given)
    expected = reference.scaled_dot_product_attention(*arrays, given)
    assert actual.dtype == expected.dtype == dtype
    assert relative_error(actual, expected) < 20 * np.finfo(dtype).eps


def test_attention_is_the_same_bits_for_any_number_of_threads(rng):
    arrays = [x.astype(np.float32) for x in three(rng, 3, queries=40, keys=50, features=32, values=33)]
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        tensors = [fastnn.tensor(x, requires_grad=True) for x in arrays]
        y = F.scaled_dot_product_attention(*tensors)
        (y * y).sum().backward()
        results.append([y.data.tobytes(), *(t.grad.tobytes() for t in tensors)])
    assert results[0] == results[1] == results[2]


def test_attention_dropout_keeps_the_mean(rng):
    query, key, value = three(rng, queries=2000)
    y = F.scaled_dot_product_attention(0 * query, key, np.ones_like(value), dropout_p=0.5)
    assert len(np.unique(y[:, 0].round(9))) == 6  # how many of five weights are kept
    assert abs(y.mean() - 1) < 0.05
    assert not F.scaled_dot_product_attention(query, key, value, dropout_p=1.0).any()


# ---- at once, in C ---------------------------------------------------------------------------------------------------
LAYOUTS = {
    "dense": lambda x: x,
    "places before heads": lambda x: np.ascontiguousarray(x.swapaxes(-2, -3)).swapaxes(-2, -3),
    "part of more": lambda x: np.concatenate([x, x], -1)[..., : x.shape[-1]],
    "features apart": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "backwards": lambda x: np.ascontiguousarray(x[..., ::-1, :])[..., ::-1, :],
    "read-only": lambda x: np.broadcast_to(x, x.shape),
}


def by_parts(arrays, scale, is_causal, dy):
    """The result and the gradients of the operations one by one."""
    q, k, v = (fastnn.tensor(x, requires_grad=True) for x in arrays)
    allowed = np.tri(q.shape[-2], k.shape[-2], dtype=bool) if is_causal else None
    y, _ = attend(q, k, v, allowed, None, 0.0, scale)
    y.backward(dy)
    return y.data, q.grad, k.grad, v.grad


def at_once(arrays, scale, is_causal, dy):
    q, k, v = (fastnn.tensor(x, requires_grad=True) for x in arrays)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=is_causal, scale=scale)
    y.backward(dy)
    return y.data, q.grad, k.grad, v.grad


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("leading", "queries", "keys", "features", "values"),
    [((), 1, 1, 1, 1), ((2,), 7, 5, 3, 4), ((2, 3), 97, 130, 20, 70), ((1, 2), 200, 40, 64, 64),
     ((2, 1, 2), 5, 9, 8, 8), ((1,), 30, 3000, 16, 17), ((), 300, 310, 130, 8)],
)  # fmt: skip
def test_attention_at_once_has_the_bits_of_its_parts(
    isa, threads, leading, queries, keys, features, values, dtype, is_causal, rng
):
    arrays = three(rng, *leading, queries=queries, keys=keys, features=features, values=values)
    arrays = [x.astype(dtype) for x in arrays]
    dy = rng.standard_normal((*leading, queries, values)).astype(dtype)
    expected, actual = by_parts(arrays, 0.3, is_causal, dy), at_once(arrays, 0.3, is_causal, dy)
    for e, a in zip(expected, actual, strict=True):
        assert a.dtype == dtype
        np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_attention_takes_arrays_as_they_lie(layout, rng):
    arrays = three(rng, 2, 3, queries=6, keys=7)
    dy = rng.standard_normal((2, 3, 6, 3))
    expected = at_once(arrays, 0.5, False, dy)
    lying = [LAYOUTS[layout](x) for x in (*arrays, dy)]
    for e, a in zip(expected, at_once(lying[:3], 0.5, False, lying[3]), strict=True):
        np.testing.assert_array_equal(a, e)


def test_attention_copies_nothing_of_a_layer_that_computes_all_heads_in_one(rng):
    x = fastnn.tensor(rng.standard_normal((2, 9, 3 * 4 * 8)).astype(np.float32), requires_grad=True)
    seen = []

    class Watcher(Observer):
        def kernel(self, name, plan=None):
            seen.append(name)

        def copied(self, purpose, copy):
            seen.append(purpose)

    with observing(Watcher()):
        q, k, v = x.reshape(2, 9, 3, 4, 8).transpose(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(q, k, v)
        y = heads.swapaxes(1, 2).reshape(2, 9, 32)
        y.backward(np.ones((2, 9, 32), np.float32))
    assert seen == ["attention_forward", "attention_backward"]
    assert np.shares_memory(y.data, heads.data)


def test_attention_at_once_gives_only_the_gradients_that_are_wanted(rng):
    arrays = three(rng, 2)
    for wanted in range(1, 8):
        inputs = [fastnn.tensor(x, requires_grad=bool(wanted >> i & 1)) for i, x in enumerate(arrays)]
        F.scaled_dot_product_attention(*inputs).sum().backward()
        assert [x.grad is not None for x in inputs] == [bool(wanted >> i & 1) for i in range(3)]


def test_attention_in_a_layer_without_weights_is_the_same(rng):
    layer = nn.MultiheadAttention(12, 3, batch_first=True)
    x = rng.standard_normal((2, 5, 12)).astype(np.float32)
    (y, weights), (other, none) = layer(x, x, x), layer(x, x, x, need_weights=False)
    assert none is None
    assert weights.shape == (2, 5, 5)
    np.testing.assert_array_equal(y, other)


@pytest.mark.parametrize(
    "shapes",
    [((1, 2, 3, 4), (1, 2, 5, 3), (1, 2, 5, 6)), ((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 6, 6)),
     ((1, 2, 0, 4), (1, 2, 5, 4), (1, 2, 5, 6)), ((1, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 6)),
     ((1, 2, 3, 4), (1, 2, 5, 4), (1, 1, 5, 6))],
)  # fmt: skip
def test_attention_binding_refuses_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="attention: shapes do not fit"):
        _native.attention_workspace("float32", False, *shapes, 1)


def test_attention_binding_refuses_what_would_crash():
    q, k, v, y = (np.ones((1, 2, rows, size), np.float32) for rows, size in ((3, 4), (5, 4), (5, 6), (3, 6)))
    needed = _native.attention_workspace("float32", False, q.shape, k.shape, v.shape, 1)
    room = _memory.empty((1 << 20,), np.uint8)[:needed]
    _native.attention_forward(q, k, v, 1.0, False, y, room, 1)
    with pytest.raises(ValueError, match="workspace of"):
        _native.attention_forward(q, k, v, 1.0, False, y, room[:-64], 1)
    with pytest.raises(ValueError, match="n_threads must be at least 1"):
        _native.attention_forward(q, k, v, 1.0, False, y, room, 0)
    with pytest.raises(ValueError, match="shapes do not fit"):
        _native.attention_forward(q, k, v, 1.0, False, y[..., :5].copy(), room, 1)
    with pytest.raises(ValueError, match="features must lie side by side"):
        _native.attention_forward(np.repeat(q, 2, 3)[..., ::2], k, v, 1.0, False, y, room, 1)
    with pytest.raises(OverflowError, match="does not fit"):
        _native.attention_workspace("float32", True, (1, 1, 1, 2**40), (1, 1, 2**40, 2**40), (1, 1, 2**40, 1), 1)


# ---- MultiheadAttention ----------------------------------------------------------------------------------------------
def test_attention_layer_is_heads_of_attention_side_by_side(rng):
    layer = nn.MultiheadAttention(6, 2, batch_first=True).astype(np.float64)
    for parameter in layer.parameters():
        parameter.data[...] = rng.standard_normal(parameter.shape)
    query, key = rng.standard_normal((3, 4, 6)), rng.standard_normal((3, 5, 6))
    w, b = layer.in_proj_weight.data, layer.in_proj_bias.data
    q, k, v = (x @ w[i : i + 6].T + b[i : i + 6] for x, i in ((query, 0), (key, 6), (key, 12)))
    heads = [
        reference.scaled_dot_product_attention(q[..., i : i + 3], k[..., i : i + 3], v[..., i : i + 3]) for i in (0, 3)
    ]
    expected = np.concatenate(heads, axis=2) @ layer.out_proj.weight.data.T + layer.out_proj.bias.data
    y, weights = layer(query, key, key)
    assert relative_error(y, expected) < 1e-14
    np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-13)
    _, apart = layer(query, key, key, average_attn_weights=False)
    assert apart.shape == (3, 2, 4, 5)
    np.testing.assert_allclose(apart.mean(axis=1), weights, rtol=1e-14)


def test_attention_layer_of_a_sequence_to_itself_adds_up_its_gradients(rng):
    layer = nn.MultiheadAttention(6, 2).astype(np.float64)
    x = fastnn.tensor(rng.standard_normal((4, 3, 6)), requires_grad=True)
    y, _ = layer(x, x, x)
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    expected = x.grad
    layer(x.data, x.data, x.data)
    parts = layer.backward((dy, None))
    np.testing.assert_allclose(sum(parts), expected, rtol=1e-12, atol=1e-14)


def test_attention_layer_without_weights_takes_one_gradient(rng):
    layer, x = nn.MultiheadAttention(6, 2), rng.standard_normal((4, 3, 6)).astype(np.float32)
    y, weights = layer(x, x, x, need_weights=False)
    assert weights is None
    dy = rng.standard_normal(y.shape).astype(np.float32)
    first = layer.backward(dy)
    layer(x, x, x, need_weights=False)
    for a, b in zip(layer.backward((dy, None)), first, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_attention_layer_hides_padding(kind, rng):
    layer = nn.MultiheadAttention(6, 2).astype(np.float64)
    query, key = rng.standard_normal((4, 2, 6)), rng.standard_normal((5, 2, 6))
    padding = np.array([[False, False, False, True, True], [False] * 5])
    mask = padding if kind == "bool" else np.where(padding, -np.inf, 0.0)
    y, weights = layer(query, key, key, mask)
    assert not weights[0, :, 3:].any()
    short, _ = layer(query[:, :1], key[:3, :1], key[:3, :1])
    np.testing.assert_allclose(y[:, :1], short, rtol=1e-13, atol=1e-15)
    key[3:, 0] = 1e3
    np.testing.assert_array_equal(layer(query, key, key, mask)[0], y)


def test_attention_layer_with_nothing_to_see_gives_the_bias_alone(rng):
    layer, x = nn.MultiheadAttention(6, 2), rng.standard_normal((4, 1, 6)).astype(np.float32)
    layer.out_proj.bias.data[...] = np.arange(6)
    y, weights = layer(x, x, x, np.ones((1, 4), bool))
    np.testing.assert_array_equal(y, np.broadcast_to(np.arange(6), y.shape))
    assert not weights.any()


def test_attention_layer_drops_weights_in_training_only(rng):
    layer, x = nn.MultiheadAttention(6, 2, dropout=0.5), rng.standard_normal((4, 3, 6)).astype(np.float32)
    assert (layer(x, x, x, average_attn_weights=False)[1] == 0).any()
    layer.eval()
    np.testing.assert_array_equal(layer(x, x, x)[0], layer(x, x, x)[0])


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(("n", "queries", "keys"), [(0, 4, 5), (2, 0, 5), (2, 4, 0), (0, 0, 0)])
def test_attention_layer_of_nothing_gives_what_shapes_say(n, queries, keys, backend):
    layer = nn.MultiheadAttention(6, 2, batch_first=True)
    query, key = np.zeros((n, queries, 6), np.float32), np.zeros((n, keys, 6), np.float32)
    with fastnn.backend(backend):
        y, weights = layer(query, key, key, np.zeros((n, keys), bool), is_causal=True)
        gradients = layer.backward((y, weights))
    assert (y.shape, weights.shape) == (query.shape, (n, queries, keys))
    assert [gradient.shape for gradient in gradients] == [query.shape, key.shape, key.shape]
    assert not any(gradient.any() for gradient in gradients)
    assert not y.any()  # no key: nothing to see


X = np.zeros((4, 3, 6), np.float32)
LAYER = nn.MultiheadAttention(6, 2)


ATTEND = F.scaled_dot_product_attention


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LAYER(X[..., :5], X, X), r"query has 5 features, embed_dim is 6. .* query.shape=\(4, 3, 5"),
        (lambda: LAYER(X, X[..., :5], X), r"key has 5 features, kdim is 6. .* key.shape=\(4, 3, 5"),
        (lambda: LAYER(X, X, X[:3]), r"key and value must have the same length .* value.shape=\(3, 3"),
        (lambda: LAYER(X[:, :2], X, X), r"query and key must have the same number of sequences"),
        (lambda: LAYER(X[0], X, X), r"query, key and value need the same number of dimensions"),
        (lambda: LAYER(X[None], X, X), r"query has 4 dimensions, 2 or 3 are needed"),
        (lambda: LAYER(X, X, X.astype(float)), r"dtypes differ"),
        (lambda: LAYER(X, X, X, np.ones((3, 5), bool)), r"key_padding_mask must have shape \(3, 4\)"),
        (lambda: LAYER(X, X, X, attn_mask=np.ones((3, 4), bool)), r"attn_mask must have shape \(4, 4\) or \(6, 4, 4\)"),
        (lambda: LAYER(X, X, X, attn_mask=np.ones((4, 4), int)), r"attn_mask must be of bool or float32"),
        (lambda: LAYER(X, X, X, None, True, np.ones((4, 4), bool), True, True), r"with is_causal"),
        (lambda: LAYER(X, X, X, need_weights="no"), r"need_weights must be True or False"),
        (lambda: nn.MultiheadAttention(6, 4), r"num_heads must divide embed_dim. Received: num_heads=4"),
        (lambda: nn.MultiheadAttention(6, 2, 2.0), r"dropout must be >= 0 and <= 1. Received: 2.0"),
        (lambda: nn.MultiheadAttention(6, 2, add_zero_attn=True), r"add_zero_attn must be False"),
        (lambda: nn.MultiheadAttention(6, 2, kdim=0), r"kdim must be >= 1. Received: 0"),
    ],
)
def test_attention_layer_refuses_by_name(call, words):
    with pytest.raises((ValueError, TypeError), match=f"^MultiheadAttention: {words}"):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ATTEND(X, X[:3], X), r"all axes but the last two"),
        (lambda: ATTEND(X[0, 0], X[0, 0], X[0, 0]), r"all axes but"),
        (lambda: ATTEND(X, X[..., :5], X), r"query and key need the same"),
        (lambda: ATTEND(X, X, X[:, :2]), r"key and value must have"),
        (lambda: ATTEND(X, X, X, X[0, :2, :3]), r"attn_mask must broadcast"),
        (lambda: ATTEND(X, X, X, X[..., :3], 0, True), r"with is_causal"),
        (lambda: ATTEND(X, X, X, dropout_p=2), r"dropout_p must be"),
    ],
)
def test_attention_refuses_by_name(call, words):
    with pytest.raises((ValueError, TypeError), match=f"^scaled_dot_product_attention: {words}"):
        call()


def test_attention_layer_finds_the_marked_place():
    """A task that needs attention: the value at the place that carries the mark."""
    fastnn.manual_seed(0)
    rng = np.random.default_rng(0)
    layer, head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 1)
    first = nn.Linear(2, 8)
    optimizer = fastnn.optim.Adam([p for m in (layer, head, first) for p in m.parameters()], lr=0.01)
    losses = []
    for _ in range(150):
        values, place = rng.standard_normal((32, 6)), rng.integers(0, 6, 32)
        x = np.stack([values, np.eye(6)[place]], axis=2).astype(np.float32)
        x = first(fastnn.tensor(x))
        y = head(layer(x, x, x)[0].mean(axis=1))[:, 0]
        loss = ((y - values[np.arange(32), place].astype(np.float32)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.1 < 0.5 < np.mean(losses[:5])
