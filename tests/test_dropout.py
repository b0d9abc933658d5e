"""Dropout: the random words, C against the NumPy twins, the layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import dtypes, from_reference, layouts, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn, reference
from fastnn.reference.dropout import threefry

keys = st.integers(0, 2**64 - 1)
probabilities = st.sampled_from([0.0, 1e-12, 0.1, 0.5, 0.9, 1 - 1e-12, 1.0])


@pytest.mark.parametrize(
    ("word", "words"),
    [  # the known answers for 20 rounds that the authors of Threefry publish, all bits of counter and key 0 or 1
        (0, [0x9C6CA96A, 0xE17EAE66, 0xFC10ECD4, 0x5256A7D8]),
        (2**32 - 1, [0x2A881696, 0x57012287, 0xF6C7446E, 0xA16A6732]),
    ],
)
def test_dropout_generator_gives_the_known_answers(word, words):
    result = threefry([np.array([word], np.uint32)] * 4, [word] * 4, rounds=20)
    assert [int(word[0]) for word in result] == words


@given(n=st.integers(0, 300), p=probabilities, key=keys, dtype=dtypes, seed=seeds)
def test_dropout_equals_reference(isa, n, p, key, dtype, seed):
    x = np.random.default_rng(seed).standard_normal(n).astype(dtype)
    y = F.dropout(x, p, key=key)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, from_reference(F.dropout, x, p, key=key))
    np.testing.assert_array_equal(F.dropout_backward(x, p, key), y)


@given(
    shape=st.tuples(*[st.integers(0, 6)] * 4),
    p=probabilities,
    key=keys,
    dtype=dtypes,
)
def test_dropout_of_images_equals_reference(isa, shape, p, key, dtype):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    for function, backward in ((F.dropout, F.dropout_backward), (F.dropout2d, F.dropout2d_backward)):
        y = function(x, p, key=key)
        np.testing.assert_array_equal(y, from_reference(function, x, p, key=key))
        np.testing.assert_array_equal(backward(x, p, key), y)


def test_dropout_bits_do_not_depend_on_threads(isa, rng):
    x = rng.standard_normal((3, 37, 60, 50)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        results.append((F.dropout(x, 0.3, key=7).tobytes(), F.dropout2d(x, 0.3, key=7).tobytes()))
    assert results[0] == results[1] == results[2]
    assert results[0][0] == from_reference(F.dropout, x, 0.3, key=7).tobytes()


@pytest.mark.parametrize("function", [F.dropout, F.dropout2d])
@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1, 1), np.float32))))
def test_dropout_mask_does_not_depend_on_layout(function, layout, rng):
    x = rng.standard_normal((3, 5, 4, 2)).astype(np.float32)
    given = layouts(x)[layout]
    before = given.copy()
    np.testing.assert_array_equal(function(given, 0.5, key=3), function(x, 0.5, key=3))
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_dropout_drops_with_probability_p_and_keeps_the_mean(p):
    """Within five standard deviations of the binomial distribution."""
    n = 200_000
    y = F.dropout(np.ones(n), p, key=12345)
    deviation = 5 * np.sqrt(p * (1 - p) / n)
    assert abs((y == 0).mean() - p) < deviation
    assert set(np.unique(y)) == {0.0, 1 / (1 - p)}


def test_dropout_words_of_different_keys_and_elements_are_unrelated():
    words = np.stack([reference.random_words(key, 4096) for key in (0, 1, 2**32, 2**63)])
    assert len(np.unique(words)) > 0.999 * words.size
    bits = (words[..., None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1)
    # Each of 32 bits is set in half of 16384 words; five standard deviations are 320.
    assert (abs(bits.sum(axis=(0, 1)).astype(int) - words.size // 2) < 320).all()


def test_dropout_drops_nan_and_infinity():
    x = np.full(64, np.nan)
    x[32:] = np.inf
    y = F.dropout(x, 0.5, key=1)
    mask = F.dropout(np.ones(64), 0.5, key=1) == 0
    assert mask.any()
    assert (y[mask] == 0).all()
    assert not np.isfinite(y[~mask]).any()
    assert (F.dropout(x, 1.0, key=1) == 0).all()


def test_dropout2d_drops_whole_channels(isa, rng):
    x = rng.standard_normal((8, 19, 3, 5)).astype(np.float32) + 10
    y = F.dropout2d(x, 0.4, key=2)
    dropped = (y == 0).reshape(8, 19, -1)
    assert (dropped.all(axis=2) == dropped.any(axis=2)).all()
    assert 0.2 < dropped.mean() < 0.6
    np.testing.assert_array_equal(y[y != 0], (x * np.float32(1 / 0.6))[y != 0])


@pytest.mark.parametrize("layer_class", [nn.Dropout, nn.Dropout2d])
def test_dropout_layer_backward_uses_the_mask_of_forward(layer_class, rng):
    x, dy = rng.standard_normal((2, 4, 3, 5, 2)).astype(np.float32)
    layer = layer_class(0.5)
    y = layer(x)
    dx = layer.backward(dy)
    np.testing.assert_array_equal(y == 0, dx == 0)
    np.testing.assert_array_equal(dx[y != 0], 2 * dy[y != 0])
    assert (layer(x) != y).any()  # a new mask for each forward pass
    layer.eval()
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer.backward(dy), dy)
    assert repr(layer) == f"{layer_class.__name__}(p=0.5)"


@pytest.mark.parametrize("layer_class", [nn.Dropout, nn.Dropout2d])
def test_dropout_layer_extremes(layer_class):
    x = np.ones((2, 3, 4, 5))
    never, always = layer_class(0.0), layer_class(1.0)
    np.testing.assert_array_equal(never(x), x)
    np.testing.assert_array_equal(never.backward(x), x)
    assert (always(x) == 0).all()
    assert (always.backward(x) == 0).all()


def test_dropout_seed_selects_the_masks():
    x = np.ones(1000, np.float32)
    masks = []
    for seed in (1, 1, 2):
        fastnn.manual_seed(seed)
        masks.append(nn.Dropout(0.5)(x))
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()


def test_dropout_without_training_is_the_identity():
    x = np.ones((2, 3, 4, 5), np.float32)
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout2d(x, 0.5, training=False) is x


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_dropout_rejects_bad_probabilities(p):
    x = np.ones((2, 3, 4, 5), np.float32)
    for call in (
        lambda: F.dropout(x, p),
        lambda: F.dropout2d(x, p),
        lambda: F.dropout_backward(x, p, 0),
        lambda: nn.Dropout(p),
        lambda: nn.Dropout2d(p),
    ):
        with pytest.raises(ValueError, match=r"p must be >= 0 and <= 1\. Received: "):
            call()


def test_dropout_rejects_bad_arrays_and_keys():
    with pytest.raises(TypeError, match="dropout: x has dtype int64"):
        F.dropout(np.arange(3))
    with pytest.raises(ValueError, match="dropout2d: x has 2 dimensions, 4 are needed"):
        F.dropout2d(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"key must be [<>]="):
        F.dropout(np.ones(3), 0.5, key=2**64)
