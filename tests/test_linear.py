"""The fully connected layer: C against the NumPy twin, gradients against finite differences."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn
from fastnn.autograd import Observer, observing
from fastnn.functional.linear import Linear


@given(
    n=st.integers(0, 30),
    features=st.tuples(st.integers(1, 130), st.integers(1, 70)),
    dtype=dtypes,
    seed=seeds,
    order=st.sampled_from("CF"),
)
def test_linear_matches_reference(isa, n, features, dtype, seed, order):
    rng = np.random.default_rng(seed)
    x, weight, bias = (rng.standard_normal(s).astype(dtype) for s in ((n, features[0]), features[::-1], features[1:]))
    weight = np.asarray(weight, order=order)
    dy = rng.standard_normal((n, features[1])).astype(dtype)
    magnitude = from_reference(F.linear, np.abs(x), np.abs(weight), np.abs(bias))
    assert_close(F.linear(x, weight, bias), from_reference(F.linear, x, weight, bias), features[0], magnitude)
    actual = F.linear_backward(dy, x, weight)
    expected = from_reference(F.linear_backward, dy, x, weight)
    magnitude = from_reference(F.linear_backward, np.abs(dy), np.abs(x), np.abs(weight))
    for a, e, m, terms in zip(actual, expected, magnitude, (features[1], n, n), strict=True):
        assert_close(a, e, terms, m)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("features", [(1, 1), (9, 17), (64, 16), (65, 33), (520, 5), (1029, 70)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_linear_of_few_rows_matches_reference_and_does_not_depend_on_threads(isa, order, features, dtype, rng):
    """Around the rows below which weights are read in the order of memory; with one to eight parts of the depth."""
    weight, bias = rng.standard_normal(features[::-1]).astype(dtype), rng.standard_normal(features[1]).astype(dtype)
    weight = np.asarray(weight, order=order)
    for rows in (1, 2, 15, 16, 17):
        x = rng.standard_normal((rows, features[0])).astype(dtype)
        magnitude = from_reference(F.linear, np.abs(x), np.abs(weight), np.abs(bias))
        results = []
        for n in (1, 2, 3):
            fastnn.set_num_threads(n)
            results.append(F.linear(x, weight, bias))
        assert_close(results[0], from_reference(F.linear, x, weight, bias), features[0], magnitude)
        np.testing.assert_array_equal(results[0], results[1])
        np.testing.assert_array_equal(results[0], results[2])


def test_linear_gradients_match_finite_differences(isa, rng):
    x, weight, bias = rng.standard_normal((5, 7)), rng.standard_normal((3, 7)), rng.standard_normal(3)
    dy = rng.standard_normal((5, 3))
    gradients = F.linear_backward(dy, x, weight)
    for array, gradient in zip((x, weight, bias), gradients, strict=True):
        numeric = numeric_gradient(lambda: F.linear(x, weight, bias), array, dy, step=1e-2)
        assert relative_error(gradient, numeric) < 1e-8


def test_linear_bits_do_not_depend_on_threads(isa, rng):
    x = rng.standard_normal((1000, 300)).astype(np.float32)
    weight = rng.standard_normal((200, 300)).astype(np.float32)
    results = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        y = F.linear(x, weight)
        results.append([y, *F.linear_backward(np.sin(y), x, weight)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1), np.float32))))
def test_linear_accepts_any_layout_and_changes_none(layout, rng):
    x, weight = rng.standard_normal((6, 5)), rng.standard_normal((4, 5))
    given = [layouts(array)[layout] for array in (x, weight)]
    before = [array.copy() for array in given]
    np.testing.assert_array_equal(F.linear(*given), F.linear(x, weight))
    for a, b in zip(given, before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((np.float64(1), np.zeros((5, 4))), ValueError, r"x has 0 dimensions, .*Received: x.shape=\(\)"),
        (
            (np.zeros((2, 3)), np.zeros((5, 4))),
            ValueError,
            r"x has 3 features, weight expects 4. Received: x.shape=\(2",
        ),
        ((np.zeros((2, 4)), np.zeros((5, 4)), np.zeros(4)), ValueError, r"bias needs 5 values"),
        ((np.zeros((2, 4)), np.zeros((5, 4), np.float32)), TypeError, r"dtypes differ"),
        ((np.zeros((2, 0)), np.zeros((5, 0))), ValueError, r"weight must not be empty"),
    ],
)
def test_linear_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match="linear: " + words):
        F.linear(*arguments)


def test_linear_layer_gives_the_gradients_of_its_function(rng):
    layer = nn.Linear(6, 4)
    x = rng.standard_normal((3, 6)).astype(np.float32)
    dy = rng.standard_normal(layer(x).shape).astype(np.float32)
    expected = F.linear_backward(dy, x, layer.weight.data)
    np.testing.assert_array_equal(layer.backward(dy), expected[0])
    np.testing.assert_array_equal(layer.weight.grad, expected[1])
    np.testing.assert_array_equal(layer.bias.grad, expected[2])
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert nn.Linear(6, 4, bias=False).bias is None


# ---- by tensors and by the operation ---------------------------------------------------------------------------------
def leaves(*arrays):
    return [fastnn.tensor(array, requires_grad=True) for array in arrays]


def rows(shape, rng, dtype=np.float32):
    """x of this shape, weight, bias, and dy."""
    shapes = shape, (4, shape[-1]), (4,), (*shape[:-1], 4)
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 1, 3, 5), (0, 5), (2, 0, 5)])
def test_linear_takes_any_leading_axes_as_rows(shape, dtype, backend, rng):
    x, weight, bias, dy = rows(shape, rng, dtype)
    with fastnn.backend(backend):
        y = F.linear(x, weight, bias)
        assert y.shape == dy.shape
        np.testing.assert_array_equal(y.reshape(-1, 4), F.linear(x.reshape(-1, 5), weight, bias))
        dx, dweight, dbias = F.linear_backward(dy, x, weight)
        expected = F.linear_backward(dy.reshape(-1, 4), x.reshape(-1, 5), weight)
        assert dx.shape == shape
        np.testing.assert_array_equal(dx.reshape(-1, 5), expected[0])
        np.testing.assert_array_equal(dweight, expected[1])
        np.testing.assert_array_equal(dbias, expected[2])
        tensors = leaves(x, weight, bias)
        result = F.linear(*tensors)
        np.testing.assert_array_equal(result.data, y)
        result.backward(dy)
        for t, gradient in zip(tensors, (dx, dweight, dbias), strict=True):
            np.testing.assert_array_equal(t.grad, gradient)
            assert (t.grad.shape, t.grad.dtype) == (t.shape, t.dtype)
        np.testing.assert_array_equal(Linear()(x, weight, bias), y)
        np.testing.assert_array_equal(F.linear(np.asfortranarray(x), weight, bias), y)


@pytest.mark.parametrize("needs", list(itertools.product([False, True], repeat=3)))
def test_linear_operation_computes_and_keeps_only_what_is_needed(needs, rng):
    x, weight, bias, dy = rows((3, 5), rng)
    expected = F.linear_backward(dy, x, weight)
    op = Linear()
    y = op(*(fastnn.tensor(a, requires_grad=need) for a, need in zip((x, weight, bias), needs, strict=True)))
    assert (op.x is not None) == (needs[1] or needs[2])
    assert (op.weight is not None) == needs[0]
    for a, e, need in zip(op.backward(dy) if y.requires_grad else (None,) * 3, expected, needs, strict=True):
        assert (a is not None) == need
        if need:
            np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize("kind", [np.array, np.asfortranarray, lambda a: a.view(np.memmap)])
def test_linear_gradients_are_those_of_the_arrays_as_they_were(kind, rng):
    x, weight, bias, dy = rows((3, 5), rng)
    given = kind(x.copy())
    _, w, b = leaves(x, weight, bias)
    y = F.linear(given, w, b)
    given[...] = 0
    y.backward(dy)
    np.testing.assert_array_equal(w.grad, F.linear_backward(dy, x, weight)[1])


def test_linear_without_bias_has_no_gradient_of_it(rng):
    x, weight, _, dy = rows((3, 5), rng)
    tensors = leaves(x, weight)
    F.linear(*tensors).backward(dy)
    for t, gradient in zip(tensors, F.linear_backward(dy, x, weight)[:2], strict=True):
        np.testing.assert_array_equal(t.grad, gradient)


def test_linear_says_what_does_not_fit_at_every_call(rng):
    x, weight, bias, dy = rows((2, 3, 5), rng)
    for _ in range(2):
        F.linear(x, weight, bias)
        F.linear_backward(dy, x, weight)
        with pytest.raises(ValueError, match=r"x has 4 features, weight expects 5. Received: x.shape=\(2, 3, 4\)"):
            F.linear(x[..., :4], weight)
        with pytest.raises(TypeError, match="linear: x has dtype int64"):
            F.linear(x.astype(np.int64), weight.astype(np.int64))
        with pytest.raises(TypeError, match="linear: dtypes differ"):
            F.linear(x, weight, bias.astype(np.float64))
        with pytest.raises(ValueError, match=r"dy must have shape \(2, 3, 4\)"):
            F.linear_backward(dy[:1], x, weight)
        with pytest.raises(TypeError, match="need_dx must be True or False"):
            F.linear_backward(dy, x, weight, need_dx="no")
        with pytest.raises(ValueError, match="linear_backward: x has 0 dimensions"):
            F.linear_backward(dy, np.float32(1), weight)


class Copies(Observer):
    def __init__(self):
        self.seen = []

    def copied(self, purpose, copy):
        self.seen.append(purpose)


def test_linear_copies_no_weight_and_gives_a_gradient_that_lies_like_it(rng):
    """Weights of layers lie transposed, those that users make themselves in rows."""
    x = rng.standard_normal((64, 300)).astype("f")
    for weight in (rng.standard_normal((200, 300)).astype("f"), rng.standard_normal((300, 200)).astype("f").T):
        copies = Copies()
        with observing(copies):
            y = F.linear(x, weight)
            gradient = F.linear_backward(y, x, weight)[1]
        assert not copies.seen
        assert gradient.strides == weight.strides
