"""All losses but cross-entropy: against their definitions written for one element, and numeric gradients."""

import math

import numpy as np
import pytest
from oracle import from_reference, layouts, numeric_gradient, relative_error

import fastnn
from fastnn import functional as F
from fastnn import nn

REDUCTIONS = ("mean", "sum", "none")
POSITIVE = np.array([0.5, 2.0, 1.5])


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


# name -> (settings, loss of one element with scalar settings): between two arrays of shape (4, 3)
ELEMENTWISE = {
    "mse_loss": ({}, lambda x, t, c: (x - t) ** 2),
    "l1_loss": ({}, lambda x, t, c: abs(x - t)),
    "smooth_l1_loss": (
        {"beta": 0.7},
        lambda x, t, c: (x - t) ** 2 / 1.4 if abs(x - t) < 0.7 else abs(x - t) - 0.35,
    ),
    "huber_loss": (
        {"delta": 0.7},
        lambda x, t, c: (x - t) ** 2 / 2 if abs(x - t) < 0.7 else 0.7 * (abs(x - t) - 0.35),
    ),
    "binary_cross_entropy": (
        {"weight": POSITIVE},
        lambda x, t, c: -POSITIVE[c] * (t * math.log(x) + (1 - t) * math.log(1 - x)),
    ),
    "binary_cross_entropy_with_logits": (
        {"weight": POSITIVE, "pos_weight": POSITIVE[::-1].copy()},
        lambda x, t, c: -POSITIVE[c] * (POSITIVE[2 - c] * t * log_sigmoid(x) + (1 - t) * log_sigmoid(-x)),
    ),
}


def hinge(row, label, p, margin, weight):
    violations = [max(0, margin - row[label] + value) ** p for j, value in enumerate(row) if j != label]
    return weight[label] / len(row) * sum(violations)


def focal(row, label, gamma, alpha):
    p = math.exp(row[label]) / sum(map(math.exp, row))
    return -alpha[label] * (1 - p) ** gamma * math.log(p)


# name -> (settings, loss of one row): scores of shape (4, 3) and labels
BY_CLASS = {
    "nll_loss": ({"weight": POSITIVE}, lambda row, label: -POSITIVE[label] * row[label]),
    "multi_margin_loss": ({"p": 1, "margin": 0.8}, lambda row, label: hinge(row, label, 1, 0.8, np.ones(3))),
    "multi_margin_loss squared": ({"p": 2, "weight": POSITIVE}, lambda row, label: hinge(row, label, 2, 1, POSITIVE)),
    "focal_loss": ({"gamma": 1.5, "alpha": POSITIVE}, lambda row, label: focal(row, label, 1.5, POSITIVE)),
    "focal_loss plain": ({}, lambda row, label: focal(row, label, 2, np.ones(3))),
}
CASES = [*ELEMENTWISE, *BY_CLASS]


def a_case(name, rng, dtype=np.float64):
    """(function, its gradient, input, target, settings, losses by loops, divisor of the mean)."""
    key = name.split()[0]
    x = rng.standard_normal((4, 3))
    if name in BY_CLASS:
        settings, loss = BY_CLASS[name]
        target = np.array([2, 0, 1, 0])
        losses = np.array([loss(row, label) for row, label in zip(x, target, strict=True)])
        total = POSITIVE[target].sum() if name == "nll_loss" else 4
        return getattr(F, key), getattr(F, f"{key}_backward"), x.astype(dtype), target, settings, losses, total
    settings, loss = ELEMENTWISE[name]
    target = rng.random((4, 3))
    if name == "binary_cross_entropy":
        x = rng.uniform(0.1, 0.9, (4, 3))
    losses = np.array([[loss(x[i, c], target[i, c], c) for c in range(3)] for i in range(4)])
    x, target = x.astype(dtype), target.astype(dtype)
    return getattr(F, key), getattr(F, f"{key}_backward"), x, target, settings, losses, 12


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_losses_match_their_definitions(name, dtype, rng):
    function, _, x, target, settings, losses, total = a_case(name, rng, dtype)
    rtol = 100 * float(np.finfo(dtype).eps)  # a dozen operations, some of which cancel a digit or two
    each = function(x, target, reduction="none", **settings)
    assert each.dtype == dtype
    np.testing.assert_allclose(each, losses, rtol=rtol, atol=rtol)
    for reduction, expected in (("sum", losses.sum()), ("mean", losses.sum() / total)):
        loss = function(x, target, reduction=reduction, **settings)
        assert type(loss) is float
        assert loss == pytest.approx(expected, rel=rtol, abs=rtol)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", CASES)
