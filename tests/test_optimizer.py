"""Optimisers: each step against its NumPy twin, ten steps against plain Python loops, layouts, threads, Muon."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_close, dtypes, from_reference, layouts, seeds

import fastnn
from fastnn import functional as F
from fastnn import nn, optim

# name -> (step, signed states, positive states, settings). Of each: everything off, everything on.
STEPS = {
    "sgd": (F.sgd_step, 0, 0, {"lr": 0.3}),
    "sgd_all": (
        F.sgd_step,
        1,
        0,
        {"lr": 0.3, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True, "maximize": True},
    ),
    "sgd_damped": (F.sgd_step, 1, 0, {"lr": 0.3, "momentum": 0.9, "dampening": 0.3}),
    "adam": (F.adam_step, 1, 1, {"lr": 0.02, "step": 1}),
    "adam_all": (F.adam_step, 1, 2, {"lr": 0.02, "step": 7, "eps": 0.1, "weight_decay": 0.1, "maximize": True}),
    "adamw": (F.adam_step, 1, 1, {"lr": 0.02, "step": 3, "decoupled_decay": 0.5}),
    "adagrad": (F.adagrad_step, 0, 1, {"lr": 0.3}),
    "adagrad_all": (F.adagrad_step, 0, 1, {"lr": 0.3, "eps": 0.1, "weight_decay": 0.1, "maximize": True}),
    "adadelta": (F.adadelta_step, 0, 2, {}),
    "adadelta_all": (F.adadelta_step, 0, 2, {"lr": 0.5, "rho": 0.5, "weight_decay": 0.1, "maximize": True}),
    "nadam": (F.nadam_step, 1, 1, {"lr": 0.02, "step": 1, "mu_product": 1.0}),
    "nadam_all": (
        F.nadam_step,
        1,
        1,
        {"lr": 0.02, "step": 7, "mu_product": 0.3, "eps": 0.1, "weight_decay": 0.1, "maximize": True},
    ),
    "nadam_decoupled": (F.nadam_step, 1, 1, {"lr": 0.02, "step": 3, "mu_product": 0.5, "decoupled_decay": 0.5}),
    "lion": (F.lion_step, 1, 0, {"lr": 0.1}),
    "lion_all": (F.lion_step, 1, 0, {"lr": 0.1, "betas": (0.5, 0.7), "decoupled_decay": 0.5, "maximize": True}),
}


def arrays_for(step, signed, positive, shape, dtype, rng):
    """Parameter, gradient and states; positive states are in [1, 2], so that roots divide by no less than 1."""
    arrays = [rng.standard_normal(shape) for _ in range(2 + signed)] + [
        rng.uniform(1, 2, shape) for _ in range(positive)
    ]
    if step is F.rmsprop_step:
        square, velocity, mean = rng.uniform(1, 2, shape), rng.standard_normal(shape), rng.uniform(-0.5, 0.5, shape)
        arrays = [*arrays[:2], square, velocity if signed else None, mean if positive else None]
    return [None if array is None else array.astype(dtype) for array in arrays]


def assert_same_step(step, arrays, settings):
    """C against the twin. Every output is a short sum of inputs with factors of at most about 1."""
    in_c, in_twin = ([None if a is None else a.copy(order="K") for a in arrays] for _ in range(2))
    step(*in_c, **settings)
    from_reference(step, *in_twin, **settings)
    magnitude = 1 + sum(np.abs(a) for a in (*arrays, *in_twin) if a is not None)
    for actual, expected in zip(in_c, in_twin, strict=True):
        if actual is not None:
            assert_close(actual, expected, terms=12, magnitude=magnitude)
    np.testing.assert_array_equal(in_c[1], arrays[1])  # the gradient is an input


@pytest.mark.parametrize("name", STEPS)
@given(n=st.integers(0, 70), dtype=dtypes, seed=seeds)
def test_optimizer_step_matches_reference(isa, name, n, dtype, seed):
    step, signed, positive, settings = STEPS[name]
    arrays = arrays_for(step, signed, positive, n, dtype, np.random.default_rng(seed))
    assert_same_step(step, arrays, settings)


@given(
    n=st.integers(0, 70),
    has_momentum=st.booleans(),
    is_centered=st.booleans(),
    maximize=st.booleans(),
    dtype=dtypes,
    seed=seeds,
)
def test_optimizer_rmsprop_step_matches_reference(isa, n, has_momentum, is_centered, maximize, dtype, seed):
    arrays = arrays_for(F.rmsprop_step, has_momentum, is_centered, n, dtype, np.random.default_rng(seed))
    settings = {"lr": 0.1, "weight_decay": 0.1, "momentum": 0.9 if has_momentum else 0.0, "maximize": maximize}
    assert_same_step(F.rmsprop_step, arrays, settings)


def test_optimizer_rmsprop_centered_constant_gradient_gives_no_nan(isa):
    w = nn.Parameter(np.zeros(7, np.float32))
    optimizer = optim.RMSprop([w], alpha=0.5, centered=True, eps=1e-3)
    for _ in range(60):  # the variance of a constant rounds to both sides of 0
        w.grad = np.full(7, 0.3, np.float32)
        optimizer.step()
    assert np.isfinite(w.data).all()


@given(n=st.integers(0, 70), decay=st.floats(0, 1), dtype=dtypes, seed=seeds)
def test_optimizer_average_step_matches_reference(isa, n, decay, dtype, seed):
    rng = np.random.default_rng(seed)
    average, value = rng.standard_normal((2, n)).astype(dtype)
    twin = average.copy()
    magnitude = np.abs(average) + np.abs(value)
    F.average_step(average, value, decay)
    from_reference(F.average_step, twin, value, decay)
    assert_close(average, twin, terms=3, magnitude=magnitude)


@given(n=st.integers(0, 100), dtype=dtypes, seed=seeds)
def test_optimizer_sum_of_squares_matches_exact_sum(isa, n, dtype, seed):
    x = np.random.default_rng(seed).standard_normal(n).astype(dtype)
    assert F.sum_of_squares(x) == pytest.approx(math.fsum(float(v) ** 2 for v in x), rel=(n + 2) * 2e-16)
    assert from_reference(F.sum_of_squares, x) == pytest.approx(F.sum_of_squares(x), rel=(n + 2) * 2e-16)


def test_optimizer_bits_do_not_depend_on_threads_or_layout(threads, rng):
    shape = (64, 128, 5, 7)  # 17.5 chunks
    w, g, m = rng.standard_normal((3, *shape)).astype(np.float32)
    v = rng.uniform(1, 2, shape).astype(np.float32)
    fastnn.set_num_threads(1)
    expected = [w.copy(), m.copy(), v.copy()]
    F.adam_step(expected[0], g, *expected[1:], step=2, lr=0.1)
    total = F.sum_of_squares(g)
    fastnn.set_num_threads(threads)
    actual = [np.asfortranarray(w), m.copy(), v.copy()]
    F.adam_step(actual[0], g, *actual[1:], step=2, lr=0.1)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, e)
    assert F.sum_of_squares(g) == total


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["adadelta_all", "nadam_all", "nadam_decoupled", "lion_all"])
def test_optimizer_blocks_do_not_show_in_the_bits(name, dtype, rng):
    step, signed, positive, settings = STEPS[name]
    arrays = arrays_for(step, signed, positive, (3, 7, 5, 401), dtype, rng)  # 2.6 blocks
    whole = [array.copy() for array in arrays]
    expected = from_reference(step, *whole, **settings)
    for parameter in (arrays[0].copy(), np.asfortranarray(arrays[0]), np.repeat(arrays[0], 2, axis=3)[..., ::2]):
        actual = [parameter, *(array.copy() for array in arrays[1:])]
        assert step(*actual, **settings) == expected
        for a, e in zip(actual, whole, strict=True):
            np.testing.assert_array_equal(a, e)


def test_optimizer_steps_of_infinite_values_are_silent(rng):
    for step, signed, positive, settings in (STEPS[name] for name in ("adadelta", "nadam", "lion")):
        arrays = arrays_for(step, signed, positive, 4, np.float32, rng)
        arrays[1][:] = [np.inf, -np.inf, np.nan, 3e38]
        step(*arrays, **settings)
        assert np.isnan(arrays[0][2])


@pytest.mark.parametrize("layout", [name for name in layouts(np.zeros((1, 1), np.float32)) if name != "read_only"])
def test_optimizer_step_changes_any_layout_in_place(layout, rng):
    w, g, u = rng.standard_normal((3, 4, 3, 5, 2)).astype(np.float32)
    expected, expected_u = w.copy(), u.copy()
    F.sgd_step(expected, g, expected_u, lr=0.1, momentum=0.9)
    for other in (0, 1, 2):
        arrays = [w.copy(), g.copy(), u.copy()]
        arrays[other] = layouts(arrays[other])[layout]
        F.sgd_step(*arrays, lr=0.1, momentum=0.9)
        np.testing.assert_array_equal(arrays[0], expected)
        np.testing.assert_array_equal(arrays[1], g)
        np.testing.assert_array_equal(arrays[2], expected_u)


def test_optimizer_step_refuses_what_it_cannot_change():
    w = np.ones(3, np.float32)
    frozen = w.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="sgd_step: parameter is read-only"):
        F.sgd_step(frozen, w, lr=0.1)
    with pytest.raises(TypeError, match="sgd_step: parameter must be an array"):
        F.sgd_step([1.0, 2.0], w, lr=0.1)
    with pytest.raises(ValueError, match=r"sgd_step: .*same shape.*gradient.shape=\(2,\)"):
        F.sgd_step(w, w[:2], lr=0.1)
    with pytest.raises(ValueError, match="adam_step: step must be >= 1"):
        F.adam_step(w, w, w.copy(), w.copy(), step=0, lr=0.1)
    np.testing.assert_array_equal(w, 1)


# ---- trajectories ----------------------------------------------------------------------------------------------------
def naive_sgd(w, gradients, lr, momentum, dampening, weight_decay, nesterov):
    u = None
    for t in range(len(gradients)):
        d = gradients[t] + weight_decay * w
        if momentum:
            u = d if u is None else momentum * u + (1 - dampening) * d
            d = d + momentum * u if nesterov else u
        w = w - lr * d
    return w


def naive_adam(w, gradients, lr, beta1, beta2, eps, coupled, decoupled, amsgrad):
    m = v = largest = 0.0
    for t, g in enumerate(gradients, 1):
        w = w - lr * decoupled * w
        g = g + coupled * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        largest = max(largest, v)
        v_hat = (largest if amsgrad else v) / (1 - beta2**t)
        w = w - lr * (m / (1 - beta1**t)) / (math.sqrt(v_hat) + eps)
    return w


def naive_rmsprop(w, gradients, lr, alpha, eps, weight_decay, momentum, centered):
    s = a = u = 0.0
    for g in gradients:
        g = g + weight_decay * w
        s = alpha * s + (1 - alpha) * g**2
        a = alpha * a + (1 - alpha) * g
        u = momentum * u + g / (math.sqrt(s - a**2 if centered else s) + eps)
        w = w - lr * u
    return w


def naive_adagrad(w, gradients, lr, lr_decay, weight_decay, start, eps):
    s = start
    for t, g in enumerate(gradients):
        g = g + weight_decay * w
        s += g**2
        w = w - lr / (1 + t * lr_decay) * g / (math.sqrt(s) + eps)
    return w


def naive_adadelta(w, gradients, lr, rho, eps, weight_decay):
    s = a = 0.0
    for g in gradients:
        g = g + weight_decay * w
        s = rho * s + (1 - rho) * g**2
        u = math.sqrt(a + eps) / math.sqrt(s + eps) * g
        a = rho * a + (1 - rho) * u**2
        w = w - lr * u
    return w


def naive_nadam(w, gradients, lr, beta1, beta2, eps, coupled, decoupled, momentum_decay):
    m = v = 0.0
    mu = [beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(len(gradients) + 2)]
    for t, g in enumerate(gradients, 1):
        w = w - lr * decoupled * w
        g = g + coupled * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        ahead = mu[t + 1] * m / (1 - math.prod(mu[1 : t + 2])) + (1 - mu[t]) * g / (1 - math.prod(mu[1 : t + 1]))
        w = w - lr * ahead / (math.sqrt(v / (1 - beta2**t)) + eps)
    return w


def naive_lion(w, gradients, lr, beta1, beta2, weight_decay):
    m = 0.0
    for g in gradients:
        c = beta1 * m + (1 - beta1) * g
        w = w - lr * weight_decay * w - lr * math.copysign(1, c)
        m = beta2 * m + (1 - beta2) * g
    return w


TRAJECTORIES = {
    "sgd": (lambda p: optim.SGD(p, 0.1), naive_sgd, (0.1, 0, 0, 0, False)),
    "momentum": (lambda p: optim.SGD(p, 0.1, 0.9, 0.2, 0.01), naive_sgd, (0.1, 0.9, 0.2, 0.01, False)),
    "nesterov": (lambda p: optim.SGD(p, 0.1, 0.9, 0, 0.01, True), naive_sgd, (0.1, 0.9, 0, 0.01, True)),
    "adam": (lambda p: optim.Adam(p, 0.1), naive_adam, (0.1, 0.9, 0.999, 1e-8, 0, 0, False)),
    "amsgrad": (
        lambda p: optim.Adam(p, 0.1, (0.5, 0.7), 1e-3, 0.1, True),
        naive_adam,
        (0.1, 0.5, 0.7, 1e-3, 0.1, 0, True),
    ),
    "adamw": (
        lambda p: optim.AdamW(p, 0.1, weight_decay=0.3),
        naive_adam,
        (0.1, 0.9, 0.999, 1e-8, 0, 0.3, False),
    ),
    "rmsprop": (lambda p: optim.RMSprop(p), naive_rmsprop, (0.01, 0.99, 1e-8, 0, 0, False)),
    "centered": (
        lambda p: optim.RMSprop(p, 0.1, 0.9, 1e-3, 0.1, 0.5, True),
        naive_rmsprop,
        (0.1, 0.9, 1e-3, 0.1, 0.5, True),
    ),
    "adagrad": (lambda p: optim.Adagrad(p), naive_adagrad, (0.01, 0, 0, 0, 1e-10)),
    "adagrad_all": (
        lambda p: optim.Adagrad(p, 0.1, 0.2, 0.1, 0.5, 1e-3),
        naive_adagrad,
        (0.1, 0.2, 0.1, 0.5, 1e-3),
    ),
    "adadelta": (lambda p: optim.Adadelta(p), naive_adadelta, (1.0, 0.9, 1e-6, 0)),
    "adadelta_all": (lambda p: optim.Adadelta(p, 0.5, 0.8, 0.1, 0.3), naive_adadelta, (0.5, 0.8, 0.1, 0.3)),
    "nadam": (lambda p: optim.NAdam(p), naive_nadam, (2e-3, 0.9, 0.999, 1e-8, 0, 0, 4e-3)),
    "nadam_all": (
        lambda p: optim.NAdam(p, 0.1, (0.5, 0.7), 1e-3, 0.1, 0.5),
        naive_nadam,
        (0.1, 0.5, 0.7, 1e-3, 0.1, 0, 0.5),
    ),
    "nadam_decoupled": (
        lambda p: optim.NAdam(p, 0.1, weight_decay=0.3, decoupled_weight_decay=True),
        naive_nadam,
        (0.1, 0.9, 0.999, 1e-8, 0, 0.3, 4e-3),
    ),
    "lion": (lambda p: optim.Lion(p), naive_lion, (1e-4, 0.9, 0.99, 0)),
    "lion_all": (lambda p: optim.Lion(p, 0.1, (0.5, 0.8), 0.3), naive_lion, (0.1, 0.5, 0.8, 0.3)),
}


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_optimizer_ten_steps_match_plain_loop(isa, name, rng):
    make, naive, settings = TRAJECTORIES[name]
    start = rng.standard_normal((3, 4))
    gradients = rng.standard_normal((10, 3, 4))
    w = nn.Parameter(np.asfortranarray(start))
    data = w.data
    optimizer = make([w])
    for gradient in gradients:
        w.grad = gradient
        optimizer.step()
    assert w.data is data
    expected = [naive(float(start[i]), [float(g[i]) for g in gradients], *settings) for i in np.ndindex(start.shape)]
    # Ten steps of some ten roundings each; a centered variance loses up to three digits to cancellation.
    np.testing.assert_allclose(w.data.ravel(), expected, rtol=0, atol=1e-15 * 100 * (1e3 if name == "centered" else 1))


# ---- Muon ------------------------------------------------------------------------------------------------------------
@given(rows=st.integers(1, 24), columns=st.integers(1, 24), seed=seeds)
def test_optimizer_newton_schulz_matches_polynomial_of_singular_values(isa, rows, columns, seed):
    matrix = np.random.default_rng(seed).standard_normal((rows, columns))
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    singular = singular / np.linalg.norm(singular)
    for _ in range(5):
        singular = 3.4445 * singular - 4.775 * singular**3 + 2.0315 * singular**5
    expected = (left * singular) @ right
    # Each step multiplies an error by at most the slope 3.4445 of the polynomial.
    bound = 3.4445**5 * 30 * 24 * np.finfo(np.float64).eps
    np.testing.assert_allclose(F.newton_schulz(matrix), expected, rtol=0, atol=bound)
    np.testing.assert_allclose(from_reference(F.newton_schulz, matrix), expected, rtol=0, atol=bound)


@pytest.mark.parametrize("scale", [2.0**600, 2.0**-600])
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_optimizer_newton_schulz_of_huge_and_tiny_matrices_is_that_of_plain_ones(backend, scale, rng):
    matrix = rng.standard_normal((4, 6))
    with fastnn.backend(backend):
        expected = F.newton_schulz(matrix, eps=0.0)
        np.testing.assert_allclose(F.newton_schulz(scale * matrix, eps=0.0), expected, rtol=0, atol=1e-12)
        assert F.newton_schulz(np.zeros((2, 3)), eps=0.0).tolist() == np.zeros((2, 3)).tolist()


def test_optimizer_newton_schulz_bits_do_not_depend_on_threads(threads, rng):
    matrix = rng.standard_normal((96, 800)).astype(np.float32)
    fastnn.set_num_threads(1)
    alone = F.newton_schulz(matrix)
    fastnn.set_num_threads(threads)
    np.testing.assert_array_equal(F.newton_schulz(matrix), alone)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (8, 3, 2, 2), (30, 2, 3, 3)])
@pytest.mark.parametrize("nesterov", [False, True])
def test_optimizer_muon_ten_steps_match_definition(isa, shape, nesterov, rng):
    start, gradients = rng.standard_normal(shape), rng.standard_normal((10, *shape))
    order = (*range(2, len(shape)), 1, 0)  # tap-major, as the weights of convolutions are
    w = nn.Parameter(np.ascontiguousarray(start.transpose(order)).transpose(np.argsort(order)))
    data, strides = w.data, w.data.strides
    optimizer = optim.Muon([w], lr=0.1, weight_decay=0.05, nesterov=nesterov)
    expected, u = start.reshape(len(start), -1), 0.0
    for gradient in gradients:
        w.grad = gradient
        optimizer.step()
        g = gradient.reshape(expected.shape)
        u = 0.95 * u + 0.05 * g
        d = 0.05 * g + 0.95 * u if nesterov else u
        x = d / np.linalg.norm(d)
        for _ in range(5):
            x = 3.4445 * x - 4.775 * (x @ x.T @ x) + 2.0315 * (x @ x.T @ x @ x.T @ x)
        factor = max(1, x.shape[0] / x.shape[1]) ** 0.5
        expected = expected * (1 - 0.1 * 0.05) - 0.1 * factor * x
    assert w.data is data
    assert w.data.strides == strides
    np.testing.assert_allclose(w.data.reshape(expected.shape), expected, rtol=0, atol=1e-11)


def test_optimizer_muon_normalises_weights_before_every_step(isa, rng):
    """Against Jordan's loop, whose momentum lacks the factor 1 - momentum: orthogonalising does not see it."""
    start, gradients = rng.standard_normal((6, 2, 3, 3)), rng.standard_normal((10, 6, 2, 3, 3))
    w = nn.Parameter(np.asfortranarray(start))
    data = w.data
    optimizer = optim.Muon(
        [w], lr=0.24, weight_decay=0, momentum=0.6, ns_steps=3, adjust_lr_fn="constant", normalize_weight=True
    )
    expected, buffer = start.reshape(6, -1), 0.0
    for gradient in gradients:
        w.grad = gradient
        optimizer.step()
        g = gradient.reshape(expected.shape)
        buffer = 0.6 * buffer + g
        u = g + 0.6 * buffer
        x = u / np.linalg.norm(u)
        for _ in range(3):
            x = 3.4445 * x - 4.775 * (x @ x.T @ x) + 2.0315 * (x @ x.T @ x @ x.T @ x)
        expected = expected * 6**0.5 / np.linalg.norm(expected) - 0.24 * x
    assert w.data is data
    np.testing.assert_allclose(w.data.reshape(expected.shape), expected, rtol=0, atol=1e-11)


