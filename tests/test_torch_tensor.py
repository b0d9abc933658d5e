"""Gradients of random programs of tensors against PyTorch's, and what both do at ties, bounds and NaN."""

import layer_programs
import numpy as np
import pytest
import tensor_programs as programs
from hypothesis import given, settings

import fastnn

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


@settings(max_examples=1000)
@given(program=programs.programs)
def test_torch_tensor_programs_have_the_same_gradients(torch, program):
    inputs = programs.inputs_of(program)
    ours = [fastnn.tensor(x, requires_grad=True) for x in inputs]
    theirs = [torch.tensor(x, requires_grad=True) for x in inputs]
    our_losses, their_losses = programs.run(program, ours), programs.run(program, theirs, torch)
    for a, b in zip(our_losses, their_losses, strict=True):
        assert a.item() == pytest.approx(b.item(), rel=1e-10, abs=1e-10)
    sum(our_losses).backward()
    sum(their_losses).backward()
    for a, b in zip(ours, theirs, strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            expected = b.grad.numpy()
            scale = 1 + np.abs(expected).max(initial=0)
            np.testing.assert_allclose(a.grad, expected, rtol=0, atol=1e-8 * scale)


INF, NAN = np.inf, np.nan
EDGES = {
    "abs": (abs, lambda t, x: abs(x), [0.0, -0.0, -1.0]),
    "sign": (np.sign, lambda t, x: t.sign(x), [0.0, 2.0]),
    "clip": (
        lambda x: np.clip(x, -1.0, 1.0),
        lambda t, x: t.clamp(x, -1.0, 1.0),
        [-1.0, 1.0, 0.0, 2.0, -3.0, INF, NAN],
    ),
    "maximum": (lambda x: np.maximum(x, x[::-1]), lambda t, x: t.maximum(x, x.flip(0)), [1.0, 2.0, 3.0, 2.0, 0.0]),
    "maximum, NaN": (
        lambda x: np.maximum(x, np.zeros(3)),
        lambda t, x: t.maximum(x, t.zeros(3, dtype=x.dtype)),
        [NAN, 0.0, -1.0],
    ),
    "minimum": (
        lambda x: np.minimum(x, np.zeros(4)),
        lambda t, x: t.minimum(x, t.zeros(4, dtype=x.dtype)),
        [NAN, 0.0, -1.0, 1.0],
    ),
    "fmax": (
        lambda x: np.fmax(x, np.zeros(4)),
        lambda t, x: t.fmax(x, t.zeros(4, dtype=x.dtype)),
        [NAN, 0.0, -1.0, 1.0],
    ),
    "fmin": (
        lambda x: np.fmin(x, np.zeros(4)),
        lambda t, x: t.fmin(x, t.zeros(4, dtype=x.dtype)),
        [NAN, 0.0, -1.0, 1.0],
    ),
    "max": (lambda x: x.max(0), lambda t, x: t.amax(x, 0), [2.0, 1.0, 2.0, 2.0]),
    "min": (lambda x: x.min(0), lambda t, x: t.amin(x, 0), [2.0, 1.0, 1.0, 2.0]),
    "norm": (np.linalg.norm, lambda t, x: t.linalg.vector_norm(x), [0.0, 0.0]),
    "power": (lambda x: x**2, lambda t, x: x**2, [0.0, -2.0]),
    "power 0": (lambda x: x**0, lambda t, x: x**0, [0.0, -2.0]),
    "exponent": (lambda x: 0.0**x, lambda t, x: 0.0**x, [0.0, 2.0]),
    "cumprod": (np.cumprod, lambda t, x: t.cumprod(x, 0), [2.0, 0.0, 3.0, 0.0, 4.0]),
    "prod": (np.prod, lambda t, x: t.prod(x), [2.0, 0.0, 3.0]),
    "nan_to_num": (np.nan_to_num, lambda t, x: t.nan_to_num(x), [NAN, INF, -INF, 1.0]),
    "nansum": (np.nansum, lambda t, x: t.nansum(x), [NAN, 1.0]),
    "sinc": (np.sinc, lambda t, x: t.sinc(x), [0.0, 0.5, 1.0]),
    "round": (np.round, lambda t, x: t.round(x), [0.5, 1.2]),
    "where": (lambda x: np.where(x > 0, x, 0.0), lambda t, x: t.where(x > 0, x, 0.0), [0.0, NAN, 1.0]),
    "median": (np.median, lambda t, x: t.median(x), [3.0, 1.0, 2.0]),
    "remainder": (lambda x: x % 2.0, lambda t, x: x % 2.0, [2.0, -1.0, 5.0]),
    "sort": (
        lambda x: np.sort(x) * np.arange(4.0),
        lambda t, x: t.sort(x, stable=True)[0] * t.arange(4.0),
        [2.0, 1.0, 2.0, 1.0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_torch_tensor_edges_have_the_same_gradients(torch, name):
    ours, theirs, values = EDGES[name]
    x, x_torch = (
        fastnn.tensor(values, requires_grad=True),
        torch.tensor(values, dtype=torch.float64, requires_grad=True),
    )
    with np.errstate(invalid="ignore"):
        y, y_torch = ours(x), theirs(torch, x_torch)
        np.testing.assert_allclose(y.data, y_torch.detach().numpy(), rtol=1e-14)
        y.sum().backward()
    y_torch.sum().backward()
    np.testing.assert_allclose(x.grad, x_torch.grad.numpy(), rtol=1e-14)


@pytest.mark.parametrize(
    "shapes", [((3,), (3,)), ((2, 3), (3,)), ((3,), (4, 3, 2)), ((5, 2, 3), (3, 4)), ((2, 1, 2, 3), (4, 3, 2))]
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-14)])
def test_torch_tensor_products_have_the_same_gradients(torch, shapes, dtype, tolerance, rng):
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    ours = [fastnn.tensor(x, requires_grad=True) for x in arrays]
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, y_torch = ours[0] @ ours[1], theirs[0] @ theirs[1]
    dy = rng.standard_normal(y.shape).astype(dtype)
    y.backward(dy)
    y_torch.backward(torch.tensor(dy))
    np.testing.assert_allclose(y.data, y_torch.detach().numpy(), rtol=0, atol=20 * tolerance)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=0, atol=20 * tolerance)


@settings(max_examples=1000)
@given(program=layer_programs.programs)
def test_torch_layer_programs_have_the_same_gradients(torch, program):
    array, layers = layer_programs.made(program)
    twins = layer_programs.as_torch(torch, layers)
    x, other = fastnn.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    ours = layer_programs.run(program, x, layers)
    theirs = layer_programs.run(program, other, twins, torch)
    for a, b in zip(ours, theirs, strict=True):
        assert a.item() == pytest.approx(b.item(), rel=1e-9, abs=1e-9)
    sum(ours).backward()
    sum(theirs).backward()
    pairs = [(x.grad, other.grad)]
    for name, layer in layers.items():
        twin = dict(twins[name].named_parameters())
        pairs += [(parameter.grad, twin[key].grad) for key, parameter in layer.named_parameters()]
    for a, b in pairs:
        assert (a is None) == (b is None)
        if a is not None:
            expected = b.numpy()
            np.testing.assert_allclose(a, expected, rtol=0, atol=1e-8 * (1 + np.abs(expected).max(initial=0)))