def test_losses_gradient_is_the_numeric_one(name, reduction, rng):
    function, backward, x, target, settings, losses, _ = a_case(name, rng)
    dloss = rng.standard_normal(losses.shape if reduction == "none" else ())
    expected = numeric_gradient(lambda: function(x, target, reduction=reduction, **settings), x, dloss, step=1e-5)
    assert relative_error(backward(dloss, x, target, reduction=reduction, **settings), expected) < 1e-8


@pytest.mark.parametrize("name", CASES)
def test_losses_keep_the_dtype_of_the_input_in_the_gradient(name, rng):
    _, backward, x, target, settings, _, _ = a_case(name, rng, np.float32)
    assert backward(1.0, x, target, **settings).dtype == np.float32


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1), np.float32))))
@pytest.mark.parametrize("name", CASES)
def test_losses_accept_any_layout(name, layout, rng):
    function, backward, x, target, settings, _, _ = a_case(name, rng, np.float32)
    given, given_target = layouts(x)[layout], layouts(target)[layout]
    assert function(given, given_target, **settings) == pytest.approx(function(x, target, **settings), rel=1e-6)
    dx = backward(1.0, given, given_target, **settings)
    np.testing.assert_allclose(dx, backward(1.0, x, target, **settings), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(given, x)
    np.testing.assert_array_equal(given_target, target)


@pytest.mark.parametrize("name", CASES)
def test_losses_of_an_empty_batch(name, rng):
    function, backward, x, target, settings, _, _ = a_case(name, rng)
    assert np.isnan(function(x[:0], target[:0], **settings))
    assert function(x[:0], target[:0], reduction="sum", **settings) == 0
    assert backward(1.0, x[:0], target[:0], **settings).shape == (0, 3)


@pytest.mark.parametrize("name", CASES)
def test_losses_are_the_same_on_the_reference_backend(name, rng):
    function, backward, x, target, settings, _, _ = a_case(name, rng)
    assert from_reference(function, x, target, **settings) == function(x, target, **settings)
    dx = backward(1.0, x, target, **settings)
    np.testing.assert_array_equal(from_reference(backward, 1.0, x, target, **settings), dx)


@pytest.mark.parametrize("name", list(ELEMENTWISE))
def test_losses_between_arrays_reject_what_does_not_fit(name, rng):
    function, backward, x, target, settings, _, _ = a_case(name, rng)
    with pytest.raises(ValueError, match=rf"{name}: input and target must have the same shape"):
        function(x, target[:1], **settings)
    with pytest.raises(TypeError, match="dtypes differ"):
        function(x, target.astype(np.float32), **settings)
    with pytest.raises(ValueError, match="reduction must be"):
        function(x, target, reduction="average", **settings)
    with pytest.raises(ValueError, match=rf"{name}_backward: with reduction='mean', dloss must have shape"):
        backward(np.ones(2), x, target, **settings)
    with pytest.raises(TypeError, match="dloss must hold numbers"):
        backward("1", x, target, **settings)


@pytest.mark.parametrize("name", list(BY_CLASS))
def test_losses_of_classes_reject_what_does_not_fit(name, rng):
    function, _, x, target, settings, _, _ = a_case(name, rng)
    with pytest.raises(ValueError, match=r"target\[2\] is 3, but labels must lie in \[0, 3\)"):
        function(x, np.array([0, 1, 3, -1]), **settings)
    with pytest.raises(ValueError, match=r"target must have shape \(4,\)"):
        function(x, target[:2], **settings)
    with pytest.raises(TypeError, match="target must hold integers"):
        function(x, target.astype(float), **settings)
    with pytest.raises(ValueError, match=r"input must have shape \(N, C\)"):
        function(x[0], target, **settings)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, t: F.smooth_l1_loss(x, t, beta=-1), "beta must be >= 0"),
        (lambda x, t: F.huber_loss(x, t, delta=0), "delta must be > 0"),
        (lambda x, t: F.huber_loss(x, t, delta=np.nan), "delta must be >= 0"),
        (lambda x, t: F.binary_cross_entropy(x + 2, t), r"probabilities, in \[0, 1\]; it reaches from 2 to 2"),
        (lambda x, t: F.binary_cross_entropy(x, t, weight=np.ones(3)), "weight does not broadcast"),
        (lambda x, t: F.binary_cross_entropy(x, t, weight=np.ones((5, 2, 2))), "weight does not broadcast"),
        (lambda x, t: F.binary_cross_entropy_with_logits(x, t, pos_weight=np.ones(3)), "pos_weight does not broadcast"),
        (lambda x, t: F.multi_margin_loss(x, np.zeros(2, int), p=3), "p must be 1 or 2"),
        (lambda x, t: F.focal_loss(x, np.zeros(2, int), gamma=-1), "gamma must be >= 0"),
        (lambda x, t: F.focal_loss(x, np.zeros(2, int), alpha=np.ones(3)), "alpha needs one value for each of 2"),
        (lambda x, t: nn.MultiMarginLoss(p=3), "p must be 1 or 2"),
        (lambda x, t: nn.MSELoss("average"), "MSELoss: reduction must be"),
    ],
)
def test_losses_reject_bad_settings(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.zeros((2, 2)), np.zeros((2, 2)))


