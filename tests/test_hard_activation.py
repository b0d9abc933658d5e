"""Hardtanh, ReLU6, Hardsigmoid, Hardswish and Mish: values and slopes by hand, infinities, and what they refuse."""

import math

import numpy as np
import pytest
from oracle import layouts, relative_error

import fastnn
from fastnn import functional as F
from fastnn import nn, reference

NAMES = ["hardtanh", "relu6", "hardsigmoid", "hardswish", "mish"]
INF, NAN = np.inf, np.nan


def slope(name, x):
    tensor = fastnn.tensor(x, requires_grad=True)
    getattr(F, name)(tensor).backward(np.ones(np.shape(x)))
    return tensor.grad


@pytest.mark.parametrize(
    ("name", "x", "y", "dx"),
    [
        ("hardtanh", [-2.0, -1, -0.5, 0, 1, 2], [-1, -1, -0.5, 0, 1, 1], [0, 0, 1, 1, 0, 0]),
        ("relu6", [-1.0, 0, 2, 6, 7], [0, 0, 2, 6, 6], [0, 0, 1, 0, 0]),
        ("hardsigmoid", [-4.0, -3, 0, 1.5, 3, 4], [0, 0, 0.5, 0.75, 1, 1], [0, 0, 1 / 6, 1 / 6, 0, 0]),
        ("hardswish", [-4.0, -3, -1.5, 0, 1.5, 3, 4], [0, 0, -0.375, 0, 1.125, 3, 4], [0, 0, 0, 0.5, 1, 1, 1]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_activation_by_hand(name, x, y, dx, dtype):
    x = np.array(x, dtype)
    actual = getattr(F, name)(x)
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, y, rtol=1e-6)
    np.testing.assert_allclose(slope(name, x), dx, rtol=1e-6)


def test_mish_by_hand():
    """tanh(log(1 + e)) is ((1 + e)^2 - 1) / ((1 + e)^2 + 1)."""
    square = (1 + math.e) ** 2
    np.testing.assert_allclose(F.mish(np.array([1.0])), [(square - 1) / (square + 1)], rtol=1e-15)
    assert slope("mish", np.array([0.0])) == pytest.approx(0.6, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hardtanh", [NAN, 1, -1]),
        ("relu6", [NAN, 6, 0]),
        ("hardsigmoid", [NAN, 1, 0]),
        ("hardswish", [NAN, INF, NAN]),
        ("mish", [NAN, INF, NAN]),
    ],
)
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_activation_of_what_is_not_finite_gives_no_warning(name, expected, backend):
    with fastnn.backend(backend):
        np.testing.assert_array_equal(getattr(F, name)(np.array([NAN, INF, -INF])), expected)
        slope(name, np.array([NAN, INF, -INF, 1e30, -1e30]))
        slope(name, np.array([NAN, INF, -INF, 1e300, -1e300]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mish_agrees_with_its_twin(isa, threads, dtype, rng):
    x, dy = 10 * rng.standard_normal((2, 50, 30)).astype(dtype)
    tensor = fastnn.tensor(x, requires_grad=True)
    y = F.mish(tensor)
    y.backward(dy)
    assert relative_error(y.data, reference.mish(x)) < 4 * np.finfo(dtype).eps
    # The twin subtracts from 1 what is near it, and multiplies by x.
    assert relative_error(tensor.grad, reference.mish_backward(dy, x)) < 40 * np.finfo(dtype).eps


@pytest.mark.parametrize("name", NAMES)
def test_activation_keeps_the_memory_order(name, rng):
    x = rng.standard_normal((2, 3, 4, 5))
    for layout, array in layouts(x).items():
        y = getattr(F, name)(array)
        np.testing.assert_array_equal(y, getattr(F, name)(x))
        if layout == "fortran":
            assert y.flags.f_contiguous


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: F.hardtanh(np.zeros(3), 1, 1),
            "hardtanh: min_val must be less than max_val. Received: min_val=1, max",
        ),
        (lambda: nn.Hardtanh(2.0, 1.0), "Hardtanh: min_val must be less than max_val. Received: min_val=2.0"),
        (lambda: nn.Hardtanh(max_val="a"), "Hardtanh: max_val must be a number. Received: 'a'"),
        (lambda: nn.ReLU6(inplace="yes"), "ReLU6: inplace must be True or False. Received: 'yes'"),
        *((lambda name=name: getattr(F, name)(np.zeros(3, int)), f"{name}: x has dtype int64") for name in NAMES),
    ],
)
def test_activation_refuses_by_name(call, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        call()


@pytest.mark.parametrize("n", [0, 1, 3, 17, 64, 40_001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "low", "high"), [("relu6", 0, 6), ("hardtanh", -1, 1)])
def test_hardtanh_in_c_has_the_bits_of_its_twin(isa, name, low, high, dtype, n, rng):
    x = (4 * rng.standard_normal(n)).astype(dtype)
    special = np.array([NAN, INF, -INF, low, high, 0.0, -0.0], dtype)[: n // 2]
    x[: len(special)] = special
    dy = rng.standard_normal(n).astype(dtype)
    y, dx = getattr(reference, name), getattr(reference, f"{name}_backward")
    bounds = (low, high) if name == "hardtanh" else ()
    tensor = fastnn.tensor(x, requires_grad=True)
    result = getattr(F, name)(tensor)
    np.testing.assert_array_equal(result.numpy(), y(x, *bounds))
    result.backward(dy)
    np.testing.assert_array_equal(tensor.grad, dx(dy, x, *bounds))
