"""Clipping and penalties of values whose squares leave the numbers there are, and of arrays that are shared."""

import math

import numpy as np
import pytest

import fastnn
from fastnn import functional as F
from fastnn import nn, optim

NORMS = (1, 2, 3.5, 0.5, 1000.0, math.inf)


def parameters(*gradients):
    found = [nn.Parameter(np.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(found, gradients, strict=True):
        parameter.grad = gradient
    return found


def norm(values, p):
    largest = max(map(abs, values))
    return largest if p == math.inf else largest * math.fsum((abs(v) / largest) ** p for v in values) ** (1 / p)


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1e200, np.float64), (1e305, np.float64), (1e150, np.float64), (1e30, np.float32), (1e37, np.float32)],
)
def test_clip_grad_norm_of_huge_gradients_keeps_their_direction(backend, p, scale, dtype):
    values = [3.0, -4.0, 0.0, 1.5, 2.0]
    a, b = parameters(np.array(values[:3], dtype) * dtype(scale), np.array(values[3:], dtype) * dtype(scale))
    with fastnn.backend(backend):
        total = optim.clip_grad_norm_([a, b], 2.0, p)
    relative = norm(values, p)
    eps = float(np.finfo(dtype).eps)
    assert total == pytest.approx(relative * float(dtype(scale)), rel=30 * eps)
    clipped = np.concatenate([a.grad, b.grad])
    np.testing.assert_allclose(clipped, np.array(values) * 2 / relative, rtol=30 * eps)


def test_clip_grad_norm_that_no_double_can_hold_still_clips():
    (a,) = parameters(np.full(4, 1.5e308))
    assert optim.clip_grad_norm_([a], 2.0) == math.inf
    np.testing.assert_allclose(a.grad, 1.0, rtol=1e-14)
    with pytest.raises(ValueError, match="norm of the gradients is inf"):
        optim.clip_grad_norm_(parameters(np.full(4, 1.5e308)), 2.0, error_if_nonfinite=True)


@pytest.mark.parametrize("p", [1, 2, 3.5, math.inf])
def test_clip_grad_norm_of_tiny_gradients_measures_and_leaves_them(p):
    for scale, dtype in ((1e-200, np.float64), (6e-155, np.float64), (5e-324, np.float64), (1e-44, np.float32)):
        gradient = np.array([3, -4, 2], dtype) * dtype(scale)
        (a,) = parameters(gradient.copy())
        total = optim.clip_grad_norm_([a], 1.0, p)
        unit = float(dtype(scale))
        assert total / unit == pytest.approx(
            norm([float(g) / unit for g in gradient], p), rel=0.2 if scale == 5e-324 else 1e-6
        )
        np.testing.assert_array_equal(a.grad, gradient)


def test_clip_grad_norm_factor_below_float32_is_exact():
    """1e-7 / 2e38 is no float32 with 24 bits: as one, the factor would be off by up to a half."""
    (a,) = parameters(np.array([1e38, 1e38, 1e38, 1e38], np.float32))
    optim.clip_grad_norm_([a], 1e-7)
    np.testing.assert_allclose(a.grad, 0.5e-7, rtol=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3.5, math.inf])
def test_clip_grad_norm_of_infinity_and_nan_is_as_in_pytorch(p):
    a, b = parameters(np.array([math.inf, 1.0]), np.ones(2))
    assert optim.clip_grad_norm_([a, b], 1.0, p) == math.inf
    np.testing.assert_array_equal(a.grad, [math.nan, 0])
    np.testing.assert_array_equal(b.grad, 0)
    a, b = parameters(np.array([math.inf, math.nan]), np.ones(2))
    assert math.isnan(optim.clip_grad_norm_([a, b], 1.0, p))
    assert np.isnan(a.grad).all()
    assert np.isnan(b.grad).all()


def test_clip_grad_norm_with_an_infinite_bound_measures_only():
    (a,) = parameters(np.array([3.0, 4.0]))
    assert optim.clip_grad_norm_([a], math.inf) == 5.0
    np.testing.assert_array_equal(a.grad, [3, 4])
    (a,) = parameters(np.array([math.inf, 4.0]))
    assert optim.clip_grad_norm_([a], math.inf) == math.inf
    np.testing.assert_array_equal(a.grad, [math.inf, 4])


def test_clip_grad_norm_of_zeros_is_zero():
    (a,) = parameters(np.zeros(3))
    assert [optim.clip_grad_norm_([a], 1.0, p) for p in NORMS] == [0.0] * len(NORMS)
    np.testing.assert_array_equal(a.grad, 0)
    (a,) = parameters(np.array([3.0, 4.0]))
    optim.clip_grad_norm_([a], 0.0)
    np.testing.assert_array_equal(a.grad, 0)


def test_clip_grad_norm_scales_a_shared_array_once():
    shared = np.array([3.0, 4.0])
    a, b = parameters(shared, shared)
    norm = optim.clip_grad_norm_([a, b], 1.0)
    assert norm == pytest.approx(math.sqrt(50))
    np.testing.assert_allclose(a.grad, np.array([3, 4]) / norm, rtol=1e-6)
    np.testing.assert_allclose(b.grad, np.array([3, 4]) / norm, rtol=1e-6)


def test_a_parameter_given_twice_counts_once():
    (a,) = parameters(np.array([3.0, 4.0]))
    assert optim.clip_grad_norm_([a, a], 2.5) == 5.0
    np.testing.assert_allclose(a.grad, [1.5, 2], rtol=1e-6)
    w = nn.Parameter(np.array([2.0]))
    assert optim.l1_l2_penalty_([w, w], l2=0.5) == 2.0
    np.testing.assert_array_equal(w.grad, 2.0)


