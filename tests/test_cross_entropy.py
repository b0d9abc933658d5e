"""Softmax cross-entropy: C against the NumPy twin, the twin against loops and numeric gradients."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, numeric_gradient, relative_error, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn
from fastnn.functional.cross_entropy import cross_entropy_and_gradient

REDUCTIONS = ("mean", "sum", "none")


def by_loops(x, target, weight, ignore_index, label_smoothing):
    """Losses of the rows of a (N, C) array, and what their mean divides by."""
    losses, total = [], 0.0
    for n, row in enumerate(x.astype(np.float64)):
        if target.ndim == 1 and target[n] == ignore_index:
            losses.append(0.0)
            continue
        log_sum = math.log(sum(math.exp(value) for value in row))
        loss = 0.0
        for c, value in enumerate(row):
            q = float(target[n] == c) if target.ndim == 1 else target[n, c]
            w = 1.0 if weight is None else weight[c]
            loss += w * ((1 - label_smoothing) * q + label_smoothing / len(row)) * (log_sum - value)
        losses.append(loss)
        total += 1.0 if target.ndim == 2 or weight is None else float(weight[target[n]])
    return np.array(losses), total


def a_case(rng, n, classes, dtype, kind, weighted):
    x = (3 * rng.standard_normal((n, classes))).astype(dtype)
    weight = rng.uniform(0.1, 2, classes).astype(dtype) if weighted else None
    if kind == "probabilities":
        return x, rng.dirichlet(np.ones(classes), n).astype(dtype), weight
    labels = rng.integers(0, classes, n)
    if kind == "ignored":
        labels[rng.random(n) < 0.3] = -100
    return x, labels, weight


kinds = st.sampled_from(["labels", "ignored", "probabilities"])


@given(
    n=st.integers(0, 9), classes=st.integers(1, 40), dtype=dtypes, kind=kinds, weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]), reduction=st.sampled_from(REDUCTIONS), seed=seeds,
)  # fmt: skip
def test_cross_entropy_matches_reference(isa, n, classes, dtype, kind, weighted, smoothing, reduction, seed):
    x, target, weight = a_case(np.random.default_rng(seed), n, classes, dtype, kind, weighted)
    arguments = x, target, weight, -100, reduction, smoothing
    loss, dx = cross_entropy_and_gradient(*arguments)
    expected, expected_dx = from_reference(cross_entropy_and_gradient, *arguments)
    # An exponential of x - max errs by |x - max| u, and C of them are added; t sums to at most 2.
    spread = float(np.ptp(x)) if n else 0.0
    largest = np.array(2 * (spread + np.log(classes)) * (n if reduction == "sum" else 1))
    assert type(loss) is (np.ndarray if reduction == "none" else float)
    actual, expected = np.asarray(loss).astype(dtype), np.asarray(expected).astype(dtype)
    assert_close(actual, expected, terms=classes + spread, magnitude=largest + np.abs(expected))
    share = np.array(2 / (np.abs(weight).min() if weighted else 1))
    assert_close(dx, expected_dx, terms=classes + spread, magnitude=share)


@given(
    n=st.integers(1, 5), classes=st.integers(1, 6), kind=kinds, weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.3]), seed=seeds,
)  # fmt: skip
def test_cross_entropy_reference_matches_loops(n, classes, kind, weighted, smoothing, seed):
    x, target, weight = a_case(np.random.default_rng(seed), n, classes, np.float64, kind, weighted)
    losses, total = by_loops(x, target, weight, -100, smoothing)
    with fastnn.backend("reference"):
        np.testing.assert_allclose(F.cross_entropy(x, target, weight, -100, "none", smoothing), losses, atol=1e-13)
        assert F.cross_entropy(x, target, weight, -100, "sum", smoothing) == pytest.approx(losses.sum(), abs=1e-12)
        mean = F.cross_entropy(x, target, weight, -100, "mean", smoothing)
    assert mean == pytest.approx(losses.sum() / total if total else np.nan, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["labels", "ignored", "probabilities"])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_gradient_is_the_numeric_one(isa, rng, kind, weighted, smoothing, reduction):
    x, target, weight = a_case(rng, 6, 11, np.float64, kind, weighted)
    x /= 3
    settings = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
    dloss = rng.standard_normal(6 if reduction == "none" else ())
    expected = numeric_gradient(lambda: F.cross_entropy(x, target, **settings), x, dloss, step=1e-5)
    assert relative_error(F.cross_entropy_backward(dloss, x, target, **settings), expected) < 1e-8
    with fastnn.backend("reference"):
        assert relative_error(F.cross_entropy_backward(dloss, x, target, **settings), expected) < 1e-8


@pytest.mark.parametrize(("rows", "classes"), [(3001, 37), (128, 1000)])
def test_cross_entropy_has_the_same_bits_for_any_number_of_threads(isa, rng, rows, classes):
    x = rng.standard_normal((rows, classes)).astype(np.float32)  # more than 100 000 exponentials: worth several threads
    labels = rng.integers(0, classes, rows)
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        results.append(cross_entropy_and_gradient(x, labels, label_smoothing=0.1))
    for loss, dx in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(dx, results[0][1])


@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_a_row_does_not_depend_on_its_place(isa, rng, kind, smoothing):
    x, target, weight = a_case(rng, 5, 37, np.float32, kind, True)  # 37: rows start at any distance from a cache line
    settings = {"weight": weight, "reduction": "none", "label_smoothing": smoothing}
    losses, dx = cross_entropy_and_gradient(x, target, **settings)
    for r in range(len(x)):
        loss, dx_row = cross_entropy_and_gradient(x[r : r + 1], target[r : r + 1], **settings)
        np.testing.assert_array_equal(loss, losses[r : r + 1])
        np.testing.assert_array_equal(dx_row, dx[r : r + 1])


@pytest.mark.parametrize("kind", ["labels", "ignored", "probabilities"])
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 5, 3, 4), (2, 5, 2, 1, 3), (0, 5, 3, 4), (2, 5, 0)])
def test_cross_entropy_of_images_is_that_of_their_pixels(isa, rng, shape, kind):
    x = rng.standard_normal(shape)
    places = (len(x), *shape[2:])
    x_rows = np.moveaxis(x, 1, -1).reshape(-1, 5)
    _, target_rows, weight = a_case(rng, len(x_rows), 5, np.float64, kind, True)
    target = target_rows.reshape(*places, *target_rows.shape[1:])
    target = np.moveaxis(target, -1, 1) if kind == "probabilities" else target
    for reduction in REDUCTIONS:
        loss, dx = cross_entropy_and_gradient(x, target, weight, reduction=reduction)
        expected, expected_dx = cross_entropy_and_gradient(x_rows, target_rows, weight, reduction=reduction)
        np.testing.assert_allclose(np.reshape(loss, -1), np.reshape(expected, -1), rtol=1e-13)
        assert dx.shape == shape
        np.testing.assert_allclose(np.moveaxis(dx, 1, -1).reshape(-1, 5), expected_dx, rtol=1e-13)
        if reduction == "none":
            assert loss.shape == places


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1), np.float32))))
def test_cross_entropy_accepts_any_layout(layout, rng):
    x, labels, _ = a_case(rng, 7, 13, np.float32, "labels", False)
    _, probabilities, _ = a_case(rng, 7, 13, np.float32, "probabilities", False)
    given, given_labels, given_probabilities = (layouts(a)[layout] for a in (x, labels, probabilities))
    for target, given_target in ((labels, given_labels), (probabilities, given_probabilities)):
        expected, expected_dx = cross_entropy_and_gradient(x, target)
        loss, dx = cross_entropy_and_gradient(given, given_target)
        assert loss == expected
        np.testing.assert_array_equal(dx, expected_dx)
    np.testing.assert_array_equal(given, x)
    np.testing.assert_array_equal(given_labels, labels)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_cross_entropy_accepts_labels_of_any_integer_dtype(dtype, rng):
    x, labels, _ = a_case(rng, 8, 10, np.float32, "labels", False)
    assert F.cross_entropy(x, labels.astype(dtype)) == F.cross_entropy(x, labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_large_logits_is_finite(isa, dtype):
    x = np.array([[1e4, 0, -1e4], [-1e4, -1e4, -1e4]], dtype)
    losses, dx = cross_entropy_and_gradient(x, np.array([1, 0]), reduction="none")
    np.testing.assert_allclose(losses, [1e4, np.log(3)], rtol=1e-6)
    np.testing.assert_allclose(dx, [[1, -1, 0], [-2 / 3, 1 / 3, 1 / 3]], rtol=1e-6)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_cross_entropy_of_a_logit_of_minus_infinity(backend):
    x = np.array([[0.0, 0.0, -np.inf]])
    with fastnn.backend(backend):
        assert F.cross_entropy(x, np.array([0])) == pytest.approx(np.log(2))
        assert F.cross_entropy(x, np.array([2])) == np.inf
        assert F.cross_entropy(x, np.array([[0.5, 0.5, 0.0]])) == pytest.approx(np.log(2))
        np.testing.assert_allclose(F.cross_entropy_backward(1.0, x, np.array([0])), [[-0.5, 0.5, 0]])
        assert np.isnan(F.cross_entropy(np.full((1, 3), -np.inf), np.array([0])))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 9, 33])
def test_cross_entropy_shows_a_bad_logit(isa, value, place):
    x = np.zeros((1, 34), np.float32)
    x[0, place] = value
    loss, dx = cross_entropy_and_gradient(x, np.array([1]))
    assert np.isnan(loss)
    assert np.isnan(dx).any()


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_mean_of_ignored_rows_is_nan_and_has_no_gradient(backend, smoothing):
    x = np.ones((3, 4))
    with fastnn.backend(backend):
        loss, dx = cross_entropy_and_gradient(x, np.full(3, 7), ignore_index=7, label_smoothing=smoothing)
        assert np.isnan(loss)
        np.testing.assert_array_equal(dx, np.zeros_like(x))
        assert F.cross_entropy(x, np.full(3, 7), ignore_index=7, reduction="sum") == 0


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_cross_entropy_of_an_empty_batch(backend):
    x, labels = np.empty((0, 4), np.float32), np.empty(0, np.int64)
    with fastnn.backend(backend):
        assert np.isnan(F.cross_entropy(x, labels))
        assert F.cross_entropy(x, labels, reduction="sum") == 0
        assert F.cross_entropy(x, labels, reduction="none").shape == (0,)
        assert F.cross_entropy_backward(1.0, x, labels).shape == (0, 4)


def test_cross_entropy_smoothing_is_a_mixture_of_targets(rng):
    x, labels, _ = a_case(rng, 5, 7, np.float64, "labels", False)
    mixed = 0.9 * np.eye(7)[labels] + 0.1 / 7
    assert F.cross_entropy(x, labels, label_smoothing=0.1) == pytest.approx(F.cross_entropy(x, mixed), rel=1e-13)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 3, 4], r"target\[1\] is 3, but labels must lie in \[0, 3\)"),
        ([0, 1, -1], r"target\[2\] is -1"),
        (np.array([2**64 - 100, 0, 0], np.uint64), r"target\[0\] is 18446744073709551516"),
    ],
)
def test_cross_entropy_names_the_first_label_out_of_range(labels, words):
    x = np.zeros((3, 3), np.float32)
    with pytest.raises(ValueError, match=words):
        F.cross_entropy(x, np.asarray(labels))
    with pytest.raises(ValueError, match=words), fastnn.backend("reference"):
        nn.CrossEntropyLoss()(x, np.asarray(labels))


def test_cross_entropy_names_the_place_of_a_bad_label_in_an_image():
    labels = np.zeros((2, 4, 5), np.int64)
    labels[1, 2, 3] = 9
    with pytest.raises(ValueError, match=r"target\[1, 2, 3\] is 9"):
        F.cross_entropy(np.zeros((2, 3, 4, 5)), labels)


def test_cross_entropy_takes_class_weights_that_are_not_aligned():
    weight = np.ndarray(3, np.float32, np.empty(13, np.uint8)[1:])
    weight[...] = 1, 2, 3
    assert not weight.flags.aligned
    x, labels = np.array([[1, 2, 3], [3, 1, 2]], np.float32), np.array([0, 2])
    assert F.cross_entropy(x, labels, weight) == F.cross_entropy(x, labels, weight.copy())


def test_cross_entropy_binding_refuses_a_bad_label():
    from fastnn import _native

    x, labels = np.zeros((2, 3)), np.array([0, 3])
    with pytest.raises(ValueError, match="label"):
        _native.cross_entropy(x, labels, None, None, -100, 0.0, True, np.empty(2), np.empty((2, 3)), 1)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"input": np.zeros(3)}, ValueError, r"\(N, C\).*input.shape=\(3,\)"),
        ({"input": np.zeros((2, 0))}, ValueError, "C >= 1"),
        ({"input": np.zeros((2, 3), int)}, TypeError, "float32 or float64"),
        ({"target": np.zeros(3, int)}, ValueError, r"target must have shape \(2,\)"),
        ({"target": np.zeros(2)}, ValueError, "labels .integers., or probabilities"),
        ({"target": np.zeros(2, bool)}, TypeError, "integers"),
        ({"target": np.zeros((2, 3), np.float32)}, TypeError, "dtypes differ"),
        ({"target": np.zeros((2, 3)), "ignore_index": 1}, ValueError, "ignore_index needs labels"),
        ({"weight": np.ones(2)}, ValueError, "weight needs one value for each of 3 classes"),
        ({"weight": ["a", "b", "c"]}, TypeError, "weight must hold numbers"),
        ({"reduction": "max"}, ValueError, "'mean', 'sum' or 'none'"),
        ({"label_smoothing": 1.5}, ValueError, "label_smoothing must be >= 0 and <= 1"),
        ({"label_smoothing": "much"}, TypeError, "label_smoothing must be a number"),
        ({"ignore_index": 0.5}, TypeError, "ignore_index must be an integer"),
    ],
)
def test_cross_entropy_rejects(arguments, error, words):
    with pytest.raises(error, match=words):
        F.cross_entropy(**{"input": np.zeros((2, 3)), "target": np.zeros(2, int), **arguments})


def test_cross_entropy_backward_checks_dloss():
    x, labels = np.zeros((2, 3)), np.zeros(2, int)
    with pytest.raises(ValueError, match=r"dloss must have shape \(2,\)"):
        F.cross_entropy_backward(1.0, x, labels, reduction="none")
    with pytest.raises(ValueError, match=r"dloss must have shape \(\)"):
        F.cross_entropy_backward(np.ones(2), x, labels)


# ---- the layer -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["ignored", "probabilities"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_layer_returns_loss_and_gradient(rng, reduction, kind):
    x, target, weight = a_case(rng, 6, 5, np.float32, kind, True)
    criterion = nn.CrossEntropyLoss(weight, reduction=reduction, label_smoothing=0.1)
    settings = {"weight": weight, "reduction": reduction, "label_smoothing": 0.1}
    dloss = rng.standard_normal(6).astype(np.float32) if reduction == "none" else None
    np.testing.assert_array_equal(criterion(x, target), F.cross_entropy(x, target, **settings))
    expected = F.cross_entropy_backward(1.0 if dloss is None else dloss, x, target, **settings)
    np.testing.assert_array_equal(criterion.backward(dloss), expected)
    assert criterion.backward(dloss).dtype == np.float32


def test_cross_entropy_layer_backward_without_reduction_needs_the_upstream_gradient():
    criterion = nn.CrossEntropyLoss(reduction="none")
    criterion(np.zeros((2, 3)), np.zeros(2, int))
    with pytest.raises(TypeError, match="needs the gradient of every loss"):
        criterion.backward()


def test_cross_entropy_layer_keeps_its_weight_in_the_state():
    criterion = nn.CrossEntropyLoss([1, 2, 3])
    assert list(criterion.state_dict()) == ["weight"]
    assert not list(criterion.parameters())
    other = nn.CrossEntropyLoss(np.zeros(3))
    other.load_state_dict(criterion.state_dict())
    np.testing.assert_array_equal(other.weight, [1, 2, 3])
    assert not nn.CrossEntropyLoss().state_dict()


def test_cross_entropy_layer_repr():
    words = "CrossEntropyLoss(ignore_index=-100, reduction='mean', label_smoothing=0.1)"
    assert repr(nn.CrossEntropyLoss(np.ones(3), label_smoothing=0.1)) == words