# ---- edges -----------------------------------------------------------------------------------------------------------
def test_losses_l1_gradient_at_zero_is_zero():
    np.testing.assert_array_equal(F.l1_loss_backward(1.0, np.ones(2), np.ones(2)), [0, 0])


def test_losses_smooth_l1_without_width_is_l1(rng):
    x, t = rng.standard_normal((2, 9))
    t[0] = x[0]
    assert F.smooth_l1_loss(x, t, beta=0) == F.l1_loss(x, t)
    np.testing.assert_array_equal(F.smooth_l1_loss_backward(1.0, x, t, beta=0), F.l1_loss_backward(1.0, x, t))


def test_losses_bce_clamps_logarithms_at_minus_100():
    x, t = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])
    np.testing.assert_array_equal(F.binary_cross_entropy(x, t, reduction="none"), [100, 100, 0])
    np.testing.assert_allclose(F.binary_cross_entropy_backward(1.0, x, t, reduction="sum"), [-1e12, 1e12, 0])


def test_losses_bce_lets_nan_through():
    assert np.isnan(F.binary_cross_entropy(np.array([np.nan, 0.5]), np.ones(2)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_bce_with_logits_stays_finite(dtype):
    x, t = np.array([1e4, -1e4, 1e4, -1e4], dtype), np.array([1, 1, 0, 0], dtype)
    np.testing.assert_array_equal(F.binary_cross_entropy_with_logits(x, t, reduction="none"), [0, 1e4, 1e4, 0])
    dx = F.binary_cross_entropy_with_logits_backward(1.0, x, t, reduction="sum")
    np.testing.assert_array_equal(dx, [0, -1, 1, 0])


def test_losses_nll_ignores_rows():
    x = np.array([[-1.0, -2.0], [np.inf, np.inf], [-3.0, -4.0]])
    labels = np.array([1, 5, 0])
    assert F.nll_loss(x, labels, ignore_index=5) == 2.5
    np.testing.assert_array_equal(F.nll_loss_backward(1.0, x, labels, ignore_index=5), [[0, -0.5], [0, 0], [-0.5, 0]])
    assert np.isnan(F.nll_loss(x, np.full(3, 5), ignore_index=5))
    np.testing.assert_array_equal(F.nll_loss_backward(1.0, x, np.full(3, 5), ignore_index=5), np.zeros((3, 2)))


def test_losses_nll_of_images_is_that_of_their_pixels(rng):
    x, labels = rng.standard_normal((2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    rows = np.moveaxis(x, 1, -1).reshape(-1, 3)
    assert F.nll_loss(x, labels, POSITIVE) == pytest.approx(F.nll_loss(rows, labels.reshape(-1), POSITIVE), rel=1e-13)
    dx = F.nll_loss_backward(1.0, x, labels, POSITIVE)
    expected = F.nll_loss_backward(1.0, rows, labels.reshape(-1), POSITIVE)
    np.testing.assert_allclose(np.moveaxis(dx, 1, -1).reshape(-1, 3), expected, rtol=1e-13)


def test_losses_focal_without_focus_is_cross_entropy(rng):
    x, labels = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    assert F.focal_loss(x, labels, gamma=0) == pytest.approx(F.cross_entropy(x, labels), rel=1e-13)
    dx = F.focal_loss_backward(1.0, x, labels, gamma=0)
    np.testing.assert_allclose(dx, F.cross_entropy_backward(1.0, x, labels), atol=1e-15)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_losses_focal_of_certain_predictions_is_finite(gamma):
    x = np.array([[1e4, 0.0], [0.0, 1e4]])  # p = 1, and p = 0
    np.testing.assert_array_equal(F.focal_loss(x, np.zeros(2, int), gamma=gamma, reduction="none"), [0, 1e4])
    dx = F.focal_loss_backward(1.0, x, np.zeros(2, int), gamma=gamma, reduction="sum")
    np.testing.assert_array_equal(dx, [[0, 0], [-1, 1]])


# ---- layers ----------------------------------------------------------------------------------------------------------
LAYERS = {
    "mse_loss": nn.MSELoss,
    "l1_loss": nn.L1Loss,
    "smooth_l1_loss": nn.SmoothL1Loss,
    "huber_loss": nn.HuberLoss,
    "binary_cross_entropy": nn.BCELoss,
    "binary_cross_entropy_with_logits": nn.BCEWithLogitsLoss,
    "nll_loss": nn.NLLLoss,
    "multi_margin_loss": nn.MultiMarginLoss,
    "focal_loss": nn.FocalLoss,
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", CASES)
def test_losses_layers_call_their_functions(name, reduction, rng):
    function, backward, x, target, settings, losses, _ = a_case(name, rng)
    criterion = LAYERS[name.split()[0]](reduction=reduction, **settings)
    dloss = rng.standard_normal(losses.shape) if reduction == "none" else None
    loss = function(x, target, reduction=reduction, **settings)
    np.testing.assert_array_equal(criterion(x, target), loss)
    expected = backward(1.0 if dloss is None else dloss, x, target, reduction=reduction, **settings)
    np.testing.assert_array_equal(criterion.backward(dloss), expected)
    if reduction == "none":
        with pytest.raises(TypeError, match="needs the gradient of every loss"):
            criterion.backward()
    else:
        np.testing.assert_allclose(criterion.backward(2.0), 2 * expected, rtol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_losses_layers_keep_weights_in_the_state(name, rng):
    _, _, x, target, settings, _, _ = a_case(name, rng)
    criterion, other = (LAYERS[name.split()[0]](**settings) for _ in range(2))
    state = criterion.state_dict()
    assert set(state) == {key for key, value in settings.items() if isinstance(value, np.ndarray)}
    other.load_state_dict({key: 2 * value for key, value in state.items()})
    other.load_state_dict(state)
    assert other(x, target) == criterion(x, target)
    assert not list(criterion.parameters())


def test_losses_layers_refuse_weights_that_are_no_numbers():
    with pytest.raises(TypeError, match="NLLLoss: weight must hold numbers"):
        nn.NLLLoss(["a", "b"])


def test_losses_layers_repr():
    assert repr(nn.SmoothL1Loss(beta=0.5)) == "SmoothL1Loss(reduction='mean', beta=0.5)"


def test_losses_written_by_users_need_two_functions():
    class Signed(nn.Loss):
        function = staticmethod(lambda x, t, reduction: float((x - t).sum()))
        gradient = staticmethod(lambda dloss, x, t, reduction: dloss * np.ones_like(x))

    criterion = Signed("sum")
    assert criterion(np.array([3.0, 1.0]), np.array([1.0, 1.0])) == 2
    np.testing.assert_array_equal(criterion.backward(), [1, 1])
    with fastnn.backend("reference"):
        assert criterion(np.ones(2), np.zeros(2)) == 2


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("size", [1e-20, 1e-25, 1e25, 3e30])
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (F.mse_loss, lambda d: d * d),
        (lambda x, t, reduction: F.huber_loss(x, t, reduction, delta=1e-15), lambda d: huber(d, 1e-15)),
        (lambda x, t, reduction: F.huber_loss(x, t, reduction, delta=1e32), lambda d: d * d / 2),
        (lambda x, t, reduction: F.smooth_l1_loss(x, t, reduction, beta=1e32), lambda d: d * d / 2e32),
    ],
    ids=["mse", "huber", "huber-wide", "smooth"],
)
def test_losses_of_tiny_and_huge_differences_keep_their_digits(loss, expected, size, reduction):
    """In float32 these squares are denormal, with two digits left, or infinite."""
    x = np.array([1.0, -2.0, 3.0, 0.0], np.float32) * np.float32(size)
    losses = [expected(abs(float(value))) for value in x]
    total = math.fsum(losses) / (4 if reduction == "mean" else 1)
    assert loss(x, np.zeros_like(x), reduction=reduction) == pytest.approx(total, rel=1e-12)


def huber(distance, delta):
    return distance**2 / 2 if distance < delta else delta * (distance - delta / 2)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("far", [False, True])
def test_losses_of_arrays_without_axes_are_those_of_one_element(far, reduction):
    x, t = np.array(5.0 if far else 0.5), np.array(0.0)
    smooth = 4.5 if far else 0.125
    assert F.mse_loss(x, t, reduction) == (25 if far else 0.25)
    assert F.l1_loss(x, t, reduction) == (5 if far else 0.5)
    assert F.huber_loss(x, t, reduction, delta=2.0 if far else 1.0) == (8.0 if far else 0.125)
    assert F.smooth_l1_loss(x, t, reduction) == smooth


def test_losses_weights_given_as_integers_are_kept_in_single_precision():
    assert nn.CrossEntropyLoss([1, 2]).weight.dtype == np.float32
    assert nn.BCEWithLogitsLoss(pos_weight=np.array([3])).pos_weight.dtype == np.float32
    assert nn.NLLLoss(np.array([0.5, 2.0])).weight.dtype == np.float64  # as given


@pytest.mark.parametrize("outside", [-0.1, 1.1])
@pytest.mark.parametrize("call", [F.binary_cross_entropy, lambda x, t: F.binary_cross_entropy_backward(1.0, x, t)])
def test_losses_of_probabilities_refuse_either_side(call, outside):
    with pytest.raises(ValueError, match=r"input must hold probabilities, in \[0, 1\]; it reaches from "):
        call(np.array([0.5, outside]), np.array([0.0, 1.0]))


@pytest.mark.parametrize("cls", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCEWithLogitsLoss])
def test_losses_of_a_column_and_a_vector_say_how_to_make_them_alike(cls):
    criterion = cls()
    column, vector = np.full((5, 1), 0.5), np.full(5, 0.5)
    with pytest.raises(ValueError, match=r"must have the same shape: pass target\[:, None\]. Received: input.shape="):
        criterion(column, vector)
    with pytest.raises(ValueError, match=r"must have the same shape: pass target\[:, 0\]. Received: input.shape="):
        criterion(vector, column)