def test_clip_grad_norm_never_writes_into_a_read_only_gradient():
    gradient = np.array([3.0, 4.0])
    gradient.flags.writeable = False
    a, b = parameters(gradient, gradient)
    optim.clip_grad_norm_([a, b], 1.0)
    np.testing.assert_array_equal(gradient, [3, 4])
    np.testing.assert_allclose(a.grad, np.array([3, 4]) / math.sqrt(50), rtol=1e-6)


def test_l1_l2_penalty_of_huge_and_tiny_weights():
    for scale in (1e200, 1e-200):
        w = nn.Parameter(np.array([3.0, -4.0]) * scale)
        assert optim.l1_l2_penalty_([w], l1=0.5) == pytest.approx(3.5 * scale, rel=1e-14)
        w = nn.Parameter(np.array([3.0, -4.0]) * scale)
        assert optim.l1_l2_penalty_([w], l2=1 / scale) == pytest.approx(25 * scale, rel=1e-14)
        np.testing.assert_allclose(w.grad, [6, -8], rtol=1e-14)
    assert optim.l1_l2_penalty_([nn.Parameter(np.array([1e200]))], l2=1.0) == math.inf
    assert math.isnan(optim.l1_l2_penalty_([nn.Parameter(np.array([math.nan]))], l2=1.0))


def test_l1_l2_penalty_that_does_not_fit_changes_nothing():
    a, b = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    a.grad, b.grad = np.ones(2), np.ones(3)
    with pytest.raises(ValueError, match=r"l1_l2_penalty_: .*grad.shape=\(3,\)"):
        optim.l1_l2_penalty_([a, b], l2=1.0)
    np.testing.assert_array_equal(a.grad, 1)


@pytest.mark.parametrize(("scale", "dtype"), [(1e200, np.float64), (1e300, np.float64), (1e38, np.float32)])
def test_newton_schulz_of_a_huge_matrix_is_that_of_a_moderate_one(scale, dtype, rng):
    matrix = np.clip(rng.standard_normal((5, 8)), -3, 3).astype(dtype)
    with fastnn.backend("native"):
        expected, actual = F.newton_schulz(matrix), F.newton_schulz(matrix * dtype(scale))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=3.4445**5 * 300 * np.finfo(dtype).eps)


def test_newton_schulz_of_infinity_or_nan_is_nan():
    for value in (math.inf, math.nan):
        matrix = np.eye(3)
        matrix[0, 1] = value
        with np.errstate(invalid="ignore"):
            assert np.isnan(F.newton_schulz(matrix)).any()


def test_muon_normalises_huge_weights():
    w = nn.Parameter(np.eye(2) * 1e200)
    w.grad = np.zeros((2, 2))
    optim.Muon([w], lr=0.0, normalize_weight=True).step()
    np.testing.assert_allclose(w.data, np.eye(2), rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: optim.clip_grad_norm_(p, "a"), TypeError, "clip_grad_norm_: max_norm must be a number"),
        (lambda p: optim.clip_grad_norm_(p, 1.0, "2"), TypeError, "clip_grad_norm_: norm_type must be a number"),
        (lambda p: optim.clip_grad_norm_(p, 1.0, math.nan), ValueError, "clip_grad_norm_: norm_type"),
        (lambda p: optim.clip_grad_norm_(p, 1.0, error_if_nonfinite="no"), TypeError, "error_if_nonfinite"),
        (lambda p: optim.clip_grad_norm_(5, 1.0), TypeError, "clip_grad_norm_: nn.Parameter objects are needed"),
        (lambda p: optim.clip_grad_norm_(nn.Linear(1, 1), 1.0), TypeError, r"give model.parameters\(\)"),
        (lambda p: optim.clip_grad_value_(p, math.nan), ValueError, "clip_grad_value_: clip_value must be finite"),
        (lambda p: optim.l1_l2_penalty_(p, l2=1j), TypeError, "l1_l2_penalty_: l2 must be a number"),
    ],
)
def test_clip_nonsense_is_refused_before_anything_changes(call, error, message):
    found = parameters(np.array([30.0, 40.0]))
    with pytest.raises(error, match=message):
        call(found)
    np.testing.assert_array_equal(found[0].grad, [30, 40])


def test_newton_schulz_divides_by_at_least_eps_and_leaves_zeros():
    x = np.diag([1e-8, 0.0])
    np.testing.assert_allclose(F.newton_schulz(x, 0), x / 1e-7, rtol=1e-14)
    np.testing.assert_array_equal(F.newton_schulz(np.zeros((2, 3)), eps=0.0), 0)


@pytest.mark.parametrize("betas", [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9)])
def test_adam_step_needs_betas_below_one(betas):
    w = np.ones(2)
    with pytest.raises(ValueError, match="adam_step: betas"):
        F.adam_step(w, np.ones(2), np.zeros(2), np.zeros(2), step=1, lr=0.1, betas=betas)
    np.testing.assert_array_equal(w, 1)


@pytest.mark.parametrize("norm_type", [0.5, 1, 2, 3.5, math.inf])
def test_clip_grad_norm_of_no_gradients_is_zero(norm_type):
    empty = nn.Parameter(np.zeros((0, 3)))
    empty.grad = np.zeros((0, 3))
    for parameters in ([nn.Parameter(np.ones(3))], [empty]):
        assert optim.clip_grad_norm_(parameters, 1.0, norm_type) == 0