def test_optimizer_muon_leaves_weights_of_zero_at_zero():
    w = nn.Parameter(np.zeros((2, 2)))
    w.grad = np.eye(2)
    optim.Muon([w], lr=0.0, normalize_weight=True).step()
    np.testing.assert_array_equal(w.data, 0)


def test_optimizer_muon_refuses_vectors_and_unknown_rules():
    with pytest.raises(ValueError, match=r"Muon: a parameter of shape \(3,\).*another optimiser"):
        optim.Muon([nn.Parameter(np.zeros((2, 2))), nn.Parameter(np.zeros(3))])
    with pytest.raises(ValueError, match="Muon: adjust_lr_fn must be None, 'original'"):
        optim.Muon([nn.Parameter(np.zeros((2, 2)))], adjust_lr_fn="sqrt")


def test_optimizer_trains_any_leaf_that_requires_a_gradient():
    x = fastnn.tensor([3.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.25)
    for _ in range(3):
        optimizer.zero_grad()
        (x * x).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(x.data, np.array([3.0, -2.0]) / 8)


@pytest.mark.parametrize("wrong", ["recorded", "frozen"])
def test_optimizer_refuses_tensors_that_cannot_be_trained(wrong):
    x = fastnn.tensor([1.0], requires_grad=wrong == "recorded")
    with pytest.raises(TypeError, match=r"^SGD: only tensors that are leaves and require a gradient can be trained"):
        optim.SGD([x * 2 if wrong == "recorded" else x])


def test_optimizer_zero_grad_fills_with_zeros_if_asked(rng):
    a, b = (nn.Parameter(rng.standard_normal(3)) for _ in range(2))
    a.grad = np.ones(3)
    optimizer = optim.SGD([a, b])
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0, 0, 0]
    assert b.grad is None
    optimizer.zero_grad()
    assert a.grad is None
    with pytest.raises(TypeError, match=r"^SGD.zero_grad: set_to_none must be True or False"):
        optimizer.zero_grad("no")
